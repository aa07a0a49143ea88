/**
 * One SQLite file with an asynchronous face. Owns opening, the order of writes, group commit and what happens while
 * another process writes. Knows no table.
 *
 * All writes queued in one turn of the event loop go in one transaction, cut where it would keep the loop longer
 * than a few milliseconds. SQLite's own busy time-out would stop the whole process, so it stays 0 and a busy ledger
 * is tried again from a timer (protocol.md 3.7).
 */

import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { SealiftError } from '../protocol/errors.ts'
import {
  checkPrivateFile,
  existingFile,
  type FileIdentity,
  identifyFile,
  isSameFile,
  preparePrivateFile,
} from './private-file.ts'
import { migrate, readSchemaVersion, SCHEMA_VERSION } from './schema.ts'
import { isBusy, toLedgerError } from './sqlite-fault.ts'

/** Work begins no further job of a transaction after so long; protocol.md allows 5 ms with the commit. */
const MAX_WORK_MS = 3
const BUSY_TIMEOUT_MS = 10_000
const FIRST_RETRY_MS = 1
const LAST_RETRY_MS = 20

export interface DatabaseOptions {
  /** How long a busy ledger is waited for; 10 s by default. */
  readonly busyTimeoutMs?: number
  /** Spreads tries of several processes apart: 0 ≤ value < 1; not for secrets. */
  readonly randomJitter?: () => number
}

export interface WriteOptions {
  /** Whether the commit must survive the loss of power, not only of the process. */
  readonly durable?: boolean
}

/** Prepares a statement, or gives the one that was prepared before. */
export type Prepare = (sql: string) => StatementSync

interface Job {
  readonly durable: boolean
  /** Does the work and keeps its result for `resolve`; may run more than once. */
  run(): void
  resolve(): void
  reject(error: SealiftError): void
}

/** Waits between tries, longer and longer, until the time is over. */
class BusyWait {
  readonly #endsAt: number
  readonly #random: () => number
  #nextMs = FIRST_RETRY_MS

  constructor(options: DatabaseOptions) {
    this.#endsAt = performance.now() + (options.busyTimeoutMs ?? BUSY_TIMEOUT_MS)
    this.#random = options.randomJitter ?? Math.random
  }

  get isOver(): boolean {
    return performance.now() >= this.#endsAt
  }

  async pause(): Promise<void> {
    await delay(this.#nextMs * (0.5 + this.#random()))
    this.#nextMs = Math.min(this.#nextMs * 2, LAST_RETRY_MS)
  }
}

/** Calls `attempt` until it is not busy. @throws SealiftError as {@link toLedgerError} */
async function untilFree<T>(attempt: () => T, path: string, options: DatabaseOptions): Promise<T> {
  let wait: BusyWait | undefined
  for (;;) {
    try {
      return attempt()
    } catch (error) {
      wait ??= new BusyWait(options)
      if (!isBusy(error) || wait.isOver) throw toLedgerError(error, path)
      await wait.pause()
    }
  }
}

export class Database {
  readonly path: string
  readonly #db: DatabaseSync
  readonly #identity: FileIdentity
  readonly #options: DatabaseOptions
  readonly #statements = new Map<string, StatementSync>()
  readonly #prepare: Prepare
  #queue: Job[] = []
  /** Settles when the queue has been worked off; `null` while nothing is queued. */
  #flushing: Promise<void> | null = null
  #synchronous: 'NORMAL' | 'FULL' = 'NORMAL'
  #closed = false

  private constructor(path: string, db: DatabaseSync, identity: FileIdentity, options: DatabaseOptions) {
    this.path = path
    this.#db = db
    this.#identity = identity
    this.#options = options
    this.#prepare = (sql) => {
      let statement = this.#statements.get(sql)
      if (statement === undefined) {
        statement = db.prepare(sql)
        this.#statements.set(sql, statement)
      }
      return statement
    }
  }

  /**
   * Opens the file, makes it where it is missing, brings it to the present schema.
   * @param path absolute
   * @throws SealiftError `ledger_unavailable`, `ledger_corrupt`, `ledger_newer`
   */
  static async open(path: string, options: DatabaseOptions = {}): Promise<Database> {
    const identity = preparePrivateFile(path)
    if (identity === null) {
      throw new SealiftError('ledger_unavailable', `the ledger disappeared while it was opened: ${path}`)
    }
    checkPrivateFile(`${path}-wal`)
    checkPrivateFile(`${path}-shm`)
    const db = await untilFree(
      () => new DatabaseSync(existingFile(path), { timeout: 0, defensive: true }),
      path,
      options,
    )
    try {
      await untilFree(() => setUp(db, path), path, options)
      return new Database(path, db, identity, options)
    } catch (error) {
      db.close()
      throw error
    }
  }

  /**
   * Reads what is committed; writes still queued are not seen.
   * @param work synchronous; leaves no statement half read
   * @throws SealiftError `ledger_unavailable`, `ledger_corrupt`
   */
  async read<T>(work: (prepare: Prepare) => T): Promise<T> {
    return untilFree(
      () => {
        this.#checkOpen()
        return work(this.#prepare)
      },
      this.path,
      this.#options,
    )
  }

  /**
   * Queues a write; writes are committed in the order in which they were queued.
   * @param work synchronous and short (under 1 ms); touches nothing but the database, since it may run again
   * @returns what `work` returned, once it is committed
   * @throws SealiftError `ledger_unavailable`, `ledger_corrupt`; then nothing of this write is in the ledger
   */
  write<T>(work: (prepare: Prepare) => T, options: WriteOptions = {}): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#closed) {
        reject(closedError(this.path))
        return
      }
      let result: T
      this.#queue.push({
        durable: options.durable ?? false,
        run: () => {
          result = work(this.#prepare)
        },
        resolve: () => {
          resolve(result)
        },
        reject,
      })
      this.#flushing ??= this.#flush()
    })
  }

  /** Commits what is queued, then closes. Further calls fail. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#flushing
    this.#db.close()
  }

  async #flush(): Promise<void> {
    let wait: BusyWait | undefined
    while (this.#queue.length > 0) {
      await nextTurn()
      try {
        this.#commitBatch()
        wait = undefined
      } catch (error) {
        wait ??= new BusyWait(this.#options)
        if (isBusy(error) && !wait.isOver) {
          await wait.pause()
        } else {
          const refused = this.#queue
          this.#queue = []
          wait = undefined
          for (const job of refused) job.reject(toLedgerError(error, this.path))
        }
      }
    }
    this.#flushing = null
  }

  /** One transaction from the head of the queue. Throws only where no job can be committed; the queue is whole then. */
  #commitBatch(): void {
    const startedAt = performance.now()
    this.#checkInPlace()
    this.#setSynchronous(this.#queue.some((job) => job.durable) ? 'FULL' : 'NORMAL')
    this.#db.exec('BEGIN IMMEDIATE')
    let count = 0
    try {
      while (count < this.#queue.length && (count === 0 || performance.now() - startedAt < MAX_WORK_MS)) {
        ;(this.#queue[count] as Job).run()
        count++
      }
    } catch (error) {
      this.#rollBack()
      if (isBusy(error)) throw error
      // Only the job that failed is refused; those before it run again in the next transaction.
      const [failed] = this.#queue.splice(count, 1)
      failed?.reject(toLedgerError(error, this.path))
      return
    }
    try {
      this.#db.exec('COMMIT')
    } catch (error) {
      this.#rollBack()
      throw error
    }
    for (const job of this.#queue.splice(0, count)) job.resolve()
  }

  #rollBack(): void {
    // SQLite has rolled back by itself after some errors (a full disk, say).
    if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
  }

  #setSynchronous(mode: 'NORMAL' | 'FULL'): void {
    if (this.#synchronous === mode) return
    this.#db.exec(`PRAGMA synchronous = ${mode}`)
    this.#synchronous = mode
  }

  /** In WAL mode SQLite goes on writing into a file that was deleted, and says nothing. */
  #checkInPlace(): void {
    if (isSameFile(identifyFile(this.path), this.#identity)) return
    throw new SealiftError('ledger_unavailable', `the ledger was removed or replaced while in use: ${this.path}`, {
      hint: 'Put it back, with its -wal and -shm, and run the same command again.',
    })
  }

  #checkOpen(): void {
    if (this.#closed) throw closedError(this.path)
  }
}

/** Runs again from its start when it was busy, so every step may be repeated. */
function setUp(db: DatabaseSync, path: string): void {
  // Before anything is written: a newer ledger, or a file that is none, stays as it is.
  const version = readSchemaVersion(db, path)
  // FAST zeroes deleted keys wherever their page is written anyway.
  db.exec('PRAGMA synchronous = NORMAL; PRAGMA journal_mode = WAL; PRAGMA secure_delete = FAST')
  if (version === SCHEMA_VERSION) return
  db.exec('BEGIN IMMEDIATE')
  try {
    migrate(db, path)
    db.exec('COMMIT')
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK')
    throw error
  }
}

/** After the callbacks of this turn, so that all they queue goes together. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function closedError(path: string): SealiftError {
  return new SealiftError('ledger_unavailable', `the ledger is closed: ${path}`)
}
