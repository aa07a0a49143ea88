/** What the ledger knows of this user's transfers, as a program may see it. */

import type { TransferRow } from '../ledger/transfer-row.ts'
import { findTransfers } from './ledger-search.ts'
import { openUserLedger } from './user-ledger.ts'

/** One side of one transfer, as the ledger has it. */
export interface TransferRecord {
  /** UUID; the same at both sides. */
  readonly id: string
  /** Which side this machine was. */
  readonly role: 'sender' | 'receiver'
  /** `pending` and `in_progress` can be gone on with, whether or not a process works on them now. */
  readonly status: 'pending' | 'in_progress' | 'completed' | 'failed' | 'cancelled'
  readonly transferType: 'upload' | 'download'
  /** The first of what was sent, or how many there are; for people. */
  readonly filename: string
  /** Bytes of the content; `null` while unknown. */
  readonly fileSize: number | null
  /** Receiver: bytes that are safe; after the end, those that were. Sender: 0, and the size of the content once it is completed. */
  readonly bytesDone: number
  /** Files, folders and links; `null` while unknown. */
  readonly entryCount: number | null
  /** SHA-256 of the list of files, in hex. */
  readonly checksum: string | null
  readonly fileType: string | null
  /** Who the other side is, for people; `null` while nobody came. */
  readonly peer: string | null
  readonly userId: string | null
  readonly transportUsed: string | null
  readonly chunksTotal: number | null
  readonly chunksCompleted: number
  readonly priority: number
  /** Sender: absolute paths of what is sent. */
  readonly paths: readonly string[]
  /** Receiver: absolute path of the folder it is saved in. */
  readonly outputDir: string | null
  /** Milliseconds since 1970, as all times here. */
  readonly createdAtMs: number
  readonly updatedAtMs: number
  /** `null` while it is unfinished. */
  readonly completedAtMs: number | null
  /** Why it failed. */
  readonly error: { readonly code: string; readonly message: string } | null
}

/** Which transfers, of which ledger. */
export interface ListOptions {
  /** Only this one; the first characters of its id are enough. */
  readonly id?: string | undefined
  /** File of the ledger; default `DB_PATH`, else in the user's data folder. */
  readonly ledgerPath?: string | undefined
}

/**
 * Lists the transfers of the ledger, the newest first; both sides where both ran on this machine.
 *
 * @throws SealiftError `transfer_unknown`, or `usage` where several ids begin so; `ledger_unavailable`, `ledger_corrupt`,
 *   `ledger_newer`; `settings_invalid` where `ledgerPath` cannot be a path
 * @example
 * ```ts
 * import { listTransfers } from 'sealift'
 *
 * for (const { id, role, status, bytesDone, fileSize } of await listTransfers())
 *   console.log(id, role, status, `${bytesDone} of ${fileSize ?? '?'} bytes`)
 * ```
 */
export async function listTransfers(options: ListOptions = {}): Promise<TransferRecord[]> {
  const ledger = await openUserLedger(options.ledgerPath)
  try {
    const { id } = options
    const rows = id === undefined ? await ledger.transfers.list({ all: true }) : await findTransfers(ledger, id)
    return rows.map(toRecord)
  } finally {
    await ledger.close()
  }
}

/** Leaves out what only the engine reads. */
function toRecord(row: TransferRow): TransferRecord {
  return {
    id: row.id,
    role: row.role,
    status: row.status,
    transferType: row.transferType,
    filename: row.filename,
    fileSize: row.fileSize,
    bytesDone: row.bytesDone,
    entryCount: row.entryCount,
    checksum: row.checksum,
    fileType: row.fileType,
    peer: row.peer,
    userId: row.userId,
    transportUsed: row.transportUsed,
    chunksTotal: row.chunksTotal,
    chunksCompleted: row.chunksCompleted,
    priority: row.priority,
    paths: row.roots,
    outputDir: row.outputDir,
    createdAtMs: row.createdAtMs,
    updatedAtMs: row.updatedAtMs,
    completedAtMs: row.completedAtMs,
    error: row.error,
  }
}
