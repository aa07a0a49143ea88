/** Finds transfers in the ledger by the id that a person gives, of which the first characters are enough. */

import type { Ledger } from '../ledger/ledger.ts'
import type { TransferRow } from '../ledger/transfer-row.ts'
import { SealiftError } from '../protocol/errors.ts'
import { escapeForDisplay } from '../protocol/names.ts'

/**
 * @param wanted the id, or how it begins; case does not matter
 * @returns one row, or two where both sides ran on this machine
 * @throws SealiftError `transfer_unknown`; `usage` where several transfers begin so
 */
export async function findTransfers(ledger: Ledger, wanted: string): Promise<TransferRow[]> {
  const rows = await ledger.transfers.list({ all: true })
  const found = rows.filter((row) => row.id.startsWith(wanted.toLowerCase()))
  const ids = new Set(found.map((row) => row.id))
  const shown = escapeForDisplay(wanted)
  if (ids.size === 0)
    throw new SealiftError('transfer_unknown', `the ledger has no transfer ${shown}`, {
      hint: 'sealift status --all lists them',
    })
  if (ids.size > 1)
    throw new SealiftError('usage', `${ids.size} transfers begin with ${shown}`, { hint: 'give more of the id' })
  return found
}

/**
 * The unfinished transfer meant: of both roles on one machine the receiver, as it holds what is safe; a server's is not
 * for people to go on with.
 * @throws SealiftError `transfer_unknown`, `usage`; `already_done` where it has ended
 */
export async function findUnfinished(ledger: Ledger, wanted: string): Promise<TransferRow> {
  const unfinished = (await findTransfers(ledger, wanted)).filter((row) => row.completedAtMs === null)
  const row =
    unfinished.find(({ role, userId }) => role === 'receiver' && userId === null) ??
    unfinished.find(({ role }) => role === 'sender') ??
    unfinished[0]
  if (row === undefined)
    throw new SealiftError('already_done', 'this transfer has ended; there is nothing to go on with', {
      hint: 'sealift status ID says how it ended',
    })
  return row
}
