/**
 * One receiving server for a ledger and for a log: two would each release what the other has reserved, and break each
 * other's chain of lines. The file stays, so that whoever comes next locks the same one.
 */

import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { SealiftError } from '../protocol/errors.ts'
import { describeHolder, type FileLock, lockFile, nameHolder, nameNobody } from './file-lock.ts'

const LOCK_FILE = 'server.lock'
/** Two that try at the same moment can both be turned away by SQLite, so one try is not enough. */
const TRIES = 4
const PAUSE_MS = 15

/**
 * @param folder in which the lock lies; made where it is missing
 * @param what there is one of, for people: `the ledger PATH`
 * @returns what gives it free
 * @throws SealiftError `server_running` with the process that has it; `ledger_unavailable`
 */
export async function acquireServerLock(
  folder: string,
  what: string,
  randomJitter: () => number = Math.random,
): Promise<FileLock> {
  const path = join(folder, LOCK_FILE)
  for (let tries = 1; ; tries++) {
    const lock = lockFile(path)
    if (lock !== null) return named(path, lock)
    if (tries === TRIES) break
    await delay(PAUSE_MS * (0.5 + randomJitter()))
  }
  throw new SealiftError('server_running', `${describeHolder(path)} is a server that uses ${what}`, {
    hint: 'Stop it, or give this one a ledger (DB_PATH) and a log (ST_LOG_PATH) of its own.',
  })
}

function named(path: string, lock: FileLock): FileLock {
  nameHolder(path)
  return {
    release: () => {
      try {
        nameNobody(path)
      } finally {
        lock.release()
      }
    },
  }
}
