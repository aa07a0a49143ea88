/**
 * Gives one staged file its final name: without ever replacing what may not be replaced, and whole or not at all.
 *
 * `link` then `unlink`, as `rename` would replace; without hard links an exclusively made placeholder and `rename`.
 */

import { errnoOf } from './disk-faults.ts'
import type { FileSystem } from './file-system.ts'
import { isOlder } from './target-survey.ts'

export interface Placing {
  readonly fs: FileSystem
  /** The staged file, on the same file system. */
  readonly from: string
  readonly to: string
  /** Whether a regular file there may be replaced: never, always, or only if it is older. */
  readonly replace: 'never' | 'overwrite' | 'update'
  /** Modification time of what comes. */
  readonly mtimeNs: bigint
  /** An empty file under the final name is a placeholder of an earlier try, where hard links cannot be made. */
  readonly reuseEmpty: boolean
  readonly probe: (stage: 'made-final-folder' | 'renamed' | 'linked') => void
}

/** What says that a file system has none. */
export const NO_HARD_LINKS: ReadonlySet<string> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'])

/**
 * @returns `taken` where something that stays has the name, `newer` where a file there is as new
 * @throws errors of the system as they are
 */
export function placeFile(placing: Placing): 'placed' | 'taken' | 'newer' {
  const { fs, from, to, replace, probe } = placing
  if (replace === 'never') return placeExclusively(placing)
  const found = fs.lstatSync(to, { throwIfNoEntry: false })
  if (found === undefined) return placeExclusively(placing)
  // What a rename replaces is the name; a link there would be replaced, never followed, but it may not be.
  if (!found.isFile()) return 'taken'
  const exact = (): bigint => fs.lstatSync(to, { bigint: true }).mtimeNs
  if (replace === 'update' && !isOlder(found.mtimeMs, placing.mtimeNs, exact)) return 'newer'
  fs.renameSync(from, to)
  probe('renamed')
  return 'placed'
}

function placeExclusively(placing: Placing): 'placed' | 'taken' {
  const { fs, from, to, probe } = placing
  try {
    fs.linkSync(from, to)
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === 'EEXIST') return isSameFile(fs, from, to) ? finishLink(placing) : placeOverEmpty(placing)
    if (!NO_HARD_LINKS.has(errno)) throw error
    return placeByRename(placing)
  }
  probe('linked')
  return finishLink(placing)
}

function finishLink({ fs, from }: Placing): 'placed' {
  fs.unlinkSync(from)
  return 'placed'
}

function isSameFile(fs: FileSystem, from: string, to: string): boolean {
  const staged = fs.lstatSync(from, { bigint: true })
  const there = fs.lstatSync(to, { bigint: true, throwIfNoEntry: false })
  return there !== undefined && there.ino === staged.ino && there.dev === staged.dev
}

function placeByRename(placing: Placing): 'placed' | 'taken' {
  const { fs, from, to, probe } = placing
  try {
    fs.closeSync(fs.openSync(to, 'wx', 0o600))
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return placeOverEmpty(placing)
    throw error
  }
  probe('linked')
  try {
    fs.renameSync(from, to)
  } catch (error) {
    removeQuietly(fs, to)
    throw error
  }
  probe('renamed')
  return 'placed'
}

function removeQuietly(fs: FileSystem, path: string): void {
  try {
    fs.unlinkSync(path)
  } catch {
    // The error that led here is the one to tell.
  }
}

/** After a crash between placeholder and rename; where hard links work there never was a placeholder. */
function placeOverEmpty({ fs, from, to, reuseEmpty, probe }: Placing): 'placed' | 'taken' {
  if (!reuseEmpty) return 'taken'
  const found = fs.lstatSync(to, { throwIfNoEntry: false })
  if (found?.isFile() !== true || found.size !== 0 || (found.mode & 0o777) !== 0o600) return 'taken'
  fs.renameSync(from, to)
  probe('renamed')
  return 'placed'
}
