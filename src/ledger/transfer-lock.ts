/**
 * One process per transfer and role (protocol.md 3.6). Node has no flock, so the lock is an exclusive transaction on
 * a small SQLite file of its own: the system drops it when the process dies, however it dies.
 *
 * The file is removed at release. Whoever opened it just before would then hold a lock that nobody else sees, and an
 * inode number proves nothing, since it is used again at once. So opening and removing happen under a second lock,
 * the guard, whose file stays for ever.
 */

import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { SealiftError } from '../protocol/errors.ts'
import { existingFile, preparePrivateFile } from './private-file.ts'
import { isBusy, toLedgerError } from './sqlite-fault.ts'
import type { Role } from './transfer-row.ts'

export interface TransferLock {
  /** Gives the transfer free; calling it again does nothing. */
  release(): void
}

/** Two that try at the same moment can both be turned away by SQLite, so one try is not enough. */
const TRIES = 6
const PAUSE_MS = 15
/** The guard is held for a millisecond; so long it is tried, with short pauses. */
const GUARD_TRIES = 400
const GUARD_PAUSE_MS = 5
/** Without the guard at release, the file stays and is used again. */
const RELEASE_TRIES = 3

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
  for (let tries = 0, guardTries = 0; tries < TRIES;) {
    const guard = lockFile(guardPath(path))
    if (guard === null) {
      if (++guardTries === GUARD_TRIES) throw new SealiftError('ledger_unavailable', `the locks are busy: ${folder}`)
      await delay(GUARD_PAUSE_MS * (0.5 + randomJitter()))
      continue
    }
    try {
      const db = lockFile(path)
      if (db !== null) return hold(path, db)
    } finally {
      guard.close()
    }
    if (++tries < TRIES) await delay(PAUSE_MS * (0.5 + randomJitter()))
  }
  const pid = readHolder(path)
  const who = pid === null ? 'another process' : pid === process.pid ? 'this process' : `process ${pid}`
  throw new SealiftError('transfer_busy', `${who} already works on this transfer`, {
    transferId: id,
    hint: 'Let it end, or stop it, and run the same command again.',
  })
}

/** @returns the connection that holds the lock until it is closed; `null` where another has it. */
function lockFile(path: string): DatabaseSync | null {
  preparePrivateFile(path)
  let db: DatabaseSync | undefined
  try {
    db = new DatabaseSync(existingFile(path), { timeout: 0 })
    db.exec('BEGIN EXCLUSIVE')
    return db
  } catch (error) {
    db?.close()
    if (isBusy(error)) return null
    throw toLedgerError(error, path)
  }
}

function hold(path: string, db: DatabaseSync): TransferLock {
  held.add(db)
  try {
    // Only for the message of whoever comes second; the lock does not depend on it.
    writeFileSync(holderPath(path), `${process.pid}\n`, { mode: 0o600 })
  } catch {
    // A full disk, say: then that message names nobody.
  }
  return { release: () => release(path, db) }
}

function release(path: string, db: DatabaseSync): void {
  if (!held.delete(db)) return
  let guard: DatabaseSync | null = null
  try {
    for (let tries = 0; guard === null && tries < RELEASE_TRIES; tries++) guard = lockFile(guardPath(path))
    rmSync(holderPath(path), { force: true })
    // Windows removes no open file: there it stays and is used again.
    if (guard !== null) rmSync(path, { force: true })
  } catch {
    // What stays is used again.
  } finally {
    db.close()
    guard?.close()
  }
}

function guardPath(path: string): string {
  return join(dirname(path), 'guard.lock')
}

function holderPath(path: string): string {
  return `${path}.pid`
}

/** A transfer that a process works on now. */
export interface RunningTransfer {
  readonly id: string
  readonly role: Role
  readonly pid: number
}

/**
 * Transfers whose locks name a process that lives; nothing is locked or changed for it. The system may have given the
 * number of a process that died to another: this is to be told, not to be relied upon.
 * @param folder see {@link locksFolder}; need not be there
 */
export function listRunningTransfers(folder: string): RunningTransfer[] {
  let names: string[]
  try {
    names = readdirSync(folder)
  } catch {
    return []
  }
  return names.flatMap((name) => {
    const [, id = '', role] = /^([0-9a-f-]{36})\.(sender|receiver)\.lock$/.exec(name) ?? []
    const pid = role === undefined ? null : readHolder(join(folder, name))
    return pid === null ? [] : [{ id, role: role as Role, pid }]
  })
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
