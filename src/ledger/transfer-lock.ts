/**
 * One process per transfer and role (protocol.md 3.6), by a file that is locked (`file-lock.ts`).
 *
 * The file is removed at release. Whoever opened it just before would then hold a lock that nobody else sees, and an
 * inode number proves nothing, since it is used again at once. So opening and removing happen under a second lock,
 * the guard, whose file stays for ever.
 */

import { readdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { SealiftError } from '../protocol/errors.ts'
import { describeHolder, type FileLock, lockFile, nameHolder, nameNobody, readHolder } from './file-lock.ts'
import type { Role } from './transfer-row.ts'

/** Gives the transfer free. */
export type TransferLock = FileLock

/** Two that try at the same moment can both be turned away by SQLite, so one try is not enough. */
const TRIES = 6
const PAUSE_MS = 15
/** The guard is held for a millisecond; so long it is tried, with short pauses. */
const GUARD_TRIES = 400
const GUARD_PAUSE_MS = 5
/** Without the guard at release, the file stays and is used again. */
const RELEASE_TRIES = 3

/** Where the locks of a ledger lie. */
export function locksFolder(ledgerFile: string): string {
  return join(dirname(ledgerFile), 'locks')
}

/**
 * Takes a transfer for this process, until it is released or dies.
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
      const lock = lockFile(path)
      if (lock !== null) return hold(path, lock)
    } finally {
      guard.release()
    }
    if (++tries < TRIES) await delay(PAUSE_MS * (0.5 + randomJitter()))
  }
  throw new SealiftError('transfer_busy', `${describeHolder(path)} already works on this transfer`, {
    transferId: id,
    hint: 'Let it end, or stop it, and run the same command again.',
  })
}

function hold(path: string, lock: FileLock): TransferLock {
  nameHolder(path)
  let isHeld = true
  return {
    release: () => {
      if (!isHeld) return
      isHeld = false
      release(path, lock)
    },
  }
}

function release(path: string, lock: FileLock): void {
  let guard: FileLock | null = null
  try {
    for (let tries = 0; guard === null && tries < RELEASE_TRIES; tries++) guard = lockFile(guardPath(path))
    nameNobody(path)
    // Windows removes no open file: there it stays and is used again.
    if (guard !== null) rmSync(path, { force: true })
  } catch {
    // What stays is used again.
  } finally {
    lock.release()
    guard?.release()
  }
}

function guardPath(path: string): string {
  return join(dirname(path), 'guard.lock')
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
