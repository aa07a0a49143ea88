/** `sealift status`: what the ledger knows of this machine's transfers. */

import { formatCount, formatSize } from '../../config/sizes.ts'
import { openUserLedger } from '../../library/user-ledger.ts'
import type { Ledger } from '../../ledger/ledger.ts'
import type { TransferRow } from '../../ledger/transfer-row.ts'
import { SealiftError } from '../../protocol/errors.ts'
import { delay, systemClock } from '../../transfer/clock.ts'
import { Output, type OutputOptions, shown } from '../output.ts'

export interface StatusOptions extends OutputOptions {
  readonly transferId?: string
  readonly all?: boolean
  readonly watch?: boolean
}

const FINISHED_SHOWN = 10
const WATCH_INTERVAL_MS = 500

/** @throws SealiftError `transfer_unknown`, and those of the ledger */
export async function status(id: string | undefined, options: StatusOptions, signal: AbortSignal): Promise<void> {
  const output = new Output(options)
  const wanted = options.transferId ?? id
  const ledger = await openUserLedger(undefined)
  try {
    let before = ''
    for (;;) {
      const rows = await selectRows(ledger, wanted, options.all === true)
      const text = JSON.stringify(rows.map(transferEvent))
      if (text !== before) show(rows, output, before !== '')
      before = text
      if (options.watch !== true) return
      await delay(systemClock, WATCH_INTERVAL_MS, signal)
    }
  } catch (error) {
    // Ctrl-C is how a watch ends.
    if (options.watch === true && signal.aborted) return
    throw error
  } finally {
    await ledger.close()
  }
}

async function selectRows(ledger: Ledger, wanted: string | undefined, all: boolean): Promise<TransferRow[]> {
  const rows = await ledger.transfers.list({ all: true })
  if (wanted !== undefined) return findTransfers(rows, wanted)
  const finished = rows.filter((row) => row.completedAtMs !== null)
  return [...rows.filter((row) => row.completedAtMs === null), ...(all ? finished : finished.slice(0, FINISHED_SHOWN))]
}

/** The transfer (both of its roles) whose id begins so. @throws SealiftError `transfer_unknown`, `usage` */
export function findTransfers(rows: readonly TransferRow[], wanted: string): TransferRow[] {
  const found = rows.filter((row) => row.id.startsWith(wanted.toLowerCase()))
  const ids = new Set(found.map((row) => row.id))
  if (ids.size === 0)
    throw new SealiftError('transfer_unknown', `the ledger has no transfer ${shown(wanted)}`, {
      hint: 'sealift status --all lists them',
    })
  if (ids.size > 1)
    throw new SealiftError('usage', `${String(ids.size)} transfers begin with ${shown(wanted)}`, {
      hint: 'give more of the id',
    })
  return found
}

function show(rows: readonly TransferRow[], output: Output, again: boolean): void {
  for (const row of rows) output.event(transferEvent(row))
  if (output.json) return
  if (again && process.stderr.isTTY) process.stderr.write('\u001b[2J\u001b[H')
  if (rows.length === 0) output.say('No transfers yet.')
  for (const row of rows) output.say(describe(row))
}

function describe(row: TransferRow): string {
  const { fileSize, bytesDone, status: state } = row
  const done =
    state === 'completed'
      ? formatSize(fileSize ?? bytesDone)
      : `${formatSize(bytesDone)}${fileSize === null ? '' : ` of ${formatSize(fileSize)}`}`
  const direction = row.role === 'sender' ? 'to' : 'from'
  const entries =
    row.entryCount === null ? '' : `, ${formatCount(row.entryCount)} ${row.entryCount === 1 ? 'entry' : 'entries'}`
  const fault = row.error === null ? '' : `  ${shown(row.error.message)}`
  return `${row.id}  ${state.padEnd(11)}  ${shown(row.filename)} (${done}${entries}) ${direction} ${row.peer === null ? 'nobody yet' : shown(row.peer)}${fault}`
}

/** The ledger's row with its names there. */
function transferEvent(row: TransferRow): object {
  return {
    event: 'transfer',
    id: row.id,
    role: row.role,
    user_id: row.userId,
    filename: row.filename,
    file_size: row.fileSize,
    file_type: row.fileType,
    checksum: row.checksum,
    transfer_type: row.transferType,
    status: row.status,
    transport_used: row.transportUsed,
    chunks_total: row.chunksTotal,
    chunks_completed: row.chunksCompleted,
    priority: row.priority,
    peer: row.peer,
    created_at: new Date(row.createdAtMs).toISOString(),
    completed_at: row.completedAtMs === null ? null : new Date(row.completedAtMs).toISOString(),
    error: row.error,
    bytesDone: row.bytesDone,
  }
}
