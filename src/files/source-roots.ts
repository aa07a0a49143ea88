/**
 * The paths that a user wants to send, checked before anything else is done with them. Links are followed here and
 * nowhere else: who names a link means what it leads to.
 */

import type { BigIntStats } from 'node:fs'
import { constants } from 'node:fs'
import { basename, dirname, parse, resolve, sep } from 'node:path'

import { compareBytes, encodeUtf8 } from '../protocol/bytes.ts'
import { SealiftError } from '../protocol/errors.ts'
import { errnoOf } from './disk-faults.ts'
import type { FileSystem } from './file-system.ts'

export interface SourceRoot {
  /** As the user wrote it. */
  readonly given: string
  /** The name it has in the transfer. */
  readonly name: string
  /** Absolute, with all links followed. */
  readonly path: string
  readonly stats: BigIntStats
}

/**
 * @returns the roots, ascending by the bytes of their names
 * @throws SealiftError `nothing_to_send`, `path_missing`, `path_unreadable`, `path_repeated`, `usage`
 */
export function findSourceRoots(paths: readonly string[], fs: FileSystem): SourceRoot[] {
  if (paths.length === 0) throw new SealiftError('nothing_to_send', 'there is no path to send')
  const roots = paths.map((given) => findRoot(given, fs))
  refuseRepeats(roots)
  return roots.sort((a, b) => compareBytes(encodeUtf8(a.name), encodeUtf8(b.name)))
}

/** One of them, looked at by itself. @throws SealiftError `path_missing`, `path_unreadable`, `usage` */
export function findRoot(given: string, fs: FileSystem): SourceRoot {
  let path: string
  let stats: BigIntStats
  try {
    if (given === '') throw new SealiftError('path_missing', 'a path to send is empty')
    path = fs.realpathSync(given)
    stats = fs.lstatSync(path, { bigint: true })
    if (path === parse(path).root)
      throw new SealiftError('usage', `${given} is the root of the file system, which cannot be sent whole`)
    if (!stats.isFile() && !stats.isDirectory())
      throw new SealiftError('usage', `${given} is neither a file nor a folder`)
    fs.accessSync(path, stats.isDirectory() ? constants.R_OK | constants.X_OK : constants.R_OK)
  } catch (error) {
    throw rootFault(given, error)
  }
  // `link` keeps its own name; `link/`, `.` and `a/..` name a place only, and that has the name it has.
  const last = given.split(sep === '\\' ? /[\\/]/ : '/').at(-1)
  const name = last === '' || last === '.' || last === '..' ? basename(path) : basename(resolve(given))
  return { given, name, path, stats }
}

function rootFault(given: string, error: unknown): unknown {
  if (error instanceof SealiftError) return error
  const errno = errnoOf(error)
  if (errno === 'ENOENT' || errno === 'ENOTDIR' || errno === 'ENAMETOOLONG') {
    return new SealiftError('path_missing', `${given} does not exist`, { cause: error })
  }
  // A path with a NUL is refused by Node itself.
  if (given.includes('\0')) return new SealiftError('path_missing', 'a path to send has a NUL in it', { cause: error })
  if (errno === '' || errno.startsWith('ERR_')) return error
  return new SealiftError('path_unreadable', `${given} cannot be read (${errno})`, { cause: error })
}

function refuseRepeats(roots: readonly SourceRoot[]): void {
  const byPath = new Map<string, SourceRoot>()
  const byName = new Map<string, SourceRoot>()
  for (const root of roots) {
    if (byPath.has(root.path)) throw new SealiftError('path_repeated', `${root.given} is given twice`)
    byPath.set(root.path, root)
  }
  for (const root of roots) {
    for (let above = dirname(root.path); above !== dirname(above); above = dirname(above)) {
      const outer = byPath.get(above)
      if (outer !== undefined)
        throw new SealiftError('path_repeated', `${root.given} lies inside ${outer.given}, which is sent too`)
    }
    const twin = byName.get(root.name)
    if (twin !== undefined) {
      throw new SealiftError('path_repeated', `${twin.given} and ${root.given} have the same name`, {
        hint: 'rename one of them, or send them one after the other',
      })
    }
    byName.set(root.name, root)
  }
}
