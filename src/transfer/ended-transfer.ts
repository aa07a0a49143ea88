/**
 * A transfer that ended at the receiver while the sender did not hear of it: nothing comes any more, and only its end is
 * still to be said (PROTOCOL 2.7).
 */

import { ENTRY_FAILED, ENTRY_PUBLISHED, ENTRY_SKIPPED, type EntryState } from '../ledger/entry-state.ts'
import type { TransferRow } from '../ledger/transfer-row.ts'
import type { Done, Offer } from '../protocol/messages.ts'
import { RangeSet } from '../protocol/ranges.ts'
import type { AcceptedTransfer, IncomingFiles } from './receiver-session.ts'

/** How a transfer ended, as its row remembers. */
export function doneBefore(row: TransferRow, offer: Offer): Done {
  return (row.options['done'] as Done | undefined) ?? { published: offer.files, skipped: 0, failed: 0 }
}

export function endedTransfer(row: TransferRow, offer: Offer, done: Done): AcceptedTransfer {
  return {
    incoming: NOTHING_COMES,
    epoch: row.epoch + 1,
    target: 'disk',
    mayPause: false,
    stateRuns: () => [{ first: 0, count: offer.entries, state: stateAfter(done), code: 0 }],
    safeRanges: () => RangeSet.of([{ start: 0, end: row.fileSize ?? 0 }]),
    finish: () => Promise.resolve(done),
    report: () => undefined,
  }
}

/** What the entries became, as far as their number tells: those of a tree cannot be told apart any more. */
function stateAfter({ published, skipped, failed }: Done): EntryState {
  if (published > 0 || skipped + failed !== 1) return ENTRY_PUBLISHED
  return failed === 1 ? ENTRY_FAILED : ENTRY_SKIPPED
}

/** Stands in for the arrival of a transfer that is over. */
const NOTHING_COMES: IncomingFiles = {
  complete: Promise.resolve(),
  begin: () => undefined,
  tell: () => undefined,
  chunk: () => undefined,
  digest: () => undefined,
  end: () => undefined,
  fail: () => undefined,
}
