/** Both ends of a handshake in one process, with what a test wants to be different. */

import { createNodeCrypto, nodeCrypto } from '../../../src/crypto/node.ts'
import { encodeUtf8, toHex } from '../../../src/protocol/bytes.ts'
import type { CryptoPort, KeyPair } from '../../../src/protocol/crypto-port.ts'
import { SealiftError } from '../../../src/protocol/errors.ts'
import { InitiatorHandshake } from '../../../src/protocol/handshake-initiator.ts'
import type { InitiatorParameters, ServerParameters } from '../../../src/protocol/handshake-initiator.ts'
import { FRAME_HEADER_BYTES, readFrameHeader } from '../../../src/protocol/handshake-messages.ts'
import type { FrameKind } from '../../../src/protocol/handshake-messages.ts'
import { ResponderHandshake } from '../../../src/protocol/handshake-responder.ts'
import type { ResponderParameters } from '../../../src/protocol/handshake-responder.ts'
import type { ResumeCredential, SessionSecrets } from '../../../src/protocol/handshake.ts'

const NOTHING = new Uint8Array(0)
export const TOKEN: Uint8Array = encodeUtf8('acid-zebra')

export function newInitiator(changes: Partial<InitiatorParameters> = {}): InitiatorHandshake {
  const defaults = { crypto: nodeCrypto, purpose: 'direct', channelBinding: NOTHING } as const
  return new InitiatorHandshake({ ...defaults, token: TOKEN, resumeKeys: [], join: false, ...changes })
}

export function newResponder(changes: Partial<ResponderParameters> = {}): ResponderHandshake {
  const defaults = { crypto: nodeCrypto, purpose: 'direct', channelBinding: NOTHING } as const
  return new ResponderHandshake({ ...defaults, password: () => TOKEN, findResumeKey: () => null, ...changes })
}

export const SERVER_KEY: KeyPair = nodeCrypto.x25519Generate()
export const CLIENT_KEY: KeyPair = nodeCrypto.x25519Generate()

/** An initiator that meets a server by its key. */
export function newClient(
  server: Partial<ServerParameters> = {},
  changes: Partial<InitiatorParameters> = {},
): InitiatorHandshake {
  const defaults = { staticKey: CLIENT_KEY, checkServerKey: () => undefined }
  return newInitiator({ purpose: 'server', token: null, server: { ...defaults, ...server }, ...changes })
}

export function newServer(changes: Partial<ResponderParameters> = {}): ResponderHandshake {
  const password = (): never => {
    throw new Error('a server is not met by a token')
  }
  return newResponder({ purpose: 'server', staticKey: SERVER_KEY, password, ...changes })
}

export function newCredential(): ResumeCredential {
  return { id: nodeCrypto.randomBytes(16), key: nodeCrypto.randomBytes(32) }
}

/** A `findResumeKey` over some credentials. */
export function serving(...credentials: ResumeCredential[]): (id: Uint8Array) => Uint8Array | null {
  return (id) => credentials.find((known) => toHex(known.id) === toHex(id))?.key ?? null
}

/** A port that remembers each secret buffer that it gave away; `live` is how many of them are not zeroed. */
export function watching(): { crypto: CryptoPort; live: () => number } {
  const given: Uint8Array[] = []
  const watch = <Bytes extends Uint8Array>(bytes: Bytes): Bytes => (given.push(bytes), bytes)
  const generators = new Set<Uint8Array>()
  const port = createNodeCrypto((length) =>
    length === 16 ? nodeCrypto.randomBytes(16) : watch(nodeCrypto.randomBytes(length)),
  )
  const { kem } = port
  if (kem === null) throw new Error('this Node has no ML-KEM, and the project runs on one that has')
  const crypto: CryptoPort = {
    ...port,
    kem: {
      ...kem,
      encapsulate: (publicKey) => {
        const result = kem.encapsulate(publicKey)
        watch(result.secret)
        return result
      },
      decapsulate: (privateKey, ciphertext) => watch(kem.decapsulate(privateKey, ciphertext)),
    },
    hkdfExtract: (salt, ikm) => watch(nodeCrypto.hkdfExtract(salt, ikm)),
    hkdfExpand: (prk, info, length) => watch(nodeCrypto.hkdfExpand(prk, info, length)),
    elligator2: (element) => {
      const generator = watch(nodeCrypto.elligator2(element))
      generators.add(generator)
      return generator
    },
    // On a generator it gives a share, which is public.
    x25519: (scalar, point) => {
      const result = nodeCrypto.x25519(scalar, point)
      return generators.has(point) ? result : watch(result)
    },
    sha512: (parts) => watch(nodeCrypto.sha512(parts)),
  }
  return { crypto, live: () => given.filter((bytes) => bytes.some((byte) => byte !== 0)).length }
}

/** What a driver does with a frame: reads the header, waits for so many bytes, then gives kind and body to the machine. */
export function feed<Step>(machine: { receive(kind: FrameKind, body: Uint8Array): Step }, frame: Uint8Array): Step {
  const { kind, bodyBytes } = readFrameHeader(frame)
  const body = frame.subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + bodyBytes)
  if (body.length < bodyBytes) throw new SealiftError('connection_lost', 'the rest of the frame never comes')
  return machine.receive(kind, body)
}

/** One name for each message on its way, in order. */
export type Leg = 'INIT' | 'RESP' | 'CONFIRM_I' | 'CONFIRM_R'

export interface Outcome {
  /** What each side ends with; `null` where it did not confirm. */
  readonly initiator: SessionSecrets | null
  readonly responder: SessionSecrets | null
  /** What ended the run where it did not go through, as thrown or as told by ABORT. */
  readonly failure: unknown
  /** All that the responder sent, ABORT included. */
  readonly fromResponder: readonly Uint8Array[]
}

/**
 * Runs a handshake to its end, whatever that is.
 *
 * @param tamper what the network makes of each message
 */
export function run(
  initiator: InitiatorHandshake,
  responder: ResponderHandshake,
  tamper: (leg: Leg, frame: Uint8Array) => Uint8Array = (_, frame) => frame,
): Outcome {
  const fromResponder: Uint8Array[] = []
  const secrets: { initiator: SessionSecrets | null; responder: SessionSecrets | null } = {
    initiator: null,
    responder: null,
  }
  try {
    const resp = feed(responder, tamper('INIT', initiator.start())).send
    if (resp === null) throw new Error('no RESP')
    fromResponder.push(resp)
    const confirm = feed(initiator, tamper('RESP', resp)).send
    if (confirm === null) throw new Error('no CONFIRM_I')
    const verdict = feed(responder, tamper('CONFIRM_I', confirm)).verify?.()
    if (verdict === undefined) throw new Error('no verdict')
    fromResponder.push(verdict.ok ? verdict.confirm : verdict.abort)
    if (!verdict.ok) feed(initiator, verdict.abort)
    if (!verdict.ok) throw new Error('ABORT did not end the initiator')
    secrets.responder = verdict.secrets
    secrets.initiator = feed(initiator, tamper('CONFIRM_R', verdict.confirm)).done
    return { ...secrets, failure: null, fromResponder }
  } catch (failure) {
    return { ...secrets, failure, fromResponder }
  }
}
