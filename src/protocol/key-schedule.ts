/**
 * From what a suite agreed on to every key of a session (HKDF-SHA-256, RFC 5869).
 *
 * Owns the labels. Knows no suite, message or record: it gets a transcript and a secret.
 */

import { concatBytes, encodeUtf8 } from './bytes.ts'
import type { CryptoPort } from './crypto-port.ts'

const LABEL_PREFIX = 'sealift/1 '
const SECRET_BYTES = 32
const IV_BYTES = 12
/** Length of a resume id and of a session id. */
export const RESUME_ID_BYTES = 16
const RESUME_KEY_BYTES = 32

/** Everything derived from one handshake. All but the hash and the id is secret; `destroy` of its owner zeroes it. */
export interface KeySchedule {
  /** SHA-256 of the transcript, 32 bytes; public. */
  readonly transcriptHash: Uint8Array
  readonly confirmInitiator: Uint8Array
  readonly confirmResponder: Uint8Array
  /** Traffic secret of what the initiator sends, 32 bytes. */
  readonly initiatorToResponder: Uint8Array
  /** Traffic secret of what the responder sends, 32 bytes. */
  readonly responderToInitiator: Uint8Array
  readonly resumeKey: Uint8Array
  /** Public. */
  readonly resumeId: Uint8Array
}

/**
 * @param transcript the context that both sides must share, then INIT and RESP as they were sent, headers included
 * @param suiteSecret 64 bytes, borrowed
 * @param kemSecret 32 bytes, borrowed; `null` without KEM, which the transcript tells apart
 */
export function deriveKeys(
  crypto: CryptoPort,
  transcript: readonly Uint8Array[],
  suiteSecret: Uint8Array,
  kemSecret: Uint8Array | null,
): KeySchedule {
  const transcriptHash = crypto.sha256(transcript)
  const input = kemSecret === null ? suiteSecret.slice() : concatBytes([suiteSecret, kemSecret])
  const prk = crypto.hkdfExtract(transcriptHash, input)
  input.fill(0)
  try {
    return {
      transcriptHash,
      confirmInitiator: expand(crypto, prk, 'confirm i', SECRET_BYTES),
      confirmResponder: expand(crypto, prk, 'confirm r', SECRET_BYTES),
      initiatorToResponder: expand(crypto, prk, 'i2r', SECRET_BYTES),
      responderToInitiator: expand(crypto, prk, 'r2i', SECRET_BYTES),
      resumeKey: expand(crypto, prk, 'resume key', RESUME_KEY_BYTES),
      resumeId: expand(crypto, prk, 'resume id', RESUME_ID_BYTES),
    }
  } finally {
    prk.fill(0)
  }
}

/**
 * Key and IV of the records under one traffic secret.
 *
 * @param secret 32 bytes, borrowed
 * @returns key 32 bytes and IV 12 bytes, the caller's to zero
 */
export function recordKeys(
  crypto: CryptoPort,
  secret: Uint8Array,
): { readonly key: Uint8Array; readonly iv: Uint8Array } {
  return { key: expand(crypto, secret, 'key', SECRET_BYTES), iv: expand(crypto, secret, 'iv', IV_BYTES) }
}

/**
 * The traffic secret that follows after `RECORDS_PER_KEY` records. The caller zeroes the old one, so that keys of the
 * past are gone.
 *
 * @returns 32 bytes, the caller's to zero
 */
export function nextSecret(crypto: CryptoPort, secret: Uint8Array): Uint8Array {
  return expand(crypto, secret, 'next', SECRET_BYTES)
}

function expand(crypto: CryptoPort, prk: Uint8Array, label: string, length: number): Uint8Array {
  return crypto.hkdfExpand(prk, encodeUtf8(LABEL_PREFIX + label), length)
}
