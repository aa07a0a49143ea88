/**
 * What the ledger says of a transfer: the fields that callers see, and how they lie in columns.
 */

import type { SQLInputValue } from 'node:sqlite'

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
  /** Server: whose the transfer is, `SHA256:…` (protocol.md 1.11). */
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
  /** Receiver: bytes that are safe; after the end, those that were. Sender: 0 until all of the content is safe. */
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

/** Columns and values of the fields that are given. */
export function columnsOf(fields: TransferFields): [string, SQLInputValue][] {
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
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_name, inner: unknown) => {
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}

/** @param row all columns of `transfers`, and `done` */
export function toRow(row: Record<string, unknown>): TransferRow {
  const parsed = (column: string): unknown => (row[column] === null ? null : JSON.parse(row[column] as string))
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
