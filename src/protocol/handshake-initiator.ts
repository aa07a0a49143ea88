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
  decodeKemPayload,
  decodeResp,
  encodeConfirm,
  encodeFrame,
  encodeInit,
} from './handshake-messages.ts'
import type { FrameKind, NoiseResp, RespMessage, ShareResp, Suite } from './handshake-messages.ts'
import {
  HeldSecrets,
  allowedCiphers,
  allowedKem,
  cpaceSecret,
  handshakeContext,
  initiatorMac,
  noisePrologue,
  noiseSecret,
  refuseReflection,
  responderMac,
  resumeCredential,
  resumeSecret,
  sessionSecrets,
} from './handshake.ts'
import type { Agreement, HandshakeParameters, ResumeCredential, SessionSecrets } from './handshake.ts'
import { deriveKeys } from './key-schedule.ts'
import { MAX_RESUME_IDS } from './limits.ts'
import { HandshakeState } from './noise-xx.ts'

/** What an initiator shows a server, and asks of it. */
export interface ServerParameters {
  /** This side's long-term key pair, borrowed for the life of the machine; `null`: one made for this run alone. */
  readonly staticKey: KeyPair | null
  /**
   * Looks at the server's long-term public key, 32 bytes, borrowed, before this side's own is told.
   * @throws SealiftError `key_changed`, where it is not the one that is known: the run ends without CONFIRM_I
   */
  checkServerKey(publicKey: Uint8Array): void
}

export interface InitiatorParameters extends HandshakeParameters {
  /** The normalised token or stretched password, borrowed until `start` returns; `null` without one, and for a server. */
  readonly token: Uint8Array | null
  /** Offers `noise-xx` in the place of the token; purpose `server` only. */
  readonly server?: ServerParameters | undefined
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
  readonly noise: NoiseOffer | null
  readonly kem: KeyPair | null
}

interface NoiseOffer extends ServerParameters {
  readonly e: KeyPair
  readonly s: KeyPair
}

/** What a suite leads to. */
interface SuiteResult {
  readonly suiteSecret: Uint8Array
  readonly kemCiphertext: Uint8Array | null
  readonly resumed: ResumeCredential | null
  readonly peerStaticKey: Uint8Array | null
  readonly noise: Uint8Array
}

const NOTHING = new Uint8Array(0)

export class InitiatorHandshake {
  readonly #parameters: InitiatorParameters
  readonly #crypto: CryptoPort
  readonly #kem: Kem | null
  readonly #resumeKeys: readonly ResumeCredential[]
  readonly #secrets = new HeldSecrets()
  readonly #server: ServerParameters | null
  #token: Uint8Array | null
  #state: 'new' | 'init sent' | 'confirm sent' | 'ended' = 'new'
  #offer: Offer | null = null
  #agreement: Agreement | null = null
  #confirm: Uint8Array | null = null
  #suite: Suite | null = null

  /**
   * @throws SealiftError `usage` with nothing to offer, with too many keys, or with what the purpose does not allow;
   *   `settings_invalid` without a cipher
   */
  constructor(parameters: InitiatorParameters) {
    const { resumeKeys, join, token, server, purpose, channelBinding } = parameters
    this.#parameters = parameters
    this.#crypto = parameters.crypto
    this.#kem = allowedKem(parameters)
    this.#token = join ? null : token
    this.#server = join ? null : (server ?? null)
    if (resumeKeys.length > MAX_RESUME_IDS) throw new SealiftError('usage', 'too many resume keys for one handshake')
    if (this.#token === null && this.#server === null && resumeKeys.length === 0)
      throw new SealiftError('usage', 'a handshake needs a token, a server or a resume key')
    if (server !== undefined && (purpose !== 'server' || token !== null))
      throw new SealiftError('usage', 'a server is met by its key; a token comes inside that channel')
    // A server that nobody knows yet could pass a token on to the right one: it is told only inside a channel it is bound to.
    if (token !== null && purpose === 'server' && channelBinding.length === 0)
      throw new SealiftError('usage', 'the token of a server is told inside a channel only')
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
    const noise = this.#server === null ? null : this.#noiseOffer(this.#server)
    const kem = this.#kem === null ? null : this.#holdPair(this.#kem.generate())
    const suites: Suite[] = []
    if (resume !== null) suites.push('resume')
    if (cpace !== null) suites.push('cpace')
    if (noise !== null) suites.push('noise-xx')
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
      noiseShare: noise?.e.publicKey ?? null,
    })
    const init = encodeFrame('INIT', body)
    this.#token = null
    this.#offer = { init, sessionId, cpace, resume, noise, kem }
    this.#state = 'init sent'
    // A copy, since the machine goes on to hash what it sent, whatever becomes of the buffer outside.
    return init.slice()
  }

  /**
   * Takes RESP, CONFIRM_R or ABORT. Whatever is thrown ends the machine.
   *
   * @param body borrowed for the call
   * @throws SealiftError `auth_failed` where the responder does not know the token or key; what `checkServerKey`
   *   throws; `protocol_violation` for anything out of order, malformed or never offered; what the peer says in an ABORT
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
    const result =
      message.suite === 'noise-xx' ? this.#answerNoise(offer, message) : this.#answerShare(offer, resp, message)
    const { suiteSecret, kemCiphertext, resumed, peerStaticKey, noise } = result
    this.#secrets.hold(suiteSecret)
    const kemSecret = this.#openKem(offer, kemCiphertext)
    const transcript = [handshakeContext(this.#parameters), offer.init, resp]
    const keys = this.#secrets.holdKeys(deriveKeys(this.#crypto, transcript, suiteSecret, kemSecret))
    const { suite, cipher } = message
    const chosen = { suite, cipher, kem: kemSecret !== null, join: this.#parameters.join }
    const agreement = { ...chosen, resumed, peerStaticKey, noise, transcript, keys }
    this.#agreement = agreement
    this.#suite = suite
    this.#confirm = encodeFrame('CONFIRM_I', encodeConfirm({ noise, mac: initiatorMac(this.#crypto, agreement) }))
    this.#state = 'confirm sent'
    return { send: this.#confirm.slice(), pending: resumeCredential(agreement), done: null }
  }

  #answerShare(offer: Offer, resp: Uint8Array, message: ShareResp): SuiteResult {
    const { suite, share, kemCiphertext, resumeIndex } = message
    const resumed = resumeIndex === null ? null : (this.#resumeKeys[resumeIndex] ?? null)
    const own = suite === 'cpace' ? offer.cpace : offer.resume
    if (own === null || (suite === 'resume' && resumed === null)) throw suiteNotOffered()
    refuseReflection(this.#crypto, own.publicKey, share)
    const suiteSecret =
      resumed === null
        ? cpaceSecret(this.#crypto, offer.sessionId, own.privateKey, share, offer.init, resp)
        : resumeSecret(this.#crypto, own.privateKey, share, resumed.key)
    return { suiteSecret, kemCiphertext, resumed, peerStaticKey: null, noise: NOTHING }
  }

  #answerNoise(offer: Offer, message: NoiseResp): SuiteResult {
    if (offer.noise === null) throw suiteNotOffered()
    const { e, s } = offer.noise
    const prologue = noisePrologue(this.#parameters, offer.init)
    const state = new HandshakeState({ crypto: this.#crypto, initiator: true, prologue, e, s })
    try {
      // Message 1 went out at the end of INIT.
      state.writeMessage(NOTHING)
      const kemCiphertext = decodeKemPayload(state.readMessage(message.noise))
      const peerStaticKey = state.rs.slice()
      offer.noise.checkServerKey(peerStaticKey.slice())
      const noise = state.writeMessage(NOTHING)
      return { suiteSecret: noiseSecret(state), kemCiphertext, resumed: null, peerStaticKey, noise }
    } finally {
      state.destroy()
    }
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
    if (!this.#crypto.equal(decodeConfirm(body).mac, expected)) {
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

  #noiseOffer(server: ServerParameters): NoiseOffer {
    const e = this.#holdPair(this.#crypto.x25519Generate())
    const s = server.staticKey ?? this.#holdPair(this.#crypto.x25519Generate())
    return { staticKey: server.staticKey, checkServerKey: (key) => server.checkServerKey(key), e, s }
  }

  #holdPair(pair: KeyPair): KeyPair {
    this.#secrets.hold(pair.privateKey)
    return pair
  }
}

function suiteNotOffered(): SealiftError {
  return new SealiftError('protocol_violation', 'RESP chooses a suite that was not offered')
}
