/**
 * A look at a ledger from outside, for whoever asks what is wrong: makes none and changes none.
 */

import { accessSync, constants, existsSync, lstatSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { SealiftError } from '../protocol/errors.ts'
import { checkPrivateFile, checkPrivateFolder, existingFile } from './private-file.ts'
import { readSchemaVersion, SCHEMA_VERSION } from './schema.ts'
import { damagedLedger, toLedgerError } from './sqlite-fault.ts'
import { listRunningTransfers, locksFolder, type RunningTransfer } from './transfer-lock.ts'

/** Larger ones are not read from end to end: that would take longer than anyone waits for an answer. */
const MAX_CHECKED_BYTES = 128 << 20
/** How long a ledger is waited for that another process keeps locked. */
const BUSY_TIMEOUT_MS = 200

export interface LedgerInspection {
  /** Whether there is a ledger; if not, what follows is 0, empty or `null`. */
  readonly exists: boolean
  /** The folder that it is in, or the nearest one above that is there. */
  readonly folder: string
  /** Permission bits of the folder; `null` where it is not there, or permissions mean nothing. */
  readonly folderMode: number | null
  /** With what is not yet worked into it. */
  readonly sizeBytes: number
  readonly schemaVersion: number
  /** The version that this Sealift brings it to. */
  readonly knownVersion: number
  /** Whether all of it was read and found whole; not so where it is large. */
  readonly checked: boolean
  /** Ids of transfers that can be gone on with. */
  readonly unfinished: readonly string[]
  readonly running: readonly RunningTransfer[]
}

/**
 * @param path absolute path of the ledger, as `ledgerPath` gives it
 * @throws SealiftError `ledger_unavailable`, `ledger_corrupt`, `ledger_newer`: what any command would end with
 */
export function inspectLedger(path: string): LedgerInspection {
  const folder = dirname(path)
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return inspectPlace(folder)
  checkPrivateFolder(folder)
  for (const suffix of ['', '-wal', '-shm']) checkPrivateFile(`${path}${suffix}`)
  checkWritable(folder, 'the folder of the ledger cannot be written')
  checkWritable(path, 'the ledger cannot be written')
  const sizeBytes = sizeOf(path) + sizeOf(`${path}-wal`)
  let db: DatabaseSync | undefined
  try {
    // Opened for writing, as only then SQLite takes its -wal and -shm away again; nothing is written.
    db = new DatabaseSync(existingFile(path), { timeout: BUSY_TIMEOUT_MS, defensive: true })
    db.exec('PRAGMA query_only = ON')
    const schemaVersion = readSchemaVersion(db, path)
    const checked = sizeBytes <= MAX_CHECKED_BYTES
    if (checked && db.prepare('PRAGMA quick_check(1)').get()?.['quick_check'] !== 'ok') throw damagedLedger(path)
    return {
      exists: true,
      folder,
      folderMode: modeOf(folder),
      sizeBytes,
      schemaVersion,
      knownVersion: SCHEMA_VERSION,
      checked,
      unfinished: schemaVersion === 0 ? [] : readUnfinished(db),
      running: listRunningTransfers(locksFolder(path)),
    }
  } catch (error) {
    throw toLedgerError(error, path)
  } finally {
    db?.close()
  }
}

/** Whether a ledger could be made. */
function inspectPlace(folder: string): LedgerInspection {
  let nearest = resolve(folder)
  while (!existsSync(nearest) && dirname(nearest) !== nearest) nearest = dirname(nearest)
  if (nearest === folder) checkPrivateFolder(folder)
  checkWritable(nearest, 'the ledger cannot be made')
  return {
    exists: false,
    folder: nearest,
    folderMode: nearest === folder ? modeOf(folder) : null,
    sizeBytes: 0,
    schemaVersion: 0,
    knownVersion: SCHEMA_VERSION,
    checked: false,
    unfinished: [],
    running: [],
  }
}

function checkWritable(path: string, says: string): void {
  try {
    accessSync(path, constants.W_OK)
    if (statSync(path).isDirectory()) accessSync(path, constants.X_OK)
  } catch (cause) {
    throw new SealiftError('ledger_unavailable', `${says}: ${path}`, {
      cause,
      hint: 'Choose another place with DB_PATH, or make this one usable.',
    })
  }
}

function readUnfinished(db: DatabaseSync): string[] {
  const sql = `SELECT DISTINCT id FROM transfers WHERE status IN ('pending', 'in_progress') ORDER BY key DESC`
  return db
    .prepare(sql)
    .all()
    .map(({ id }) => String(id))
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}

function modeOf(folder: string): number | null {
  return process.platform === 'win32' ? null : statSync(folder).mode & 0o777
}
