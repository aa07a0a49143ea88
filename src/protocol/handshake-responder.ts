/**
 * The responder's half of the handshake: the side that listens.
 *
 * A pure, synchronous state machine. It sends no MAC before it has verified the initiator's, so a run that breaks off
 * teaches nothing (PROTOCOL 1.9). Counting guesses, burning the token and committing the resume key are the driver's,
 * at the two places that {@link ResponderStep} leaves for it.
 */

import type { RecordCipher, CryptoPort, KeyPair } from './crypto-port.ts'
import { cpaceGenerator } from './cpace.ts'
import { SealiftError, toSealiftError } from './errors.ts'
import {
  FRAME_HEADER_BYTES,
  PROTOCOL_VERSION,
  decodeAbort,
  decodeConfirm,
  decodeInit,
  encodeAbort,
  encodeFrame,
  encodeKemPayload,
  encodeResp,
} from './handshake-messages.ts'
import type { ConfirmMessage, FrameKind, InitMessage, Suite } from './handshake-messages.ts'
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
  resumeSecret,
  sessionSecrets,
} from './handshake.ts'
import type { Agreement, HandshakeParameters, ResumeCredential, SessionSecrets } from './handshake.ts'
import { deriveKeys } from './key-schedule.ts'
import { HandshakeState } from './noise-xx.ts'

export interface ResponderParameters extends HandshakeParameters {
  /**
   * The normalised token or stretched password, borrowed for the call and asked for at most once. `null` where it is
   * spent or burned: the run then goes on with a random one, looks like any other, and fails.
   */
  password(): Uint8Array | null
  /**
   * The resume key behind an id that this side serves, or `null`; borrowed for the call. Asked in the order of INIT
   * until one is found.
   */
  findResumeKey(id: Uint8Array): Uint8Array | null
  /** The long-term key pair of a server, borrowed: it answers `noise-xx`, and no token. Purpose `server` only. */
  readonly staticKey?: KeyPair | undefined
}

export type Verdict =
  | {
      readonly ok: true
      /** CONFIRM_R. For purpose `direct`, to be sent once the resume key is committed and, after `cpace`, the token burned. */
      readonly confirm: Uint8Array
      readonly secrets: SessionSecrets
    }
  | {
      readonly ok: false
      /** ABORT, the same for a wrong token, a spent one and a wrong key. */
      readonly abort: Uint8Array
    }

/** What is to be done with what a message led to. */
export type ResponderStep =
  | {
      /** RESP. */
      readonly send: Uint8Array
      readonly verify: null
    }
  | {
      readonly send: null
      /**
       * Compares the initiator's MAC, once. Under `cpace` the guess must be counted, and that committed, before.
       * @throws SealiftError `protocol_violation` when called twice or after `destroy`, and for a long-term key of low
       *   order
       */
      readonly verify: () => Verdict
    }

/** What RESP is built of, per suite. */
interface Choice {
  readonly suite: Suite
  /** Share and its private key. */
  readonly own: KeyPair
  readonly peerShare: Uint8Array
  readonly resumed: ResumeCredential | null
  readonly resumeIndex: number | null
}

/** What the choices of INIT and RESP come to, whatever the suite. */
interface Chosen {
  readonly cipher: RecordCipher
  readonly join: boolean
  readonly kem: { readonly ciphertext: Uint8Array; readonly secret: Uint8Array } | null
}

/** From what CONFIRM_I holds beside the MAC to the keys that the MAC is compared with. */
type Agree = (noise: Uint8Array) => Agreement

const NOTHING = new Uint8Array(0)

export class ResponderHandshake {
  readonly #parameters: ResponderParameters
  readonly #crypto: CryptoPort
  readonly #secrets = new HeldSecrets()
  #state: 'new' | 'resp sent' | 'to verify' | 'ended' = 'new'
  #agree: Agree | null = null
  #noise: HandshakeState | null = null
  #suite: Suite | null = null

  /** @throws SealiftError `usage` where the purpose has no such key, or the token of a server no channel around it */
  constructor(parameters: ResponderParameters) {
    const { purpose, staticKey, channelBinding } = parameters
    if (staticKey === undefined ? purpose === 'server' && channelBinding.length === 0 : purpose !== 'server')
      throw new SealiftError('usage', 'a server is met by its key; a token comes inside that channel')
    this.#parameters = parameters
    this.#crypto = parameters.crypto
  }

  /** The suite that this side chose; `null` before INIT. Only `cpace` is a guess at the token. */
  get suite(): Suite | null {
    return this.#suite
  }

  /**
   * Takes INIT, CONFIRM_I or ABORT. Whatever is thrown ends the machine; the driver sends its code as ABORT.
   *
   * @param body borrowed for the call
   * @throws SealiftError `version_mismatch` where nothing is shared or answered for this purpose; `policy_refused` for another purpose;
   *   `auth_failed` where only keys are offered and none is known; `protocol_violation` for anything out of order or
   *   malformed; what the peer says in an ABORT
   */
  receive(kind: FrameKind, body: Uint8Array): ResponderStep {
    try {
      if (kind === 'ABORT' && this.#state !== 'ended') throw decodeAbort(body)
      if (kind === 'INIT' && this.#state === 'new') return { send: this.#takeInit(body), verify: null }
      if (kind === 'CONFIRM_I' && this.#state === 'resp sent') return { send: null, verify: this.#takeConfirm(body) }
      throw new SealiftError('protocol_violation', 'a handshake message out of order')
    } catch (error) {
      this.destroy()
      throw error
    }
  }

  /** Zeroes what the machine holds; what it handed out stays. May be called at any time, and twice. */
  destroy(): void {
    this.#secrets.wipe()
    this.#noise?.destroy()
    this.#noise = null
    this.#agree = null
    this.#state = 'ended'
  }

  #takeInit(body: Uint8Array): Uint8Array {
    const init = encodeFrame('INIT', body)
    const message = decodeInit(init.subarray(FRAME_HEADER_BYTES))
    if (!message.versions.includes(PROTOCOL_VERSION) || message.suites.length === 0) {
      throw new SealiftError(
        'version_mismatch',
        'the other side offers no protocol version or suite that is known here',
      )
    }
    if (message.purpose !== this.#parameters.purpose) {
      throw new SealiftError(
        'policy_refused',
        `the other side wants a ${message.purpose} transfer, this one is ${this.#parameters.purpose}`,
      )
    }
    const cipher = chooseCipher(allowedCiphers(this.#parameters), message.ciphers)
    const chosen = { cipher, join: message.join, kem: this.#encapsulate(message.kemPublicKey) }
    const choice = this.#chooseSuite(message)
    refuseReflection(this.#crypto, choice.own.publicKey, choice.peerShare)
    const resp =
      choice.suite === 'noise-xx'
        ? this.#answerNoise(init, choice, chosen)
        : this.#answerShare(init, message.sessionId, choice.suite, choice, chosen)
    this.#suite = choice.suite
    this.#state = 'resp sent'
    return resp.slice()
  }

  #answerShare(
    init: Uint8Array,
    sessionId: Uint8Array,
    suite: 'cpace' | 'resume',
    { own, peerShare, resumed, resumeIndex }: Choice,
    chosen: Chosen,
  ): Uint8Array {
    const { cipher, kem } = chosen
    const kemCiphertext = kem?.ciphertext ?? null
    const share = own.publicKey
    const body = encodeResp({ version: PROTOCOL_VERSION, suite, cipher, kemCiphertext, resumeIndex, share })
    const resp = encodeFrame('RESP', body)
    const suiteSecret = this.#secrets.hold(
      resumed === null
        ? cpaceSecret(this.#crypto, sessionId, own.privateKey, peerShare, init, resp)
        : resumeSecret(this.#crypto, own.privateKey, peerShare, resumed.key),
    )
    const agreement = this.#agreement(suite, init, resp, suiteSecret, chosen, { resumed })
    this.#agree = () => agreement
    return resp
  }

  #answerNoise(init: Uint8Array, { own, peerShare }: Choice, chosen: Chosen): Uint8Array {
    const suite = 'noise-xx'
    const { cipher, kem } = chosen
    const prologue = noisePrologue(this.#parameters, init)
    const s = this.#parameters.staticKey as KeyPair
    const state = new HandshakeState({ crypto: this.#crypto, initiator: false, prologue, e: own, s })
    this.#noise = state
    state.readMessage(peerShare)
    const noise = state.writeMessage(encodeKemPayload(kem?.ciphertext ?? null))
    const resp = encodeFrame('RESP', encodeResp({ version: PROTOCOL_VERSION, suite, cipher, noise }))
    this.#agree = (confirm) => {
      state.readMessage(confirm)
      const suiteSecret = this.#secrets.hold(noiseSecret(state))
      return this.#agreement(suite, init, resp, suiteSecret, chosen, { noise: confirm, peerStaticKey: state.rs })
    }
    return resp
  }

  /** @param suiteSecret held already, borrowed */
  #agreement(
    suite: Suite,
    init: Uint8Array,
    resp: Uint8Array,
    suiteSecret: Uint8Array,
    { cipher, join, kem }: Chosen,
    by: Partial<Pick<Agreement, 'resumed' | 'noise' | 'peerStaticKey'>>,
  ): Agreement {
    const transcript = [handshakeContext(this.#parameters), init, resp]
    const keys = this.#secrets.holdKeys(deriveKeys(this.#crypto, transcript, suiteSecret, kem?.secret ?? null))
    const none = { resumed: null, noise: NOTHING, peerStaticKey: null }
    return { ...none, ...by, suite, cipher, kem: kem !== null, join, transcript, keys }
  }

  #chooseSuite(message: InitMessage): Choice {
    const { resumeIds, resumeShare, cpaceShare, noiseShare } = message
    for (const [resumeIndex, id] of resumeIds.entries()) {
      const key = this.#parameters.findResumeKey(id.slice())
      if (key === null || resumeShare === null) continue
      return {
        suite: 'resume',
        own: this.#x25519Pair(),
        peerShare: resumeShare,
        resumed: { id, key: this.#secrets.hold(key.slice()) },
        resumeIndex,
      }
    }
    const isServer = this.#parameters.staticKey !== undefined
    // There is no session to join that was never met before.
    const peerShare = message.join ? null : isServer ? noiseShare : cpaceShare
    if (peerShare === null) {
      if (message.join || resumeIds.length > 0)
        throw new SealiftError('auth_failed', 'none of the offered resume keys is known here')
      throw new SealiftError('version_mismatch', 'the other side offers no suite that is answered here')
    }
    return {
      suite: isServer ? 'noise-xx' : 'cpace',
      own: isServer ? this.#x25519Pair() : this.#cpacePair(message.sessionId),
      peerShare,
      resumed: null,
      resumeIndex: null,
    }
  }

  #x25519Pair(): KeyPair {
    const pair = this.#crypto.x25519Generate()
    this.#secrets.hold(pair.privateKey)
    return pair
  }

  #cpacePair(sessionId: Uint8Array): KeyPair {
    const context = handshakeContext(this.#parameters)
    const password = this.#parameters.password() ?? this.#secrets.hold(this.#crypto.randomBytes(32))
    const generator = cpaceGenerator(this.#crypto, password, context, sessionId)
    const privateKey = this.#secrets.hold(this.#crypto.randomBytes(32))
    const publicKey = this.#crypto.x25519(privateKey, generator)
    generator.fill(0)
    return { publicKey, privateKey }
  }

  #encapsulate(publicKey: Uint8Array | null): { readonly ciphertext: Uint8Array; readonly secret: Uint8Array } | null {
    const kem = allowedKem(this.#parameters)
    if (kem === null || publicKey === null) return null
    const result = kem.encapsulate(publicKey)
    this.#secrets.hold(result.secret)
    return result
  }

  #takeConfirm(body: Uint8Array): () => Verdict {
    const confirm = encodeFrame('CONFIRM_I', body)
    const message = decodeConfirm(confirm.subarray(FRAME_HEADER_BYTES), this.#suite === 'noise-xx')
    this.#state = 'to verify'
    return () => this.#verify(confirm, message)
  }

  #verify(confirm: Uint8Array, { noise, mac }: ConfirmMessage): Verdict {
    const agree = this.#agree
    if (agree === null) throw new SealiftError('protocol_violation', 'a confirmation is compared once')
    try {
      const agreement = agree(noise)
      const expected = initiatorMac(this.#crypto, agreement)
      const ok = this.#crypto.equal(mac, expected)
      expected.fill(0)
      if (!ok) return { ok, abort: encodeAbort('auth_failed') }
      const answer = encodeFrame('CONFIRM_R', responderMac(this.#crypto, agreement, confirm))
      return { ok, confirm: answer, secrets: sessionSecrets('responder', agreement) }
    } catch (error) {
      if (toSealiftError(error).code !== 'auth_failed') throw error
      return { ok: false, abort: encodeAbort('auth_failed') }
    } finally {
      this.destroy()
    }
  }
}

/**
 * Where both prefer the same cipher, that one. Where they differ, one of them has no instructions for AES and would be
 * the slower end by far, while ChaCha20 is fast on both.
 */
function chooseCipher(own: readonly RecordCipher[], offered: readonly RecordCipher[]): RecordCipher {
  const shared = own.filter((cipher) => offered.includes(cipher))
  const first = shared[0]
  if (first === undefined) throw new SealiftError('version_mismatch', 'the two sides share no cipher')
  return first !== offered.find((cipher) => own.includes(cipher)) && shared.includes('chacha20-poly1305')
    ? 'chacha20-poly1305'
    : first
}
