/**
 * One whole handshake with fixed randomness, as `handshake.json` writes it down. Used by the generator of that file and
 * by the test that replays it.
 */

import { createNodeCrypto } from '../../src/crypto/node.ts'
import { fromHex, toHex } from '../../src/protocol/bytes.ts'
import type { CipherName, CryptoPort, KeyPair } from '../../src/protocol/crypto-port.ts'
import { InitiatorHandshake } from '../../src/protocol/handshake-initiator.ts'
import { FRAME_HEADER_BYTES } from '../../src/protocol/handshake-messages.ts'
import type { Purpose } from '../../src/protocol/handshake-messages.ts'
import { ResponderHandshake } from '../../src/protocol/handshake-responder.ts'
import { handshakeContext } from '../../src/protocol/handshake.ts'
import { nextSecret, recordKeys } from '../../src/protocol/key-schedule.ts'

/** What goes into a run; all byte strings as hex. */
export interface VectorInput {
  readonly name: string
  readonly purpose: Purpose
  readonly channelBinding: string
  readonly token: string | null
  readonly resumeKeys: readonly { readonly id: string; readonly key: string }[]
  readonly join: boolean
  readonly ciphers: readonly CipherName[]
  /** All random bytes of a side, in the order in which it draws them. */
  readonly initiatorRandom: string
  readonly responderRandom: string
  readonly kem: { readonly ciphertext: string; readonly secret: string } | null
  /** Private long-term keys under `noise-xx`; the client's is `null` where it draws one. */
  readonly server?: { readonly serverStatic: string; readonly clientStatic: string | null }
}

/** What comes out of it, as hex. */
export interface VectorOutput {
  readonly context: string
  readonly init: string
  readonly resp: string
  readonly confirmInitiator: string
  readonly confirmResponder: string
  readonly suite: string
  readonly cipher: string
  readonly transcriptHash: string
  readonly initiatorToResponder: string
  readonly responderToInitiator: string
  readonly resumeId: string
  readonly resumeKey: string
  readonly recordKey: string
  readonly recordIv: string
  readonly nextSecret: string
}

export interface VectorFile {
  readonly description: Readonly<Record<string, string>>
  readonly cases: readonly (VectorInput & VectorOutput)[]
}

/** Gives the bytes of one string in order, and throws when they are used up. */
function replay(hex: string): (length: number) => Uint8Array {
  const bytes = fromHex(hex)
  let at = 0
  return (length) => {
    if (at + length > bytes.length) throw new Error('the vector has too few random bytes')
    at += length
    return bytes.slice(at - length, at)
  }
}

/** A port with fixed randomness, down to the one value of ML-KEM that OpenSSL draws itself. */
function fixedCrypto(input: VectorInput, random: string): CryptoPort {
  const port = createNodeCrypto(replay(random))
  const { kem } = input
  const real = port.kem
  return {
    ...port,
    ciphers: input.ciphers,
    kem:
      kem === null || real === null
        ? null
        : { ...real, encapsulate: () => ({ ciphertext: fromHex(kem.ciphertext), secret: fromHex(kem.secret) }) },
  }
}

function pairOf(privateKey: string): KeyPair {
  return createNodeCrypto(replay(privateKey)).x25519Generate()
}

export function runVector(input: VectorInput): VectorOutput {
  const shared = { purpose: input.purpose, channelBinding: fromHex(input.channelBinding) }
  const token = input.token === null ? null : fromHex(input.token)
  const resumeKeys = input.resumeKeys.map(({ id, key }) => ({ id: fromHex(id), key: fromHex(key) }))
  const crypto = fixedCrypto(input, input.initiatorRandom)
  const { server } = input
  const clientStatic = server?.clientStatic ?? null
  const initiator = new InitiatorHandshake({
    ...shared,
    crypto,
    token,
    resumeKeys,
    join: input.join,
    server:
      server === undefined
        ? undefined
        : { staticKey: clientStatic === null ? null : pairOf(clientStatic), checkServerKey: () => undefined },
  })
  const responder = new ResponderHandshake({
    ...shared,
    crypto: fixedCrypto(input, input.responderRandom),
    password: () => token,
    // Under noise-xx the ids that are offered are those of somebody else.
    findResumeKey: (id) =>
      server === undefined ? (resumeKeys.find((known) => toHex(known.id) === toHex(id))?.key ?? null) : null,
    staticKey: server === undefined ? undefined : pairOf(server.serverStatic),
  })
  const init = initiator.start()
  const resp = responder.receive('INIT', init.subarray(FRAME_HEADER_BYTES)).send
  if (resp === null) throw new Error('no RESP')
  const confirmInitiator = initiator.receive('RESP', resp.subarray(FRAME_HEADER_BYTES)).send
  if (confirmInitiator === null) throw new Error('no CONFIRM_I')
  const verdict = responder.receive('CONFIRM_I', confirmInitiator.subarray(FRAME_HEADER_BYTES)).verify?.()
  if (verdict?.ok !== true) throw new Error('CONFIRM_I is wrong')
  const secrets = initiator.receive('CONFIRM_R', verdict.confirm.subarray(FRAME_HEADER_BYTES)).done
  if (secrets === null) throw new Error('CONFIRM_R is wrong')
  const records = recordKeys(crypto, secrets.sendSecret)
  return {
    context: toHex(handshakeContext({ ...shared, crypto })),
    init: toHex(init),
    resp: toHex(resp),
    confirmInitiator: toHex(confirmInitiator),
    confirmResponder: toHex(verdict.confirm),
    suite: secrets.suite,
    cipher: secrets.cipher,
    transcriptHash: toHex(secrets.transcriptHash),
    initiatorToResponder: toHex(secrets.sendSecret),
    responderToInitiator: toHex(secrets.receiveSecret),
    resumeId: toHex(secrets.resumeId),
    resumeKey: toHex(secrets.resumeKey),
    recordKey: toHex(records.key),
    recordIv: toHex(records.iv),
    nextSecret: toHex(nextSecret(crypto, secrets.sendSecret)),
  }
}
