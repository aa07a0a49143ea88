/**
 * The lane over one session: chunks go out as CHUNK records, ACK comes back as receipts.
 *
 * Owns the size of chunks and their compression: a few chunks are packed at once, beside the sealing, and leave in the
 * order in which they were given. The window is shared with the other lanes of the session, and so is what may wait in
 * this process. Knows nothing of files or the ledger.
 */

import { ChunkPacker } from '../codecs/chunk-packer.ts'
import type { EncodedChunk } from '../codecs/codec-table.ts'
import type { CompressSetting } from '../protocol/choices.ts'
import { CHECKPOINT_MS, MAX_CHUNK_BYTES, MAX_UNACKNOWLEDGED_BYTES, MIN_CHUNK_BYTES } from '../protocol/limits.ts'
import type { Range } from '../protocol/ranges.ts'
import { RangeSet } from '../protocol/ranges.ts'
import { releasePacked } from './buffers.ts'
import { type Clock, orAborted } from './clock.ts'
import type { Chunk, Lane, LaneEnd, Receipt } from './lane.ts'
import { SendWindow } from './send-window.ts'
import type { Session } from './session.ts'

/** Sealed chunks of all lanes that wait in this process, at most: enough to keep the socket busy while the next one is made. */
const MAX_QUEUED_CHUNKS = 3
/** Chunks that are packed at once, by all lanes. The thread pool has four threads, and files are read on it too. */
const MAX_PACKING = 3
/** What a lane with others beside it has under way at first, and may always have. */
const LEAST_SHARE_BYTES = 3 << 20
/** The rate is measured over at least so long. */
const RATE_WINDOW_MS = 100

export interface StreamLaneOptions {
  readonly session: Session
  readonly clock: Clock
  /** As the receiver gave it: chunks of older epochs are thrown away there. */
  readonly epoch: number
  /** What both sides take. */
  readonly maxChunkBytes: number
  readonly compress: CompressSetting
  /** `null`: the codec's default. */
  readonly compressionLevel: number | null
  /** Shared with the other lanes of the session; default: there are none. */
  readonly window?: SendWindow
}

export class StreamLane implements Lane {
  readonly limits: Lane['limits']
  readonly receipts: AsyncIterable<Receipt>
  readonly closed: Promise<LaneEnd>
  readonly #session: Session
  readonly #clock: Clock
  readonly #epoch: number
  readonly #packer: ChunkPacker
  readonly #window: SendWindow
  /** Chunks on their way out that are being packed, or wait for one that is. */
  #packing = 0
  /** Settles when the chunk before has been sealed, or never will be. Never rejects. */
  #turn: Promise<unknown> = Promise.resolve()
  /** Given to this lane and not receipted. */
  readonly #unacknowledged = new RangeSet()
  #chunkBytes: number
  #measuredBytes = 0
  #lastReceiptMs: number
  #measuredSinceMs: number
  #shareBytes = LEAST_SHARE_BYTES
  #settledBytes = 0
  #settledSinceMs: number
  readonly #pending: Receipt[] = []
  #receiptCount = 0
  #wakeReader: (() => void) | null = null
  #wakeCapacity: (() => void) | null = null

  constructor(options: StreamLaneOptions) {
    this.#session = options.session
    this.#clock = options.clock
    this.#epoch = options.epoch
    this.#packer = new ChunkPacker(options.compress, options.compressionLevel)
    this.#window = options.window ?? new SendWindow()
    const leave = this.#window.enter(() => this.#wakeCapacity?.())
    this.limits = {
      maxChunkBytes: Math.min(options.maxChunkBytes, MAX_CHUNK_BYTES),
      windowBytes: MAX_UNACKNOWLEDGED_BYTES,
    }
    this.#chunkBytes = this.limits.maxChunkBytes
    this.#measuredSinceMs = this.#clock.nowMs()
    this.#lastReceiptMs = this.#measuredSinceMs
    this.#settledSinceMs = this.#measuredSinceMs
    this.receipts = { [Symbol.asyncIterator]: () => this.#readReceipts() }
    this.closed = this.#session.end.then(({ error }) => {
      leave()
      this.#forget([...this.#unacknowledged])
      this.#wakeReader?.()
      this.#wakeCapacity?.()
      return error === null ? { retryable: false } : { retryable: error.retryable, error }
    })
  }

  async capacity(signal: AbortSignal): Promise<number> {
    for (;;) {
      signal.throwIfAborted()
      if (this.#session.isOver) return never(signal)
      const { lanes, roomBytes } = this.#window
      const queueBytes = this.limits.maxChunkBytes * Math.max(1, MAX_QUEUED_CHUNKS / lanes)
      if (this.#session.queuedBytes >= queueBytes) {
        await orAborted(this.#session.drained(queueBytes), signal)
        continue
      }
      // Each of the others may have been told the same, and has not sent its chunk yet.
      const roomForOne = roomBytes - (lanes - 1) * this.limits.maxChunkBytes
      const hasRoom = roomForOne >= this.#chunkBytes && this.#isWithinShare
      if (hasRoom && this.#packing < Math.max(1, MAX_PACKING / lanes)) return this.#chunkBytes
      await this.#progress(signal)
    }
  }

  /**
   * With others beside it, a lane takes no more than it brings in a second: what one that is slow had taken would be waited
   * for at the end, when the others have nothing left to do.
   */
  get #isWithinShare(): boolean {
    return !this.#window.isShared || this.#unacknowledged.totalBytes + this.#chunkBytes <= this.#shareBytes
  }

  /** A receipt arrived, a chunk was packed, or the session is over. */
  #progress(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        signal.removeEventListener('abort', wake)
        this.#wakeCapacity = null
        resolve()
      }
      this.#wakeCapacity = wake
      signal.addEventListener('abort', wake, { once: true })
    })
  }

  async send(chunk: Chunk, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    // Whoever gave it hears of the end, and has it sent by another.
    if (this.#session.isOver) return
    if (this.#unacknowledged.count === 0) this.#lastReceiptMs = this.#clock.nowMs()
    this.#window.take(this.#unacknowledged.add(chunk.start, chunk.end))
    const packing = this.#packer.pack(chunk.bytes)
    if (packing === null && this.#packing === 0) this.#seal(chunk, { codecId: 0, bytes: chunk.bytes })
    else await this.#sealLater(chunk, packing, signal)
  }

  async #sealLater(chunk: Chunk, packing: Promise<EncodedChunk> | null, signal: AbortSignal): Promise<void> {
    const before = this.#turn
    const turn = Promise.withResolvers<undefined>()
    this.#turn = turn.promise
    this.#packing++
    try {
      const packed = (await packing) ?? { codecId: 0, bytes: chunk.bytes }
      await before
      signal.throwIfAborted()
      this.#seal(chunk, packed)
      if (packed.codecId !== 0) releasePacked(packed.bytes)
    } catch (error) {
      this.#forget([chunk])
      throw error
    } finally {
      void before.then(() => turn.resolve(undefined))
      this.#packing--
      this.#wakeCapacity?.()
    }
  }

  #seal({ start, end }: Range, { codecId, bytes }: EncodedChunk): void {
    const rawBytes = end - start
    const sent = this.#session.sendChunk({ codec: codecId, epoch: this.#epoch, offset: start, rawBytes }, bytes)
    sent.then(
      () => this.#measure(rawBytes),
      // The session's end says the same, and to whom it matters.
      () => undefined,
    )
  }

  /** Milliseconds for which chunks have been under way without one being acknowledged; 0 where none are. */
  get stalledMs(): number {
    return this.#unacknowledged.count === 0 ? 0 : this.#clock.nowMs() - this.#lastReceiptMs
  }

  /** ACK arrived for these ranges. */
  acknowledge(ranges: readonly Range[]): void {
    this.settle(ranges)
    this.#receipt({ safe: ranges })
  }

  /** ACK arrived for these ranges, some of them perhaps of this lane; another one gives the receipt. */
  settle(ranges: readonly Range[]): void {
    const freedBytes = this.#forget(ranges)
    this.#measureShare(freedBytes)
    // Nothing acknowledged: the receiver says that it lives, and is held back itself (PROTOCOL 2.5).
    if (freedBytes > 0 || ranges.length === 0) this.#lastReceiptMs = this.#clock.nowMs()
  }

  /** Receivers acknowledge a few times in a second. */
  #measureShare(settledBytes: number): void {
    this.#settledBytes += settledBytes
    const elapsedMs = this.#clock.nowMs() - this.#settledSinceMs
    if (elapsedMs < CHECKPOINT_MS) return
    this.#shareBytes = Math.max(LEAST_SHARE_BYTES, (this.#settledBytes / elapsedMs) * 1000)
    this.#settledBytes = 0
    this.#settledSinceMs = this.#clock.nowMs()
  }

  /** @returns how many bytes of them were under way here */
  #forget(ranges: readonly Range[]): number {
    let bytes = 0
    for (const { start, end } of ranges) bytes += this.#unacknowledged.remove(start, end)
    this.#window.giveBack(bytes)
    return bytes
  }

  /** The receiver threw these away. */
  lose(ranges: readonly Range[]): void {
    this.#forget(ranges)
    this.#receipt({ lost: ranges })
  }

  /** How many receipts there have been, read or not. */
  get receiptCount(): number {
    return this.#receiptCount
  }

  #receipt(receipt: Receipt): void {
    this.#receiptCount++
    this.#pending.push(receipt)
    this.#wakeReader?.()
    this.#wakeCapacity?.()
  }

  async *#readReceipts(): AsyncGenerator<Receipt, undefined> {
    for (;;) {
      const receipt = this.#pending.shift()
      if (receipt !== undefined) yield receipt
      else if (this.#session.isOver) return
      else {
        await new Promise<void>((resolve) => {
          this.#wakeReader = resolve
        })
        this.#wakeReader = null
      }
    }
  }

  /**
   * A chunk is what leaves in a quarter of a second, so that a slow path is not held for long by one (PROTOCOL 2.2).
   * Counted as content: what packs well leaves sooner, and packs better in large chunks.
   */
  #measure(rawBytes: number): void {
    this.#measuredBytes += rawBytes
    const elapsedMs = this.#clock.nowMs() - this.#measuredSinceMs
    if (elapsedMs < RATE_WINDOW_MS) return
    const quarterSecond = (this.#measuredBytes / elapsedMs) * 250
    this.#chunkBytes = Math.max(
      Math.min(MIN_CHUNK_BYTES, this.limits.maxChunkBytes),
      Math.min(this.limits.maxChunkBytes, Math.round(quarterSecond)),
    )
    this.#measuredBytes = 0
    this.#measuredSinceMs = this.#clock.nowMs()
  }
}

/** A lane that has ended never has room: only the caller's signal ends the wait. */
function never(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason as Error)
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
  })
}
