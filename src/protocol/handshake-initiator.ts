/**
 * The initiator's half of the handshake: the side that dials.
 *
 * A pure, synchronous state machine. It does not know what it is dialled for, how often it may guess (the driver counts
 * its CONFIRM_I), nor where the resume key is kept.
 */

import type { CryptoPort, Kem, KeyPair } from './crypto-port.ts'
import { cpaceGenerator } from './cpace.ts'
import { SealiftError } from './errors.ts'
import {
  FRAME_HEADER_BYTES,
  PROTOCOL_VERSION,
  decodeAbort,
  decodeConfirm,
  decodeResp,
  encodeFrame,
  encodeInit,
} from './handshake-messages.ts'
import type { FrameKind, RespMessage, Suite } from './handshake-messages.ts'
import {
  HeldSecrets,
  allowedCiphers,
  allowedKem,
  cpaceSecret,
  handshakeContext,
  initiatorMac,
  refuseReflection,
  responderMac,
  resumeCredential,
  resumeSecret,
  sessionSecrets,
} from './handshake.ts'
import type { Agreement, HandshakeParameters, ResumeCredential, SessionSecrets } from './handshake.ts'
import { deriveKeys } from './key-schedule.ts'
import { MAX_RESUME_IDS } from './limits.ts'

export interface InitiatorParameters extends HandshakeParameters {
  /** The normalised token or stretched password, borrowed until `start` returns; `null` to come back by key only. */
  readonly token: Uint8Array | null
  /** Keys of unfinished transfers with that host, the newest first, at most 8; copied. */
  readonly resumeKeys: readonly ResumeCredential[]
  /** Ask for one more stream of a session that is there. Only `resume` can answer that: the token is not offered. */
  readonly join: boolean
}

/** What is to be done with what a message led to. */
export type InitiatorStep =
  | {
      /** CONFIRM_I. */
      readonly send: Uint8Array
      /** What the session will be resumed by: to be committed before `send` goes out. Copies, the caller's to zero. */
      readonly pending: ResumeCredential
      readonly done: null
    }
  | { readonly send: null; readonly pending: null; readonly done: SessionSecrets }

/** Frame and private keys of INIT, until RESP is there. */
interface Offer {
  readonly init: Uint8Array
  readonly sessionId: Uint8Array
  readonly cpace: KeyPair | null
  readonly resume: KeyPair | null
  readonly kem: KeyPair | null
}

export class InitiatorHandshake {
  readonly #parameters: InitiatorParameters
  readonly #crypto: CryptoPort
  readonly #kem: Kem | null
  readonly #resumeKeys: readonly ResumeCredential[]
  readonly #secrets = new HeldSecrets()
  #token: Uint8Array | null
  #state: 'new' | 'init sent' | 'confirm sent' | 'ended' = 'new'
  #offer: Offer | null = null
  #agreement: Agreement | null = null
  #confirm: Uint8Array | null = null
  #suite: Suite | null = null

  /**
   * @throws SealiftError `usage` with neither a token nor a key to offer, or with too many keys; `settings_invalid`
   *   without a cipher
   */
  constructor(parameters: InitiatorParameters) {
    const { resumeKeys, join } = parameters
    this.#parameters = parameters
    this.#crypto = parameters.crypto
    this.#kem = allowedKem(parameters)
    this.#token = join ? null : parameters.token
    if (resumeKeys.length > MAX_RESUME_IDS) throw new SealiftError('usage', 'too many resume keys for one handshake')
    if (this.#token === null && resumeKeys.length === 0)
      throw new SealiftError('usage', 'a handshake needs a token or a resume key')
    if (allowedCiphers(parameters).length === 0)
      throw new SealiftError('settings_invalid', 'no record cipher is allowed that this runtime has')
    this.#resumeKeys = resumeKeys.map(({ id, key }) => ({ id: id.slice(), key: this.#secrets.hold(key.slice()) }))
  }

  /** The suite that RESP chose; `null` before it. A `resume` that does not confirm is no guess at the token. */
  get suite(): Suite | null {
    return this.#suite
  }

  /**
   * @returns INIT, a whole frame
   * @throws SealiftError `protocol_violation` when called twice
   */
  start(): Uint8Array {
    if (this.#state !== 'new') throw new SealiftError('protocol_violation', 'this handshake has begun already')
    const sessionId = this.#crypto.randomBytes(16)
    const cpace = this.#token === null ? null : this.#holdPair(this.#cpacePair(this.#token, sessionId))
    const resume = this.#resumeKeys.length === 0 ? null : this.#holdPair(this.#crypto.x25519Generate())
    const kem = this.#kem === null ? null : this.#holdPair(this.#kem.generate())
    const suites: Suite[] = []
    if (resume !== null) suites.push('resume')
    if (cpace !== null) suites.push('cpace')
    const body = encodeInit({
      versions: [PROTOCOL_VERSION],
      suites,
      ciphers: allowedCiphers(this.#parameters),
      kemPublicKey: kem?.publicKey ?? null,
      join: this.#parameters.join,
      purpose: this.#parameters.purpose,
      sessionId,
      resumeIds: this.#resumeKeys.map(({ id }) => id),
      resumeShare: resume?.publicKey ?? null,
      cpaceShare: cpace?.publicKey ?? null,
    })
    const init = encodeFrame('INIT', body)
    this.#token = null
    this.#offer = { init, sessionId, cpace, resume, kem }
    this.#state = 'init sent'
    // A copy, since the machine goes on to hash what it sent, whatever becomes of the buffer outside.
    return init.slice()
  }

  /**
   * Takes RESP, CONFIRM_R or ABORT. Whatever is thrown ends the machine.
   *
   * @param body borrowed for the call
   * @throws SealiftError `auth_failed` where the responder does not know the token or key; `protocol_violation` for
   *   anything out of order, malformed or never offered; what the peer says in an ABORT
   */
  receive(kind: FrameKind, body: Uint8Array): InitiatorStep {
    try {
      if (kind === 'ABORT' && (this.#state === 'init sent' || this.#state === 'confirm sent')) throw decodeAbort(body)
      if (kind === 'RESP' && this.#state === 'init sent') return this.#takeResp(body)
      if (kind === 'CONFIRM_R' && this.#state === 'confirm sent') return this.#takeConfirm(body)
      throw new SealiftError('protocol_violation', 'a handshake message out of order')
    } catch (error) {
      this.destroy()
      throw error
    }
  }

  /** Zeroes what the machine holds; what it handed out stays. May be called at any time, and twice. */
  destroy(): void {
    this.#secrets.wipe()
    this.#token = null
    this.#offer = null
    this.#agreement = null
    this.#state = 'ended'
  }

  #takeResp(body: Uint8Array): InitiatorStep {
    const offer = this.#offer as Offer
    const resp = encodeFrame('RESP', body)
    const message = decodeResp(resp.subarray(FRAME_HEADER_BYTES))
    this.#refuseUnoffered(message)
    const resumed = message.resumeIndex === null ? null : (this.#resumeKeys[message.resumeIndex] ?? null)
    const own = message.suite === 'cpace' ? offer.cpace : offer.resume
    if (own === null || (message.suite === 'resume' && resumed === null)) {
      throw new SealiftError('protocol_violation', 'RESP chooses a suite that was not offered')
    }
    refuseReflection(this.#crypto, own.publicKey, message.share)
    const suiteSecret = this.#secrets.hold(
      resumed === null
        ? cpaceSecret(this.#crypto, offer.sessionId, own.privateKey, message.share, offer.init, resp)
        : resumeSecret(this.#crypto, own.privateKey, message.share, resumed.key),
    )
    const kemSecret = this.#openKem(offer, message.kemCiphertext)
    const transcript = [handshakeContext(this.#parameters), offer.init, resp]
    const keys = this.#secrets.holdKeys(deriveKeys(this.#crypto, transcript, suiteSecret, kemSecret))
    const { suite, cipher } = message
    const agreement = { suite, cipher, kem: kemSecret !== null, join: this.#parameters.join, resumed, transcript, keys }
    this.#agreement = agreement
    this.#suite = suite
    this.#confirm = encodeFrame('CONFIRM_I', initiatorMac(this.#crypto, agreement))
    this.#state = 'confirm sent'
    return { send: this.#confirm.slice(), pending: resumeCredential(agreement), done: null }
  }

  #refuseUnoffered({ version, cipher }: RespMessage): void {
    if (version !== PROTOCOL_VERSION || !allowedCiphers(this.#parameters).includes(cipher)) {
      throw new SealiftError('protocol_violation', 'RESP chooses what was not offered')
    }
  }

  #openKem({ kem }: Offer, ciphertext: Uint8Array | null): Uint8Array | null {
    if (ciphertext === null) return null
    if (kem === null || this.#kem === null)
      throw new SealiftError('protocol_violation', 'RESP answers a KEM that was not offered')
    return this.#secrets.hold(this.#kem.decapsulate(kem.privateKey, ciphertext))
  }

  #takeConfirm(body: Uint8Array): InitiatorStep {
    const agreement = this.#agreement as Agreement
    const expected = responderMac(this.#crypto, agreement, this.#confirm as Uint8Array)
    if (!this.#crypto.equal(decodeConfirm(body), expected)) {
      throw new SealiftError('auth_failed', 'the other side could not prove that it knows the token or key')
    }
    const done = sessionSecrets('initiator', agreement)
    this.destroy()
    return { send: null, pending: null, done }
  }

  #cpacePair(token: Uint8Array, sessionId: Uint8Array): KeyPair {
    const generator = cpaceGenerator(this.#crypto, token, handshakeContext(this.#parameters), sessionId)
    const privateKey = this.#crypto.randomBytes(32)
    const publicKey = this.#crypto.x25519(privateKey, generator)
    generator.fill(0)
    return { publicKey, privateKey }
  }

  #holdPair(pair: KeyPair): KeyPair {
    this.#secrets.hold(pair.privateKey)
    return pair
  }
}
