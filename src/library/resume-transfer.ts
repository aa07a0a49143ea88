/** Goes on with a transfer of the ledger, whichever side of it this is: with what the ledger remembers of the call before. */

import { formatAddress, parseServerAddress } from '../config/address.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { TransferRow } from '../ledger/transfer-row.ts'
import { SealiftError } from '../protocol/errors.ts'
import { DEFAULT_PORT, DEFAULT_SERVER_PORT } from '../protocol/limits.ts'
import { findUnfinished } from './ledger-search.ts'
import { checkOptions } from './option-checks.ts'
import type { ReceiveOptions, SendOptions } from './options.ts'
import { runReceive } from './receive-files.ts'
import { runSend } from './send-files.ts'
import type { TlsOptions } from './tls-entrance.ts'
import { type Run, startTransfer, type Transfer } from './transfer.ts'
import { openUserLedger } from './user-ledger.ts'

/** What the ledger remembers: which files they are. */
type Remembered = 'exclude' | 'excludeFrom' | 'all' | 'links' | 'priority' | 'leaveOut' | 'resumes'

/**
 * Options of both sides; those of the other one change nothing. `port` is where a sender listens and where a receiver
 * connects, by default as before.
 */
export interface ResumeOptions extends Omit<SendOptions, Remembered>, Omit<ReceiveOptions, 'outputDir'> {
  /** Where the same files are now, if a sender's have moved. Others than those are another transfer. */
  readonly paths?: readonly string[] | undefined
}

/**
 * Goes on with an unfinished transfer: a sender with the paths, options and address of before, a receiver with the
 * address and folder, by the key of the first meeting and so without a token. Where both sides ran on this machine, it
 * is the receiver that goes on.
 *
 * Starts at once. Calling `sendFiles` or `receiveFiles` again as before does the same.
 *
 * @param id of the transfer; its first characters are enough
 * @throws SealiftError nothing; {@link Transfer.done} rejects with `transfer_unknown`, `already_done`, `transfer_busy`,
 *   `usage` where several ids begin so, and all that `sendFiles` and `receiveFiles` reject with
 * @example
 * ```ts
 * import { listTransfers, resumeTransfer } from 'sealift'
 *
 * for (const { id, role, status } of await listTransfers())
 *   if (role === 'receiver' && status === 'in_progress') await resumeTransfer(id).done
 * ```
 */
export function resumeTransfer(id: string, options: ResumeOptions = {}): Transfer {
  return startTransfer(options.signal, async (emit, signal, watch) => {
    signal.throwIfAborted()
    checkOptions(options)
    const row = await readUnfinished(id, options.ledgerPath)
    const run = row.role === 'sender' ? sendAgain(row, options) : receiveAgain(row, options)
    return run(emit, signal, watch)
  })
}

/** @throws SealiftError `transfer_busy` too: what is named is not to become another transfer because this one is */
async function readUnfinished(id: string, ledgerPath: string | undefined): Promise<TransferRow> {
  const ledger = await openUserLedger(ledgerPath)
  try {
    const row = await findUnfinished(ledger, id)
    const lock = await ledger.lock(row.id, row.role)
    try {
      if (isReadOnce(row)) await endReadOnce(row, ledger)
    } finally {
      lock.release()
    }
    return row
  } finally {
    await ledger.close()
  }
}

/** Whether a sender read something that nobody can read again. */
function isReadOnce({ role, options }: TransferRow): boolean {
  return role === 'sender' && (options['content'] === 'stream' || options['content'] === 'text')
}

/** Under its lock: such a transfer ends with its process, also one that died before it could say so. @throws SealiftError always */
async function endReadOnce(row: TransferRow, ledger: Ledger): Promise<never> {
  const error = new SealiftError('already_done', 'what this transfer sent was read once, and cannot be read again', {
    hint: 'start both sides anew',
    transferId: row.id,
  })
  await ledger.transfers.finish(row.key, 'failed', error)
  throw error
}

function sendAgain(row: TransferRow, options: ResumeOptions): Run {
  const before = placeBefore(row.plan)
  const isPlaceNamed = options.pod === true || options.lan === true || options.listen !== undefined
  const remembered = row.options as Pick<SendOptions, Remembered | 'to'>
  const again = { ...options, ...remembered, ...tlsAgain(row.plan, options), resumes: row.id }
  const to = options.to ?? movedServer(remembered.to, options.port)
  if (to !== undefined) return runSend(options.paths ?? row.roots, { ...again, to })
  return runSend(options.paths ?? row.roots, {
    ...again,
    listen: isPlaceNamed ? options.listen : before.host,
    // Who was not to come in then is not to come in now.
    allowUsers: options.allowUsers ?? before.allowUsers,
    allowTags: options.allowTags ?? before.allowTags,
    port: options.port ?? before.port,
  })
}

/** How the server is met: as before, unless that is said anew. */
function tlsAgain(plan: unknown, { tls, ca, cert, key, serverName }: ResumeOptions): TlsOptions {
  if ([tls, ca, cert, key, serverName].some((option) => option !== undefined)) return {}
  const before = (plan ?? {}) as Record<string, unknown>
  const text = (name: string): string | undefined => {
    const value = before[name]
    return typeof value === 'string' ? value : undefined
  }
  if (before['tls'] !== true) return {}
  return { tls: true, ca: text('ca'), cert: text('cert'), key: text('key'), serverName: text('serverName') }
}

/** The server of before, on another port where one is given. */
function movedServer(to: string | undefined, port: number | undefined): string | undefined {
  if (to === undefined || port === undefined) return to
  return formatAddress(parseServerAddress(to, DEFAULT_SERVER_PORT).host, port)
}

function receiveAgain(row: TransferRow, options: ResumeOptions): Run {
  if (row.userId !== null)
    throw new SealiftError('usage', 'this transfer came to the receiving server: its sender goes on with it', {
      hint: 'start the server again, and resume at the sender',
    })
  if (row.host === null || row.outputDir === null)
    throw new SealiftError('already_done', 'the ledger does not know where this transfer came from')
  const port = options.port ?? placeBefore(row.options).port ?? DEFAULT_PORT
  return runReceive(formatAddress(row.host, port), { ...options, outputDir: row.outputDir })
}

/** Where a transfer ran before, and whom it let in, as its row has it. */
function placeBefore(
  value: unknown,
): Pick<SendOptions, 'port' | 'allowUsers' | 'allowTags'> & { host?: string | undefined } {
  const { host, port, allowUsers, allowTags } = (value ?? {}) as Record<string, unknown>
  return {
    host: typeof host === 'string' ? host : undefined,
    port: typeof port === 'number' ? port : undefined,
    allowUsers: textsOf(allowUsers),
    allowTags: textsOf(allowTags),
  }
}

function textsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
}
