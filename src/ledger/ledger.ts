/**
 * The ledger: the durable record of transfers, in one SQLite file. This is the door to it; each idea has a file of its
 * own (transfers, manifest, progress, resume keys, publish intents, locks; of a server bans, quotas and the audit log).
 *
 * Several processes of one user share a ledger. It does not know how bytes come or where they lie.
 */

import { AuditRecords } from './audit.ts'
import { Bans } from './bans.ts'
import { readBootId } from './boot-id.ts'
import { Database, type DatabaseOptions } from './database.ts'
import type { FileLock } from './file-lock.ts'
import { ManifestStore } from './manifest-store.ts'
import { OwnedRoots } from './owned-roots.ts'
import { Progress } from './progress.ts'
import { PublishIntents } from './publish-intents.ts'
import { QuotaRecords } from './quotas.ts'
import { ResumeKeys } from './resume-keys.ts'
import { acquireServerLock } from './server-lock.ts'
import { acquireTransferLock, locksFolder, type TransferLock } from './transfer-lock.ts'
import type { Role } from './transfer-row.ts'
import { Transfers } from './transfers.ts'

export interface LedgerOptions extends DatabaseOptions {
  /** Absolute path of the ledger file, as `ledgerPath` gives it. */
  readonly path: string
  readonly now?: () => Date
  /** Names the present run of the machine; read from the system by default. */
  readonly bootId?: string
  /** Whole milliseconds of a clock that nobody sets, the same in all processes; the system's by default. */
  readonly uptimeMs?: () => number
}

export class Ledger {
  readonly transfers: Transfers
  readonly manifests: ManifestStore
  readonly resumeKeys: ResumeKeys
  readonly publishIntents: PublishIntents
  readonly ownedRoots: OwnedRoots
  readonly bans: Bans
  readonly quotas: QuotaRecords
  readonly audit: AuditRecords
  readonly #database: Database
  readonly #bootId: string
  readonly #randomJitter: (() => number) | undefined

  /** @param database owned by the ledger from now on */
  constructor(database: Database, options: LedgerOptions) {
    const nowMs = (): number => (options.now?.() ?? new Date()).getTime()
    this.#database = database
    this.#bootId = options.bootId ?? readBootId()
    this.#randomJitter = options.randomJitter
    this.transfers = new Transfers(database, this.#bootId, nowMs)
    this.manifests = new ManifestStore(database)
    this.resumeKeys = new ResumeKeys(database, nowMs)
    this.publishIntents = new PublishIntents(database)
    this.ownedRoots = new OwnedRoots(database)
    this.bans = new Bans(database, this.#bootId, { wallMs: nowMs, uptimeMs: options.uptimeMs ?? readUptimeMs })
    this.quotas = new QuotaRecords(database)
    this.audit = new AuditRecords(database)
  }

  /** Absolute path of the ledger file. */
  get path(): string {
    return this.#database.path
  }

  /** What is safe of a transfer and the states of its entries; to be had under the transfer's lock only. */
  async openProgress(transfer: number, entryCount: number): Promise<Progress> {
    return Progress.open(this.#database, transfer, this.#bootId, entryCount)
  }

  /** @throws SealiftError `transfer_busy` where another process works on the transfer in this role */
  async lock(id: string, role: Role): Promise<TransferLock> {
    return acquireTransferLock(locksFolder(this.path), id, role, this.#randomJitter)
  }

  /** @throws SealiftError `server_running` where another receiving server has this ledger */
  async lockForServer(): Promise<FileLock> {
    return acquireServerLock(locksFolder(this.path), `the ledger ${this.path}`, this.#randomJitter)
  }

  /** Commits all that is queued and closes the file; further calls fail with `ledger_unavailable`. */
  async close(): Promise<void> {
    await this.#database.close()
  }
}

/** The clock of `process.hrtime` counts from the start of the machine, or from one moment of the run of it. */
function readUptimeMs(): number {
  return Number(process.hrtime.bigint() / 1_000_000n)
}

/**
 * Opens the ledger; makes it (0600, in a folder 0700) where it is missing.
 * @throws SealiftError `ledger_unavailable` where it cannot be opened or is open to others, `ledger_corrupt`,
 *   `ledger_newer`
 */
export async function openLedger(options: LedgerOptions): Promise<Ledger> {
  return new Ledger(await Database.open(options.path, options), options)
}
