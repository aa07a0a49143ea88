/**
 * A file that one process has locked. Node has no flock, so the lock is an exclusive transaction on a small SQLite file of
 * its own: the system drops it when the process dies, however it dies. Beside it lies who has it, for people.
 */

import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { existingFile, preparePrivateFile } from './private-file.ts'
import { isBusy, toLedgerError } from './sqlite-fault.ts'

export interface FileLock {
  /** Gives the file free; calling it again does nothing. */
  release(): void
}

/** A connection that is collected as garbage is closed, and its lock with it. */
const held = new Set<DatabaseSync>()

/**
 * @param path made where it is missing, and its folder
 * @returns `null` where another has it, also in this process
 * @throws SealiftError `ledger_unavailable`
 */
export function lockFile(path: string): FileLock | null {
  preparePrivateFile(path)
  let db: DatabaseSync | undefined
  try {
    db = new DatabaseSync(existingFile(path), { timeout: 0 })
    db.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    db?.close()
    if (isBusy(error)) return null
    throw toLedgerError(error, path)
  }
  const locked = db
  held.add(locked)
  return {
    release: () => {
      if (held.delete(locked)) locked.close()
    },
  }
}

/** Says that this process has it: only for the message of whoever comes second, the lock does not depend on it. */
export function nameHolder(path: string): void {
  try {
    writeFileSync(holderPath(path), `${process.pid}\n`, { mode: 0o600 })
  } catch {
    // A full disk, say: then that message names nobody.
  }
}

/** To be called before the lock is given free. */
export function nameNobody(path: string): void {
  rmSync(holderPath(path), { force: true })
}

/** Process that has the lock; `null` where that cannot be said. */
export function readHolder(path: string): number | null {
  try {
    const pid = Number(readFileSync(holderPath(path), 'latin1').trim())
    if (!Number.isSafeInteger(pid) || pid <= 0) return null
    process.kill(pid, 0)
    return pid
  } catch {
    return null
  }
}

/** As a message begins. */
export function describeHolder(path: string): string {
  const pid = readHolder(path)
  if (pid === null) return 'another process'
  return pid === process.pid ? 'this process' : `process ${pid}`
}

function holderPath(path: string): string {
  return `${path}.pid`
}
