/**
 * What is in the way of a transfer where it is to land: one look at each entry, links never followed (PROTOCOL 4.6).
 *
 * Only looks. What follows from it is decided in `conflicts.ts`.
 */

import type { Manifest } from '../protocol/manifest.ts'
import { KIND_FILE, KIND_FOLDER } from '../protocol/manifest.ts'
import { escapeForDisplay } from '../protocol/names.ts'
import { diskFault, errnoOf } from './disk-faults.ts'
import type { FileSystem } from './file-system.ts'
import { nodeFileSystem } from './file-system.ts'
import { clampMtimeNs, isSameMtime } from './file-times.ts'
import type { Anchor } from './folder-handles.ts'
import { closeAnchor, FolderHandles, openAnchor } from './folder-handles.ts'

/** Nothing has this name. */
export const FOUND_NOTHING = 0
/** A file of the same size and time, a folder for a folder, a link with the same target. */
export const FOUND_UNCHANGED = 1
/** A regular file that is older than what comes. */
export const FOUND_OLDER = 2
/** A regular file that differs and is not older. */
export const FOUND_NEWER = 3
/** Something else than what comes: a folder for a file, a link for a folder, a link that leads elsewhere, … */
export const FOUND_OTHER = 4
/** A folder above it is in the way, so that it could not be there. */
const FOUND_BLOCKED = 5

/** Longest path that a system call takes. */
const SYSTEM_PATH_BYTES = 4096
/** Bytes of UTF-8 for one UTF-16 code unit, at most. */
const MAX_BYTES_PER_UNIT = 3

/** What stands where a root is to land. */
export type RootFound = 'absent' | 'file' | 'folder' | 'link' | 'other'

export interface RootSurvey {
  /** Entry index of the root. */
  readonly root: number
  readonly found: RootFound
  /** How many entries of the root, itself included, are there unchanged. */
  readonly unchanged: number
  /** How many files are there and differ. */
  readonly differing: number
  /** How many entries find something of another kind in their way. */
  readonly otherKind: number
}

export interface Survey {
  readonly outputDir: string
  readonly roots: readonly RootSurvey[]
  /** One `FOUND_*` for each entry. */
  readonly states: Uint8Array
  /** Sums over all roots. */
  readonly unchanged: number
  readonly differing: number
  readonly otherKind: number
  /** Bytes of the files that need not be sent. */
  readonly unchangedBytes: number
  /** Whether something in the output folder has this name, now. */
  readonly isTaken: (name: string) => boolean
}

export interface SurveyOptions {
  /**
   * Whether what has the name of this root is the sender's own, as a server knows by its ledger: only then may it count as
   * unchanged, be merged into or replaced. The default is yes.
   * @param root entry index of the root
   */
  readonly isOwn?: (root: number) => boolean
  readonly reach?: 'descriptors' | 'paths'
}

/**
 * Looks at what is in the way. An output folder that is not there yet has nothing in the way.
 * @throws SealiftError `target_read_only`, `disk_fault`, … where the output folder cannot be looked into
 */
export function surveyTarget(
  manifest: Manifest,
  outputDir: string,
  fs: FileSystem = nodeFileSystem,
  options: SurveyOptions = {},
): Survey {
  const anchor = openIfThere(fs, outputDir, options.reach)
  try {
    const look = new Look(manifest, fs, anchor, options.isOwn ?? (() => true))
    const roots = [...manifest.roots()].map((root) => look.root(root))
    const sum = (of: (root: RootSurvey) => number): number => roots.reduce((total, root) => total + of(root), 0)
    return {
      outputDir,
      roots,
      states: look.states,
      unchanged: sum((root) => root.unchanged),
      differing: sum((root) => root.differing),
      otherKind: sum((root) => root.otherKind),
      unchangedBytes: look.unchangedBytes,
      isTaken: (name) => isThere(fs, `${outputDir}/${name}`),
    }
  } catch (error) {
    throw diskFault(error, `cannot look into ${escapeForDisplay(outputDir)}`)
  } finally {
    if (anchor !== null) closeAnchor(fs, anchor)
  }
}

/** Whether anything, a dangling link too, has this path. A name that the file system cannot hold is not there. */
function isThere(fs: FileSystem, path: string): boolean {
  try {
    return fs.lstatSync(path, { throwIfNoEntry: false }) !== undefined
  } catch (error) {
    if (['ENAMETOOLONG', 'EINVAL', 'EILSEQ'].includes(errnoOf(error))) return false
    throw diskFault(error, 'cannot look for a free name')
  }
}

function openIfThere(fs: FileSystem, outputDir: string, reach: SurveyOptions['reach']): Anchor | null {
  try {
    const realPath = fs.realpathSync(outputDir)
    return openAnchor(fs, realPath, realPath, reach)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw diskFault(error, `cannot look into ${escapeForDisplay(outputDir)}`)
  }
}

class Look {
  readonly states: Uint8Array
  unchangedBytes = 0
  readonly #manifest: Manifest
  readonly #fs: FileSystem
  readonly #anchor: Anchor | null
  readonly #isOwn: (root: number) => boolean

  constructor(manifest: Manifest, fs: FileSystem, anchor: Anchor | null, isOwn: (root: number) => boolean) {
    this.#manifest = manifest
    this.#fs = fs
    this.#anchor = anchor
    this.#isOwn = isOwn
    this.states = new Uint8Array(manifest.count)
  }

  root(root: number): RootSurvey {
    const manifest = this.#manifest
    const end = manifest.subtreeEnd(root)
    const counts = [0, 0, 0, 0, 0, 0]
    let found: RootFound = 'absent'
    if (this.#anchor !== null) {
      const handles = new FolderHandles({
        fs: this.#fs,
        anchor: this.#anchor,
        manifest,
        nameOf: (entry) => manifest.name(entry),
      })
      try {
        found = this.#kindAt(this.#path(handles, root))
        if (found !== 'absent' && !this.#isOwn(root)) this.#isInTheWay(root, end, counts)
        else if (found !== 'absent') this.#subtree(handles, root, end, counts)
      } finally {
        handles.close()
      }
    }
    return {
      root,
      found,
      unchanged: counts[FOUND_UNCHANGED] as number,
      differing: (counts[FOUND_OLDER] as number) + (counts[FOUND_NEWER] as number),
      otherKind: counts[FOUND_OTHER] as number,
    }
  }

  /** Nothing is told of what is in there, not even whether it is the same. */
  #isInTheWay(root: number, end: number, counts: number[]): void {
    this.states[root] = FOUND_OTHER
    this.states.fill(FOUND_BLOCKED, root + 1, end)
    counts[FOUND_OTHER] = 1
  }

  #kindAt(path: string): RootFound {
    if (!isThere(this.#fs, path)) return 'absent'
    const stats = this.#fs.lstatSync(path)
    if (stats.isFile()) return 'file'
    if (stats.isDirectory()) return 'folder'
    return stats.isSymbolicLink() ? 'link' : 'other'
  }

  /**
   * The plain path where it is short enough: a way through `/proc` takes twice as long, and a folder that is swapped
   * while it is only looked at can do no harm.
   */
  #path(handles: FolderHandles, entry: number): string {
    const plain = `${(this.#anchor as Anchor).realPath}/${this.#manifest.path(entry)}`
    return plain.length * MAX_BYTES_PER_UNIT < SYSTEM_PATH_BYTES || Buffer.byteLength(plain) < SYSTEM_PATH_BYTES
      ? plain
      : handles.path(entry)
  }

  #subtree(handles: FolderHandles, root: number, end: number, counts: number[]): void {
    const manifest = this.#manifest
    let entry = root
    while (entry < end) {
      let state: number
      try {
        state = this.#look(entry, this.#path(handles, entry))
      } catch (error) {
        // A folder that may not be entered hides what is in it: that is in the way as well.
        if (['EACCES', 'EPERM', 'ENOTDIR', 'ELOOP'].includes(errnoOf(error))) state = FOUND_OTHER
        else if (['ENAMETOOLONG', 'EINVAL', 'EILSEQ', 'ENOENT'].includes(errnoOf(error))) state = FOUND_NOTHING
        else throw error
      }
      this.states[entry] = state
      counts[state] = (counts[state] as number) + 1
      let next = entry + 1
      if (manifest.kind(entry) === KIND_FOLDER && state !== FOUND_UNCHANGED) {
        next = manifest.subtreeEnd(entry)
        if (state === FOUND_OTHER) this.states.fill(FOUND_BLOCKED, entry + 1, next)
      }
      entry = next
    }
  }

  #look(entry: number, path: string): number {
    const manifest = this.#manifest
    const stats = this.#fs.lstatSync(path, { throwIfNoEntry: false })
    if (stats === undefined) return FOUND_NOTHING
    const kind = manifest.kind(entry)
    if (kind === KIND_FOLDER) return stats.isDirectory() ? FOUND_UNCHANGED : FOUND_OTHER
    if (kind !== KIND_FILE) {
      const same = stats.isSymbolicLink() && this.#fs.readlinkSync(path) === manifest.target(entry)
      return same ? FOUND_UNCHANGED : FOUND_OTHER
    }
    if (!stats.isFile()) return FOUND_OTHER
    const sentNs = manifest.mtimeNs(entry)
    const exact = (): bigint => this.#fs.lstatSync(path, { bigint: true }).mtimeNs
    const sizeBytes = manifest.sizeBytes(entry)
    if (sizeBytes === stats.size && isSameMtime(stats.mtimeMs, sentNs, exact)) {
      this.unchangedBytes += sizeBytes
      return FOUND_UNCHANGED
    }
    return isOlder(stats.mtimeMs, sentNs, exact) ? FOUND_OLDER : FOUND_NEWER
  }
}

/** Whether a file's time lies before the one that was sent, by more than what counts as the same. */
export function isOlder(mtimeMs: number, sentNs: bigint, exact: () => bigint): boolean {
  return mtimeMs < Number(clampMtimeNs(sentNs)) / 1e6 && !isSameMtime(mtimeMs, sentNs, exact)
}
