/**
 * A transfer as it arrives: chunks become staged files, staged files become verified ones, and the ledger learns of
 * each step before the sender does.
 *
 * Owns what is written, hashed, verified and acknowledged, across all sessions of the transfer. Knows no session, socket
 * or terminal: it is given chunks and tells a {@link Teller} what became of them.
 */

import { FrontierDigests } from '../files/file-digest.ts'
import type { TreeWriter } from '../files/tree-writer.ts'
import { ENTRY_FAILED, ENTRY_PENDING, ENTRY_VERIFIED } from '../ledger/entry-state.ts'
import type { Progress as LedgerProgress } from '../ledger/progress.ts'
import { compareBytes } from '../protocol/bytes.ts'
import { type ErrorCode, SealiftError } from '../protocol/errors.ts'
import {
  CHECKPOINT_BYTES,
  CHECKPOINT_MS,
  MAX_RANGES,
  MAX_UNACKNOWLEDGED_BYTES,
  SYNC_BYTES,
  SYNC_MS,
} from '../protocol/limits.ts'
import { KIND_FILE, type Manifest } from '../protocol/manifest.ts'
import { escapeForDisplay } from '../protocol/names.ts'
import { type Range, RangeSet } from '../protocol/ranges.ts'
import type { Clock } from './clock.ts'
import type { StageProbe } from './stage.ts'

/** Hears what became of what was sent: the session of the moment, if there is one. */
export interface Teller {
  /** Committed: these ranges are safe. */
  acknowledge(ranges: RangeSet): void
  /** A file arrived with another digest and is to be sent once more. */
  nack(entry: number): void
  /** An entry failed here; nothing more of it is wanted. */
  failed(entry: number, code: ErrorCode): void
}

export interface IncomingOptions {
  readonly manifest: Manifest
  readonly writer: TreeWriter
  readonly ledger: LedgerProgress
  readonly clock: Clock
  readonly probe: StageProbe
  /** A file came to an end that is not success; called once an entry. */
  readonly onFailed: (entry: number, code: ErrorCode, message: string) => void
  /** So much more is safe (negative where a file must come again). */
  readonly onProgress: (bytes: number, files: number) => void
  /** The size of content of unknown length is known at last. */
  readonly onSize: (sizeBytes: number) => void
  /** A fault that ends the session, and perhaps the transfer. */
  readonly onFault: (error: SealiftError) => void
}

/** Bytes on their way to the disk, at most: more, and the sender is held back. */
const MAX_WRITING_BYTES = 8 << 20

export class Incoming {
  readonly #options: IncomingOptions
  readonly #manifest: Manifest
  readonly #writer: TreeWriter
  readonly #digests: FrontierDigests
  readonly #ledger: LedgerProgress
  /** Committed to the ledger. */
  readonly #safe = new RangeSet()
  /** Safe, or written, or being written: what comes again of it is dropped. */
  readonly #received = new RangeSet()
  /** Written, waiting for a checkpoint. */
  #written = new RangeSet()
  readonly #expected = new Map<number, Uint8Array>()
  readonly #mismatched = new Set<number>()
  /** Files that did not come whole in one chunk, and are to be finished. */
  readonly #inParts = new Set<number>()
  #teller: Teller | null = null
  #unfinished = 0
  #writingBytes = 0
  /** Writes under way, by file, and what is to be done with the file after them. */
  readonly #writing = new Map<number, { writes: number; readonly then: (() => void)[] }>()
  /** Writes that the chunk of the moment began. */
  #justBegun: Promise<void>[] = []
  /** Streams that are held back until less is being written. */
  #wakeWriters: (() => void)[] = []
  #checkpointing: Promise<void> | null = null
  #cancelTimer: (() => void) | null = null
  #syncing: Promise<void> | null = null
  #lastSyncMs: number
  #stopped = false
  readonly #complete = Promise.withResolvers<undefined>()

  constructor(options: IncomingOptions) {
    this.#options = options
    this.#manifest = options.manifest
    this.#writer = options.writer
    this.#digests = new FrontierDigests({
      manifest: options.manifest,
      readBack: (entry, fileOffset, into) => options.writer.read(entry, fileOffset, into),
      onDigest: (entry) => this.#settle(entry),
      onFailed: (entry) => this.#mismatch(entry),
    })
    this.#ledger = options.ledger
    this.takeStock()
    this.#lastSyncMs = options.clock.nowMs()
    this.#complete.promise.catch(() => undefined)
  }

  /** Counts what is in the ledger as safe; to be called again where something else put bytes there, before chunks come. */
  takeStock(): void {
    this.#safe.addAll(this.#ledger.ranges.all())
    this.#received.addAll(this.#safe)
  }

  /** What a commit has made safe; a copy. */
  get safeRanges(): RangeSet {
    return this.#safe.clone()
  }

  /** Resolves when every entry is verified, skipped or failed. */
  get complete(): Promise<unknown> {
    return this.#complete.promise
  }

  /** Settles what needs no bytes, and looks again at what an earlier process left. */
  begin(): void {
    const { states } = this.#ledger
    this.#unfinished = states.tally(ENTRY_PENDING)
    for (let entry = 0; entry < this.#manifest.count; entry++) {
      if (states.get(entry) !== ENTRY_PENDING) continue
      if (this.#manifest.kind(entry) !== KIND_FILE) this.#verified(entry, undefined)
      else if (this.#manifest.sizeBytes(entry) === 0) this.#settleEmpty(entry)
      else this.#catchUp(entry)
    }
    if (this.#unfinished === 0) this.#complete.resolve(undefined)
  }

  /** Whom to tell from now on; `null` while no session is up. */
  tell(teller: Teller | null): void {
    this.#teller = teller
  }

  /** Lets go of timers; nothing is written to the ledger after the promise. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#cancelTimer?.()
    this.#cancelTimer = null
    await this.#digests.close()
    for (const entry of this.#writing.keys()) await new Promise<void>((resolve) => this.#whenWritten(entry, resolve))
    await this.#checkpointing?.catch(() => undefined)
    await this.#syncing?.catch(() => undefined)
  }

  #settleEmpty(entry: number): void {
    this.#guard(entry, () => {
      this.#writer.writeEmpty(entry)
      this.#verified(entry, this.#digests.digest(entry) ?? undefined)
    })
  }

  /** A file begun by an earlier process is hashed again from its first byte, beside the network (PROTOCOL 3.10). */
  #catchUp(entry: number): void {
    const start = this.#manifest.startOffset(entry)
    if (!this.#received.intersects(start, this.#manifest.endOffsetOf(entry))) return
    this.#inParts.add(entry)
    for (const range of this.#received.within(start, this.#manifest.endOffsetOf(entry))) {
      this.#digests.addStored(entry, range.start - start, range.end - start)
    }
  }

  /**
   * Takes the raw bytes of a chunk; what is there already is dropped, so the same chunk twice changes nothing.
   * @param release called when the bytes are needed no more
   * @returns a promise where the sender is to be held back
   * @throws SealiftError `protocol_violation` beyond the content; what the disk says
   */
  chunk(offset: number, bytes: Uint8Array, release: () => void): void | Promise<void> {
    const end = offset + bytes.length
    if (end > this.#manifest.endOffset) throw new SealiftError('protocol_violation', 'a chunk lies beyond the content')
    // Without an end, a hole could be of any size.
    if (this.#manifest.totalBytes === null && end > this.#received.runEnd(0) + MAX_UNACKNOWLEDGED_BYTES)
      throw new SealiftError('protocol_violation', 'a chunk lies far beyond what has come')
    this.#options.probe('chunk')
    if (!this.#received.intersects(offset, end)) this.#store(offset, bytes)
    else {
      for (const gap of this.#received.missing(offset, end)) {
        this.#store(gap.start, bytes.subarray(gap.start - offset, gap.end - offset))
      }
    }
    if (this.#received.count > MAX_RANGES) throw new SealiftError('limit_exceeded', 'too many separate ranges')
    if (this.#justBegun.length === 0) release()
    else void Promise.allSettled(this.#justBegun).then(release)
    this.#justBegun = []
    this.#scheduleCheckpoint()
    if (this.#writingBytes > MAX_WRITING_BYTES) {
      return new Promise((resolve) => this.#wakeWriters.push(resolve))
    }
    return undefined
  }

  #store(offset: number, bytes: Uint8Array): void {
    const manifest = this.#manifest
    const end = offset + bytes.length
    this.#received.add(offset, end)
    let entry = manifest.fileAt(offset)
    for (let at = offset; at < end;) {
      const start = manifest.startOffset(entry)
      const stop = Math.min(end, manifest.endOffsetOf(entry))
      if (stop > at) {
        if (this.#ledger.states.get(entry) === ENTRY_PENDING) {
          this.#storePiece(entry, at - start, bytes.subarray(at - offset, stop - offset), { start: at, end: stop })
        }
        at = stop
      }
      entry++
    }
  }

  #storePiece(entry: number, fileOffset: number, bytes: Uint8Array, range: Range): void {
    this.#guard(entry, () => {
      const writing = this.#writer.write(entry, fileOffset, bytes)
      if (writing === undefined) {
        this.#written.add(range.start, range.end)
        // Last, since the sender may have said the digest already, on another stream: then this ends the file.
        this.#digests.add(entry, fileOffset, bytes)
        return
      }
      this.#inParts.add(entry)
      // At the frontier, bytes are hashed on this thread while the pool writes them; beyond it, they must be written
      // before they can be read back.
      const direct = this.#digests.frontier(entry) >= fileOffset
      this.#writingBytes += bytes.length
      if (direct) this.#digests.add(entry, fileOffset, bytes)
      this.#beginWrite(entry)
      const written = writing
        .then(
          () => {
            this.#writtenLater(bytes.length)
            if (this.#ledger.states.get(entry) !== ENTRY_PENDING) return
            this.#written.add(range.start, range.end)
            if (!direct) this.#digests.add(entry, fileOffset, bytes)
            this.#scheduleCheckpoint()
            this.#settle(entry)
          },
          (error: unknown) => {
            this.#writtenLater(bytes.length)
            this.#guard(entry, () => {
              throw error
            })
          },
        )
        .finally(() => this.#endWrite(entry))
      this.#justBegun.push(written)
    })
  }

  #beginWrite(entry: number): void {
    const writing = this.#writing.get(entry)
    if (writing === undefined) this.#writing.set(entry, { writes: 1, then: [] })
    else writing.writes++
  }

  #endWrite(entry: number): void {
    const writing = this.#writing.get(entry)
    if (writing === undefined || --writing.writes > 0) return
    this.#writing.delete(entry)
    for (const call of writing.then) call()
  }

  /** Calls when nothing is being written to the file: now, or later. */
  #whenWritten(entry: number, call: () => void): void {
    const writing = this.#writing.get(entry)
    if (writing === undefined) call()
    else writing.then.push(call)
  }

  #writtenLater(bytes: number): void {
    this.#writingBytes -= bytes
    if (this.#writingBytes <= MAX_WRITING_BYTES / 2) for (const wake of this.#wakeWriters.splice(0)) wake()
  }

  /** The sender's digests of files whose last chunk it has sent. */
  digest(entry: number, sha256: Uint8Array): void {
    if (entry >= this.#manifest.count || this.#manifest.kind(entry) !== KIND_FILE) {
      throw new SealiftError('protocol_violation', 'a digest for what is no file')
    }
    if (this.#ledger.states.get(entry) !== ENTRY_PENDING) return
    this.#expected.set(entry, sha256.slice())
    this.#settle(entry)
  }

  /**
   * The content of unknown length has come to its end.
   * @throws SealiftError `protocol_violation` where the length is known and another, or less than what has come
   */
  end(sizeBytes: number): void {
    const isPending = this.#ledger.states.get(STREAM_ENTRY) === ENTRY_PENDING
    if (this.#manifest.totalBytes === null && isPending && sizeBytes < this.#received.end)
      throw new SealiftError('protocol_violation', 'the content ends before what has come of it')
    this.#manifest.settleSize(sizeBytes)
    this.#options.onSize(sizeBytes)
    if (!isPending) return
    if (sizeBytes === 0) this.#settleEmpty(STREAM_ENTRY)
    else {
      this.#digests.settle(STREAM_ENTRY)
      this.#settle(STREAM_ENTRY)
    }
  }

  /** The sender gave a file up. */
  fail(entry: number, code: ErrorCode, message: string): void {
    if (entry >= this.#manifest.count)
      throw new SealiftError('protocol_violation', 'a failure of an entry that is not there')
    if (this.#ledger.states.get(entry) !== ENTRY_PENDING) return
    this.#failed(entry, code, `${escapeForDisplay(this.#manifest.path(entry))} ${message}`)
  }

  /** Ends the entry where it is whole here and the sender has said its digest. */
  #settle(entry: number): void {
    const expected = this.#expected.get(entry)
    if (expected === undefined || this.#ledger.states.get(entry) !== ENTRY_PENDING) return
    const start = this.#manifest.startOffset(entry)
    const end = this.#manifest.endOffsetOf(entry)
    if (!this.#received.contains(start, end) || !this.#isWritten(start, end)) return
    const own = this.#digests.digest(entry)
    if (own === null) return
    this.#expected.delete(entry)
    if (compareBytes(own, expected) === 0) {
      this.#guard(entry, () => {
        if (this.#inParts.delete(entry)) this.#writer.finish(entry)
        this.#verified(entry, own)
      })
    } else this.#mismatch(entry)
  }

  #isWritten(start: number, end: number): boolean {
    if (this.#written.contains(start, end)) return true
    const missing = this.#ledger.ranges.missing(start, end)
    missing.removeAll(this.#written.within(start, end))
    return missing.count === 0
  }

  /** What arrived is not what was read there: once more from the start, and after that never again (PROTOCOL 2.4). */
  #mismatch(entry: number): void {
    if (this.#mismatched.has(entry)) {
      const path = escapeForDisplay(this.#manifest.path(entry))
      this.#failed(entry, 'digest_mismatch', `${path} arrived twice with another SHA-256 than its source`)
      return
    }
    this.#mismatched.add(entry)
    this.#whenWritten(entry, () => {
      if (this.#ledger.states.get(entry) !== ENTRY_PENDING) return
      this.#forget(entry)
      this.#teller?.nack(entry)
    })
  }

  #forget(entry: number): void {
    const start = this.#manifest.startOffset(entry)
    const end = this.#manifest.endOffsetOf(entry)
    this.#safe.remove(start, end)
    this.#received.remove(start, end)
    this.#written.remove(start, end)
    const dropped = this.#ledger.ranges.drop(start, end)
    if (dropped > 0) this.#options.onProgress(-dropped, 0)
    this.#digests.drop(entry)
    this.#inParts.delete(entry)
    this.#whenWritten(entry, () => this.#guard(entry, () => this.#writer.drop(entry)))
  }

  #verified(entry: number, sha256: Uint8Array | undefined): void {
    this.#ledger.states.set(entry, ENTRY_VERIFIED, sha256)
    if (this.#manifest.kind(entry) === KIND_FILE) this.#options.onProgress(0, 1)
    this.#ended()
  }

  #failed(entry: number, code: ErrorCode, message: string): void {
    if (this.#ledger.states.get(entry) !== ENTRY_PENDING) return
    this.#expected.delete(entry)
    this.#forget(entry)
    // Its bytes count as received from here on: what is still on its way is dropped.
    this.#received.add(this.#manifest.startOffset(entry), this.#manifest.endOffsetOf(entry))
    this.#ledger.states.set(entry, ENTRY_FAILED)
    this.#teller?.failed(entry, code)
    this.#options.onFailed(entry, code, message)
    this.#ended()
  }

  #ended(): void {
    this.#unfinished--
    if (this.#unfinished === 0) this.#complete.resolve(undefined)
  }

  /** Runs a step for one entry: a fault of its name fails the entry, any other ends the session. */
  #guard(entry: number, step: () => void): void {
    try {
      step()
    } catch (thrown) {
      const error = thrown instanceof SealiftError ? thrown : null
      if (error !== null && ENTRY_FAULTS.has(error.code)) this.#failed(entry, error.code, error.message)
      else if (error !== null) this.#options.onFault(error)
      else throw thrown
    }
  }

  #scheduleCheckpoint(): void {
    if (this.#stopped || this.#checkpointing !== null) return
    if (this.#written.totalBytes >= CHECKPOINT_BYTES) void this.checkpoint()
    else if (this.#cancelTimer === null && this.#written.totalBytes > 0) {
      this.#cancelTimer = this.#options.clock.after(CHECKPOINT_MS, () => {
        this.#cancelTimer = null
        void this.checkpoint()
      })
    }
  }

  /** Commits what is written and acknowledges it; a failed commit is a fault. Never rejects. */
  checkpoint(): Promise<void> {
    this.#checkpointing ??= this.#commit().finally(() => {
      this.#checkpointing = null
      if (this.#written.totalBytes > 0) this.#scheduleCheckpoint()
    })
    return this.#checkpointing
  }

  async #commit(): Promise<void> {
    this.#cancelTimer?.()
    this.#cancelTimer = null
    const ranges = this.#written
    this.#written = new RangeSet()
    let bytes = 0
    for (const { start, end } of ranges) bytes += this.#ledger.ranges.add(start, end)
    this.#options.probe('before-checkpoint')
    try {
      await this.#ledger.checkpoint()
    } catch (error) {
      this.#options.onFault(error as SealiftError)
      return
    }
    this.#options.probe('after-checkpoint')
    // A file that was dropped meanwhile is not safe, whatever was committed.
    for (const { start, end } of [...ranges]) ranges.removeAll(this.#ledger.ranges.missing(start, end))
    this.#safe.addAll(ranges)
    if (ranges.count > 0) this.#teller?.acknowledge(ranges)
    if (bytes > 0) this.#options.onProgress(bytes, 0)
    this.#maybeSync()
  }

  /** Beside the transfer: makes durable what is staged, so that a reboot costs seconds of work, not all of it. */
  #maybeSync(): void {
    const { ranges } = this.#ledger
    const sinceMs = this.#options.clock.nowMs() - this.#lastSyncMs
    if (this.#syncing !== null || this.#stopped) return
    if (ranges.unsyncedBytes < SYNC_BYTES && (sinceMs < SYNC_MS || ranges.unsyncedBytes === 0)) return
    this.#syncing = this.sync()
      .catch((error: unknown) => this.#options.onFault(error as SealiftError))
      .finally(() => {
        this.#syncing = null
      })
  }

  /** All that is staged now is durable when this resolves. @throws SealiftError `disk_full`, `disk_fault` */
  async sync(): Promise<void> {
    this.#lastSyncMs = this.#options.clock.nowMs()
    const mark = this.#ledger.ranges.beginSync()
    try {
      await this.#writer.sync()
      this.#ledger.ranges.endSync(mark)
    } catch (error) {
      this.#ledger.ranges.cancelSync(mark)
      throw error
    }
  }
}

/** Content of unknown length is the only entry of its transfer. */
const STREAM_ENTRY = 0

/** Faults of one name; the other files can still go on. */
const ENTRY_FAULTS: ReadonlySet<ErrorCode> = new Set(['name_unusable', 'entry_in_the_way'])
