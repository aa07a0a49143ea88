/**
 * A receiver's transfer that ended in an earlier process while its sender did not hear of it: what its row remembers, so
 * that the end can be said once more.
 */

import type { TransferRow } from '../ledger/transfer-row.ts'
import type { Done } from '../protocol/messages.ts'
import type { IncomingFiles } from './receiver-session.ts'

/** What is known of a transfer that ended in an earlier process. */
export interface EndedTransfer {
  readonly id: string
  readonly files: number
  readonly bytes: number
}

interface Ending {
  readonly done: Done | null
  /** Final names of the roots. */
  readonly savedRoots: readonly string[]
}

/** What the options of the row become at the end. */
export function rememberEnding(port: number, ending: Ending): TransferRow['options'] {
  return { port, ...ending }
}

export function endingOf({ options }: TransferRow): Ending {
  const { done, savedRoots } = options as Partial<Ending>
  return { done: done ?? null, savedRoots: savedRoots ?? [] }
}

/** Stands in for the arrival of a transfer that is over. */
export const NOTHING_COMES: IncomingFiles = {
  complete: Promise.resolve(),
  begin: () => undefined,
  tell: () => undefined,
  chunk: () => undefined,
  digest: () => undefined,
  end: () => undefined,
  fail: () => undefined,
}
