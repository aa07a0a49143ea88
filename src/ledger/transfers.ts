/**
 * The rows of transfers: what is asked of the ledger by people (`status`, `list`) and by a process that takes a
 * transfer up again. Rows stay when a transfer has ended; what was only needed to go on with it does not.
 */

import type { SQLInputValue } from 'node:sqlite'
import type { Database, Prepare, WriteOptions } from './database.ts'

export type Role = 'sender' | 'receiver'
export type TransferType = 'upload' | 'download'
export type UnfinishedStatus = 'pending' | 'in_progress'
export type EndStatus = 'completed' | 'failed' | 'cancelled'
export type TransferStatus = UnfinishedStatus | EndStatus

/** Why a transfer failed; a `SealiftError` is one. */
export interface TransferFault {
  readonly code: string
  readonly message: string
}

/** What may change while a transfer goes on. */
export interface TransferFields {
  readonly status?: UnfinishedStatus
  readonly userId?: string | null
  /** Name of the first root, or `N files`; for people. */
  readonly filename?: string
  /** Bytes of the content; `null` while unknown. */
  readonly fileSize?: number | null
  readonly fileType?: string | null
  /** Digest of the manifest, in hex. */
  readonly checksum?: string | null
  readonly transportUsed?: string | null
  readonly chunksTotal?: number | null
  readonly chunksCompleted?: number
  readonly priority?: number
  /** Who the other side is, for people. */
  readonly peer?: string | null
  /** Host that the receiver dialled, without the port. */
  readonly host?: string | null
  /** Absolute paths of what is sent; of a receiver, empty. */
  readonly roots?: readonly string[]
  /** Options that change the manifest; plain JSON. */
  readonly options?: Readonly<Record<string, unknown>>
  readonly outputDir?: string | null
  /** What the receiver decided at acceptance; plain JSON. */
  readonly plan?: unknown
  readonly epoch?: number
  /** Id of the transfer whose entries this one took over. */
  readonly replaces?: string | null
  readonly entryCount?: number | null
}

export interface NewTransfer extends TransferFields {
  /** UUID, in lower case. */
  readonly id: string
  readonly role: Role
  readonly transferType: TransferType
  readonly filename: string
}

export interface TransferRow {
  /** Key of the row, for all other calls. */
  readonly key: number
  readonly id: string
  readonly role: Role
  readonly transferType: TransferType
  readonly status: TransferStatus
  readonly userId: string | null
  readonly filename: string
  readonly fileSize: number | null
  readonly fileType: string | null
  readonly checksum: string | null
  readonly transportUsed: string | null
  readonly chunksTotal: number | null
  readonly chunksCompleted: number
  readonly priority: number
  readonly peer: string | null
  readonly host: string | null
  readonly roots: readonly string[]
  readonly options: Readonly<Record<string, unknown>>
  readonly outputDir: string | null
  readonly plan: unknown
  readonly epoch: number
  readonly replaces: string | null
  readonly entryCount: number | null
  readonly createdAtMs: number
  readonly updatedAtMs: number
  readonly completedAtMs: number | null
  readonly error: TransferFault | null
  /** Receiver: whether the sender knows that all is done. */
  readonly told: boolean
  /** Bytes that are safe; after the end, those that were. */
  readonly bytesDone: number
}

const COLUMNS: Readonly<Record<keyof TransferFields, string>> = {
  status: 'status',
  userId: 'user_id',
  filename: 'filename',
  fileSize: 'file_size',
  fileType: 'file_type',
  checksum: 'checksum',
  transportUsed: 'transport_used',
  chunksTotal: 'chunks_total',
  chunksCompleted: 'chunks_completed',
  priority: 'priority',
  peer: 'peer',
  host: 'host',
  roots: 'roots',
  options: 'options',
  outputDir: 'output_dir',
  plan: 'plan',
  epoch: 'epoch',
  replaces: 'replaces',
  entryCount: 'entry_count',
}

const DEFAULTS: TransferFields = {
  status: 'pending',
  chunksCompleted: 0,
  priority: 0,
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

  /** The newest unfinished transfer of a sender with these roots, options and manifest digest (protocol.md 3.1). */
  async findResumableSender(wanted: {
    roots: readonly string[]
    options: Readonly<Record<string, unknown>>
    checksum: string
  }): Promise<TransferRow | null> {
    return this.#one(
      `${SELECT} WHERE t.role = 'sender' AND t.status IN ('pending', 'in_progress')
        AND t.roots = ?2 AND t.options = ?3 AND t.checksum = ?4 ORDER BY t.key DESC LIMIT 1`,
      toJson(wanted.roots),
      toJson(wanted.options),
      wanted.checksum,
    )
  }

  /** Unfinished transfers of a sender with these roots, whatever their manifest: what a new one may replace. */
  async findReplaceableSender(roots: readonly string[]): Promise<TransferRow | null> {
    return this.#one(
      `${SELECT} WHERE t.role = 'sender' AND t.status IN ('pending', 'in_progress') AND t.roots = ?2 ORDER BY t.key DESC LIMIT 1`,
      toJson(roots),
    )
  }

  /**
   * Ends a transfer, durably. Its resume keys go with it, but for those of a completed receiver whose sender has not
   * been told yet (see {@link markTold}). What was only needed to go on is deleted, but for failed transfers.
   */
  async finish(key: number, status: EndStatus, fault: TransferFault | null = null): Promise<void> {
    const now = this.#nowMs()
    const error = fault === null ? null : JSON.stringify({ code: fault.code, message: fault.message })
    await this.#database.write(
      (prepare) => {
        prepare(`UPDATE transfers SET status = ?2, completed_at = ?3, updated_at = ?3, error = ?4,
          bytes_done = (SELECT coalesce(sum("end" - "start"), 0) FROM ranges WHERE transfer = ?1) WHERE key = ?1`).run(
          key,
          status,
          now,
          error,
        )
        prepare(`DELETE FROM resume_keys WHERE transfer = ?1 AND NOT EXISTS (SELECT 1 FROM transfers
          WHERE key = ?1 AND role = 'receiver' AND status = 'completed' AND told = 0)`).run(key)
      },
      { durable: true },
    )
    if (status !== 'failed') await this.dropParts(key)
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

  /** Deletes manifest, ranges, entries and publish intents of a transfer, so that the ledger stays small. */
  async dropParts(key: number): Promise<void> {
    await this.#database.write(
      (prepare) => void prepare('UPDATE transfers SET manifest_pages = NULL WHERE key = ?').run(key),
    )
    await this.#deleteAll(key, 'manifest_pages', 'page', PAGES_PER_DELETE)
    await this.#deleteAll(key, 'entries', 'page', PAGES_PER_DELETE * 8)
    await this.#deleteAll(key, 'ranges', '"start"', ROWS_PER_DELETE)
    await this.#deleteAll(key, 'publish_intents', 'entry', ROWS_PER_DELETE)
  }

  async #deleteAll(key: number, table: string, column: string, rows: number): Promise<void> {
    const sql = `DELETE FROM ${table} WHERE transfer = ?1 AND ${column} IN
      (SELECT ${column} FROM ${table} WHERE transfer = ?1 LIMIT ${rows})`
    while ((await this.#database.write((prepare) => Number(prepare(sql).run(key).changes))) === rows);
  }

  async #one(sql: string, ...values: SQLInputValue[]): Promise<TransferRow | null> {
    return (await this.#all(sql, ...values))[0] ?? null
  }

  async #all(sql: string, ...values: SQLInputValue[]): Promise<TransferRow[]> {
    return this.#database.read((prepare: Prepare) =>
      prepare(sql)
        .all(this.#bootId, ...values)
        .map(toRow),
    )
  }
}

function columnsOf(fields: TransferFields): [string, SQLInputValue][] {
  const columns: [string, SQLInputValue][] = []
  for (const [field, column] of Object.entries(COLUMNS)) {
    const value: unknown = fields[field as keyof TransferFields]
    if (value === undefined) continue
    const isText = value === null || typeof value === 'string' || typeof value === 'number'
    columns.push([column, field === 'plan' ? toJson(value) : isText ? value : toJson(value)])
  }
  return columns
}

/** JSON with sorted names, so that equal options are equal text. */
function toJson(value: unknown): string {
  return JSON.stringify(value, (_name, inner: unknown) => {
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}

function toRow(row: Record<string, unknown>): TransferRow {
  const parsed = (column: string): unknown => (row[column] === null ? null : JSON.parse(String(row[column])))
  const fields = Object.fromEntries(Object.entries(COLUMNS).map(([field, column]) => [field, row[column]]))
  return {
    ...(fields as unknown as TransferRow),
    key: row['key'] as number,
    id: row['id'] as string,
    role: row['role'] as Role,
    transferType: row['transfer_type'] as TransferType,
    roots: parsed('roots') as string[],
    options: parsed('options') as Record<string, unknown>,
    plan: parsed('plan'),
    createdAtMs: row['created_at'] as number,
    updatedAtMs: row['updated_at'] as number,
    completedAtMs: row['completed_at'] as number | null,
    error: parsed('error') as TransferFault | null,
    told: row['told'] === 1,
    bytesDone: row['done'] as number,
  }
}
