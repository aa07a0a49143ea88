/**
 * Files that only their owner may see: created 0600 in a folder 0700, and refused when they are anything else
 * (S-55). SQLite would create 0644 by itself; its -wal and -shm take the mode of the database.
 *
 * Never opens a file that exists: closing any descriptor of a file drops all POSIX locks that this process holds on
 * it, also those of an SQLite connection (fcntl(2); "How to corrupt an SQLite database file", 2.2).
 */

import fs, { closeSync, lstatSync, openSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { pathToFileURL } from 'node:url'
import { makeFolders } from '../files/folder-making.ts'
import { SealiftError } from '../protocol/errors.ts'

/** Which file it is, as far as the system can say. */
export interface FileIdentity {
  readonly dev: bigint
  readonly ino: bigint
}

/** Whether both are there and are one file. */
export function isSameFile(a: FileIdentity | null, b: FileIdentity | null): boolean {
  return a !== null && b !== null && a.ino === b.ino && a.dev === b.dev
}

/** The file at `path`, not followed where it is a link; `null` where there is none. */
export function identifyFile(path: string): FileIdentity | null {
  return lstatSync(path, { bigint: true, throwIfNoEntry: false }) ?? null
}

/**
 * Makes the folder (0700) where it is missing.
 * @throws SealiftError `ledger_unavailable` where it cannot be made, or where others could replace what is in it
 */
function preparePrivateFolder(folder: string): void {
  try {
    makeFolders(folder, 0o700, fs)
  } catch (error) {
    throw unavailable(`the folder of the ledger cannot be made: ${folder}`, error)
  }
  checkPrivateFolder(folder)
}

/** @throws SealiftError `ledger_unavailable` where others could replace what is in a folder that is there */
export function checkPrivateFolder(folder: string): void {
  if (process.platform === 'win32') return
  const found = statSync(folder)
  const writableByOthers = (found.mode & 0o022) !== 0
  const sticky = (found.mode & 0o1000) !== 0
  if (writableByOthers && !sticky) {
    throw new SealiftError('ledger_unavailable', `others may write in the folder of the ledger: ${folder}`, {
      hint: `Take that from them, or choose another place with DB_PATH:\n  chmod go-w '${folder}'`,
    })
  }
}

/**
 * Makes the file (empty, 0600) where it is missing, and its folder; checks it where it is there.
 * @returns `null` where somebody removed it in the same moment
 * @throws SealiftError `ledger_unavailable` where it cannot be made, is no regular file of this user with one name,
 *   or is open to others
 */
export function preparePrivateFile(path: string): FileIdentity | null {
  preparePrivateFolder(dirname(path))
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw unavailable(`the ledger cannot be made: ${path}`, error)
  }
  return checkPrivateFile(path)
}

/** @returns `null` where there is no such file. @throws SealiftError `ledger_unavailable`, as {@link preparePrivateFile} */
export function checkPrivateFile(path: string): FileIdentity | null {
  const found = lstatSync(path, { bigint: true, throwIfNoEntry: false })
  if (found === undefined) return null
  if (!found.isFile()) throw unavailable(`not a regular file, as the ledger has to be: ${path}`)
  if (process.platform === 'win32') return found
  if (found.nlink > 1n) throw unavailable(`the ledger must have one name only, this one has ${found.nlink}: ${path}`)
  if (process.geteuid !== undefined && found.uid !== BigInt(process.geteuid())) {
    throw unavailable(`the ledger belongs to another user: ${path}`)
  }
  if ((found.mode & 0o077n) !== 0n) {
    throw new SealiftError('ledger_unavailable', `others may read or write the ledger: ${path}`, {
      hint: `It holds keys that let a peer come back. Close it, if you trust what is in it:\n  chmod 600 '${path}'`,
    })
  }
  return found
}

/** The path for SQLite, in the form that keeps it from making the file, with a mode of its own, should it be gone. */
export function existingFile(path: string): URL {
  const url = pathToFileURL(path)
  url.searchParams.set('mode', 'rw')
  return url
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}

function unavailable(message: string, cause?: unknown): SealiftError {
  return new SealiftError('ledger_unavailable', message, {
    cause,
    hint: 'Choose another place with DB_PATH, or make this one usable.',
  })
}
