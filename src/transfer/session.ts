/**
 * A session: sealed messages in order over one stream, alive or known to be dead.
 *
 * Owns records, the order of the conversation, keep-alive and the end. Knows nothing of files, ledgers, tokens, or
 * which carrier it runs on. A bad record, a message out of order or silence ends it (PROTOCOL 2.4).
 */

import type { ByteStream, StreamSeal } from '../carriers/carrier.ts'
import { TurnTaking } from '../files/turn-taking.ts'
import { releaseBuffer } from '../protocol/bytes.ts'
import { Conversation, type Role } from '../protocol/conversation.ts'
import type { CryptoPort } from '../protocol/crypto-port.ts'
import { SealiftError, toSealiftError } from '../protocol/errors.ts'
import type { SessionSecrets } from '../protocol/handshake.ts'
import type { Purpose } from '../protocol/handshake-messages.ts'
import {
  MAX_ADMISSION_RECORD_BYTES,
  MAX_PLAIN_RECORD_BYTES,
  MAX_RECORD_BYTES,
  PING_INTERVAL_MS,
  SILENCE_TIMEOUT_MS,
} from '../protocol/limits.ts'
import {
  type ChunkMessage,
  decodeMessage,
  encodeChunkHeader,
  encodeMessage,
  type Message,
} from '../protocol/messages.ts'
import { checkRecordLength, RecordOpener, RecordSealer, tagBytesOf } from '../protocol/records.ts'
import { keepFreedMemory } from './buffers.ts'
import type { Clock } from './clock.ts'
import type { Inbox, InboxReader } from './inbox.ts'
import { LULL_MS, type Waiting } from './waiting.ts'

/** How a session ended: the peer's final record, or what broke it. */
export type SessionEnd =
  { readonly code: number; readonly error: null } | { readonly code: null; readonly error: SealiftError }

/**
 * Takes a message. A promise holds back all later messages, and with them the peer.
 * @param release may be called once nothing of the message is needed any more: gives its memory back
 */
export type MessageHandler = (message: Message, release: () => void) => void | Promise<void>

export interface SessionOptions {
  readonly stream: ByteStream
  readonly inbox: Inbox
  /** What seals the stream itself, where something does. */
  readonly seal?: StreamSeal | null
  readonly crypto: CryptoPort
  /** Taken over: the traffic secrets are zeroed with the session. */
  readonly secrets: SessionSecrets
  readonly role: Role
  readonly clock: Clock
  /** A server's session begins with letting the peer in; default `direct`. */
  readonly purpose?: Purpose
}

/**
 * A record that is under way is a sign of life only while it grows by this much. Else one whose length was damaged on
 * the way would swallow the other side's PINGs for ever, and look alive.
 */
const LEAST_GROWTH_BYTES = 1024

/** How long the final record of the peer is waited for after our own. */
const CLOSE_TIMEOUT_MS = 2000

export class Session implements InboxReader {
  readonly suite: string
  readonly cipher: string
  readonly peer: ByteStream['peer']
  /** What an authentication inside this session is bound to: 32 bytes, public, of no other session. */
  readonly transcriptHash: Uint8Array
  /** @see SessionSecrets.peerStaticKey */
  readonly peerStaticKey: Uint8Array | null
  /** Resolves once, never rejects. */
  readonly end: Promise<SessionEnd>
  /** Resolves when the connection is let go of: at the end, or when the farewell has had its moment after it. */
  readonly released: Promise<undefined>
  readonly #stream: ByteStream
  readonly #inbox: Inbox
  readonly #sealer: RecordSealer
  readonly #opener: RecordOpener
  readonly #conversation: Conversation
  readonly #role: Role
  readonly #clock: Clock
  readonly #resolveEnd: (end: SessionEnd) => void
  readonly #resolveReleased: (nothing: undefined) => void
  #handler: MessageHandler | null = null
  readonly #turns = new TurnTaking()
  #paused = false
  /** Whether the peer has not been let in: it gets the buffer of a stranger. */
  #small = true
  readonly #tagBytes: number
  #maxRecordBytes: number
  #busy = false
  #busySinceMs = 0
  #over = false
  #closeSent = false
  #answering = false
  #streamEnd: { error: SealiftError | null } | null = null
  #queuedBytes = 0
  #sentBytes = 0
  #lastSentMs: number
  #lastReceivedMs: number
  /** When something other than a PING came, or a turn of the other side began. */
  #lastWordMs: number
  #wordLimitMs: number | null = null
  /** Bytes that had arrived then. */
  #heardBytes = 0
  #cancelTick: () => void = () => undefined
  #cancelLateEnd: (() => void) | null = null
  #cancelLinger: () => void = () => undefined
  #drainWaiters: { belowBytes: number; wake: () => void }[] = []

  constructor(options: SessionOptions) {
    const { stream, inbox, crypto, secrets, clock, seal = null } = options
    this.#stream = stream
    this.#inbox = inbox
    this.#role = options.role
    // Chunks go one way only: at a sender there is no need for the room of one.
    this.#maxRecordBytes = options.role === 'sender' ? MAX_PLAIN_RECORD_BYTES : MAX_RECORD_BYTES
    this.#clock = clock
    this.#conversation = new Conversation(options.purpose, secrets.join)
    this.peer = stream.peer
    this.transcriptHash = secrets.transcriptHash
    this.peerStaticKey = secrets.peerStaticKey
    const [suite, isHybrid] = seal === null ? [secrets.suite, secrets.kem] : ['tls', seal.isHybrid]
    this.suite = isHybrid ? `${suite}+mlkem768` : suite
    this.cipher = seal?.cipher ?? secrets.cipher
    this.#tagBytes = tagBytesOf(secrets.cipher)
    this.#sealer = new RecordSealer(crypto, secrets.cipher, secrets.sendSecret)
    this.#opener = new RecordOpener(crypto, secrets.cipher, secrets.receiveSecret)
    this.#lastSentMs = clock.nowMs()
    this.#lastReceivedMs = clock.nowMs()
    this.#lastWordMs = this.#lastReceivedMs
    const { promise, resolve } = Promise.withResolvers<SessionEnd>()
    this.end = promise
    this.#resolveEnd = resolve
    const released = Promise.withResolvers<undefined>()
    this.released = released.promise
    this.#resolveReleased = released.resolve
    this.#growOnceAdmitted()
    this.#tick()
  }

  get isOver(): boolean {
    return this.#over
  }

  /** Bytes of this session on the wire, both directions, with the handshake's. */
  get wireBytes(): number {
    return this.#sentBytes + this.#inbox.receivedBytes
  }

  /** Bytes given to the stream that have not left this process. */
  get queuedBytes(): number {
    return this.#queuedBytes
  }

  /** Why no message comes, where none has come for a while. A PING among the silence tells that the network is not why. */
  get lull(): Waiting | null {
    const now = this.#clock.nowMs()
    const forMs = now - (this.#busy ? this.#busySinceMs : this.#lastWordMs)
    if (forMs < LULL_MS) return null
    if (this.#busy) return { reason: 'disk', forMs, remainingMs: null }
    const isAlive = this.#lastReceivedMs > this.#lastWordMs && now - this.#lastReceivedMs < PING_INTERVAL_MS + LULL_MS
    return { reason: isAlive ? 'peer' : 'network', forMs, remainingMs: null }
  }

  /** Ends the session at a longer record from now on, before a byte of it is kept. @param maxBytes ciphertext and tag */
  limitRecords(maxBytes: number): void {
    this.#maxRecordBytes = Math.min(maxBytes, this.#maxRecordBytes)
  }

  /** Delivers messages from now on. */
  listen(handler: MessageHandler): void {
    this.#handler = handler
    this.#paused = false
    this.#inbox.readBy(this)
  }

  /** Delivers nothing more until somebody else listens. */
  pause(): void {
    this.#handler = null
    this.#paused = true
  }

  /** @throws SealiftError `connection_lost` where the session is over or ends before the message has left */
  send(message: Exclude<Message, ChunkMessage>): Promise<void> {
    return this.#transmit(message, [encodeMessage(message)])
  }

  /**
   * @param packed the chunk's bytes as its codec left them; borrowed only until this returns
   */
  sendChunk(chunk: Omit<ChunkMessage, 'type' | 'packed'>, packed: Uint8Array): Promise<void> {
    return this.#transmit({ type: 'chunk', ...chunk, packed }, [encodeChunkHeader(chunk), packed])
  }

  /**
   * From now on it is the other side's turn: the session ends where it only sends PINGs for so long, so that a peer
   * that lives but does nothing holds nobody for ever. `null`: it may be quiet.
   */
  awaitWord(limitMs: number | null): void {
    this.#wordLimitMs = limitMs
    this.#lastWordMs = this.#clock.nowMs()
  }

  /** Something came on another stream of the same transfer: the other side is at work. */
  heardBeside(): void {
    this.#lastWordMs = this.#clock.nowMs()
  }

  /** Resolves when fewer than so many bytes wait to leave, or the session is over. */
  drained(belowBytes: number): Promise<void> {
    if (this.#over || this.#queuedBytes < belowBytes) return Promise.resolve()
    return new Promise((wake) => this.#drainWaiters.push({ belowBytes, wake }))
  }

  /**
   * Says the final record, waits a moment for the peer's, and lets go of the stream.
   * @param code wire code of why, 0 for a good end
   */
  async close(code = 0): Promise<void> {
    if (this.#over) return
    const cancel = this.#clock.after(CLOSE_TIMEOUT_MS, () => {
      this.#finish({ code: null, error: new SealiftError('peer_silent', 'the other side did not say farewell') })
      // The farewell has had its moment.
      this.#release()
    })
    this.#sayClose(code)
    await this.end
    cancel()
  }

  /** Ends the session for a fault of this side or of the peer, and tells the peer which. */
  fail(thrown: unknown): void {
    if (this.#over) return
    const error = toSealiftError(thrown)
    this.#sayClose(error.wireCode)
    this.#finish({ code: null, error })
  }

  #sayClose(code: number): void {
    if (this.#closeSent) return
    this.#closeSent = true
    this.#transmit({ type: 'close', code }, [encodeMessage({ type: 'close', code })])
      .then(() => this.#stream.end())
      .catch(() => undefined)
  }

  async #transmit(message: Message, parts: Uint8Array[]): Promise<void> {
    if (this.#over) throw new SealiftError('connection_lost', 'the session is over')
    this.#conversation.said(this.#role, message)
    this.#growOnceAdmitted()
    const record = this.#sealer.seal(parts)
    let length = 0
    for (const part of record) length += part.length
    this.#queuedBytes += length
    this.#sentBytes += length
    this.#lastSentMs = this.#clock.nowMs()
    try {
      await this.#stream.write(record)
      for (const part of record) releaseBuffer(part)
    } catch (error) {
      // A peer that closed on purpose said why first: let that be read before the broken pipe speaks.
      if (this.#streamEnd === null && !this.isOver) this.#finishAfterReading(toSealiftError(error))
      throw error
    } finally {
      this.#queuedBytes -= length
      this.#wakeDrained()
    }
  }

  /** Whoever has not been let in gets no more memory than a stranger. */
  #growOnceAdmitted(): void {
    if (!this.#small || this.#conversation.isAdmitting) return
    this.#small = false
    this.#inbox.growForRecords(this.#maxRecordBytes)
    keepFreedMemory()
  }

  #wakeDrained(): void {
    if (this.#drainWaiters.length === 0) return
    const waiters = this.#drainWaiters
    this.#drainWaiters = waiters.filter(({ belowBytes, wake }) => {
      if (!this.#over && this.#queuedBytes >= belowBytes) return true
      wake()
      return false
    })
  }

  arrived(): boolean {
    if (this.#inbox.receivedBytes - this.#heardBytes >= LEAST_GROWTH_BYTES) {
      this.#heard()
      this.#lastWordMs = this.#lastReceivedMs
    }
    this.#turns.begin()
    try {
      while (!this.#busy && !this.#paused && !this.#over) {
        const sealed = this.#nextRecord()
        if (sealed === null) break
        const plaintext = this.#opener.open(sealed)
        this.#heard()
        const handled = this.#take(plaintext)
        if (handled instanceof Promise) this.#hold(handled)
        else if (this.#turns.isDue()) this.#hold(this.#turns.rest())
      }
    } catch (error) {
      this.fail(error)
    }
    // Once it is over, another reader takes what comes.
    return this.#over || (!this.#busy && !this.#paused)
  }

  #heard(): void {
    this.#lastReceivedMs = this.#clock.nowMs()
    this.#heardBytes = this.#inbox.receivedBytes
  }

  #nextRecord(): Uint8Array | null {
    const frames = this.#inbox.frames
    const length = frames.peekU32()
    if (length === null) return null
    checkRecordLength(length, this.#small ? MAX_ADMISSION_RECORD_BYTES : this.#maxRecordBytes, this.#tagBytes)
    if (frames.length < 4 + length) return null
    frames.take(4)
    return frames.take(length)
  }

  #take(plaintext: Uint8Array): void | Promise<void> {
    const message = decodeMessage(plaintext)
    this.#conversation.said(this.#role === 'sender' ? 'receiver' : 'sender', message)
    this.#growOnceAdmitted()
    if (message.type === 'ping') {
      this.#answer()
      return undefined
    }
    if (message.type === 'pong') return undefined
    this.#lastWordMs = this.#lastReceivedMs
    if (message.type === 'close') {
      this.#sayClose(0)
      this.#finish({ code: message.code, error: null })
      return undefined
    }
    return this.#handler?.(message, () => releaseBuffer(plaintext))
  }

  /** One answer under way is enough: a peer that asks and never reads must not fill this memory with them. */
  #answer(): void {
    if (this.#answering) return
    this.#answering = true
    const answered = (): void => {
      this.#answering = false
    }
    this.send({ type: 'pong' }).then(answered, answered)
  }

  /** Holds the peer back until a message has been dealt with. */
  #hold(handled: Promise<void>): void {
    this.#busy = true
    this.#busySinceMs = this.#clock.nowMs()
    handled.then(
      () => {
        this.#busy = false
        this.#lastReceivedMs = this.#clock.nowMs()
        if (this.arrived()) this.#stream.resume()
        this.#endWhenRead()
      },
      (error: unknown) => {
        this.#busy = false
        this.fail(error)
      },
    )
  }

  ended(error: SealiftError | null): void {
    this.#streamEnd = { error }
    this.#endWhenRead()
  }

  #endWhenRead(): void {
    if (this.#streamEnd === null || this.#busy || this.#paused) return
    const { error } = this.#streamEnd
    // An end without the final record is truncation, whoever caused it (PROTOCOL 2.1).
    this.#finish({
      code: null,
      error: error ?? new SealiftError('connection_lost', 'the connection ended without a farewell'),
    })
  }

  #finishAfterReading(error: SealiftError): void {
    this.#cancelLateEnd ??= this.#clock.after(CLOSE_TIMEOUT_MS / 4, () => this.#finish({ code: null, error }))
  }

  #finish(end: SessionEnd): void {
    if (this.#over) return
    this.#over = true
    this.#cancelTick()
    this.#cancelLateEnd?.()
    this.#wakeDrained()
    // A farewell that is still on its way out gets a moment, and so does the peer to end its side. What comes meanwhile
    // is read and dropped: a socket that is closed over unread bytes is reset, and that would take the farewell back.
    this.#cancelLinger = this.#clock.after(CLOSE_TIMEOUT_MS, () => this.#release())
    const { frames } = this.#inbox
    const ended = new Promise<void>((resolve) => {
      this.#inbox.readBy({ arrived: () => frames.take(frames.length) !== null, ended: () => resolve() })
    })
    Promise.all([this.#stream.end(), ended]).then(
      () => this.#release(),
      () => undefined,
    )
    this.#resolveEnd(end)
  }

  #release(): void {
    this.#cancelLinger()
    this.#stream.destroy()
    this.#inbox.release()
    this.#sealer.destroy()
    this.#opener.destroy()
    this.#resolveReleased(undefined)
  }

  /** Keep-alive: a word after a while without one, the end after a longer silence of the peer. */
  #tick(): void {
    this.#cancelTick = this.#clock.after(PING_INTERVAL_MS / 4, () => {
      const now = this.#clock.nowMs()
      if (this.#busy || this.#paused) this.#lastReceivedMs = this.#lastWordMs = now
      if (now - this.#lastReceivedMs >= SILENCE_TIMEOUT_MS) {
        this.fail(new SealiftError('peer_silent', 'nothing was heard from the other side for 30 seconds'))
        return
      }
      if (this.#wordLimitMs !== null && now - this.#lastWordMs >= this.#wordLimitMs) {
        this.fail(new SealiftError('peer_silent', 'the other side lives, but does nothing any more'))
        return
      }
      if (now - this.#lastSentMs >= PING_INTERVAL_MS) void this.send({ type: 'ping' }).catch(() => undefined)
      this.#tick()
    })
  }
}
