/**
 * The responder's door: takes connections, lets strangers wait without harm, and hands out confirmed sessions.
 *
 * Owns the unconfirmed connections (at most 128; the oldest goes, never the newest: the honest peer may share a
 * stranger's address) and their deadline. Counts guesses through the gate it is given, before anything is compared,
 * and has a confirmed key committed before the peer hears of it (PROTOCOL 1.7, 1.9, 1.12). On a server anybody can
 * confirm a handshake, so a connection counts as unconfirmed until it has given what is asked for inside (1.10).
 */

import type { ByteStream, PeerCertificate, StreamSeal } from '../carriers/carrier.ts'
import type { CryptoPort, KeyPair } from '../protocol/crypto-port.ts'
import { SealiftError, toSealiftError } from '../protocol/errors.ts'
import type { SessionSecrets } from '../protocol/handshake.ts'
import { encodeAbort, type Purpose } from '../protocol/handshake-messages.ts'
import { ResponderHandshake } from '../protocol/handshake-responder.ts'
import { HANDSHAKE_TIMEOUT_MS, MAX_UNCONFIRMED_CONNECTIONS } from '../protocol/limits.ts'
import type { Role } from '../protocol/conversation.ts'
import type { AdmitNeeds } from '../protocol/messages.ts'
import type { Clock } from './clock.ts'
import { FrameReader } from './frame-reader.ts'
import { Inbox } from './inbox.ts'
import { challenge } from './inner-authentication.ts'
import { Session } from './session.ts'
import type { TokenGate } from './token-gate.ts'

/** Who is at the other end of a confirmed session. */
export interface ConfirmedPeer extends Pick<SessionSecrets, 'suite' | 'resumeId' | 'peerStaticKey'> {
  /** What it showed to the stream below; `null` where that asks for none, or it has none. */
  readonly certificate: PeerCertificate | null
}

export interface AdmissionOptions {
  readonly crypto: CryptoPort
  readonly clock: Clock
  readonly purpose: Purpose
  readonly role: Role
  /** Whose guesses are compared: in the handshake, on a server inside the session; `null` where nobody is asked. */
  readonly gate: TokenGate | null
  /** The long-term key pair of a server, borrowed for the life of the admission; purpose `server` only. */
  readonly staticKey?: KeyPair | undefined
  /** What a server asks of this peer besides its keys; refuses by throwing. Absent: nothing. */
  judge?(peer: ConfirmedPeer, address: ByteStream['peer']): AdmitNeeds | Promise<AdmitNeeds>
  readonly findResumeKey: (id: Uint8Array) => Uint8Array | null
  /** From the connection to a confirmed session; default {@link HANDSHAKE_TIMEOUT_MS}. */
  readonly timeoutMs?: number
  /** Refuses by throwing, before the handshake; asked for every connection. */
  checkPeer?(peer: ByteStream['peer']): Promise<void>
  /** Makes the resume key durable, and with it the end of the token; the peer is told only after that. */
  readonly commit: (
    secrets: SessionSecrets,
    peer: ByteStream['peer'],
    certificate: PeerCertificate | null,
  ) => Promise<void>
  onRefused(peer: ByteStream['peer'], error: SealiftError, guess: { wrong: boolean; burned: boolean }): void
  onSession(session: Session, peer: ConfirmedPeer): void
  /** A fault of this side, such as a ledger that cannot be written: nothing can be admitted any more. */
  readonly onFault: (error: SealiftError) => void
}

interface Unconfirmed {
  readonly stream: ByteStream
  readonly inbox: Inbox
  readonly frames: FrameReader
  /** Once it is there, on a carrier that seals. */
  seal: StreamSeal | null
  /** On a server, once the handshake is confirmed. */
  session: Session | null
  /** Why it was dropped from here, if it was: what then breaks breaks for that. */
  dropped: SealiftError | null
}

export class Admission {
  readonly #options: AdmissionOptions
  readonly #unconfirmed = new Set<Unconfirmed>()
  /** Handshakes under way, also those that are confirmed while the ledger writes. */
  readonly #handshakes = new Set<Promise<void>>()
  /** Refused peers that may still read why, and what ends that. */
  readonly #lingering = new Map<ByteStream, () => void>()
  #closed = false

  /** @throws SealiftError `internal` where a server has no key, or somebody else has one */
  constructor(options: AdmissionOptions) {
    if ((options.purpose === 'server') !== (options.staticKey !== undefined))
      throw new SealiftError('internal', 'a server, and only a server, is met by its key')
    this.#options = options
  }

  /**
   * Takes a connection; never throws.
   * @returns what drops it while it is not confirmed
   */
  accept(stream: ByteStream): (error: SealiftError) => void {
    if (this.#closed) {
      stream.destroy()
      return () => undefined
    }
    const inbox = new Inbox(stream)
    const connection: Unconfirmed = {
      stream,
      inbox,
      frames: new FrameReader(inbox),
      seal: null,
      session: null,
      dropped: null,
    }
    // A Set keeps its order: the first one is the oldest.
    const oldest =
      this.#unconfirmed.size >= MAX_UNCONFIRMED_CONNECTIONS ? this.#unconfirmed.values().next().value : undefined
    if (oldest !== undefined)
      this.#drop(oldest, new SealiftError('peer_silent', 'too many connections wait; this was the oldest'))
    this.#unconfirmed.add(connection)
    const handshake = this.#confirm(connection).finally(() => this.#handshakes.delete(handshake))
    this.#handshakes.add(handshake)
    return (error) => {
      if (this.#unconfirmed.has(connection)) this.#drop(connection, error)
    }
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
    connection.dropped ??= error
    connection.session?.fail(error)
    connection.frames.abort(error)
    connection.stream.destroy()
  }

  /** One handshake, from the first byte to a session or a refusal; never throws. */
  async #confirm(connection: Unconfirmed): Promise<void> {
    const { stream } = connection
    const { clock, timeoutMs = HANDSHAKE_TIMEOUT_MS } = this.#options
    const cancel = clock.after(timeoutMs, () =>
      this.#drop(connection, new SealiftError('peer_silent', 'the handshake took too long')),
    )
    const { crypto, purpose, gate, staticKey } = this.#options
    let handshake: ResponderHandshake | null = null
    try {
      await this.#options.checkPeer?.(stream.peer)
      const seal = (connection.seal = (await stream.seal?.()) ?? null)
      handshake = new ResponderHandshake({
        crypto,
        purpose,
        staticKey,
        channelBinding: seal?.channelBinding ?? new Uint8Array(),
        isSealed: seal !== null,
        password: () => gate?.password() ?? null,
        findResumeKey: (id) => this.#options.findResumeKey(id),
      })
      await this.#handshake(connection, handshake, cancel)
    } catch (thrown) {
      const error = connection.dropped ?? toSealiftError(thrown)
      if (connection.session === null) await this.#abort(connection, error)
      else connection.session.fail(error)
      const wrong = connection.session !== null && error.code === 'auth_failed'
      this.#options.onRefused(stream.peer, error, { wrong, burned: false })
    } finally {
      cancel()
      handshake?.destroy()
      this.#unconfirmed.delete(connection)
    }
  }

  async #abort({ stream, frames }: Unconfirmed, error: SealiftError): Promise<void> {
    frames.abort(error)
    // The peer is told in general terms only (S-58), and gets a moment to read it. Where the connection broke there is
    // nothing to tell: should it hear of that, it is to dial again and not to take it for a refusal.
    if (error.code !== 'connection_lost') await stream.write([encodeAbort(error.code)]).catch(() => undefined)
    await stream.end().catch(() => undefined)
    this.#linger(stream)
  }

  async #handshake(connection: Unconfirmed, handshake: ResponderHandshake, cancelDeadline: () => void): Promise<void> {
    const { gate, purpose } = this.#options
    const { stream, frames } = connection
    const init = await frames.next()
    const resp = handshake.receive(init.kind, init.body)
    if (resp.send !== null) await stream.write([resp.send])
    const confirm = await frames.next()
    const { verify } = handshake.receive(confirm.kind, confirm.body)
    if (verify === null) throw new SealiftError('protocol_violation', 'a handshake message out of order')

    const guessing = handshake.suite === 'cpace'
    const mayCompare = !guessing || gate?.guess(stream.peer.address) === true
    const verdict = verify()
    if (!verdict.ok || !mayCompare) {
      const burned = guessing && gate?.wrong(stream.peer.address) === true
      const error = new SealiftError('auth_failed', 'the token or key was not accepted')
      await this.#abort(connection, error)
      this.#options.onRefused(stream.peer, error, { wrong: guessing, burned })
      return
    }
    const { confirm: answer, secrets } = verdict
    if (purpose === 'server') await this.#letIn(connection, answer, secrets)
    // Confirmed: neither strangers nor the clock may take its place while the ledger writes.
    this.#unconfirmed.delete(connection)
    cancelDeadline()
    if (purpose === 'direct') gate?.spend(stream.peer.address)
    try {
      await this.#options.commit(secrets, stream.peer, connection.seal?.certificate ?? null)
    } catch (thrown) {
      const error = toSealiftError(thrown)
      connection.session?.fail(error)
      stream.destroy()
      this.#options.onFault(error)
      return
    }
    // A server's peer is told by ADMIT, which the session remembers: another word of it before would be out of order.
    if (connection.session === null) await stream.write([answer])
    else await connection.session.send({ type: 'admit', admit: { needs: 'nothing' } })
    this.#options.onSession(
      connection.session ?? this.#newSession(connection, secrets),
      whoIs(secrets, connection.seal),
    )
  }

  /** Confirms a server's session and asks inside it for what else is wanted. */
  async #letIn(connection: Unconfirmed, confirm: Uint8Array, secrets: SessionSecrets): Promise<void> {
    const { crypto, gate } = this.#options
    const { stream } = connection
    await stream.write([confirm])
    const session = this.#newSession(connection, secrets)
    connection.session = session
    const needs = (await this.#options.judge?.(whoIs(secrets, connection.seal), stream.peer)) ?? 'nothing'
    if (needs === 'nothing') return
    if (gate === null) throw new SealiftError('internal', 'a server asks for a secret that it does not have')
    await session.send({ type: 'admit', admit: { needs } })
    await challenge(session, crypto, gate)
  }

  #newSession({ stream, inbox, seal }: Unconfirmed, secrets: SessionSecrets): Session {
    const { crypto, clock, role, purpose } = this.#options
    return new Session({ stream, inbox, seal, crypto, secrets, role, clock, purpose })
  }
}

function whoIs({ suite, resumeId, peerStaticKey }: SessionSecrets, seal: StreamSeal | null): ConfirmedPeer {
  return { suite, resumeId, peerStaticKey, certificate: seal?.certificate ?? null }
}

/** How long a refused peer has to read why. */
const ABORT_LINGER_MS = 500
