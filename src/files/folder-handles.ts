/**
 * How an entry of a tree is reached without a swapped folder leading elsewhere (PROTOCOL 4.3).
 *
 * Node has no `openat`. On Linux a folder is held by a descriptor and named `/proc/self/fd/<n>`, so that a path is
 * one component long from a folder that cannot be exchanged any more. Elsewhere every folder on the way is looked at
 * again before each use, which leaves a moment between look and use; the threat model says so.
 *
 * Owns the descriptors. Knows nothing of what is written behind them. Errors of the system are thrown as they are.
 */

import { constants } from 'node:fs'
import { SealiftError } from '../protocol/errors.ts'
import type { Manifest } from '../protocol/manifest.ts'
import { escapeForDisplay } from '../protocol/names.ts'
import { type FileSystem, nodeFileSystem } from './file-system.ts'

/** How folders are held: by descriptors (Linux with /proc), or by paths that are checked again. */
export type Reach = 'descriptors' | 'paths'

/** A folder that everything below is reached from. */
export interface Anchor {
  readonly reach: Reach
  /** What to put in front of `/name`: `/proc/self/fd/<n>`, or the real path. */
  readonly path: string
  /** The real path when it was opened, to be shown and to be checked again. */
  readonly realPath: string
  /** -1 where it is held by its path. */
  readonly fd: number
  readonly dev: bigint
  readonly ino: bigint
}

/** Linux only and not among Node's constants: a descriptor that names a folder and needs no permission on it. */
const O_PATH = 0o10000000
const FOLDER_FLAGS = O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW

/** Folders held open at once, for one tree. */
const MAX_OPEN_FOLDERS = 64

/**
 * Opens a folder, never through a link at its end.
 * @param path where it is reached now
 * @param realPath what it is called, without `/proc` in it
 * @throws SealiftError `target_gone` where it is no folder
 */
export function openAnchor(fs: FileSystem, path: string, realPath: string, reach?: Reach): Anchor {
  if (reach !== 'paths' && process.platform === 'linux') {
    const fd = fs.openSync(path, FOLDER_FLAGS)
    const own = `/proc/self/fd/${fd}`
    try {
      if (reach === 'descriptors' || fs.existsSync(own)) {
        const { dev, ino } = fs.fstatSync(fd, { bigint: true })
        return { reach: 'descriptors', path: own, realPath, fd, dev, ino }
      }
    } catch (error) {
      fs.closeSync(fd)
      throw error
    }
    fs.closeSync(fd)
  }
  const stats = fs.lstatSync(realPath, { bigint: true })
  if (!stats.isDirectory()) throw goneError(realPath)
  return { reach: 'paths', path: realPath, realPath, fd: -1, dev: stats.dev, ino: stats.ino }
}

/** Whether this system lets folders be held by descriptors. */
export function canHoldFolders(fs: FileSystem = nodeFileSystem): boolean {
  const root = openAnchor(fs, '/', '/')
  closeAnchor(fs, root)
  return root.reach === 'descriptors'
}

/**
 * Makes sure that the path still leads to the folder that was opened.
 * @throws SealiftError `target_gone`
 */
export function checkAnchor(fs: FileSystem, anchor: Anchor): void {
  const stats = fs.lstatSync(anchor.realPath, { bigint: true, throwIfNoEntry: false })
  if (stats?.isDirectory() !== true || stats.dev !== anchor.dev || stats.ino !== anchor.ino) {
    throw goneError(anchor.realPath)
  }
}

export function closeAnchor(fs: FileSystem, anchor: Anchor): void {
  if (anchor.fd >= 0) fs.closeSync(anchor.fd)
}

function goneError(path: string): SealiftError {
  return new SealiftError('target_gone', `${escapeForDisplay(path)} disappeared or was replaced`)
}

export interface FolderHandlesOptions {
  readonly fs: FileSystem
  readonly anchor: Anchor
  readonly manifest: Manifest
  /** The name of an entry in this tree, a root's included. */
  readonly nameOf: (entry: number) => string
  /** Nothing of the tree is there yet, so that folders are made without looking first. */
  readonly fresh?: boolean
}

/** The folders of one tree: each manifest's root stands directly in the anchor. */
export class FolderHandles {
  readonly #fs: FileSystem
  readonly #anchor: Anchor
  readonly #manifest: Manifest
  readonly #nameOf: (entry: number) => string
  readonly #fresh: boolean
  /** Folder entry to descriptor, the longest unused first. */
  readonly #open = new Map<number, number>()
  /** 1 where the folder is known to be there. */
  readonly #present: Uint8Array
  #lastFolder = -2
  #lastPath = ''

  constructor(options: FolderHandlesOptions) {
    this.#fs = options.fs
    this.#anchor = options.anchor
    this.#manifest = options.manifest
    this.#nameOf = options.nameOf
    this.#fresh = options.fresh ?? false
    this.#present = new Uint8Array(options.manifest.count)
  }

  /** Path of an entry, good until the next call. @param make whether missing folders above it are made */
  path(entry: number, make = false): string {
    return `${this.folder(this.#manifest.parent(entry), make)}/${this.#nameOf(entry)}`
  }

  /** Whether this process saw or made the folder. */
  isPresent(folder: number): boolean {
    return this.#present[folder] === 1
  }

  /** Path of a folder entry itself (-1: the anchor), good until the next call. @param make whether it is made */
  folder(folder: number, make = false): string {
    if (folder === this.#lastFolder) return this.#lastPath
    if (this.#anchor.reach === 'paths') return this.#checkedPath(folder, make)
    if (folder < 0) return this.#anchor.path
    let fd = this.#open.get(folder)
    if (fd === undefined) {
      const path = this.path(folder, make)
      fd = this.#openFolder(folder, path, make)
      if (this.#open.size >= MAX_OPEN_FOLDERS) this.#closeOldest()
    } else {
      this.#open.delete(folder)
    }
    this.#open.set(folder, fd)
    this.#lastFolder = folder
    this.#lastPath = `/proc/self/fd/${fd}`
    return this.#lastPath
  }

  #openFolder(folder: number, path: string, make: boolean): number {
    const fs = this.#fs
    if (make && this.#present[folder] === 0) {
      if (this.#fresh || fs.lstatSync(path, { throwIfNoEntry: false }) === undefined) fs.mkdirSync(path, 0o700)
      this.#present[folder] = 1
    }
    const fd = fs.openSync(path, FOLDER_FLAGS)
    this.#present[folder] = 1
    return fd
  }

  #checkedPath(folder: number, make: boolean): string {
    const fs = this.#fs
    if (folder < 0) {
      checkAnchor(fs, this.#anchor)
      return this.#anchor.path
    }
    const path = this.path(folder, make)
    let stats = fs.lstatSync(path, { throwIfNoEntry: false })
    if (stats === undefined && make) {
      fs.mkdirSync(path, 0o700)
      stats = fs.lstatSync(path)
    }
    if (stats?.isDirectory() !== true) {
      const code = stats === undefined ? 'ENOENT' : 'ENOTDIR'
      throw Object.assign(new Error(`${code}: ${path}`), { code, syscall: 'lstat' })
    }
    this.#present[folder] = 1
    return path
  }

  #closeOldest(): void {
    for (const [folder, fd] of this.#open) {
      this.#open.delete(folder)
      if (folder === this.#lastFolder) this.#lastFolder = -2
      this.#fs.closeSync(fd)
      return
    }
  }

  /** Lets go of all folders; they are opened again when they are needed. */
  close(): void {
    while (this.#open.size > 0) this.#closeOldest()
    this.#lastFolder = -2
  }
}
