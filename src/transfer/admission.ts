/**
 * The responder's door: takes connections, lets strangers wait without harm, and hands out confirmed sessions.
 *
 * Owns the unconfirmed connections (at most 128; the oldest goes, never the newest: the honest peer may share a
 * stranger's address) and their deadline. Counts guesses through the gate it is given, before anything is compared,
 * and has a confirmed key committed before the peer hears of it (PROTOCOL 1.7, 1.9, 1.12).
 */

import type { ByteStream } from '../carriers/carrier.ts'
import type { CryptoPort } from '../protocol/crypto-port.ts'
import { SealiftError, toSealiftError } from '../protocol/errors.ts'
import type { SessionSecrets } from '../protocol/handshake.ts'
import { encodeAbort, type Purpose, type Suite } from '../protocol/handshake-messages.ts'
import { ResponderHandshake } from '../protocol/handshake-responder.ts'
import { HANDSHAKE_TIMEOUT_MS, MAX_UNCONFIRMED_CONNECTIONS } from '../protocol/limits.ts'
import type { Role } from '../protocol/conversation.ts'
import type { Clock } from './clock.ts'
import { FrameReader } from './frame-reader.ts'
import { Inbox } from './inbox.ts'
import { Session } from './session.ts'

/** Who may come in by a shared secret. */
export interface TokenGate {
  /** @see ResponderParameters.password */
  password(): Uint8Array | null
  /** Counts a guess from there. @returns whether it may be compared */
  guess(address: string): boolean
  /** That guess was wrong. @returns whether the token is burned by it */
  wrong(address: string): boolean
  /** A session is confirmed. */
  spend(): void
}

export interface AdmissionOptions {
  readonly crypto: CryptoPort
  readonly clock: Clock
  readonly purpose: Purpose
  readonly role: Role
  readonly gate: TokenGate
  readonly findResumeKey: (id: Uint8Array) => Uint8Array | null
  /** Refuses by throwing, before the handshake; asked for every connection. */
  checkPeer?(peer: ByteStream['peer']): Promise<void>
  /** Makes the resume key durable, and with it the end of the token; the peer is told only after that. */
  readonly commit: (secrets: SessionSecrets) => Promise<void>
  onRefused(peer: ByteStream['peer'], error: SealiftError, guess: { wrong: boolean; burned: boolean }): void
  onSession(session: Session, secrets: { suite: Suite; resumeId: Uint8Array }): void
  /** A fault of this side, such as a ledger that cannot be written: nothing can be admitted any more. */
  readonly onFault: (error: SealiftError) => void
}

interface Unconfirmed {
  readonly stream: ByteStream
  readonly inbox: Inbox
  readonly frames: FrameReader
}

export class Admission {
  readonly #options: AdmissionOptions
  readonly #unconfirmed = new Set<Unconfirmed>()
  /** Handshakes under way, also those that are confirmed while the ledger writes. */
  readonly #handshakes = new Set<Promise<void>>()
  /** Refused peers that may still read why, and what ends that. */
  readonly #lingering = new Map<ByteStream, () => void>()
  #closed = false

  constructor(options: AdmissionOptions) {
    this.#options = options
  }

  /** Takes a connection; never throws. */
  accept(stream: ByteStream): void {
    if (this.#closed) {
      stream.destroy()
      return
    }
    const inbox = new Inbox(stream)
    const connection = { stream, inbox, frames: new FrameReader(inbox) }
    // A Set keeps its order: the first one is the oldest.
    const oldest =
      this.#unconfirmed.size >= MAX_UNCONFIRMED_CONNECTIONS ? this.#unconfirmed.values().next().value : undefined
    if (oldest !== undefined)
      this.#drop(oldest, new SealiftError('peer_silent', 'too many connections wait; this was the oldest'))
    this.#unconfirmed.add(connection)
    const handshake = this.#confirm(connection).finally(() => this.#handshakes.delete(handshake))
    this.#handshakes.add(handshake)
  }

  /**
   * Drops all that is not confirmed and takes nothing more. Resolves when no handshake is under way: one that was confirmed
   * just before may still hand out its session until then.
   */
  async close(): Promise<void> {
    this.#closed = true
    for (const connection of this.#unconfirmed)
      this.#drop(connection, new SealiftError('connection_lost', 'no longer listening'))
    for (const stream of this.#lingering.keys()) this.#letGo(stream)
    await Promise.all(this.#handshakes)
  }

  /** Gives a refused peer a moment to read why. */
  #linger(stream: ByteStream): void {
    this.#lingering.set(
      stream,
      this.#options.clock.after(ABORT_LINGER_MS, () => this.#letGo(stream)),
    )
    // What was written is the system's to deliver.
    if (this.#closed) this.#letGo(stream)
  }

  #letGo(stream: ByteStream): void {
    this.#lingering.get(stream)?.()
    this.#lingering.delete(stream)
    stream.destroy()
  }

  #drop(connection: Unconfirmed, error: SealiftError): void {
    this.#unconfirmed.delete(connection)
    connection.frames.abort(error)
    connection.stream.destroy()
  }

  /** One handshake, from the first byte to a session or a refusal; never throws. */
  async #confirm(connection: Unconfirmed): Promise<void> {
    const { stream, frames } = connection
    const { clock } = this.#options
    const cancel = clock.after(HANDSHAKE_TIMEOUT_MS, () =>
      this.#drop(connection, new SealiftError('peer_silent', 'the handshake took too long')),
    )
    const { crypto, purpose, gate } = this.#options
    const handshake = new ResponderHandshake({
      crypto,
      purpose,
      channelBinding: new Uint8Array(),
      password: () => gate.password(),
      findResumeKey: (id) => this.#options.findResumeKey(id),
    })
    try {
      await this.#options.checkPeer?.(stream.peer)
      await this.#handshake(connection, handshake, cancel)
    } catch (thrown) {
      const error = toSealiftError(thrown)
      frames.abort(error)
      // The peer is told in general terms only (S-58), and gets a moment to read it. Where the connection broke there is
      // nothing to tell: should it hear of that, it is to dial again and not to take it for a refusal.
      if (error.code !== 'connection_lost') await stream.write([encodeAbort(error.code)]).catch(() => undefined)
      await stream.end().catch(() => undefined)
      this.#linger(stream)
      this.#options.onRefused(stream.peer, error, { wrong: false, burned: false })
    } finally {
      cancel()
      handshake.destroy()
      this.#unconfirmed.delete(connection)
    }
  }

  async #handshake(connection: Unconfirmed, handshake: ResponderHandshake, cancelDeadline: () => void): Promise<void> {
    const { gate } = this.#options
    const { stream, inbox, frames } = connection
    const init = await frames.next()
    const resp = handshake.receive(init.kind, init.body)
    if (resp.send !== null) await stream.write([resp.send])
    const confirm = await frames.next()
    const { verify } = handshake.receive(confirm.kind, confirm.body)
    if (verify === null) throw new SealiftError('protocol_violation', 'a handshake message out of order')

    const guessing = handshake.suite === 'cpace'
    const mayCompare = !guessing || gate.guess(stream.peer.address)
    const verdict = verify()
    if (!verdict.ok || !mayCompare) {
      const burned = guessing && gate.wrong(stream.peer.address)
      await stream.write([encodeAbort('auth_failed')]).catch(() => undefined)
      await stream.end().catch(() => undefined)
      this.#linger(stream)
      this.#options.onRefused(stream.peer, new SealiftError('auth_failed', 'the token or key was not accepted'), {
        wrong: guessing,
        burned,
      })
      return
    }
    // Confirmed: neither strangers nor the clock may take its place while the ledger writes.
    this.#unconfirmed.delete(connection)
    cancelDeadline()
    gate.spend()
    try {
      await this.#options.commit(verdict.secrets)
    } catch (thrown) {
      stream.destroy()
      this.#options.onFault(toSealiftError(thrown))
      return
    }
    await stream.write([verdict.confirm])
    const { crypto, clock, role } = this.#options
    const { suite, resumeId } = verdict.secrets
    const session = new Session({ stream, inbox, crypto, secrets: verdict.secrets, role, clock })
    this.#options.onSession(session, { suite, resumeId })
  }
}

/** How long a refused peer has to read why. */
const ABORT_LINGER_MS = 500
