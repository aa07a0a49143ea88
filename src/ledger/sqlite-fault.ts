/**
 * What an error of SQLite means for Sealift: try again, damaged, or not to be had (https://sqlite.org/rescode.html).
 */

import { SealiftError } from '../protocol/errors.ts'

const SQLITE_BUSY = 5
const SQLITE_READONLY = 8
const SQLITE_IOERR = 10
const SQLITE_CORRUPT = 11
const SQLITE_FULL = 13
const SQLITE_CANTOPEN = 14
/** The locks of the write-ahead log changed hands too often in a moment: the same as busy. */
const SQLITE_PROTOCOL = 15
const SQLITE_NOTADB = 26

const IN_WORDS: Readonly<Record<number, string>> = {
  [SQLITE_READONLY]: 'the ledger cannot be written',
  [SQLITE_IOERR]: 'the disk reported an error on the ledger',
  [SQLITE_FULL]: 'the disk that holds the ledger is full',
  [SQLITE_CANTOPEN]: 'the ledger cannot be opened',
}

/** The primary result code of SQLite; `null` for an error that is not SQLite's. */
function resultCode(error: unknown): number | null {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return null
  return error.errcode & 0xff
}

/** Whether another connection is in the way and the same call may succeed a moment later. */
export function isBusy(error: unknown): boolean {
  const code = resultCode(error)
  return code === SQLITE_BUSY || code === SQLITE_PROTOCOL
}

/**
 * Any error of work on the ledger as Sealift's: `ledger_corrupt`, `ledger_unavailable`, or `internal` for what can
 * only be a fault in the program. Errors that are Sealift's already stay as they are.
 * @param path the ledger file, for the message
 */
export function toLedgerError(error: unknown, path: string): SealiftError {
  if (error instanceof SealiftError) return error
  const code = resultCode(error)
  if (code === SQLITE_CORRUPT || code === SQLITE_NOTADB) {
    return damagedLedger(path, error)
  }
  const inWords = code === null ? undefined : IN_WORDS[code]
  if (inWords !== undefined) {
    return new SealiftError('ledger_unavailable', `${inWords}: ${path}`, {
      cause: error,
      hint: 'Its folder must be writable and have room. DB_PATH chooses another place.',
    })
  }
  if (isBusy(error)) {
    return new SealiftError('ledger_unavailable', `another process keeps the ledger locked: ${path}`, {
      cause: error,
      hint: 'Try again when the other process has ended.',
    })
  }
  const said = error instanceof Error ? error.message : String(error)
  return new SealiftError('internal', `the ledger refused what was asked: ${said}`, { cause: error })
}

/** @param path the ledger file */
export function damagedLedger(path: string, cause?: unknown): SealiftError {
  return new SealiftError('ledger_corrupt', `the ledger is damaged: ${path}`, { cause, hint: asideHint(path) })
}

function asideHint(path: string): string {
  return [
    'Move it aside, with its -wal and -shm where they are:',
    `  mv '${path}' '${path}.damaged'`,
    'A new one is made at the next start. Nothing that arrived is lost: unfinished bytes stay in their',
    '.sealift-*.part folders beside the destination, but those transfers begin again.',
  ].join('\n')
}
