/** `sealift status`: what the ledger knows of this machine's transfers. */

import { listTransfers, type TransferRecord } from '../../library/list-transfers.ts'
import { delay, systemClock } from '../../transfer/clock.ts'
import { LiveLines } from '../live-lines.ts'
import { Output, type OutputOptions } from '../output.ts'
import { statusLines } from '../status-lines.ts'

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
  const select = async (): Promise<TransferRecord[]> => {
    const rows = await listTransfers({ id: wanted })
    return wanted === undefined ? unfinishedFirst(rows, options.all === true) : rows
  }
  if (options.watch === true) await watch(select, output, signal)
  else show(await select(), output)
}

async function watch(select: () => Promise<TransferRecord[]>, output: Output, signal: AbortSignal): Promise<void> {
  let rows = await select()
  const { stderr } = process
  const live =
    output.isTerminal && !output.quiet
      ? new LiveLines({ stream: stderr, lines: (columns) => statusLines(rows, columns) })
      : null
  if (live === null) show(rows, output)
  try {
    for (;;) {
      await delay(systemClock, WATCH_INTERVAL_MS, signal)
      const before = JSON.stringify(rows.map(transferEvent))
      rows = await select()
      if (JSON.stringify(rows.map(transferEvent)) === before) continue
      if (live === null) show(rows, output)
      else live.draw()
    }
  } catch (error) {
    // Ctrl-C is how a watch ends.
    if (!signal.aborted) throw error
  } finally {
    live?.end()
  }
}

function unfinishedFirst(rows: readonly TransferRecord[], all: boolean): TransferRecord[] {
  const finished = rows.filter((row) => row.completedAtMs !== null)
  return [...rows.filter((row) => row.completedAtMs === null), ...(all ? finished : finished.slice(0, FINISHED_SHOWN))]
}

function show(rows: readonly TransferRecord[], output: Output): void {
  for (const row of rows) output.event(transferEvent(row))
  for (const line of statusLines(rows, output.columns)) output.say(line)
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
