/**
 * CPACE-X25519-SHA512 (draft-irtf-cfrg-cpace-21) in its initiator-responder form: from a password that both sides know
 * to a secret that only they have.
 *
 * Pure functions over the crypto port. Knows no message of Sealift: what goes into the context and the associated data
 * is the caller's. Scalars are 32 random bytes, shares and the point K come from `CryptoPort.x25519`, which refuses
 * low-order points. K must never be used but for the ISK.
 */

import { encodeUtf8 } from './bytes.ts'
import type { CryptoPort } from './crypto-port.ts'

const DSI = encodeUtf8('CPace255')
const DSI_ISK = encodeUtf8('CPace255_ISK')
/** Input block of SHA-512. */
const BLOCK_BYTES = 128
/** Bytes of SHA-512 that become a field element. */
const FIELD_BYTES = 32

/** A share and what its sender bound to it. */
export interface CpaceMessage {
  /** 32 bytes. */
  readonly share: Uint8Array
  readonly associatedData: Uint8Array
}

/** The length of a field in front of it, as LEB128 (draft section 4, `prepend_len`), for each field in turn. */
export function prependLengths(fields: readonly Uint8Array[]): Uint8Array[] {
  return fields.flatMap((field) => [leb128(field.length), field])
}

function leb128(value: number): Uint8Array {
  const bytes: number[] = []
  let left = value
  do {
    const low = left & 0x7f
    left >>>= 7
    bytes.push(left === 0 ? low : low | 0x80)
  } while (left !== 0)
  return Uint8Array.from(bytes)
}

/**
 * The base point of one run (`calculate_generator`).
 *
 * @param password the draft's PRS, borrowed
 * @param context the draft's CI
 * @param sessionId the draft's sid
 * @returns 32 bytes, a u-coordinate; secret, the caller's to zero
 */
export function cpaceGenerator(
  crypto: CryptoPort,
  password: Uint8Array,
  context: Uint8Array,
  sessionId: Uint8Array,
): Uint8Array {
  const lengthOf = (field: Uint8Array): number => leb128(field.length).length + field.length
  // The padding fills the first block of the hash, so that nothing public shares a block with the password.
  const padding = new Uint8Array(Math.max(0, BLOCK_BYTES - 1 - lengthOf(password) - lengthOf(DSI)))
  const hash = crypto.sha512(prependLengths([DSI, password, padding, context, sessionId]))
  const generator = crypto.elligator2(hash.subarray(0, FIELD_BYTES))
  hash.fill(0)
  return generator
}

/**
 * The intermediate session key.
 *
 * @param point the draft's K: 32 bytes, borrowed
 * @returns 64 bytes, the caller's to zero
 */
export function cpaceSessionKey(
  crypto: CryptoPort,
  sessionId: Uint8Array,
  point: Uint8Array,
  initiator: CpaceMessage,
  responder: CpaceMessage,
): Uint8Array {
  return crypto.sha512(
    prependLengths([
      DSI_ISK,
      sessionId,
      point,
      initiator.share,
      initiator.associatedData,
      responder.share,
      responder.associatedData,
    ]),
  )
}
