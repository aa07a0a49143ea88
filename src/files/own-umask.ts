/**
 * The permission bits that this process gives nothing it makes. Seen from a folder that is made and removed: to ask the
 * system means to set another umask for a moment, with which any thread of the process might make a file meanwhile.
 */

import { errnoOf } from './disk-faults.ts'
import type { FileSystem } from './file-system.ts'
import type { Anchor } from './folder-handles.ts'

const TRIAL_NAME = 'umask'

/**
 * @param folder private, and on the file system that is asked about
 * @throws errors of the system as they are
 */
export function readOwnUmask(fs: FileSystem, folder: Anchor): number {
  const path = `${folder.path}/${TRIAL_NAME}`
  try {
    fs.mkdirSync(path, 0o777)
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error
    // Left by a process that was killed just then, and had a umask of its own.
    fs.rmdirSync(path)
    fs.mkdirSync(path, 0o777)
  }
  try {
    return 0o777 & ~fs.lstatSync(path).mode
  } finally {
    fs.rmdirSync(path)
  }
}
