/**
 * The files of one transfer while they are in staging: begun, written, read again, finished, dropped.
 *
 * A new root is staged at its paths under `root-<entry>`, what will be merged flat as `e-<entry>` (PROTOCOL 4.2).
 * Owns the descriptors of files that are under way. Knows nothing of final names.
 */

import { constants } from 'node:fs'
import { SealiftError } from '../protocol/errors.ts'
import { KIND_FOLDER } from '../protocol/manifest.ts'
import { escapeForDisplay } from '../protocol/names.ts'
import { diskFault, errnoOf } from './disk-faults.ts'
import type { FileSystem } from './file-system.ts'
import { writableTime } from './file-times.ts'
import type { Anchor } from './folder-handles.ts'
import { FolderHandles } from './folder-handles.ts'
import type { ReceiveLayout } from './receive-layout.ts'
import { isOwn } from './staging.ts'

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR, O_WRONLY } = constants
const CREATE_WHOLE = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW
const CREATE_PART = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW
const OPEN_AGAIN = O_RDWR | O_NOFOLLOW

/** Files held open at once. */
const MAX_OPEN_FILES = 64

interface OpenFile {
  readonly fd: number
  /** Calls of the thread pool that use the descriptor now. */
  busy: number
  /** Those of them that only read: for a digest, whose end nobody waits for. */
  reading: number
  /** Removed while it was read: closed by the last reader. */
  isDropped: boolean
  /** Permissions to give back when it is closed, where it had been finished already. */
  readonly restoreMode: number | null
}

export interface StagedFilesOptions {
  readonly fs: FileSystem
  readonly staging: Anchor
  /** Whether an earlier process may have left files. */
  readonly resumed: boolean
  readonly layout: ReceiveLayout
  /** Bits that the system takes from the permissions of whatever is created. */
  readonly processUmask: number
}

export class StagedFiles {
  /** Folders of the roots that are staged in place. */
  readonly folders: FolderHandles
  readonly #fs: FileSystem
  readonly #layout: ReceiveLayout
  readonly #processUmask: number
  /** Files under way, the longest unused first. */
  readonly #open = new Map<number, OpenFile>()
  /** 1 where bytes were written since the last sync. */
  #dirty: Uint8Array
  #dirtyCount = 0

  constructor(options: StagedFilesOptions) {
    this.#fs = options.fs
    this.#layout = options.layout
    this.#processUmask = options.processUmask
    this.#dirty = new Uint8Array(options.layout.manifest.count)
    this.folders = new FolderHandles({
      fs: options.fs,
      anchor: options.staging,
      manifest: options.layout.manifest,
      nameOf: (entry) => options.layout.nameIn(entry, (root) => `root-${root.root}`),
      fresh: !options.resumed,
    })
  }

  /** Where an entry is staged, good until the next call. @param make whether missing folders above it are made */
  path(entry: number, make = false): string {
    return this.#layout.isNew(entry) ? this.folders.path(entry, make) : `${this.#flatFolder()}/e-${entry}`
  }

  #flatFolder(): string {
    return this.folders.folder(-1)
  }

  /** See `TreeWriter.write`. */
  write(entry: number, fileOffset: number, bytes: Uint8Array): void | Promise<void> {
    const sizeBytes = this.#checkedSize(entry)
    if (sizeBytes !== null && fileOffset + bytes.length > sizeBytes) {
      throw new SealiftError('protocol_violation', `more bytes than declared for ${this.#shown(entry)}`)
    }
    const isWhole = fileOffset === 0 && bytes.length === sizeBytes && !this.#open.has(entry)
    if (!isWhole) return this.#writePart(entry, fileOffset, bytes)
    this.#writeWhole(entry, bytes)
  }

  /** Size of a file that may be written. */
  #checkedSize(entry: number): number | null {
    const { manifest } = this.#layout
    if (!this.#layout.isFile(entry) || !this.#layout.isReceived(entry)) {
      throw new SealiftError('protocol_violation', `bytes for ${this.#shown(entry)}, which takes none`)
    }
    return manifest.sizeBytes(entry)
  }

  #writeWhole(entry: number, bytes: Uint8Array): void {
    const fs = this.#fs
    const finalMode = this.#layout.finalMode(entry)
    const mode = this.#layout.isNew(entry) ? finalMode : 0o600
    let fd = -1
    try {
      fd = this.#createWhole(this.path(entry, true), mode)
      let done = 0
      while (done < bytes.length) done += this.#advanced(fs.writeSync(fd, bytes, done, bytes.length - done, done))
      if ((mode & this.#processUmask) !== 0) fs.fchmodSync(fd, mode)
      const time = writableTime(this.#layout.manifest.mtimeNs(entry))
      fs.futimesSync(fd, time, time)
      const closing = fd
      fd = -1
      fs.closeSync(closing)
      this.#markDirty(entry)
    } catch (error) {
      if (fd >= 0) this.#closeQuietly(fd)
      // Half a small file is worth nothing, and the next try makes it anew.
      throw diskFault(error, `cannot write ${this.#shown(entry)}`)
    }
  }

  #createWhole(path: string, mode: number): number {
    try {
      return this.#fs.openSync(path, CREATE_WHOLE, mode)
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error
      // Left by a process that was killed before the ledger knew of it.
      this.#fs.unlinkSync(path)
      return this.#fs.openSync(path, CREATE_WHOLE, mode)
    }
  }

  async #writePart(entry: number, fileOffset: number, bytes: Uint8Array): Promise<void> {
    try {
      const file = this.#openFile(entry, true)
      file.busy++
      try {
        let done = 0
        while (done < bytes.length) {
          done += this.#advanced(await this.#writeAt(file.fd, bytes, done, fileOffset + done))
        }
      } finally {
        file.busy--
      }
      this.#markDirty(entry)
      this.#closeSurplus()
    } catch (error) {
      throw diskFault(error, `cannot write ${this.#shown(entry)}`)
    }
  }

  #writeAt(fd: number, bytes: Uint8Array, from: number, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#fs.write(fd, bytes, from, bytes.length - from, position, (error, written) => {
        if (error === null) resolve(written)
        else reject(error)
      })
    })
  }

  /** A write that takes nothing and says nothing would be tried for ever. */
  #advanced(written: number): number {
    if (written > 0) return written
    throw new SealiftError('disk_fault', 'the disk takes no more bytes and gives no reason')
  }

  /** See `TreeWriter.finish`. */
  finish(entry: number): void {
    const fs = this.#fs
    try {
      const sizeBytes = this.#checkedSize(entry)
      const file = this.#openFile(entry, sizeBytes === 0)
      if (file.busy > 0) throw new SealiftError('internal', `${this.#shown(entry)} is finished while it is written`)
      if (fs.fstatSync(file.fd).size !== sizeBytes) {
        throw new SealiftError('disk_fault', `${this.#shown(entry)} has another size in staging than was written`)
      }
      if (this.#layout.isNew(entry)) fs.fchmodSync(file.fd, this.#layout.finalMode(entry))
      const time = writableTime(this.#layout.manifest.mtimeNs(entry))
      fs.futimesSync(file.fd, time, time)
      this.#open.delete(entry)
      fs.closeSync(file.fd)
      this.#markDirty(entry)
    } catch (error) {
      throw diskFault(error, `cannot write ${this.#shown(entry)}`)
    }
  }

  /** See `TreeWriter.read`. */
  async read(entry: number, fileOffset: number, into: Uint8Array): Promise<number> {
    try {
      const file = this.#openFile(entry, false)
      file.busy++
      file.reading++
      try {
        return await new Promise<number>((resolve, reject) => {
          this.#fs.read(file.fd, into, 0, into.length, fileOffset, (error, bytesRead) => {
            if (error === null) resolve(bytesRead)
            else reject(error)
          })
        })
      } finally {
        file.busy--
        file.reading--
        if (file.isDropped && file.busy === 0) this.#release(file)
        this.#closeSurplus()
      }
    } catch (error) {
      throw diskFault(error, `cannot read ${this.#shown(entry)} in staging`)
    }
  }

  /** See `TreeWriter.stagedSize`. */
  stagedSize(entry: number): number {
    try {
      const stats = this.#fs.lstatSync(this.path(entry), { throwIfNoEntry: false })
      return stats?.isFile() === true ? stats.size : -1
    } catch (error) {
      if (['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'].includes(errnoOf(error))) return -1
      throw diskFault(error, `cannot look at ${this.#shown(entry)} in staging`)
    }
  }

  /** See `TreeWriter.drop`. */
  drop(entry: number): void {
    try {
      const file = this.#open.get(entry)
      if (file !== undefined && file.reading > 0 && file.reading === file.busy) {
        this.#open.delete(entry)
        file.isDropped = true
      } else this.settle(entry)
      this.#fs.unlinkSync(this.path(entry))
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return
      throw diskFault(error, `cannot remove ${this.#shown(entry)} from staging`)
    }
  }

  /** Closes a file that is under way, so that it can be taken elsewhere. */
  settle(entry: number): void {
    const file = this.#open.get(entry)
    if (file === undefined) return
    if (file.busy > 0) throw new SealiftError('internal', `${this.#shown(entry)} is removed while it is written`)
    this.#open.delete(entry)
    this.#release(file)
  }

  /** See `TreeWriter.adopt`. */
  adopt(entry: number, from: string): void {
    try {
      this.#fs.renameSync(from, this.path(entry, true))
      this.#markDirty(entry)
    } catch (error) {
      throw diskFault(error, `cannot take over ${this.#shown(entry)}`)
    }
  }

  #openFile(entry: number, make: boolean): OpenFile {
    const known = this.#open.get(entry)
    if (known !== undefined) {
      this.#open.delete(entry)
      this.#open.set(entry, known)
      return known
    }
    const path = this.path(entry, make)
    const file = (make ? this.#begin(path) : null) ?? this.#openAgain(entry, path)
    this.#open.set(entry, file)
    this.#closeSurplus(entry)
    return file
  }

  /** A new file; `null` where one is there already. */
  #begin(path: string): OpenFile | null {
    try {
      return {
        fd: this.#fs.openSync(path, CREATE_PART, 0o600),
        busy: 0,
        reading: 0,
        isDropped: false,
        restoreMode: null,
      }
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') return null
      throw error
    }
  }

  #openAgain(entry: number, path: string): OpenFile {
    const fs = this.#fs
    const before = fs.lstatSync(path)
    let restoreMode: number | null = null
    if (before.isFile() && isOwn(before.uid) && (before.mode & 0o600) !== 0o600) {
      // Finished already, and its permissions keep even its owner out.
      restoreMode = before.mode & 0o777
      fs.chmodSync(path, 0o600)
    }
    const fd = fs.openSync(path, OPEN_AGAIN)
    try {
      const stats = fs.fstatSync(fd)
      if (!stats.isFile() || !isOwn(stats.uid) || stats.nlink !== 1) {
        throw new SealiftError('target_gone', `${this.#shown(entry)} in staging was replaced by something else`)
      }
    } catch (error) {
      this.#closeQuietly(fd)
      throw error
    }
    return { fd, busy: 0, reading: 0, isDropped: false, restoreMode }
  }

  /** Closes what is over the limit and not in use. @param except the file that was opened for now */
  #closeSurplus(except = -1): void {
    if (this.#open.size <= MAX_OPEN_FILES) return
    for (const [entry, file] of this.#open) {
      if (file.busy > 0 || entry === except) continue
      this.#open.delete(entry)
      this.#release(file)
      if (this.#open.size <= MAX_OPEN_FILES) return
    }
  }

  #release(file: OpenFile): void {
    try {
      if (file.restoreMode !== null) this.#fs.fchmodSync(file.fd, file.restoreMode)
    } finally {
      this.#fs.closeSync(file.fd)
    }
  }

  #closeQuietly(fd: number): void {
    try {
      this.#fs.closeSync(fd)
    } catch {
      // The first error is the one to tell.
    }
  }

  #markDirty(entry: number): void {
    if (this.#dirty[entry] === 1) return
    this.#dirty[entry] = 1
    this.#dirtyCount++
  }

  /** Hands out what was written since the last time and begins anew. */
  takeDirty(): { readonly count: number; readonly marks: Uint8Array } {
    const taken = { count: this.#dirtyCount, marks: this.#dirty }
    if (taken.count > 0) {
      this.#dirty = new Uint8Array(taken.marks.length)
      this.#dirtyCount = 0
    }
    return taken
  }

  /** Marks a folder or link that was made or changed; files are marked by what is done to them. */
  markChanged(entry: number): void {
    this.#markDirty(entry)
  }

  /** How an entry is called in messages: its path, escaped. */
  #shown(entry: number): string {
    const { manifest } = this.#layout
    return escapeForDisplay(manifest.path(entry)) + (manifest.kind(entry) === KIND_FOLDER ? '/' : '')
  }

  /** Closes all descriptors. Must not be called while a write is under way. */
  close(): void {
    for (const file of this.#open.values()) {
      try {
        this.#release(file)
      } catch {
        // Closing is the last that is done; what was written is known by its own results.
      }
    }
    this.#open.clear()
    this.folders.close()
  }
}
