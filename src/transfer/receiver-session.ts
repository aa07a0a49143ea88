/**
 * The receiver's part of one session, from HELLO to the final record.
 *
 * Owns what is said when. What is decided about an offer, and what becomes of chunks, is the business of the
 * {@link Reception} it is given. One of these lives as long as its session.
 */

import { ENTRY_FAILED } from '../ledger/entry-state.ts'
import { type ErrorCode, errorCodeFromWire, isTellable, SealiftError, toSealiftError } from '../protocol/errors.ts'
import {
  CHUNK_HEADER_BYTES,
  CONSENT_TIMEOUT_MS,
  MAX_CHUNK_BYTES,
  MAX_PLAIN_RECORD_BYTES,
  STALL_TIMEOUT_MS,
  TAG_BYTES,
} from '../protocol/limits.ts'
import type { Manifest } from '../protocol/manifest.ts'
import { ManifestDecoder } from '../protocol/manifest-pages.ts'
import {
  type Accept,
  type ChunkMessage,
  type Done,
  type Hello,
  type Message,
  type Offer,
  STATE_RUNS_PER_MESSAGE,
  type StateRun,
} from '../protocol/messages.ts'
import { encodeRangePages, type RangeSet } from '../protocol/ranges.ts'
import { releasePacked } from './buffers.ts'
import type { Incoming, Teller } from './incoming.ts'
import { JoinedStreams, refuseStream } from './joined-streams.ts'
import { ManifestDigest } from './manifest-digest.ts'
import type { Session } from './session.ts'
import type { StageProbe } from './stage.ts'
import { Unpacking } from './unpacking.ts'
import { lullOfPipe, type Waiting } from './waiting.ts'

/** What takes the chunks of an accepted transfer. */
export type IncomingFiles = Pick<Incoming, 'complete' | 'begin' | 'tell' | 'chunk' | 'digest' | 'end' | 'fail'>

/** An accepted transfer, ready for chunks. */
export interface AcceptedTransfer {
  readonly incoming: IncomingFiles
  readonly epoch: number
  /** What holds this side back, where something does. */
  readonly target: 'disk' | 'output'
  /** Whether the sender may have nothing to send for as long as it likes. */
  readonly mayPause: boolean
  /** To how many bytes a second this sender is held; told to it. */
  readonly bytesPerSecond?: number
  /** States of all entries that are not pending, as runs. */
  stateRuns(): Iterable<StateRun>
  safeRanges(): RangeSet
  /** Publishes what is verified and ends the transfer; called once all entries have come to an end. */
  finish(): Promise<Done>
  /** Tells this side's user of each file, once the sender has been told. */
  report(): void
}

/** What a receiver decides. */
export interface Reception {
  readonly hello: Hello
  /** Whether the manifest of this offer is known, so that it need not come. @throws to refuse */
  offered(offer: Offer): Promise<void>
  /**
   * Decides on the offer: asks, plans, makes staging.
   * @param manifest `null` where it is known
   * @param tellPlace tells the sender where it waits in line meanwhile; resolves when that has left
   * @throws SealiftError to refuse; `declined`, `unanswered`, `conflict` and the like are told as REJECT
   */
  accept(
    offer: Offer,
    manifest: Manifest | null,
    signal: AbortSignal,
    tellPlace: (place: number) => Promise<void>,
  ): Promise<AcceptedTransfer>
}

export interface ReceiverSessionOptions {
  readonly session: Session
  readonly reception: Reception
  readonly probe: StageProbe
  /** How long a sender that is expected to say something may say nothing; default as a person would wait. */
  readonly quietLimitMs?: number | undefined
  /** Further streams may be opened from now on, so many in all as the sender would like; not where the order counts. */
  readonly onMoving?: ((streams: number) => void) | undefined
}

export type ReceiverOutcome =
  | { readonly kind: 'done' }
  /** This side refused, or a fault of this side ended it. */
  | { readonly kind: 'ended'; readonly error: SealiftError }
  /** The session broke, or the sender ended it. */
  | { readonly kind: 'broken'; readonly error: SealiftError }

/** Told by REJECT, since they are a no and not a fault (PROTOCOL 2.7). */
const REFUSALS: ReadonlySet<ErrorCode> = new Set([
  'declined',
  'unanswered',
  'conflict',
  'policy_refused',
  'limit_exceeded',
  'manifest_invalid',
])

/** Long, because a sender may have to read a large file again before it knows its digest. */
const DIGEST_TIMEOUT_MS = CONSENT_TIMEOUT_MS

export class ReceiverSession {
  readonly #session: Session
  readonly #reception: Reception
  readonly #probe: StageProbe
  readonly #over = new AbortController()
  readonly #manifestDigest = new ManifestDigest()
  #decoder: ManifestDecoder | null = null
  #offer: Offer | null = null
  #accepted: AcceptedTransfer | null = null
  #outcome: ReceiverOutcome | null = null
  #saidDone = false
  /** Whether the sender has said the size of content of unknown length in this session. */
  #saidEnd = false
  #decides = false
  #expectsContent = false
  #maxChunkBytes = MAX_CHUNK_BYTES
  readonly #quietLimitMs: number | undefined
  readonly #onMoving: ReceiverSessionOptions['onMoving']
  readonly #joined: JoinedStreams
  /** Of all streams, so that each one more costs no more memory than what has arrived on it. */
  readonly #unpacking = new Unpacking((error) => this.#session.fail(error))
  /** This side ends it: what has come is not waited for. */
  readonly #stopped = Promise.withResolvers<undefined>()

  constructor(options: ReceiverSessionOptions) {
    this.#session = options.session
    this.#reception = options.reception
    this.#probe = options.probe
    this.#quietLimitMs = options.quietLimitMs
    this.#onMoving = options.onMoving
    this.#joined = new JoinedStreams(options.session)
  }

  /** Bytes of all its streams on the wire, both directions. */
  get wireBytes(): number {
    return this.#session.wireBytes + this.#joined.wireBytes
  }

  /** Whether it is for the sender to go on with the content of an accepted transfer. */
  get expectsContent(): boolean {
    return this.#expectsContent && !this.#session.isOver
  }

  /** Runs the session to its end; never rejects. */
  async run(): Promise<ReceiverOutcome> {
    this.#session.listen((message, release) => this.#take(message, release))
    this.#session.awaitWord(this.#quietLimitMs ?? STALL_TIMEOUT_MS)
    const { hello } = this.#reception
    this.#maxChunkBytes = hello.maxChunkBytes
    this.#session.limitRecords(Math.max(CHUNK_HEADER_BYTES + hello.maxChunkBytes + TAG_BYTES, MAX_PLAIN_RECORD_BYTES))
    this.#session.send({ type: 'hello', hello }).catch(() => undefined)
    const end = await this.#session.end
    this.#accepted?.incoming.tell(null)
    this.#joined.end()
    this.#over.abort(end.error ?? new SealiftError('peer_stopped', 'the sender ended the session'))
    // What came whole before it broke is kept (PROTOCOL 2.5).
    await Promise.race([this.#unpacking.idle, this.#stopped.promise])
    await this.#unpacking.stop()
    if (this.#outcome !== null) return this.#outcome
    if (end.error !== null) return { kind: 'broken', error: end.error }
    if (this.#saidDone && end.code === 0) return { kind: 'done' }
    const code = errorCodeFromWire(end.code) ?? 'peer_stopped'
    return { kind: 'broken', error: senderStopped(code) }
  }

  /** Takes chunks over one more stream too, until that or this session ends. Never rejects. */
  async join(stream: Session): Promise<void> {
    if (!this.expectsContent || this.#accepted?.target !== 'disk' || !this.#joined.take(stream)) {
      await refuseStream(stream)
      return
    }
    stream.limitRecords(TAG_BYTES + CHUNK_HEADER_BYTES + this.#maxChunkBytes)
    stream.listen((message, release) => {
      if (message.type !== 'chunk') throw new SealiftError('protocol_violation', 'a joined stream carries chunks only')
      this.#session.heardBeside()
      return this.#session.isOver ? undefined : this.#chunk(message, release)
    })
    await stream.end
  }

  /** What this session waits for; `null` while something happens, and while this side's user is asked. */
  get waiting(): Waiting | null {
    const lull = this.#session.lull
    if (lull === null) return null
    const accepted = this.#accepted
    if (accepted !== null && lull.reason === 'disk') return { ...lull, reason: accepted.target }
    if (accepted !== null) return accepted.mayPause && !this.#saidEnd ? lullOfPipe(lull) : lull
    return this.#decides ? null : { ...lull, reason: 'offer' }
  }

  /** Ends the session for a reason of this side; the sender is told. */
  async stop(error: SealiftError): Promise<void> {
    // All is saved and said: only the sender's farewell is missing, and it is on its way.
    if (!this.#saidDone) this.#outcome ??= { kind: 'ended', error }
    this.#joined.end()
    this.#stopped.resolve(undefined)
    await this.#session.close(this.#saidDone ? 0 : error.wireCode)
  }

  #take(message: Message, release: () => void): void | Promise<void> {
    switch (message.type) {
      case 'chunk':
        return this.#chunk(message, release)
      case 'digests':
        return this.#unpacking.step(() => {
          for (const { entry, sha256 } of message.digests) this.#accepted?.incoming.digest(entry, sha256)
        })
      case 'entryEnd':
        return this.#unpacking.step(() => this.#ended(message.sizeBytes))
      case 'entryFailed': {
        const said = errorCodeFromWire(message.code)
        const code = said !== null && isTellable(said) ? said : 'source_unreadable'
        return this.#unpacking.step(() => this.#accepted?.incoming.fail(message.entry, code, senderFailure(code)))
      }
      case 'offer':
        return this.#offered(message.offer)
      case 'manifest':
        this.#page(message.page, message.last)
        return undefined
      default:
        throw new SealiftError('protocol_violation', `a receiver is not told ${message.type}`)
    }
  }

  #ended(sizeBytes: number): void {
    if (this.#saidEnd) throw new SealiftError('protocol_violation', 'the content ends twice')
    this.#saidEnd = true
    this.#accepted?.incoming.end(sizeBytes)
    this.#session.awaitWord(this.#quietLimitMs ?? DIGEST_TIMEOUT_MS)
  }

  async #offered(offer: Offer): Promise<void> {
    this.#offer = offer
    this.#maxChunkBytes = Math.min(this.#maxChunkBytes, offer.maxChunkBytes)
    try {
      await this.#reception.offered(offer)
    } catch (error) {
      await this.#refuse(toSealiftError(error))
      return
    }
    if (offer.manifestFollows) this.#decoder = new ManifestDecoder(Math.min(offer.entries, 65_536))
    else this.#decide(offer, null)
  }

  #page(page: Uint8Array, last: boolean): void {
    const offer = this.#offer
    if (this.#decoder === null || offer === null)
      throw new SealiftError('protocol_violation', 'a manifest that nobody asked for')
    this.#manifestDigest.update(page)
    this.#decoder.push(page)
    const { manifest } = this.#decoder
    if (manifest.count > offer.entries)
      throw new SealiftError('manifest_invalid', 'the manifest has more entries than were offered')
    if (!last) return
    if (
      manifest.count !== offer.entries ||
      manifest.fileCount !== offer.files ||
      manifest.totalBytes !== offer.bytes ||
      this.#manifestDigest.hex() !== offer.digest
    ) {
      throw new SealiftError('manifest_invalid', 'the manifest is not the one that was offered')
    }
    this.#decide(offer, manifest)
  }

  /** Decides beside the session, which goes on with its keep-alive meanwhile (a person may take minutes). */
  #decide(offer: Offer, manifest: Manifest | null): void {
    this.#session.awaitWord(null)
    this.#decides = true
    this.#accept(offer, manifest).catch((error: unknown) => this.#fault(toSealiftError(error)))
  }

  async #accept(offer: Offer, manifest: Manifest | null): Promise<void> {
    let accepted: AcceptedTransfer
    try {
      accepted = await this.#reception.accept(offer, manifest, this.#over.signal, (place) =>
        this.#session.send({ type: 'queued', place }),
      )
    } catch (thrown) {
      await this.#refuse(toSealiftError(thrown))
      return
    }
    if (this.#session.isOver) return
    this.#accepted = accepted
    await this.#session.send({ type: 'accept', accept: acceptOf(accepted) })
    await this.#sendStates(accepted)
    const safe = accepted.safeRanges()
    const pages = [...encodeRangePages(safe)]
    for (const [at, page] of pages.entries())
      await this.#session.send({ type: 'safe', last: at === pages.length - 1, page })
    this.#probe('accepted')
    const teller = this.#teller()
    accepted.incoming.tell(teller)
    // What an earlier session brought may have been committed while the pages went out.
    const since = accepted.safeRanges()
    since.removeAll(safe)
    if (since.count > 0) teller.acknowledge(since)
    accepted.incoming.begin()
    this.#session.awaitWord(this.#quietLimitMs ?? (accepted.mayPause ? null : DIGEST_TIMEOUT_MS))
    this.#expectsContent = true
    if (accepted.target === 'disk') this.#onMoving?.(this.#offer?.streams ?? 1)
    const ended = this.#session.end.then(() => true)
    if (await Promise.race([accepted.incoming.complete.then(() => false), ended])) return
    // Refused meanwhile.
    if (this.#outcome !== null) return
    this.#expectsContent = false
    this.#session.awaitWord(null)
    const done = await accepted.finish()
    await this.#sendStates(accepted)
    this.#saidDone = true
    await this.#session.send({ type: 'done', done })
    this.#session.awaitWord(STALL_TIMEOUT_MS)
    this.#probe('done')
    accepted.report()
  }

  async #sendStates(accepted: AcceptedTransfer): Promise<void> {
    let runs: StateRun[] = []
    for (const run of accepted.stateRuns()) {
      runs.push(run)
      if (runs.length < STATE_RUNS_PER_MESSAGE) continue
      await this.#session.send({ type: 'states', runs })
      runs = []
    }
    if (runs.length > 0) await this.#session.send({ type: 'states', runs })
  }

  #teller(): Teller {
    return {
      acknowledge: (ranges) => {
        for (const page of encodeRangePages(ranges)) this.#session.send({ type: 'ack', page }).catch(() => undefined)
      },
      nack: (entry) => {
        this.#session.send({ type: 'nack', entry }).catch(() => undefined)
      },
      failed: (entry, code) => {
        const runs = [{ first: entry, count: 1, state: ENTRY_FAILED, code: new SealiftError(code, '').wireCode }]
        this.#session.send({ type: 'states', runs }).catch(() => undefined)
      },
    }
  }

  #chunk(message: ChunkMessage, release: () => void): void | Promise<void> {
    const accepted = this.#accepted
    // Chunks of an older epoch are what a replaced session still had under way; after a refusal none is wanted.
    if (accepted === null || message.epoch !== accepted.epoch || this.#outcome !== null) return undefined
    const { codec, offset, rawBytes, packed } = message
    if (rawBytes > this.#maxChunkBytes) throw new SealiftError('protocol_violation', 'a chunk is longer than was said')
    if (codec === 0) {
      if (packed.length !== rawBytes) throw new SealiftError('protocol_violation', 'a chunk is not as long as it says')
      return this.#unpacking.chunk(message, (raw) => accepted.incoming.chunk(offset, raw, release))
    }
    return this.#unpacking.chunk(message, (raw) => {
      release()
      return accepted.incoming.chunk(offset, raw, () => releasePacked(raw))
    })
  }

  async #refuse(error: SealiftError): Promise<void> {
    this.#outcome = { kind: 'ended', error }
    // What this side's user asked for cannot be had from this sender: to that one it is a no.
    const told = error.code === 'usage' ? new SealiftError('policy_refused', '') : error
    const roomBytes = error.roomBytes ?? null
    if (!REFUSALS.has(told.code) && roomBytes === null) {
      this.#session.fail(error)
      return
    }
    await this.#session.send({ type: 'reject', code: told.wireCode, roomBytes }).catch(() => undefined)
    void this.#session.close(0)
  }

  #fault(error: SealiftError): void {
    if (this.#session.isOver) return
    this.#outcome ??= { kind: 'ended', error }
    this.#stopped.resolve(undefined)
    this.#session.fail(error)
  }

  /** A fault of this side while chunks come in. Where it is for want of room, the sender is told how much there is. */
  fault(error: SealiftError): void {
    if (error.roomBytes === undefined || !this.#expectsContent || this.#outcome !== null) {
      this.#fault(error)
      return
    }
    this.#stopped.resolve(undefined)
    void this.#refuse(error)
  }
}

function acceptOf({ epoch, bytesPerSecond }: AcceptedTransfer): Accept {
  return bytesPerSecond === undefined ? { epoch } : { epoch, bytesPerSecond }
}

function senderFailure(code: ErrorCode): string {
  switch (code) {
    case 'source_vanished':
      return 'is gone at the sender, which cannot send it'
    case 'digest_mismatch':
      return 'arrived with another SHA-256 than it was read with, and is gone at the sender'
    default:
      return 'could not be read at the sender'
  }
}

function senderStopped(code: ErrorCode): SealiftError {
  switch (code) {
    case 'interrupted':
    case 'terminated':
    case 'peer_stopped':
      return new SealiftError('peer_stopped', 'the sender was stopped', {
        hint: 'when the sender runs again, run the same line again, with its new token if it has one',
      })
    case 'replaced':
      return new SealiftError('replaced', 'another receiver of yours took this transfer over')
    default:
      // What a peer says may end this side in words of its own, but not as if the user had stopped it or Sealift were at fault.
      return new SealiftError(isTellable(code) ? code : 'peer_stopped', `the sender ended the session (${code})`)
  }
}
