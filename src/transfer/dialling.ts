/**
 * The initiator's way in: dials, proves that it knows the token or an old key, and comes back with a session.
 *
 * Owns how often the token may be tried (at most 3 confirmations in a process, none after a confirmed session) and
 * which failures are worth another try at once (PROTOCOL 1.6, 1.9). Knows no files.
 */

import type { ByteStream } from '../carriers/carrier.ts'
import type { Role } from '../protocol/conversation.ts'
import type { CryptoPort, KeyPair } from '../protocol/crypto-port.ts'
import { SealiftError, toSealiftError } from '../protocol/errors.ts'
import type { ResumeCredential } from '../protocol/handshake.ts'
import { InitiatorHandshake } from '../protocol/handshake-initiator.ts'
import type { Purpose, Suite } from '../protocol/handshake-messages.ts'
import { HANDSHAKE_TIMEOUT_MS, MAX_INITIATOR_CONFIRMATIONS } from '../protocol/limits.ts'
import type { Clock } from './clock.ts'
import { FrameReader } from './frame-reader.ts'
import { Inbox } from './inbox.ts'
import type { Applicant } from './inner-authentication.ts'
import { Session } from './session.ts'

/** How a server is met. */
export interface ServerEntrance {
  /** This side's long-term key pair, borrowed for the life of the dialer; `null`: another one for each connection. */
  readonly staticKey: KeyPair | null
  /** What is known of the server's key. */
  readonly trust: {
    /** Whether it is known now. */
    readonly isKnown: boolean
    /** @throws SealiftError `key_changed` where it is another one; this side's own key is not told then */
    check(publicKey: Uint8Array): void
    /** The server that has this key has let us in: remembers it. @throws SealiftError `key_changed` */
    confirm(publicKey: Uint8Array): Promise<void>
  }
  readonly applicant: Applicant
}

export interface DialerOptions {
  readonly crypto: CryptoPort
  readonly clock: Clock
  readonly purpose: Purpose
  readonly role: Role
  /** Opens a connection. @throws SealiftError `connect_failed`, `host_unknown` */
  readonly dial: (signal: AbortSignal) => Promise<ByteStream>
  /** The normalised token; `null` to come back by key only, and for a server. Borrowed for the life of the dialer. */
  readonly token: Uint8Array | null
  /** A server is dialled; purpose `server` only. */
  readonly server?: ServerEntrance | undefined
  /** Keys to offer, the newest first, as the ledger has them now. */
  readonly resumeKeys: () => readonly ResumeCredential[]
  /** Makes the key durable: before the confirmation that creates it goes out, or once a server has let us in. */
  readonly commit: (pending: ResumeCredential, suite: Suite) => Promise<void>
  /** The peer confirmed too. */
  readonly confirmed: (resumeId: Uint8Array, suite: Suite) => Promise<void>
}

export interface DialledSession {
  readonly session: Session
  readonly suite: Suite
  readonly resumeId: Uint8Array
}

export class Dialer {
  readonly #options: DialerOptions
  #confirmations = 0
  #tokenUsed = false

  constructor(options: DialerOptions) {
    this.#options = options
  }

  /**
   * One way in. A `resume` that the responder does not confirm is tried once more with the token or the server's key alone.
   * @throws SealiftError of the carrier, `auth_failed`, `key_changed`, `not_sealift`, `version_mismatch`, `connection_lost`,
   *   or the signal's reason
   */
  async connect(signal: AbortSignal): Promise<DialledSession> {
    const keys = this.#options.resumeKeys()
    const token = this.#token()
    const isServer = this.#options.server !== undefined
    if (keys.length === 0 && token === null && !isServer) {
      throw new SealiftError('auth_failed', 'the token was tried as often as it may be', {
        hint: 'start the sender again and use its new token',
      })
    }
    const attempt = { suite: null as Suite | null }
    try {
      return await this.#handshake(keys, token, attempt, signal)
    } catch (thrown) {
      const error = toSealiftError(thrown)
      const again = error.code === 'auth_failed' && attempt.suite === 'resume' && (token !== null || isServer)
      if (!again) throw thrown
      return this.#handshake([], token, attempt, signal)
    }
  }

  /**
   * One more stream of a session that is there, by its key; no secret is told, and nothing is kept of it.
   * @throws SealiftError as {@link Dialer.connect}
   */
  async join(key: ResumeCredential, signal: AbortSignal): Promise<Session> {
    return (await this.#handshake([key], null, { suite: null }, signal, true)).session
  }

  #token(): Uint8Array | null {
    return this.#tokenUsed || this.#confirmations >= MAX_INITIATOR_CONFIRMATIONS ? null : this.#options.token
  }

  async #handshake(
    resumeKeys: readonly ResumeCredential[],
    token: Uint8Array | null,
    attempt: { suite: Suite | null },
    signal: AbortSignal,
    join = false,
  ): Promise<DialledSession> {
    const { crypto, clock, purpose, role, server } = this.#options
    const stream = await this.#options.dial(signal)
    const seal = (await stream.seal?.()) ?? null
    const inbox = new Inbox(stream)
    const frames = new FrameReader(inbox)
    // Whatever the handshake waits for, a frame or a write that nobody takes, ends with the stream.
    const late: { error: SealiftError | null } = { error: null }
    let session: Session | null = null
    const giveUp = (error: SealiftError): void => {
      frames.abort(error)
      // Nobody tells a session that its stream was destroyed here.
      session?.fail(error)
      stream.destroy()
    }
    const stop = (): void => giveUp(toSealiftError(signal.reason))
    signal.addEventListener('abort', stop, { once: true })
    const cancel = clock.after(HANDSHAKE_TIMEOUT_MS, () => {
      late.error = new SealiftError('peer_silent', 'the other side accepted the connection and then said nothing')
      giveUp(late.error)
    })
    // As it was when this connection's key was looked at: another connection may get to know another key meanwhile.
    const met = { isKnown: false }
    const handshake = new InitiatorHandshake({
      crypto,
      purpose,
      channelBinding: seal?.channelBinding ?? new Uint8Array(),
      isSealed: seal !== null,
      token,
      resumeKeys,
      join,
      server:
        server === undefined
          ? undefined
          : {
              staticKey: server.staticKey,
              checkServerKey(key) {
                server.trust.check(key)
                met.isKnown = server.trust.isKnown
              },
            },
    })
    try {
      signal.throwIfAborted()
      await stream.write([handshake.start()])
      const resp = await frames.next()
      const confirm = handshake.receive(resp.kind, resp.body)
      attempt.suite = handshake.suite
      if (confirm.send === null || handshake.suite === null)
        throw new SealiftError('protocol_violation', 'a handshake message out of order')
      if (server === undefined && !join) await this.#options.commit(confirm.pending, handshake.suite)
      if (handshake.suite === 'cpace') this.#confirmations++
      await stream.write([confirm.send])
      const answer = await frames.next()
      const { done } = handshake.receive(answer.kind, answer.body)
      if (done === null) throw new SealiftError('protocol_violation', 'a handshake message out of order')
      this.#tokenUsed = true
      const { suite, resumeId } = done
      session = new Session({ stream, inbox, seal, crypto, secrets: done, role, clock, purpose })
      if (server !== undefined) {
        await server.applicant.enter(session, met.isKnown || suite === 'resume')
        if (done.peerStaticKey !== null) await server.trust.confirm(done.peerStaticKey)
        if (!join) await this.#options.commit(confirm.pending, suite)
      }
      if (!join) await this.#options.confirmed(resumeId, suite)
      signal.throwIfAborted()
      return { session, suite, resumeId }
    } catch (error) {
      // A session says why it ends, and lets go of the stream by itself.
      if (session === null) stream.destroy()
      else session.fail(error)
      signal.throwIfAborted()
      throw late.error ?? error
    } finally {
      cancel()
      signal.removeEventListener('abort', stop)
      handshake.destroy()
    }
  }
}
