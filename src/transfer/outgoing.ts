/**
 * A transfer as it leaves: which ranges are still wanted, the files they are read from, and what became of each file,
 * across all sessions and lanes.
 *
 * Owns reading, the digests that are owed, and the pump from the scheduler into a lane. Knows lanes only by their
 * contract, and no sessions.
 */

import type { ContentReader, ReadOutcome } from '../files/content-reader.ts'
import { FrontierDigests } from '../files/file-digest.ts'
import { StreamReader } from '../files/stream-reader.ts'
import { TurnTaking } from '../files/turn-taking.ts'
import { ENTRY_FAILED, ENTRY_PENDING, ENTRY_PUBLISHED, ENTRY_SKIPPED, type EntryState } from '../ledger/entry-state.ts'
import { type ErrorCode, errorCodeFromWire, SealiftError } from '../protocol/errors.ts'
import { MAX_RANGES } from '../protocol/limits.ts'
import { KIND_FILE, type Manifest } from '../protocol/manifest.ts'
import type { EntryDigest, StateRun } from '../protocol/messages.ts'
import { type Range, RangeSet } from '../protocol/ranges.ts'
import { BufferRing } from './buffers.ts'
import type { Clock } from './clock.ts'
import type { Lane } from './lane.ts'
import { Scheduler } from './scheduler.ts'

/** Says beside the chunks what chunks cannot: the session of the moment. */
export interface Announcer {
  digests(digests: readonly EntryDigest[]): void
  failed(entry: number, code: ErrorCode): void
  /** The content of unknown length has come to its end. */
  ended(sizeBytes: number): void
  /** These will not be acknowledged any more. */
  abandoned(ranges: readonly Range[]): void
}

export interface OutgoingOptions {
  readonly manifest: Manifest
  /** A {@link StreamReader} where the size is not known yet. */
  readonly reader: ContentReader
  readonly clock: Clock
  /** Content that goes in front, in this order: whole files, none of them twice. */
  readonly first?: readonly RangeSet[]
  /** So much more (or less) is safe at the receiver. */
  readonly onProgress: (bytes: number) => void
  /** The size is known at last. */
  readonly onSize: (sizeBytes: number) => void
  /** An entry was skipped or failed, as the receiver said or this side knows; called once an entry. */
  readonly onEnded: (entry: number, state: EntryState, code: ErrorCode | null) => void
}

/** Chunks that are read, packed or sealed at once, at most, whatever the lane takes. */
const MAX_ROOMS = 6

interface Read {
  readonly range: Range
  readonly buffer: Uint8Array
  readonly outcome: ReadOutcome | Promise<ReadOutcome>
  /** Digests of files that end in it, where it is hashed already. */
  readonly finished: readonly EntryDigest[] | null
}

export class Outgoing {
  readonly manifest: Manifest
  readonly scheduler: Scheduler
  /** Content that is safe at the receiver, as far as this side was told. */
  readonly safeRanges = new RangeSet()
  readonly #options: OutgoingOptions
  readonly #reader: ContentReader
  /** The reader, where the content can be read only once. */
  readonly #stream: StreamReader | null
  readonly #digests: FrontierDigests
  /** As the receiver last said; failed also where this side gave up. */
  readonly #states: Uint8Array
  /** Files that this side gave up, and why. */
  readonly #givenUp = new Map<number, ErrorCode>()
  readonly #moves = new Set<Promise<void>>()
  /** Chunks that a lane packs and sends. */
  readonly #deliveries = new Set<Promise<void>>()
  #announcer: Announcer | null = null
  #hashing = false
  /** Where the last byte ends that was ever given to a lane. */
  #sentEnd = 0

  constructor(options: OutgoingOptions) {
    this.#options = options
    this.manifest = options.manifest
    this.#reader = options.reader
    this.#stream = options.reader instanceof StreamReader ? options.reader : null
    this.#digests = new FrontierDigests({
      manifest: options.manifest,
      readBack: (entry, fileOffset, into) => options.reader.readBack(entry, fileOffset, into),
      onDigest: (entry, sha256) => {
        // While a chunk is hashed, its digests wait for it to be sent.
        if (!this.#hashing) this.#announcer?.digests([{ entry, sha256 }])
      },
      onFailed: (entry, error) => this.#fail(entry, error.code),
    })
    this.#states = new Uint8Array(options.manifest.count)
    this.scheduler = new Scheduler(options.manifest, () => options.clock.nowMs(), options.first)
    this.#stream?.follow({
      grown: (start, end) => {
        if (this.state(STREAM_ENTRY) === ENTRY_PENDING) this.scheduler.want(start, end)
      },
      ended: (sizeBytes) => this.#streamEnded(sizeBytes),
      failed: ({ code }) => this.#fail(STREAM_ENTRY, code),
    })
  }

  /** What a receiver may have, at most: of a stream nothing but what was sent. */
  get endOffset(): number {
    return this.#stream === null ? this.manifest.endOffset : this.#sentEnd
  }

  /** Whether there may be nothing to send for as long as whoever writes into the stream likes. */
  get mayPause(): boolean {
    return this.manifest.totalBytes === null
  }

  #streamEnded(sizeBytes: number): void {
    this.manifest.settleSize(sizeBytes)
    this.#options.onSize(sizeBytes)
    this.#announcer?.ended(sizeBytes)
    this.#digests.settle(STREAM_ENTRY)
  }

  /** Content of files that will never be sent, because they are skipped or failed. */
  get voidBytes(): number {
    let bytes = 0
    for (let entry = 0; entry < this.manifest.count; entry++) {
      const state = this.state(entry)
      if (state === ENTRY_SKIPPED || state === ENTRY_FAILED) bytes += this.manifest.sizeBytes(entry) ?? 0
    }
    return bytes
  }

  /** Files that came to an end, as the receiver told. */
  get endedFiles(): number {
    let files = 0
    for (let entry = 0; entry < this.manifest.count; entry++) {
      if (this.manifest.kind(entry) === KIND_FILE && isLast(this.state(entry))) files++
    }
    return files
  }

  state(entry: number): EntryState {
    return this.#states[entry] as EntryState
  }

  /**
   * What the receiver says became of entries.
   * @throws SealiftError `protocol_violation` for entries that are not there
   */
  states(runs: readonly StateRun[]): void {
    for (const { first, count, state, code } of runs) {
      if (first + count > this.manifest.count || state > ENTRY_FAILED) {
        throw new SealiftError('protocol_violation', 'states of entries that are not there')
      }
      for (let entry = first; entry < first + count; entry++)
        this.#become(entry, state as EntryState, errorCodeFromWire(code))
    }
  }

  #become(entry: number, state: EntryState, code: ErrorCode | null): void {
    const before = this.state(entry)
    if (isLast(before)) return
    this.#states[entry] = state
    // What was published is reported at the end, all at once: the receiver waits for its answer until then.
    if (!isLast(state) || state === ENTRY_PUBLISHED) return
    const [start, end] = [this.manifest.startOffset(entry), this.manifest.endOffsetOf(entry)]
    this.scheduler.abandon(start, end)
    if (end > start) this.#announcer?.abandoned([{ start, end }])
    this.#options.onEnded(entry, state, code)
  }

  /** The receiver begins to say anew what it has: what it once had verified may be gone from its disk. */
  beginSurvey(): void {
    for (let entry = 0; entry < this.manifest.count; entry++) {
      if (!isLast(this.state(entry))) this.#states[entry] = ENTRY_PENDING
    }
  }

  /**
   * Whether the receiver may say that all is done: every entry has come to an end, and what it says is published was
   * acknowledged.
   */
  get isComplete(): boolean {
    for (let entry = 0; entry < this.manifest.count; entry++) {
      const state = this.state(entry)
      if (!isLast(state)) return false
      const [start, end] = [this.manifest.startOffset(entry), this.manifest.endOffsetOf(entry)]
      if (state === ENTRY_PUBLISHED && !this.safeRanges.contains(start, end)) return false
    }
    return true
  }

  /** A session is ready to take chunks: what is missing there becomes wanted. */
  attach(safe: RangeSet, announcer: Announcer): void {
    if (this.#stream !== null) this.#attachStream(this.#stream, safe, announcer)
    this.#announcer = announcer
    this.safeRanges.clear()
    this.safeRanges.addAll(safe)
    const wanted = new RangeSet()
    const { manifest } = this
    for (let entry = 0; entry < manifest.count; entry++) {
      if (manifest.kind(entry) !== KIND_FILE) continue
      const start = manifest.startOffset(entry)
      const end = this.#readableEnd(entry)
      const state = this.state(entry)
      if (state === ENTRY_PENDING && end > start) {
        if (safe.intersects(start, end)) this.#resumeFile(entry, safe, wanted)
        else wanted.add(start, end)
      }
    }
    for (const [entry, code] of this.#givenUp) announcer.failed(entry, code)
    this.scheduler.begin(wanted)
  }

  /** Where what can be sent of a file ends now. */
  #readableEnd(entry: number): number {
    return this.#stream === null ? this.manifest.endOffsetOf(entry) : this.#stream.end
  }

  /** A receiver that lost what it had acknowledged can get it again only while it is still held here. */
  #attachStream(stream: StreamReader, safe: RangeSet, announcer: Announcer): void {
    const { totalBytes } = this.manifest
    if (totalBytes !== null) announcer.ended(totalBytes)
    const safeEnd = safe.runEnd(0)
    if (this.state(STREAM_ENTRY) === ENTRY_PENDING && safeEnd < stream.start)
      this.#fail(STREAM_ENTRY, 'source_vanished')
    else stream.settle(safeEnd)
  }

  /** A file of which a part is there: the rest is wanted, and its digest, which needs all of it. */
  #resumeFile(entry: number, safe: RangeSet, wanted: RangeSet): void {
    const start = this.manifest.startOffset(entry)
    const end = this.#readableEnd(entry)
    wanted.addAll(safe.missing(start, end))
    for (const range of safe.within(start, end)) this.#digests.addStored(entry, range.start - start, range.end - start)
    const sha256 = this.#digests.digest(entry)
    if (sha256 !== null) this.#announcer?.digests([{ entry, sha256 }])
  }

  /** The session is over; nothing is said until the next one. */
  detach(announcer: Announcer): void {
    if (this.#announcer === announcer) this.#announcer = null
  }

  /** The receiver committed these. */
  safe(ranges: readonly Range[]): void {
    let bytes = 0
    for (const { start, end } of ranges) bytes += this.safeRanges.add(start, end)
    if (this.safeRanges.count > MAX_RANGES) throw new SealiftError('limit_exceeded', 'too many separate ranges')
    this.scheduler.settle(ranges)
    this.#stream?.settle(this.safeRanges.runEnd(0))
    this.#options.onProgress(bytes)
  }

  /** The receiver's digest of a file was another: once more from the start. */
  again(entry: number): void {
    if (entry >= this.manifest.count || this.manifest.kind(entry) !== KIND_FILE) {
      throw new SealiftError('protocol_violation', 'a file to send again that is not there')
    }
    if (isLast(this.state(entry))) return
    if (this.#stream !== null && this.#stream.start > 0) {
      this.#fail(entry, 'digest_mismatch')
      return
    }
    this.#stream?.settle(0)
    const start = this.manifest.startOffset(entry)
    const end = this.#readableEnd(entry)
    this.#digests.drop(entry)
    const bytes = this.safeRanges.remove(start, end)
    if (bytes > 0) this.#options.onProgress(-bytes)
    this.scheduler.want(start, end)
  }

  /**
   * Feeds a lane until the signal is aborted: leases, reads and sends, one read ahead of the lane, and as many chunks at
   * once as the lane has room for.
   * @throws the signal's reason; what is not the fault of one file
   */
  move(lane: Lane, signal: AbortSignal): Promise<void> {
    const move = this.#move(lane, signal).finally(() => this.#moves.delete(move))
    this.#moves.add(move)
    return move
  }

  async #move(lane: Lane, signal: AbortSignal): Promise<void> {
    const failure = new AbortController()
    const over = AbortSignal.any([signal, failure.signal])
    const rooms = new BufferRing(lane.limits.maxChunkBytes, MAX_ROOMS)
    let next: Read | null = null
    const turns = new TurnTaking()
    try {
      for (;;) {
        if (turns.isDue()) await turns.rest()
        const bytes = await lane.capacity(over)
        if (next === null) await rooms.spare(over)
        const current = next ?? this.#read(lane, bytes, rooms)
        next = null
        if (current === null) {
          await this.#changed(over)
          continue
        }
        const outcome = await current.outcome
        over.throwIfAborted()
        // The next read is under way in the pool while this chunk is sealed here.
        if (rooms.hasSpare) next = this.#read(lane, bytes, rooms)
        const delivery = this.#deliver(lane, current, outcome, over)
          .catch((error: unknown) => failure.abort(error))
          .finally(() => {
            rooms.give(current.buffer)
            this.#deliveries.delete(delivery)
          })
        this.#deliveries.add(delivery)
      }
    } finally {
      // Only here is it certain that nothing more is leased for this lane: a new session may have begun meanwhile.
      this.scheduler.release(lane)
      await Promise.allSettled([next?.outcome])
    }
  }

  #read(lane: Lane, maxBytes: number, rooms: BufferRing): Read | null {
    const range = this.scheduler.lease(lane, maxBytes)
    if (range === null) return null
    const buffer = rooms.take()
    const outcome = this.#reader.read(range.start, range.end, buffer)
    if (outcome instanceof Promise) {
      outcome.catch(() => undefined)
      return { range, buffer, outcome, finished: null }
    }
    // A stream is hashed in its order, which lanes beside each other do not keep: what is safe of it cannot be read back.
    const finished = this.#stream === null ? null : this.#hash(range.start, buffer.subarray(0, outcome.bytes))
    return { range, buffer, outcome, finished }
  }

  async #deliver(
    lane: Lane,
    { range, buffer, finished: hashed }: Read,
    outcome: ReadOutcome,
    signal: AbortSignal,
  ): Promise<void> {
    const end = range.start + outcome.bytes
    if (outcome.bytes > 0) {
      this.#sentEnd = Math.max(this.#sentEnd, end)
      const bytes = buffer.subarray(0, outcome.bytes)
      const sent = lane.send({ start: range.start, end, bytes }, signal)
      // Here, while the lane packs it in the pool.
      const finished = hashed ?? this.#hash(range.start, bytes)
      await sent
      if (finished.length > 0) this.#announcer?.digests(finished)
    }
    if (outcome.failed !== null) this.#fail(outcome.failed.entry, outcome.failed.code)
    if (end < range.end) this.scheduler.giveBack([{ start: end, end: range.end }])
  }

  /** Hashes what is about to be sent. @returns the digests of files that end in it */
  #hash(offset: number, bytes: Uint8Array): EntryDigest[] {
    const { manifest } = this
    const end = offset + bytes.length
    const finished: EntryDigest[] = []
    this.#hashing = true
    this.#digests.addContent(offset, bytes)
    this.#hashing = false
    for (let entry = manifest.fileAt(offset); entry < manifest.count && manifest.startOffset(entry) < end; entry++) {
      if (manifest.endOffsetOf(entry) > end) break
      if (manifest.sizeBytes(entry) === 0) continue
      const sha256 = this.#digests.digest(entry)
      if (sha256 !== null) finished.push({ entry, sha256 })
    }
    return finished
  }

  /** SHA-256 of a file that was read to its end, borrowed; `null` where it was not. */
  sha256(entry: number): Uint8Array | null {
    return this.manifest.kind(entry) === KIND_FILE ? this.#digests.digest(entry) : null
  }

  /**
   * Ends reading, once every lane was told to stop; nothing is announced any more. Resolves when all files are closed and
   * no lane works on a chunk.
   */
  async close(): Promise<void> {
    this.#announcer = null
    await Promise.allSettled([this.#digests.close(), ...this.#moves, ...this.#deliveries])
    this.#reader.close()
  }

  /** Gives one file up; the others go on. */
  #fail(entry: number, code: ErrorCode): void {
    this.#givenUp.set(entry, code)
    this.#announcer?.failed(entry, code)
    this.#digests.drop(entry)
    this.#become(entry, ENTRY_FAILED, code)
  }

  #changed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const stop = (): void => reject(signal.reason as Error)
      if (signal.aborted) stop()
      signal.addEventListener('abort', stop, { once: true })
      void this.scheduler.changed().then(() => {
        signal.removeEventListener('abort', stop)
        resolve()
      })
    })
  }
}

/** A stream is the only entry of its transfer. */
const STREAM_ENTRY = 0

function isLast(state: EntryState): boolean {
  return state === ENTRY_PUBLISHED || state === ENTRY_SKIPPED || state === ENTRY_FAILED
}
