/**
 * SHA-256 of every file while it moves, on both sides: each file is hashed along its contiguous frontier
 * (PROTOCOL 3.10).
 *
 * Bytes that come at the frontier are hashed from memory. Bytes beyond it are only remembered as readable, and read
 * back when the frontier reaches them; so are bytes from before a restart. Owns no files: it is given a way to read
 * them. What is hashed is always exactly the bytes `[0, frontier)`, each once.
 */

import type { Hash } from 'node:crypto'
import { createHash, hash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'

import { SealiftError, toSealiftError } from '../protocol/errors.ts'
import type { Manifest } from '../protocol/manifest.ts'
import { KIND_FILE } from '../protocol/manifest.ts'
import { RangeSet } from '../protocol/ranges.ts'

const DIGEST_BYTES = 32

export interface FrontierDigestsOptions {
  readonly manifest: Manifest
  /**
   * Reads bytes that were said to be readable. The room is borrowed until the promise is settled.
   * @returns how many bytes were read, at least one; the rest is asked for again
   */
  readonly readBack: (entry: number, fileOffset: number, into: Uint8Array) => Promise<number>
  /**
   * A file is hashed to its end; at most once until it is dropped, and never for an empty one, whose digest is known
   * from the start. The digest is borrowed. Must not throw.
   */
  readonly onDigest?: (entry: number, sha256: Uint8Array) => void
  /** A file could not be read back; it has been dropped. Must not throw. */
  readonly onFailed?: (entry: number, error: SealiftError) => void
}

interface PartialFile {
  readonly entry: number
  /** `null` while nothing is hashed. */
  hash: Hash | null
  /** Bytes hashed. */
  frontier: number
  /** What can be read back at or behind the frontier. */
  readonly readable: RangeSet
  /** Whether it is being read back: then only that moves the frontier. */
  reading: boolean
  queued: boolean
  /** Hashed only when all of it is readable, to bound how many hashes run. */
  deferred: boolean
}

const STEP_BYTES = 1 << 20
/** Files read back at once; each has room for one step, and one read under way. */
const MAX_READS = 4
/** Running hashes; a peer that begins a million files shall not cost a gigabyte. */
const MAX_RUNNING = 1000

const EMPTY_DIGEST: Uint8Array = hash('sha256', new Uint8Array(), 'buffer')

export class FrontierDigests {
  readonly #manifest: Manifest
  readonly #options: FrontierDigestsOptions
  /** All digests, 32 bytes each; pages of it that are not written cost nothing. */
  readonly #digests: Uint8Array
  readonly #known: Uint8Array
  readonly #files = new Map<number, PartialFile>()
  readonly #running = new Set<PartialFile>()
  /** Files with something to read back at their frontier. */
  #queue: PartialFile[] = []
  #queueHead = 0
  /** Entries that are being read back, also those whose file was dropped meanwhile. */
  readonly #reads = new Set<number>()
  readonly #spareRooms: Uint8Array[] = []
  #isClosed = false
  /** Resolved when the last read ends. */
  #readsOver: PromiseWithResolvers<undefined> | null = null

  /** @param options.manifest complete */
  constructor(options: FrontierDigestsOptions) {
    this.#manifest = options.manifest
    this.#options = options
    this.#digests = new Uint8Array(DIGEST_BYTES * this.#manifest.count)
    this.#known = new Uint8Array(this.#manifest.count)
  }

  /**
   * Takes bytes of the content as they pass; they may belong to many files.
   *
   * They are borrowed for the call. From here on they must be readable by `readBack` too: a receiver calls this
   * once they are written.
   */
  addContent(offset: number, bytes: Uint8Array): void {
    const manifest = this.#manifest
    const end = offset + bytes.length
    let at = offset
    let entry = at < end ? manifest.fileAt(at) : 0
    while (at < end) {
      const fileEnd = manifest.endOffsetOf(entry)
      if (fileEnd > at) {
        const stop = Math.min(end, fileEnd)
        this.add(entry, at - manifest.startOffset(entry), bytes.subarray(at - offset, stop - offset))
        at = stop
      }
      entry++
    }
  }

  /** Takes bytes of one file; otherwise as {@link addContent}. */
  add(entry: number, fileOffset: number, bytes: Uint8Array): void {
    if (this.#isKnown(entry) || this.#isClosed) return
    let file = this.#files.get(entry)
    if (file === undefined) {
      if (fileOffset === 0 && bytes.length === this.#manifest.sizeBytes(entry)) {
        this.#setDigest(entry, hash('sha256', bytes, 'buffer'))
        return
      }
      file = this.#begin(entry)
    }
    const end = fileOffset + bytes.length
    const { frontier } = file
    if (end <= frontier) return
    if (fileOffset <= frontier && !file.reading && !file.deferred) {
      this.#hash(file, bytes.subarray(frontier - fileOffset))
    } else {
      file.readable.add(Math.max(fileOffset, frontier), end)
    }
    this.#goOn(file)
  }

  /**
   * Says that bytes of a file can be read back though they do not pass here: they are safe since before a restart.
   * The file is hashed from byte 0 on beside all else, as far as it is readable.
   */
  addStored(entry: number, start: number, end: number): void {
    if (this.#isKnown(entry) || this.#isClosed) return
    const file = this.#files.get(entry) ?? this.#begin(entry)
    if (end <= file.frontier) return
    file.readable.add(Math.max(start, file.frontier), end)
    this.#goOn(file)
  }

  /** A file's size is known at last, after `manifest.settleSize`. */
  settle(entry: number): void {
    if (this.#isKnown(entry) || this.#isClosed) return
    this.#goOn(this.#files.get(entry) ?? this.#begin(entry))
  }

  /** The digest of a file that is hashed to its end, 32 bytes, borrowed until it is dropped; else `null`. */
  digest(entry: number): Uint8Array | null {
    if (this.#known[entry] === 1) return this.#digests.subarray(entry * DIGEST_BYTES, (entry + 1) * DIGEST_BYTES)
    return this.#isKnown(entry) ? EMPTY_DIGEST : null
  }

  /** Bytes of a file that are hashed, without a gap from byte 0: the scheduler stays near it. */
  frontier(entry: number): number {
    if (this.#isKnown(entry)) return this.#manifest.sizeBytes(entry) ?? 0
    const file = this.#files.get(entry)
    if (file === undefined) return 0
    // Such a file is read back as a whole anyway, so nothing is gained by staying near.
    return file.deferred ? file.readable.runEnd(0) : file.frontier
  }

  /** Forgets all about a file: it begins again at byte 0. */
  drop(entry: number): void {
    this.#known[entry] = 0
    const file = this.#files.get(entry)
    if (file !== undefined) this.#forget(file)
  }

  /** Ends all reading back; nothing is reported any more. Resolves when no read is under way. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#files.clear()
    this.#running.clear()
    this.#queue = []
    this.#queueHead = 0
    if (this.#reads.size === 0) return
    this.#readsOver ??= Promise.withResolvers()
    await this.#readsOver.promise
  }

  #isKnown(entry: number): boolean {
    if (this.#known[entry] === 1) return true
    return this.#manifest.sizeBytes(entry) === 0 && this.#manifest.kind(entry) === KIND_FILE
  }

  #begin(entry: number): PartialFile {
    const file: PartialFile = {
      entry,
      hash: null,
      frontier: 0,
      readable: new RangeSet(),
      reading: false,
      queued: false,
      deferred: false,
    }
    this.#files.set(entry, file)
    return file
  }

  #forget(file: PartialFile): void {
    if (this.#files.get(file.entry) === file) this.#files.delete(file.entry)
    this.#running.delete(file)
  }

  /** Hashes the bytes at the frontier. */
  #hash(file: PartialFile, bytes: Uint8Array): void {
    if (file.hash === null) {
      if (this.#running.size >= MAX_RUNNING) this.#deferOldest()
      file.hash = createHash('sha256')
      this.#running.add(file)
    }
    file.hash.update(bytes)
    file.frontier += bytes.length
    file.readable.remove(0, file.frontier)
  }

  /** Gives back the hash that began first, and makes its file one that waits until it is whole. */
  #deferOldest(): void {
    for (const file of this.#running) {
      if (file.reading) continue
      this.#running.delete(file)
      file.readable.add(0, file.frontier)
      file.hash = null
      file.frontier = 0
      file.deferred = true
      return
    }
  }

  /** Ends the file, or queues it where something is readable at its frontier. */
  #goOn(file: PartialFile): void {
    const size = this.#manifest.sizeBytes(file.entry)
    if (file.frontier === size) {
      const digest = file.hash === null ? EMPTY_DIGEST : file.hash.digest()
      this.#forget(file)
      this.#setDigest(file.entry, digest)
      return
    }
    if (file.deferred) {
      if (size === null || !file.readable.contains(0, size)) return
      file.deferred = false
    }
    if (!file.queued && !file.reading && file.readable.runEnd(file.frontier) > file.frontier) {
      file.queued = true
      this.#queue.push(file)
      this.#pump()
    }
  }

  #setDigest(entry: number, digest: Uint8Array): void {
    this.#digests.set(digest, entry * DIGEST_BYTES)
    this.#known[entry] = 1
    this.#options.onDigest?.(entry, this.#digests.subarray(entry * DIGEST_BYTES, (entry + 1) * DIGEST_BYTES))
  }

  #pump(): void {
    while (this.#reads.size < MAX_READS) {
      const file = this.#queue[this.#queueHead]
      if (file === undefined) {
        this.#queue = []
        this.#queueHead = 0
        return
      }
      this.#queueHead++
      file.queued = false
      // Dropped meanwhile; or a read that began before a drop is under way, and when it ends this file comes again.
      if (this.#files.get(file.entry) !== file || this.#reads.has(file.entry)) continue
      if (file.readable.runEnd(file.frontier) > file.frontier) void this.#catchUp(file)
    }
  }

  /** Reads back until nothing more is readable at the frontier, then lets the next file in. */
  async #catchUp(file: PartialFile): Promise<void> {
    const { entry } = file
    file.reading = true
    this.#reads.add(entry)
    const room = this.#spareRooms.pop() ?? new Uint8Array(STEP_BYTES)
    while (file.reading) {
      const error = await this.#readStep(file, room)
      // The sessions go first, also where reading back needed no turn of the event loop.
      await nextTurn()
      const isCurrent = this.#files.get(entry) === file
      if (error !== null && isCurrent) {
        this.#forget(file)
        this.#options.onFailed?.(entry, error)
      }
      file.reading = error === null && isCurrent && file.readable.runEnd(file.frontier) > file.frontier
    }
    this.#spareRooms.push(room)
    this.#reads.delete(entry)
    if (this.#reads.size === 0) this.#readsOver?.resolve(undefined)
    const current = this.#files.get(entry)
    if (current !== undefined) this.#goOn(current)
    this.#pump()
  }

  async #readStep(file: PartialFile, room: Uint8Array): Promise<SealiftError | null> {
    const { entry, frontier } = file
    const wanted = Math.min(STEP_BYTES, file.readable.runEnd(frontier) - frontier)
    let got: number
    try {
      got = await this.#options.readBack(entry, frontier, room.subarray(0, wanted))
    } catch (thrown) {
      return toSealiftError(thrown)
    }
    if (!(got > 0 && got <= wanted)) {
      return new SealiftError('disk_fault', `${this.#manifest.path(entry)} has fewer bytes than it had`)
    }
    if (this.#files.get(entry) !== file) return null
    if (frontier === 0 && got === this.#manifest.sizeBytes(entry)) {
      this.#forget(file)
      this.#setDigest(entry, hash('sha256', room.subarray(0, got), 'buffer'))
    } else {
      this.#hash(file, room.subarray(0, got))
      if (file.frontier === this.#manifest.sizeBytes(entry)) this.#goOn(file)
    }
    return null
  }
}
