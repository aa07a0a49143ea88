/** `sealift status`: what the ledger knows of this machine's transfers. */

import { formatCount, formatSize } from '../../config/sizes.ts'
import { listTransfers, type TransferRecord } from '../../library/list-transfers.ts'
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
  try {
    let before = ''
    for (;;) {
      const rows = await listTransfers({ id: wanted })
      const selected = wanted === undefined ? unfinishedFirst(rows, options.all === true) : rows
      const text = JSON.stringify(selected.map(transferEvent))
      if (text !== before) show(selected, output, before !== '')
      before = text
      if (options.watch !== true) return
      await delay(systemClock, WATCH_INTERVAL_MS, signal)
    }
  } catch (error) {
    // Ctrl-C is how a watch ends.
    if (options.watch === true && signal.aborted) return
    throw error
  }
}

function unfinishedFirst(rows: readonly TransferRecord[], all: boolean): TransferRecord[] {
  const finished = rows.filter((row) => row.completedAtMs !== null)
  return [...rows.filter((row) => row.completedAtMs === null), ...(all ? finished : finished.slice(0, FINISHED_SHOWN))]
}

function show(rows: readonly TransferRecord[], output: Output, again: boolean): void {
  for (const row of rows) output.event(transferEvent(row))
  if (output.json) return
  if (again && process.stderr.isTTY) process.stderr.write('\u001b[2J\u001b[H')
  if (rows.length === 0) output.say('No transfers yet.')
  for (const row of rows) output.say(describe(row))
}

function describe(row: TransferRecord): string {
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
function transferEvent(row: TransferRecord): object {
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
