/** `sealift resume`: goes on with a transfer of the ledger, whichever side of it this is. */

import { formatAddress } from '../../config/address.ts'
import { openUserLedger } from '../../library/user-ledger.ts'
import type { TransferRow } from '../../ledger/transfer-row.ts'
import { SealiftError } from '../../protocol/errors.ts'
import { DEFAULT_PORT } from '../../protocol/limits.ts'
import { readPort, type SharedOptions } from '../settings.ts'
import { receive } from './receive.ts'
import { send } from './send.ts'
import { findTransfers } from './status.ts'

export interface ResumeOptions extends SharedOptions {
  readonly transferId?: string
  readonly token?: string
  readonly pod?: boolean
  readonly lan?: boolean
  readonly listen?: string
}

/** @throws SealiftError `transfer_unknown`, `already_done`, and what the transfer ends with */
export async function resume(id: string | undefined, options: ResumeOptions, signal: AbortSignal): Promise<void> {
  const wanted = options.transferId ?? id
  if (wanted === undefined)
    throw new SealiftError('usage', 'which transfer?', {
      hint: 'sealift status lists them; sealift resume ID goes on with one',
    })
  const row = await findUnfinished(wanted)
  await (row.role === 'sender' ? resumeSending(row, options, signal) : resumeReceiving(row, options, signal))
}

/** The unfinished transfer meant: of both roles on one machine, the receiver, as it holds what is safe. */
async function findUnfinished(wanted: string): Promise<TransferRow> {
  const ledger = await openUserLedger(undefined)
  try {
    const rows = findTransfers(await ledger.transfers.list({ all: true }), wanted)
    const unfinished = rows.filter((row) => row.completedAtMs === null)
    const row = unfinished.find(({ role }) => role === 'receiver') ?? unfinished[0]
    if (row === undefined)
      throw new SealiftError('already_done', 'this transfer has ended; there is nothing to go on with', {
        hint: 'sealift status ID says how it ended',
      })
    return row
  } finally {
    await ledger.close()
  }
}

/** Where a transfer ran before, as its row has it. */
function placeBefore(value: unknown): { host?: string; port?: number } {
  const { host, port } = (value ?? {}) as { host?: unknown; port?: unknown }
  return { ...(typeof host === 'string' ? { host } : {}), ...(typeof port === 'number' ? { port } : {}) }
}

async function resumeSending(row: TransferRow, options: ResumeOptions, signal: AbortSignal): Promise<void> {
  const before = placeBefore(row.plan)
  const named = options.pod === true || options.lan === true || options.listen !== undefined
  const { exclude, excludeFrom, all, links, priority } = row.options as {
    exclude?: string[]
    excludeFrom?: string[]
    all?: boolean
    links?: boolean
    priority?: number
  }
  await send(
    row.roots,
    {
      ...options,
      ...(named || before.host === undefined ? {} : { listen: before.host }),
      port: options.port ?? (before.port === undefined ? undefined : String(before.port)),
      exclude: exclude ?? [],
      patterns: excludeFrom ?? [],
      all: all ?? false,
      links: links ?? true,
      priority: String(priority ?? 5),
    },
    signal,
  )
}

async function resumeReceiving(row: TransferRow, options: ResumeOptions, signal: AbortSignal): Promise<void> {
  const before = placeBefore(row.options)
  if (row.host === null || row.outputDir === null)
    throw new SealiftError('already_done', 'the ledger does not know where this transfer came from')
  const port = readPort(options.port) ?? before.port ?? DEFAULT_PORT
  await receive(formatAddress(row.host, port), { ...options, outputDir: row.outputDir, yes: true, byKey: true }, signal)
}
