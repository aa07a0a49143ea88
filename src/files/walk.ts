/**
 * Lists what is to be sent: from the paths that a user names to a manifest in its one order, with a table of where
 * its files lie and what they were (PROTOCOL 3.2, 4).
 *
 * File by file synchronous, because an asynchronous call costs more than the file, and without recursion, so that depth
 * costs nothing; between files it takes turns with the rest of the process. Follows no link below the roots, reads no content, asks no questions.
 *
 * Goes by path. Who swaps a folder for a link while it is listed can bring foreign names and sizes into the manifest,
 * but no content: that is read through handles of the folders themselves (`source-reader.ts`).
 */

import type { BigIntStats } from 'node:fs'
import { constants } from 'node:fs'

import { decodeUtf8 } from '../protocol/bytes.ts'
import { SealiftError } from '../protocol/errors.ts'
import { DEFAULT_PRIORITY, MAX_CONTENT_BYTES, MAX_NAME_BYTES, MAX_PATH_BYTES } from '../protocol/limits.ts'
import type { EntryKind } from '../protocol/manifest.ts'
import { KIND_FILE, KIND_FOLDER, KIND_LINK, Manifest } from '../protocol/manifest.ts'
import { linkFault } from '../protocol/names.ts'
import { errnoOf } from './disk-faults.ts'
import type { Excluder, ExclusionReason } from './exclude.ts'
import { defaultExclusion } from './exclude.ts'
import type { FileSystem } from './file-system.ts'
import { nodeFileSystem } from './file-system.ts'
import type { FolderNames } from './folder-names.ts'
import { readFolderNames } from './folder-names.ts'
import type { SourceFault } from './source-fault.ts'
import { CHANGED, sourceFault } from './source-fault.ts'
import type { SourceRoot } from './source-roots.ts'
import { findSourceRoots } from './source-roots.ts'
import { clampNs, SourceTable } from './source-table.ts'
import { measureTree } from './tree-measure.ts'
import { TurnTaking } from './turn-taking.ts'

export interface WalkOptions {
  /** What `loadExcluder` gave. */
  readonly excluder?: Excluder | null
  /** Leaves nothing out by default; the excluder's patterns still count. Default false. */
  readonly all?: boolean
  /** Paths of a former walk's `excluded` (kinds `venv`, `cache`) that are to be sent after all, with all inside them. */
  readonly keep?: ReadonlySet<string>
  /** Links that stay inside their root are sent as links. Default true. */
  readonly keepLinks?: boolean
  /** 0 (last) … 9 (first), for all entries. Default 5. */
  readonly priority?: number
  readonly fs?: FileSystem
  /** Ends the walk. */
  readonly signal?: AbortSignal | undefined
}

/** Something left out by rule; with all that is inside it. */
export interface ExcludedPath {
  /** As it would be in the manifest, `tree/a`; for `links` the root they are in. */
  readonly path: string
  readonly files: number
  readonly bytes: number
  readonly reason: ExclusionReason
  /** The pattern, where that was the reason; else empty. */
  readonly pattern: string
}

export interface WalkResult {
  /** May be empty where all entries failed. */
  readonly manifest: Manifest
  readonly sources: SourceTable
  readonly excluded: ExcludedPath[]
  /** What a transfer cannot hold and so is skipped: sockets, devices, links that lead out. No failure. */
  readonly warnings: { readonly path: string; readonly message: string }[]
  /** What should have been sent and cannot be; the transfer ends with exit status 8. */
  readonly failed: (SourceFault & { readonly path: string })[]
}

/**
 * @param paths files and folders; a link is followed and keeps its own name
 * @throws SealiftError `nothing_to_send`, `path_missing`, `path_unreadable`, `path_repeated`, `usage`, before anything is
 *   listed; `limit_exceeded` over 10^6 entries; `nothing_to_send` where all is left out; the signal's reason
 */
export async function walkSources(paths: readonly string[], options: WalkOptions = {}): Promise<WalkResult> {
  const fs = options.fs ?? nodeFileSystem
  const roots = findSourceRoots(paths, fs)
  const walk = new SourceWalk(options, fs)
  for (const root of roots) await walk.addRoot(root)
  const { result } = walk
  if (result.manifest.count === 0 && result.failed.length === 0) {
    throw new SealiftError('nothing_to_send', 'all that was given is left out', {
      hint: 'patterns of --exclude count for the given paths too',
    })
  }
  return result
}

/** A folder whose entries are being added. */
interface OpenFolder {
  readonly index: number
  readonly names: readonly string[]
  next: number
  /** Where it lies, with a `/` behind it. */
  readonly source: string
  /** Its path in the manifest, with a `/` behind it. */
  readonly path: string
  /** Bytes of `path`. */
  readonly pathBytes: number
  /** Whether what is left out by default is left out in it. */
  readonly defaults: boolean
}

/** An entry as it was found. */
interface FoundEntry {
  readonly name: string
  /** Absent for a root. */
  readonly folder: OpenFolder | undefined
  readonly stats: BigIntStats
  /** `S_IFREG` and the like. */
  readonly type: number
  /** Where it lies. */
  readonly source: string
  /** Its path in the manifest. */
  readonly path: string
}

const { S_IFMT, S_IFREG, S_IFDIR, S_IFLNK, S_IFSOCK, S_IFIFO, S_IFBLK, S_IFCHR } = constants

const UNSENDABLE: ReadonlyMap<number, string> = new Map([
  [S_IFSOCK, 'a socket'],
  [S_IFIFO, 'a named pipe'],
  [S_IFBLK, 'a device'],
  [S_IFCHR, 'a device'],
])

const WITH_BIGINT = { bigint: true } as const

class SourceWalk {
  readonly result: WalkResult
  readonly #fs: FileSystem
  readonly #manifest = new Manifest(1024)
  readonly #sources = new SourceTable(this.#manifest, 1024)
  readonly #excluder: Excluder | null
  readonly #keep: ReadonlySet<string>
  readonly #defaults: boolean
  readonly #keepLinks: boolean
  readonly #priority: number
  /** From the root down to the folder that is being listed. */
  readonly #open: OpenFolder[] = []
  readonly #encoder = new TextEncoder()
  readonly #nameRoom = new Uint8Array(1024)
  readonly #turns: TurnTaking
  /** Folders that are left out and still to be measured, by their place in the result. */
  readonly #unmeasured = new Map<number, string>()
  #linksLeftOut = 0

  constructor(options: WalkOptions, fs: FileSystem) {
    this.#fs = fs
    this.#excluder = options.excluder ?? null
    this.#keep = options.keep ?? new Set()
    this.#defaults = options.all !== true
    this.#keepLinks = options.keepLinks ?? true
    this.#priority = options.priority ?? DEFAULT_PRIORITY
    this.#turns = new TurnTaking({ signal: options.signal, stepsPerLook: 64 })
    this.result = { manifest: this.#manifest, sources: this.#sources, excluded: [], warnings: [], failed: [] }
  }

  async addRoot(root: SourceRoot): Promise<void> {
    const { name, path: source, stats } = root
    const found: FoundEntry = { name, folder: undefined, stats, type: Number(stats.mode) & S_IFMT, source, path: name }
    const index = this.#manifest.count
    this.#linksLeftOut = 0
    this.#visit(found)
    for (let folder = this.#open.at(-1); folder !== undefined; folder = this.#open.at(-1)) {
      const next = folder.names[folder.next++]
      if (next === undefined) this.#open.pop()
      else this.#find(folder, next)
      if (this.#turns.isDue()) await this.#turns.rest()
    }
    await this.#measure()
    if (this.#manifest.count > index) this.#sources.setRoot(index, source)
    if (this.#linksLeftOut > 0) {
      this.result.excluded.push({ path: name, files: this.#linksLeftOut, bytes: 0, reason: 'links', pattern: '' })
    }
  }

  #find(folder: OpenFolder, name: string): void {
    const source = folder.source + name
    const path = folder.path + name
    let stats: BigIntStats
    try {
      stats = this.#fs.lstatSync(source, WITH_BIGINT)
    } catch (error) {
      this.#fail(path, sourceFault(error))
      return
    }
    this.#visit({ name, folder, stats, type: Number(stats.mode) & S_IFMT, source, path })
  }

  #visit(found: FoundEntry): void {
    const { type } = found
    if (this.#excluder !== null && this.#isPatternExcluded(found, this.#excluder)) return
    if (type === S_IFREG) this.#visitFile(found)
    else if (type === S_IFDIR) this.#visitFolder(found)
    else if (type === S_IFLNK) this.#visitLink(found)
    else
      this.result.warnings.push({
        path: found.path,
        message: `${UNSENDABLE.get(type) ?? 'what is there'} cannot be sent`,
      })
  }

  #isPatternExcluded(found: FoundEntry, excluder: Excluder): boolean {
    const root = this.#open[0]
    // Patterns are those of a .gitignore in the root folder, and for the roots themselves of one beside them.
    const inside = root === undefined ? found.path : found.path.slice(root.path.length)
    const pattern = excluder.ruleFor(inside, found.type === S_IFDIR)
    if (pattern === null) return false
    this.#exclude(found, 'pattern', pattern)
    return true
  }

  #exclude(found: FoundEntry, reason: ExclusionReason, pattern = ''): void {
    const { path, source, type, stats } = found
    const isFolder = type === S_IFDIR
    if (isFolder) this.#unmeasured.set(this.result.excluded.length, source)
    const bytes = type === S_IFREG ? Number(stats.size) : 0
    this.result.excluded.push({ path, files: isFolder ? 0 : 1, bytes, reason, pattern })
  }

  async #measure(): Promise<void> {
    const { excluded } = this.result
    for (const [at, source] of this.#unmeasured)
      excluded[at] = { ...(excluded[at] as ExcludedPath), ...(await measureTree(this.#fs, source, this.#turns)) }
    this.#unmeasured.clear()
  }

  #visitFile(found: FoundEntry): void {
    const sizeBytes = Number(found.stats.size)
    if (sizeBytes > MAX_CONTENT_BYTES - this.#manifest.endOffset) {
      this.#fail(found.path, { code: 'limit_exceeded', message: 'is larger than can be counted' })
      return
    }
    this.#add(found, KIND_FILE, sizeBytes, '')
  }

  #visitFolder(found: FoundEntry): void {
    const { name, folder, source, path } = found
    const kept = this.#keep.has(path)
    const defaults = (folder?.defaults ?? this.#defaults) && !kept
    let listed: FolderNames
    try {
      // Before it is added: a folder that cannot be listed must not arrive as an empty one.
      listed = readFolderNames(this.#fs, source)
    } catch (error) {
      const fault = sourceFault(error)
      if (folder === undefined)
        throw new SealiftError('path_unreadable', `${source} ${fault.message}`, { cause: error })
      this.#fail(path, fault)
      return
    }
    // Who names an environment or a cache as a root wants it.
    const reason = defaults && folder !== undefined ? defaultExclusion(name, listed.names) : null
    if (reason !== null) {
      this.#exclude(found, reason)
      return
    }
    const index = this.#add(found, KIND_FOLDER, 0, '')
    if (index < 0) return
    for (const unusable of listed.unusable) {
      this.#fail(`${path}/${unusable}`, { code: 'name_unusable', message: 'has a name that is not UTF-8' })
    }
    const pathBytes = (folder?.pathBytes ?? 0) + this.#manifest.nameBytes(index).length + 1
    this.#open.push({
      index,
      names: listed.names,
      next: 0,
      source: `${source}/`,
      path: `${path}/`,
      pathBytes,
      defaults,
    })
  }

  #visitLink(found: FoundEntry): void {
    if (!this.#keepLinks) {
      this.#linksLeftOut++
      return
    }
    let bytes: Uint8Array
    try {
      bytes = this.#fs.readlinkSync(found.source, { encoding: 'buffer' })
    } catch (error) {
      // EINVAL: it is no link any more.
      this.#fail(found.path, errnoOf(error) === 'EINVAL' ? CHANGED : sourceFault(error))
      return
    }
    const target = decodeUtf8(bytes)
    const fault = target === null ? 'a link that is not UTF-8' : linkFault(target, this.#open.length - 1)
    if (target === null || fault !== null) {
      this.result.warnings.push({ path: found.path, message: `${fault ?? ''} is not sent` })
      return
    }
    this.#add(found, KIND_LINK, 0, target)
  }

  /** @returns the entry's index; -1 where its name fails it */
  #add(found: FoundEntry, kind: EntryKind, sizeBytes: number, target: string): number {
    const { name, folder, stats } = found
    const { read, written } = this.#encoder.encodeInto(name, this.#nameRoom)
    // Some systems count the 255 in UTF-16 units, and a link as root may have a longer name than what it leads to.
    const tooLong = read < name.length || written > MAX_NAME_BYTES
    if (tooLong || (folder?.pathBytes ?? 0) + written > MAX_PATH_BYTES) {
      this.#fail(found.path, {
        code: 'name_unusable',
        message: tooLong ? 'has a name that is too long' : 'has a path that is too long',
      })
      return -1
    }
    const index = this.#manifest.add({
      kind,
      parent: folder?.index ?? -1,
      name: this.#nameRoom.subarray(0, written),
      mode: Number(stats.mode) & 0o7777,
      mtimeNs: clampNs(stats.mtimeNs),
      sizeBytes,
      priority: this.#priority,
      target,
    })
    this.#sources.add(stats)
    return index
  }

  #fail(path: string, fault: SourceFault): void {
    this.result.failed.push({ path, code: fault.code, message: fault.message })
  }
}
