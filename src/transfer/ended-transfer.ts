/**
 * A transfer that ended at the receiver while the sender did not hear of it: nothing comes any more, and only its end is
 * still to be said (PROTOCOL 2.7).
 */

import { ENTRY_FAILED, ENTRY_PUBLISHED, ENTRY_SKIPPED, type EntryState } from '../ledger/entry-state.ts'
import type { TransferRow } from '../ledger/transfer-row.ts'
import type { Done, Offer } from '../protocol/messages.ts'
import { RangeSet } from '../protocol/ranges.ts'
import type { AcceptedTransfer, IncomingFiles } from './receiver-session.ts'

/** What a row keeps of the end of its transfer, for a sender that did not hear of it and asks again. */
export interface Ending {
  readonly done: Done
  /** Final names of the roots. */
  readonly savedRoots: readonly string[]
}

/** What is known of a transfer that ended in an earlier process. */
export interface EndedTransfer {
  readonly id: string
  readonly files: number
  readonly bytes: number
}

/** The options of a row at the end. */
export function rememberEnding(port: number | null, ending: Ending): TransferRow['options'] {
  return { port, ...ending }
}

/** How a transfer ended, as its row remembers. */
export function endingOf({ options }: TransferRow, offer: Offer): Ending {
  const { done, savedRoots } = options as Partial<Ending>
  return { done: done ?? { published: offer.files, skipped: 0, failed: 0 }, savedRoots: savedRoots ?? [] }
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
