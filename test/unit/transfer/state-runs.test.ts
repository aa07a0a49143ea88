import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import {
  ENTRY_FAILED,
  ENTRY_PENDING,
  ENTRY_PUBLISHED,
  type EntryState,
  EntryStates,
} from '../../../src/ledger/entry-state.ts'
import { decodeMessage, encodeMessage } from '../../../src/protocol/messages.ts'
import { stateRuns } from '../../../src/transfer/state-runs.ts'

function statesOf(...all: readonly EntryState[]): EntryStates {
  const states = new EntryStates(all.length)
  for (const [at, state] of all.entries()) states.set(at, state)
  return states
}

describe('states as runs', () => {
  test('pending entries are left out, equal neighbours are one run, and failures go by their code', () => {
    const codes = new Map([
      [5, 81],
      [6, 81],
      [7, 83],
    ])
    const states = statesOf(0, 4, 4, 0, 4, 6, 6, 6)
    expect([...stateRuns(states, (entry) => codes.get(entry) ?? 0)]).toEqual([
      { first: 1, count: 2, state: ENTRY_PUBLISHED, code: 0 },
      { first: 4, count: 1, state: ENTRY_PUBLISHED, code: 0 },
      { first: 5, count: 2, state: ENTRY_FAILED, code: 81 },
      { first: 7, count: 1, state: ENTRY_FAILED, code: 83 },
    ])
  })

  test('a transfer without entries, and one of pending entries, have none', () => {
    expect([...stateRuns(statesOf(), () => 0)]).toEqual([])
    expect([...stateRuns(statesOf(0, 0), () => 0)]).toEqual([])
  })

  test('what they say, over the wire, is what was there', () => {
    const state = fc.constantFrom<EntryState>(0, 0, 1, 2, 4, 4, 4, 5, 6, 6)
    fc.assert(
      fc.property(fc.array(fc.tuple(state, fc.constantFrom(81, 83)), { maxLength: 60 }), (all) => {
        const states = statesOf(...all.map(([value]) => value))
        const codeOf = (entry: number): number => (states.get(entry) === ENTRY_FAILED ? (all[entry]?.[1] ?? 0) : 0)
        const runs = [...stateRuns(states, codeOf)]
        const message = decodeMessage(encodeMessage({ type: 'states', runs }))
        const back = new Array<[number, number]>(all.length).fill([ENTRY_PENDING, 0])
        if (message.type === 'states')
          for (const run of message.runs) back.fill([run.state, run.code], run.first, run.first + run.count)
        expect(back).toEqual(all.map(([value], entry) => [value, codeOf(entry)]))
        for (const [at, run] of runs.entries()) {
          const next = runs[at + 1]
          const touches = next?.first === run.first + run.count
          expect(touches && next.state === run.state && next.code === run.code).toBe(false)
        }
      }),
    )
  })
})
