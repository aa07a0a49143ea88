/**
 * One process per transfer and role (protocol.md 3.6). Node has no flock, so the lock is an exclusive transaction on
 * a small SQLite file of its own: the system drops it when the process dies, however it dies.
 *
 * The file is removed at release. Whoever opened it just before would then hold a lock that nobody else sees, so
 * after locking the path must still name the same file.
 */

import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { SealiftError } from '../protocol/errors.ts'
import { identifyFile, isSameFile, preparePrivateFile } from './private-file.ts'
import { isBusy, toLedgerError } from './sqlite-fault.ts'
import type { Role } from './transfers.ts'

export interface TransferLock {
  /** Gives the transfer free; calling it again does nothing. */
  release(): void
}

/** Two that try at the same moment can both be turned away by SQLite, so one try is not enough. */
const TRIES = 6
const PAUSE_MS = 15

/** A connection that is collected as garbage is closed, and its lock with it. */
const held = new Set<DatabaseSync>()

/** Where the locks of a ledger lie. */
export function locksFolder(ledgerFile: string): string {
  return join(dirname(ledgerFile), 'locks')
}

/**
 * Takes a transfer for this process, until {@link TransferLock.release} or its death.
 * @param folder see {@link locksFolder}; made where it is missing
 * @param id UUID of the transfer
 * @throws SealiftError `transfer_busy` with the process that has it; `ledger_unavailable`
 */
export async function acquireTransferLock(
  folder: string,
  id: string,
  role: Role,
  randomJitter: () => number = Math.random,
): Promise<TransferLock> {
  if (!/^[0-9a-f-]{36}$/.test(id)) throw new SealiftError('internal', 'a lock needs the id of a transfer')
  const path = join(folder, `${id}.${role}.lock`)
  for (let attempt = 1; attempt <= TRIES; attempt++) {
    const lock = tryLock(path)
    if (lock !== null) return lock
    if (attempt < TRIES) await delay(PAUSE_MS * (0.5 + randomJitter()))
  }
  const pid = readHolder(path)
  const who = pid === null ? 'another process' : pid === process.pid ? 'this process' : `process ${pid}`
  throw new SealiftError('transfer_busy', `${who} already works on this transfer`, {
    transferId: id,
    hint: 'Let it end, or stop it, and run the same command again.',
  })
}

/** @returns `null` where another connection has it, or where the file was removed in the same moment. */
function tryLock(path: string): TransferLock | null {
  let db: DatabaseSync | undefined
  try {
    const identity = preparePrivateFile(path)
    db = new DatabaseSync(path, { timeout: 0 })
    db.exec('BEGIN EXCLUSIVE')
    if (!isSameFile(identifyFile(path), identity)) {
      db.close()
      return null
    }
    // Only for the message of whoever comes second; the lock does not depend on it.
    writeFileSync(holderPath(path), `${process.pid}\n`, { mode: 0o600 })
  } catch (error) {
    db?.close()
    if (isBusy(error)) return null
    throw toLedgerError(error, path)
  }
  held.add(db)
  return { release: () => release(path, db) }
}

function release(path: string, db: DatabaseSync): void {
  if (!held.delete(db)) return
  try {
    // While the lock is still held: what comes next at this path is another's.
    rmSync(holderPath(path), { force: true })
    rmSync(path, { force: true })
  } catch {
    // Windows removes no open file; one that stays is used again.
  } finally {
    db.close()
  }
}

function holderPath(path: string): string {
  return `${path}.pid`
}

/** Process that has the lock; `null` where that cannot be said. */
function readHolder(path: string): number | null {
  try {
    const pid = Number(readFileSync(holderPath(path), 'latin1').trim())
    if (!Number.isSafeInteger(pid) || pid <= 0) return null
    process.kill(pid, 0)
    return pid
  } catch {
    return null
  }
}
