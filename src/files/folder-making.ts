/**
 * Makes a folder with those above it that are missing. Node's own recursive `mkdir` never returns where a file system
 * holds no folders and says so by ENOENT, as /proc does; here each folder is tried once.
 */

import { dirname } from 'node:path'
import { SealiftError } from '../protocol/errors.ts'
import { escapeForDisplay } from '../protocol/names.ts'
import { errnoOf } from './disk-faults.ts'
import type { FileSystem } from './file-system.ts'

/** The calls that it takes. */
export type FolderMaker = Pick<FileSystem, 'statSync' | 'mkdirSync'>

/**
 * Makes nothing where the folder is there; one that others make in the same moment is taken as it is.
 * @param mode of each that is made, before the umask
 * @throws SealiftError `target_read_only` where the file system holds no new folders; errors of the system as they are
 */
export function makeFolders(path: string, mode: number, fs: FolderMaker): void {
  const missing: string[] = []
  let folder = path
  while (fs.statSync(folder, { throwIfNoEntry: false }) === undefined) {
    missing.push(folder)
    if (dirname(folder) === folder) break
    folder = dirname(folder)
  }
  for (const name of missing.reverse()) {
    makeFolder(name, folder, mode, fs)
    folder = name
  }
}

function makeFolder(path: string, parent: string, mode: number, fs: FolderMaker): void {
  try {
    fs.mkdirSync(path, mode)
  } catch (error) {
    const isThere = (folder: string): boolean => fs.statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true
    if (errnoOf(error) === 'EEXIST' && isThere(path)) return
    if (errnoOf(error) !== 'ENOENT' || !isThere(parent)) throw error
    const shown = escapeForDisplay(parent)
    throw new SealiftError('target_read_only', `no folder can be made in ${shown}`, { cause: error })
  }
}
