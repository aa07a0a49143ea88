/**
 * The rows of transfers: what is asked of the ledger by people (`status`, `list`) and by a process that takes a
 * transfer up again. Rows stay when a transfer has ended; what was only needed to go on with it does not.
 */

import type { SQLInputValue } from 'node:sqlite'
import { DEFAULT_PRIORITY } from '../protocol/limits.ts'
import type { Database, WriteOptions } from './database.ts'
import { settleReservation } from './quotas.ts'
import {
  columnsOf,
  type EndStatus,
  type NewTransfer,
  type Role,
  toJson,
  toRow,
  type TransferFault,
  type TransferFields,
  type TransferRow,
} from './transfer-row.ts'

const DEFAULTS: TransferFields = {
  status: 'pending',
  chunksCompleted: 0,
  priority: DEFAULT_PRIORITY,
  roots: [],
  options: {},
  epoch: 0,
}

/** `?1` is the boot id: what an earlier run of the machine left unsynced is not done. */
const SELECT = `SELECT t.*, coalesce(t.bytes_done, (SELECT sum(r."end" - r."start") FROM ranges r
  WHERE r.transfer = t.key AND (r.boot IS NULL OR r.boot = ?1)), 0) AS done FROM transfers t`

/** Large parts are deleted piece by piece, so that no transaction is long: manifest pages of up to 256 KiB, rows. */
const PAGES_PER_DELETE = 4
const ROWS_PER_DELETE = 1000

export class Transfers {
  readonly #database: Database
  readonly #bootId: string
  readonly #nowMs: () => number

  constructor(database: Database, bootId: string, nowMs: () => number) {
    this.#database = database
    this.#bootId = bootId
    this.#nowMs = nowMs
  }

  /**
   * @returns the key of the new row
   * @throws SealiftError `internal` where this role already has a transfer of that id
   */
  async create(transfer: NewTransfer, options: WriteOptions = {}): Promise<number> {
    const now = this.#nowMs()
    const columns = new Map(columnsOf({ ...DEFAULTS, ...transfer }))
    columns.set('id', transfer.id).set('role', transfer.role).set('transfer_type', transfer.transferType)
    columns.set('created_at', now).set('updated_at', now).set('told', 0)
    const names = [...columns.keys()]
    const sql = `INSERT INTO transfers (${names.join(', ')}) VALUES (${names.map(() => '?').join(', ')})`
    return this.#database.write((prepare) => Number(prepare(sql).run(...columns.values()).lastInsertRowid), options)
  }

  async find(id: string, role: Role): Promise<TransferRow | null> {
    return this.#one(`${SELECT} WHERE t.id = ?2 AND t.role = ?3`, id, role)
  }

  async get(key: number): Promise<TransferRow | null> {
    return this.#one(`${SELECT} WHERE t.key = ?2`, key)
  }

  /** Sets the given fields only, and `updatedAtMs`. */
  async update(key: number, fields: TransferFields, options: WriteOptions = {}): Promise<void> {
    const columns = columnsOf(fields)
    const sql = `UPDATE transfers SET ${['updated_at', ...columns.map(([name]) => name)].map((name) => `${name} = ?`).join(', ')} WHERE key = ?`
    const values = [this.#nowMs(), ...columns.map(([, value]) => value), key]
    await this.#database.write((prepare) => void prepare(sql).run(...values), options)
  }

  /** Pending and in progress, the newest first. */
  async listUnfinished(role: Role): Promise<TransferRow[]> {
    return this.#all(`${SELECT} WHERE t.status IN ('pending', 'in_progress') AND t.role = ?2 ORDER BY t.key DESC`, role)
  }

  /** Those of both roles, the newest first; without `all` the unfinished ones. */
  async list(options: { all?: boolean } = {}): Promise<TransferRow[]> {
    const which = options.all === true ? '' : `WHERE t.status IN ('pending', 'in_progress')`
    return this.#all(`${SELECT} ${which} ORDER BY t.key DESC`)
  }

  /** Unfinished transfers of a sender with these roots, options and manifest digest (protocol.md 3.1), the newest first. */
  async listResumableSenders(wanted: {
    roots: readonly string[]
    options: Readonly<Record<string, unknown>>
    checksum: string
  }): Promise<TransferRow[]> {
    return this.#all(
      `${SELECT} WHERE t.role = 'sender' AND t.status IN ('pending', 'in_progress')
        AND t.roots = ?2 AND t.options = ?3 AND t.checksum = ?4 ORDER BY t.key DESC`,
      toJson(wanted.roots),
      toJson(wanted.options),
      wanted.checksum,
    )
  }

  /** The same, whatever their manifest: what a new one may replace. */
  async listReplaceableSenders(roots: readonly string[]): Promise<TransferRow[]> {
    return this.#all(
      `${SELECT} WHERE t.role = 'sender' AND t.status IN ('pending', 'in_progress') AND t.roots = ?2 ORDER BY t.key DESC`,
      toJson(roots),
    )
  }

  /**
   * Ends a transfer, durably and for good: what may be taken up again stays in progress. Its resume keys go with it,
   * but for those of a completed receiver whose sender has not been told yet (see {@link markTold}), and so does what
   * was only needed to go on.
   */
  async finish(key: number, status: EndStatus, fault: TransferFault | null = null): Promise<void> {
    const now = this.#nowMs()
    const error = fault === null ? null : JSON.stringify({ code: fault.code, message: fault.message })
    await this.#database.write(
      (prepare) => {
        prepare(`UPDATE transfers SET status = ?2, completed_at = ?3, updated_at = ?3, error = ?4,
          bytes_done = CASE WHEN role = 'sender' AND ?2 = 'completed' THEN coalesce(file_size, 0)
            ELSE (SELECT coalesce(sum("end" - "start"), 0) FROM ranges WHERE transfer = ?1) END WHERE key = ?1`).run(
          key,
          status,
          now,
          error,
        )
        prepare(`DELETE FROM resume_keys WHERE transfer = ?1 AND NOT EXISTS (SELECT 1 FROM transfers
          WHERE key = ?1 AND role = 'receiver' AND status = 'completed' AND told = 0)`).run(key)
        settleReservation(prepare, key)
      },
      { durable: true },
    )
    await this.#dropParts(key)
  }

  /** Receiver: the sender has said that it knows; the keys for coming back are not needed any more. Durable. */
  async markTold(key: number): Promise<void> {
    await this.#database.write(
      (prepare) => {
        prepare('UPDATE transfers SET told = 1, updated_at = ? WHERE key = ?').run(this.#nowMs(), key)
        prepare(`DELETE FROM resume_keys WHERE transfer = ?1
          AND EXISTS (SELECT 1 FROM transfers WHERE key = ?1 AND status = 'completed')`).run(key)
      },
      { durable: true },
    )
  }

  /** Begins a transfer anew under its id: what was known of its progress is forgotten. */
  async restart(key: number, fields: TransferFields): Promise<void> {
    await this.#dropParts(key)
    await this.update(key, { ...fields, status: 'pending' })
  }

  /** Deletes manifest, ranges, entries and publish intents, so that the ledger stays small. */
  async #dropParts(key: number): Promise<void> {
    const forget = this.#database.write((prepare) => {
      prepare('UPDATE transfers SET manifest_pages = NULL WHERE key = ?').run(key)
    })
    await Promise.all([
      forget,
      this.#deleteAll(key, 'manifest_pages', 'page', PAGES_PER_DELETE),
      this.#deleteAll(key, 'entries', 'page', PAGES_PER_DELETE * 8),
      this.#deleteAll(key, 'ranges', '"start"', ROWS_PER_DELETE),
      this.#deleteAll(key, 'publish_intents', 'entry', ROWS_PER_DELETE),
    ])
  }

  async #deleteAll(key: number, table: string, column: string, rows: number): Promise<void> {
    const sql = `DELETE FROM ${table} WHERE transfer = ?1 AND ${column} IN
      (SELECT ${column} FROM ${table} WHERE transfer = ?1 LIMIT ${rows})`
    let deleted: number
    do {
      deleted = await this.#database.write((prepare) => Number(prepare(sql).run(key).changes))
    } while (deleted === rows)
  }

  async #one(sql: string, ...values: SQLInputValue[]): Promise<TransferRow | null> {
    return (await this.#all(sql, ...values))[0] ?? null
  }

  async #all(sql: string, ...values: SQLInputValue[]): Promise<TransferRow[]> {
    return this.#database.read((prepare) =>
      prepare(sql)
        .all(this.#bootId, ...values)
        .map(toRow),
    )
  }
}
