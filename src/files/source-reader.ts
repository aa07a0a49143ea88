/**
 * Reads the content that a manifest describes, and nothing else: a file that is not, or no longer, what was listed
 * ends the reading at its start (PROTOCOL 3.2, S-41, F-08).
 *
 * After every read the file is compared with what it was when it was listed. As that comparison has ctime in it,
 * being the same after the read means having been the same before. Small files are read synchronously, because an
 * asynchronous call costs more than the file; large ones in parts, on the thread pool, by a descriptor that stays
 * open from part to part. Knows nothing of chunks, digests or lanes.
 */

import { SealiftError } from '../protocol/errors.ts'
import { MAX_CHUNK_BYTES } from '../protocol/limits.ts'
import type { Manifest } from '../protocol/manifest.ts'
import type { ContentReader, ReadOutcome } from './content-reader.ts'
import type { FileSystem } from './file-system.ts'
import { nodeFileSystem } from './file-system.ts'
import type { SourceFault } from './source-fault.ts'
import { CHANGED, sourceFault } from './source-fault.ts'
import { SourceOpener } from './source-opener.ts'
import type { SourceTable } from './source-table.ts'

export interface SourceReaderOptions {
  /** All sizes known. */
  readonly manifest: Manifest
  readonly sources: SourceTable
  readonly fs?: FileSystem
}

/** Files up to this size are read at once and closed; larger ones stay open. */
const SMALL_FILE_BYTES = MAX_CHUNK_BYTES
/** Large files kept open while nobody reads them. */
const MAX_IDLE_FILES = 8

interface LargeFile {
  readonly fd: number
  /** Reads under way. */
  users: number
  /** Whether it is closed by the last of them. */
  closing: boolean
}

const WITH_BIGINT = { bigint: true } as const

export class SourceReader implements ContentReader {
  readonly #manifest: Manifest
  readonly #sources: SourceTable
  readonly #fs: FileSystem
  readonly #opener: SourceOpener
  /** Open large files, the longest unused first. */
  readonly #large = new Map<number, LargeFile>()

  constructor(options: SourceReaderOptions) {
    this.#manifest = options.manifest
    this.#sources = options.sources
    this.#fs = options.fs ?? nodeFileSystem
    this.#opener = new SourceOpener(this.#manifest, this.#sources, this.#fs)
  }

  /** Where only small files are concerned the outcome is there at once. */
  read(start: number, end: number, into: Uint8Array): ReadOutcome | Promise<ReadOutcome> {
    if (start < 0 || end > this.#manifest.endOffset || into.length < end - start) {
      throw new RangeError(`[${start}, ${end}) is not in the content or has no room`)
    }
    return this.#readFrom(start, start, end, into)
  }

  async readBack(entry: number, fileOffset: number, into: Uint8Array): Promise<number> {
    const left = (this.#manifest.sizeBytes(entry) ?? 0) - fileOffset
    const bytes = Math.min(into.length, left)
    const fault = this.#isSmall(entry)
      ? this.#readSmall(entry, fileOffset, bytes, into, 0)
      : await this.#readLarge(entry, fileOffset, bytes, into, 0)
    if (fault !== null) throw new SealiftError(fault.code, `${this.#manifest.path(entry)} ${fault.message}`)
    return bytes
  }

  /** Closes everything; reads under way end well, and later ones open anew. */
  close(): void {
    for (const [entry, file] of this.#large) this.#release(entry, file)
    this.#opener.close()
  }

  #isSmall(entry: number): boolean {
    return (this.#manifest.sizeBytes(entry) ?? Infinity) <= SMALL_FILE_BYTES
  }

  /** Goes on at `from`; a large file makes the rest asynchronous. */
  #readFrom(start: number, from: number, end: number, into: Uint8Array): ReadOutcome | Promise<ReadOutcome> {
    const manifest = this.#manifest
    let at = from
    let entry = at < end ? manifest.fileAt(at) : 0
    while (at < end) {
      const fileEnd = manifest.endOffsetOf(entry)
      // Folders, links and empty files hold no content.
      if (fileEnd <= at) {
        entry++
        continue
      }
      const stop = Math.min(end, fileEnd)
      const fileOffset = at - manifest.startOffset(entry)
      if (!this.#isSmall(entry)) return this.#readOverLarge(entry, start, at, stop, end, into)
      const fault = this.#readSmall(entry, fileOffset, stop - at, into, at - start)
      if (fault !== null) return { bytes: at - start, failed: { entry, code: fault.code, message: fault.message } }
      at = stop
    }
    return { bytes: end - start, failed: null }
  }

  async #readOverLarge(
    entry: number,
    start: number,
    at: number,
    stop: number,
    end: number,
    into: Uint8Array,
  ): Promise<ReadOutcome> {
    const fault = await this.#readLarge(entry, at - this.#manifest.startOffset(entry), stop - at, into, at - start)
    if (fault !== null) return { bytes: at - start, failed: { entry, code: fault.code, message: fault.message } }
    return this.#readFrom(start, stop, end, into)
  }

  #readSmall(entry: number, fileOffset: number, bytes: number, into: Uint8Array, at: number): SourceFault | null {
    const fs = this.#fs
    let fd = -1
    try {
      fd = this.#opener.open(entry)
      let done = 0
      while (done < bytes) {
        const got = fs.readSync(fd, into, at + done, bytes - done, fileOffset + done)
        if (got === 0) return CHANGED
        done += got
      }
      return this.#sources.isUnchanged(entry, fs.fstatSync(fd, WITH_BIGINT)) ? null : CHANGED
    } catch (error) {
      return sourceFault(error)
    } finally {
      if (fd >= 0) fs.closeSync(fd)
    }
  }

  async #readLarge(
    entry: number,
    fileOffset: number,
    bytes: number,
    into: Uint8Array,
    at: number,
  ): Promise<SourceFault | null> {
    let file: LargeFile
    try {
      file = this.#openLarge(entry)
    } catch (error) {
      return sourceFault(error)
    }
    file.users++
    let fault: SourceFault | null = null
    try {
      let done = 0
      while (done < bytes && fault === null) {
        const got = await this.#readPart(file.fd, into, at + done, bytes - done, fileOffset + done)
        if (got === 0) fault = CHANGED
        done += got
      }
      fault ??= this.#checkLarge(entry, file)
    } catch (error) {
      fault = sourceFault(error)
    } finally {
      file.users--
      const isOver = fault !== null || fileOffset + bytes === this.#manifest.sizeBytes(entry)
      if (isOver || file.closing) this.#release(entry, file)
      this.#closeIdle()
    }
    return fault
  }

  #openLarge(entry: number): LargeFile {
    const open = this.#large.get(entry)
    if (open !== undefined) {
      this.#large.delete(entry)
      this.#large.set(entry, open)
      return open
    }
    const file: LargeFile = { fd: this.#opener.open(entry), users: 0, closing: false }
    this.#large.set(entry, file)
    return file
  }

  #checkLarge(entry: number, file: LargeFile): SourceFault | null {
    return this.#sources.isUnchanged(entry, this.#fs.fstatSync(file.fd, WITH_BIGINT)) ? null : CHANGED
  }

  #readPart(fd: number, into: Uint8Array, at: number, bytes: number, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#fs.read(fd, into, at, bytes, position, (error, got) => {
        if (error === null) resolve(got)
        else reject(error)
      })
    })
  }

  /** Takes a file out of those kept open; it is closed now, or by its last user. */
  #release(entry: number, file: LargeFile): void {
    if (this.#large.get(entry) === file) this.#large.delete(entry)
    if (file.users > 0) {
      file.closing = true
    } else {
      this.#fs.closeSync(file.fd)
    }
  }

  #closeIdle(): void {
    if (this.#large.size <= MAX_IDLE_FILES) return
    for (const [entry, file] of this.#large) {
      if (file.users > 0) continue
      this.#release(entry, file)
      if (this.#large.size <= MAX_IDLE_FILES) return
    }
  }
}
