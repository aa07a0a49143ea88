/** The states of a transfer's entries as runs, the form in which a receiver tells them. */

import { ENTRY_PENDING, type EntryStates } from '../ledger/entry-state.ts'
import type { StateRun } from '../protocol/messages.ts'

/** @param codeOf the wire code of an entry's failure, 0 where it did not fail. Entries that are pending are left out. */
export function* stateRuns(states: EntryStates, codeOf: (entry: number) => number): Generator<StateRun> {
  let first = 0
  while (first < states.count) {
    const state = states.get(first)
    const code = codeOf(first)
    let end = first + 1
    while (end < states.count && states.get(end) === state && codeOf(end) === code) end++
    if (state !== ENTRY_PENDING) yield { first, count: end - first, state, code }
    first = end
  }
}
