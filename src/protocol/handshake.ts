/**
 * What both ends of a handshake share: its parameters, what it ends with, and the steps that must be computed alike.
 *
 * The two state machines stand in `handshake-initiator.ts` and `handshake-responder.ts`. All of it is pure and
 * synchronous: no socket, clock, ledger or guess counter. Whoever drives a machine reads frames for it, sends what it
 * answers, and sends ABORT with the code of whatever it throws.
 */

import { concatBytes, encodeUtf8 } from './bytes.ts'
import { cpaceSessionKey, prependLengths } from './cpace.ts'
import type { CpaceMessage } from './cpace.ts'
import type { CipherName, CryptoPort, Kem, RecordCipher } from './crypto-port.ts'
import { SealiftError } from './errors.ts'
import { SHARE_BYTES } from './handshake-messages.ts'
import type { Purpose, Suite } from './handshake-messages.ts'
import type { KeySchedule } from './key-schedule.ts'
import type { HandshakeState } from './noise-xx.ts'

/** The key that an earlier meeting left. */
export interface ResumeCredential {
  /** 16 bytes, public. */
  readonly id: Uint8Array
  /** 32 bytes, secret. */
  readonly key: Uint8Array
}

/** What a confirmed handshake ends with. The buffers are the caller's to zero. */
export interface SessionSecrets {
  readonly suite: Suite
  readonly cipher: RecordCipher
  /** Whether ML-KEM-768 took part. */
  readonly kem: boolean
  /** SHA-256 of context, INIT and RESP, 32 bytes; public, and different in every session. */
  readonly transcriptHash: Uint8Array
  /** Traffic secret of what this side sends, 32 bytes. */
  readonly sendSecret: Uint8Array
  /** Traffic secret of what this side receives, 32 bytes. */
  readonly receiveSecret: Uint8Array
  /** After `resume` the same as before, else new. */
  readonly resumeId: Uint8Array
  readonly resumeKey: Uint8Array
  /** One more stream of the session that is there, rather than its successor. */
  readonly join: boolean
  /** Under `noise-xx` the long-term public key that the other side has proved to have, 32 bytes; else `null`. */
  readonly peerStaticKey: Uint8Array | null
}

/** Parameters of either side. */
export interface HandshakeParameters {
  readonly crypto: CryptoPort
  /** Must be the same on both sides. */
  readonly purpose: Purpose
  /** What the channel below is known by (TLS exporter, Noise hash), empty where there is none; equal on both sides. */
  readonly channelBinding: Uint8Array
  /** The channel below is TLS, which the binding is of: records are left to it, and to nothing else. Default: they are not. */
  readonly isSealed?: boolean
  /** Ciphers to allow, the preferred one first; all that the crypto port has where absent. */
  readonly ciphers?: readonly CipherName[]
  /** `false` leaves ML-KEM out even where the runtime has it. */
  readonly kem?: boolean
}

const ROLE = { initiator: 1, responder: 2 } as const
const PROTOCOL_NAME = 'sealift/1'

/**
 * What both sides must agree on before anything is sent: the draft's CI for `cpace`, and the head of every transcript.
 * No addresses, since there is NAT. Each field has its length in front, so no two contexts look alike.
 */
export function handshakeContext(parameters: HandshakeParameters): Uint8Array {
  return concatBytes(
    prependLengths([encodeUtf8(PROTOCOL_NAME), encodeUtf8(parameters.purpose), parameters.channelBinding]),
  )
}

/**
 * The ciphers that a side allows and its runtime has. Records without a seal of their own are allowed exactly where the
 * channel is sealed, so that nobody between the two sides can choose them.
 * @throws SealiftError `internal` for a sealed channel that nothing is bound to
 */
export function allowedCiphers(parameters: HandshakeParameters): readonly RecordCipher[] {
  const { crypto, ciphers, isSealed = false, channelBinding } = parameters
  if (isSealed && channelBinding.length === 0)
    throw new SealiftError('internal', 'records are left to a channel that nothing is bound to')
  if (isSealed) return ['tls']
  return ciphers === undefined ? crypto.ciphers : ciphers.filter((cipher) => crypto.ciphers.includes(cipher))
}

/** The KEM that a side takes part with, or `null`. */
export function allowedKem({ crypto, kem }: HandshakeParameters): Kem | null {
  return kem === false ? null : crypto.kem
}

/**
 * @throws SealiftError `protocol_violation` where the peer sends this side's own share back: whoever only reflects must
 *   not become a peer
 */
export function refuseReflection(crypto: CryptoPort, ownShare: Uint8Array, peerShare: Uint8Array): void {
  if (crypto.equal(ownShare, peerShare))
    throw new SealiftError('protocol_violation', 'the other side sent our own share back')
}

/**
 * The secret of suite `cpace`: its ISK.
 *
 * @param scalar this side's, borrowed
 * @param init the frame, which ends with the initiator's share
 * @param resp the frame, which ends with the responder's share
 * @returns 64 bytes, the caller's to zero
 * @throws SealiftError `protocol_violation` for a share of low order
 */
export function cpaceSecret(
  crypto: CryptoPort,
  sessionId: Uint8Array,
  scalar: Uint8Array,
  peerShare: Uint8Array,
  init: Uint8Array,
  resp: Uint8Array,
): Uint8Array {
  const point = crypto.x25519(scalar, peerShare)
  try {
    return cpaceSessionKey(
      crypto,
      sessionId,
      point,
      cpaceMessage(ROLE.initiator, init),
      cpaceMessage(ROLE.responder, resp),
    )
  } finally {
    point.fill(0)
  }
}

/** A share, and bound to it the sender's role and all of its frame that stands before the share. */
function cpaceMessage(role: number, frame: Uint8Array): CpaceMessage {
  const end = frame.length - SHARE_BYTES
  return { share: frame.subarray(end), associatedData: concatBytes([Uint8Array.of(role), frame.subarray(0, end)]) }
}

/**
 * The secret of suite `resume`: X25519 of the ephemeral keys, then the key of the earlier meeting.
 *
 * @returns 64 bytes, the caller's to zero
 * @throws SealiftError `protocol_violation` for a share of low order
 */
export function resumeSecret(
  crypto: CryptoPort,
  privateKey: Uint8Array,
  peerShare: Uint8Array,
  resumeKey: Uint8Array,
): Uint8Array {
  const shared = crypto.x25519(privateKey, peerShare)
  const secret = concatBytes([shared, resumeKey])
  shared.fill(0)
  return secret
}

/** The prologue of `noise-xx`: the context, and all of INIT that stands before Noise message 1. */
export function noisePrologue(parameters: HandshakeParameters, init: Uint8Array): Uint8Array {
  return concatBytes([handshakeContext(parameters), init.subarray(0, init.length - SHARE_BYTES)])
}

/**
 * The secret of suite `noise-xx`: both keys of Split.
 *
 * @param noise after message 3
 * @returns 64 bytes, the caller's to zero
 */
export function noiseSecret(noise: HandshakeState): Uint8Array {
  const [k1, k2] = noise.split()
  const secret = concatBytes([k1, k2])
  k1.fill(0)
  k2.fill(0)
  return secret
}

/** The whole of both offers, chosen and confirmed: what the last two messages prove to be equal on both sides. */
export interface Agreement {
  readonly suite: Suite
  readonly cipher: RecordCipher
  readonly kem: boolean
  readonly join: boolean
  /** Under `resume`, the key that was used; `null` under the others, which make a new one. */
  readonly resumed: ResumeCredential | null
  readonly peerStaticKey: Uint8Array | null
  /** Noise message 3, which CONFIRM_I holds under `noise-xx`; else empty. */
  readonly noise: Uint8Array
  /** Context, INIT and RESP. */
  readonly transcript: readonly Uint8Array[]
  readonly keys: KeySchedule
}

/** MAC of the initiator, the end of CONFIRM_I: 32 bytes. It covers what stands before it in CONFIRM_I too. */
export function initiatorMac(crypto: CryptoPort, { keys, transcript, noise }: Agreement): Uint8Array {
  return crypto.hmacSha256(keys.confirmInitiator, [...transcript, noise])
}

/** MAC of the responder, the body of CONFIRM_R: 32 bytes. It covers CONFIRM_I too, a whole frame. */
export function responderMac(
  crypto: CryptoPort,
  { keys, transcript }: Agreement,
  confirmInitiator: Uint8Array,
): Uint8Array {
  return crypto.hmacSha256(keys.confirmResponder, [...transcript, confirmInitiator])
}

/** Id and key by which this peer comes back, as copies. */
export function resumeCredential({ keys, resumed }: Agreement): ResumeCredential {
  return resumed === null
    ? { id: keys.resumeId.slice(), key: keys.resumeKey.slice() }
    : { id: resumed.id.slice(), key: resumed.key.slice() }
}

/** What one side takes out of a confirmed handshake, as copies. */
export function sessionSecrets(role: 'initiator' | 'responder', agreement: Agreement): SessionSecrets {
  const { suite, cipher, kem, join, keys, peerStaticKey } = agreement
  const credential = resumeCredential(agreement)
  const initiates = role === 'initiator'
  return {
    suite,
    cipher,
    kem,
    transcriptHash: keys.transcriptHash.slice(),
    sendSecret: (initiates ? keys.initiatorToResponder : keys.responderToInitiator).slice(),
    receiveSecret: (initiates ? keys.responderToInitiator : keys.initiatorToResponder).slice(),
    resumeId: credential.id,
    resumeKey: credential.key,
    join,
    peerStaticKey: peerStaticKey?.slice() ?? null,
  }
}

/** The secrets of one machine, so that every way out of it zeroes all of them. */
export class HeldSecrets {
  readonly #held: Uint8Array[] = []

  /** @param secret zeroed by {@link HeldSecrets.wipe} from now on */
  hold(secret: Uint8Array): Uint8Array {
    this.#held.push(secret)
    return secret
  }

  holdKeys(keys: KeySchedule): KeySchedule {
    for (const secret of Object.values(keys)) this.hold(secret as Uint8Array)
    return keys
  }

  wipe(): void {
    for (const secret of this.#held) secret.fill(0)
    this.#held.length = 0
  }
}
