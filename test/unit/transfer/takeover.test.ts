import { describe, expect, test } from 'vitest'

import type { TreeWriter } from '../../../src/files/tree-writer.ts'
import {
  ENTRY_FAILED,
  ENTRY_PENDING,
  ENTRY_PUBLISHED,
  ENTRY_SKIPPED,
  ENTRY_VERIFIED,
  type EntryState,
  EntryStates,
} from '../../../src/ledger/entry-state.ts'
import type { Progress } from '../../../src/ledger/progress.ts'
import { SafeRanges } from '../../../src/ledger/safe-ranges.ts'
import type { Manifest } from '../../../src/protocol/manifest.ts'
import { adoptEntries, dropWhatIsGone, type StagedTransfer } from '../../../src/transfer/takeover.ts'
import { file, folder, manifestOf } from '../protocol/entries.ts'

const DIGEST = new Uint8Array(32).fill(7)

interface Staged extends StagedTransfer {
  readonly states: EntryStates
  readonly ranges: SafeRanges
  /** What the writer was asked to do. */
  readonly asked: unknown[]
}

/** A transfer whose staging is a table of sizes. */
function staged(manifest: Manifest, sizes: ReadonlyMap<number, number> = new Map()): Staged {
  const [states, ranges] = [new EntryStates(manifest.count), new SafeRanges()]
  const asked: unknown[] = []
  const writer = {
    stagedSize: (entry: number) => sizes.get(entry) ?? -1,
    adopt: (entry: number, _: unknown, from: number) => asked.push(['adopt', entry, from]),
    finish: (entry: number) => asked.push(['finish', entry]),
  } as unknown as TreeWriter
  return { manifest, writer, progress: { states, ranges } as unknown as Progress, states, ranges, asked }
}

describe('what an older transfer has staged', () => {
  const older = (): Staged => {
    const transfer = staged(
      manifestOf(
        folder(-1, 'r'),
        file(0, 'a', 10),
        file(0, 'b', 20),
        file(0, 'c', 30),
        file(0, 'd', 40),
        file(0, 'e', 5),
      ),
    )
    transfer.ranges.add(0, 20)
    transfer.ranges.add(35, 50)
    transfer.ranges.add(60, 105)
    transfer.states.set(1, ENTRY_VERIFIED, DIGEST)
    transfer.states.set(5, ENTRY_PUBLISHED)
    return transfer
  }

  test('goes over with its ranges, whole or in part, at its new place', () => {
    const from = older()
    const newer = staged(
      manifestOf(folder(-1, 'r'), file(0, '0new', 7), file(0, 'a', 10), file(0, 'b', 20), file(0, 'c', 30)),
    )
    adoptEntries(from, newer)
    expect(newer.asked).toEqual([
      ['adopt', 2, 1],
      ['finish', 2],
      ['adopt', 3, 2],
      ['adopt', 4, 3],
    ])
    expect([newer.states.get(2), newer.states.digest(2)]).toEqual([ENTRY_VERIFIED, DIGEST])
    expect([newer.states.get(3), newer.states.get(4)]).toEqual([ENTRY_PENDING, ENTRY_PENDING])
    // a: 0–10 became 7–17; of b 10–20 became 17–27; of c 35–50 became 42–57 and 60 (its end) is d's.
    expect([...newer.ranges.all()]).toEqual([
      { start: 7, end: 27 },
      { start: 42, end: 57 },
    ])
  })

  test.each([
    ['another size', file(0, 'a', 11)],
    ['another time', file(0, 'a', 10, { mtimeNs: 5n })],
    ['another name', file(0, 'aa', 10)],
    ['another kind', folder(0, 'a')],
    ['nothing staged of it', file(0, 'e', 5)],
  ])('stays where it is for an entry with %s', (_, entry) => {
    const newer = staged(manifestOf(folder(-1, 'r'), entry))
    adoptEntries(older(), newer)
    expect(newer.asked).toEqual([])
    expect(newer.ranges.totalBytes).toBe(0)
  })

  test('stays where it is for an entry that has come to an end', () => {
    const newer = staged(manifestOf(folder(-1, 'r'), file(0, 'a', 10)))
    newer.states.set(1, ENTRY_SKIPPED)
    adoptEntries(older(), newer)
    expect([newer.asked, newer.states.get(1)]).toEqual([[], ENTRY_SKIPPED])
  })
})

describe('what the ledger believes and staging does not have', () => {
  const manifest = manifestOf(folder(-1, 'r'), file(0, 'a', 10), file(0, 'b', 20), file(0, 'c', 0))

  function after(
    sizes: readonly (readonly [number, number])[],
    states: readonly (readonly [number, EntryState])[] = [],
  ): Staged {
    const transfer = staged(manifest, new Map(sizes))
    transfer.ranges.add(0, 25)
    for (const [entry, state] of states) transfer.states.set(entry, state, DIGEST)
    dropWhatIsGone(transfer)
    return transfer
  }

  test('is dropped where the file is missing, and from its end where it is short', () => {
    expect([...after([[2, 20]]).ranges.all()]).toEqual([{ start: 10, end: 25 }])
    expect([
      ...after([
        [1, 4],
        [2, 12],
      ]).ranges.all(),
    ]).toEqual([
      { start: 0, end: 4 },
      { start: 10, end: 22 },
    ])
  })

  test('leaves alone what is there', () => {
    const transfer = after(
      [
        [1, 10],
        [2, 20],
        [3, 0],
      ],
      [
        [1, ENTRY_VERIFIED],
        [3, ENTRY_VERIFIED],
      ],
    )
    expect([...transfer.ranges.all()]).toEqual([{ start: 0, end: 25 }])
    expect([transfer.states.get(1), transfer.states.get(3)]).toEqual([ENTRY_VERIFIED, ENTRY_VERIFIED])
  })

  test('makes a verified file pending again, without its digest', () => {
    const transfer = after(
      [
        [1, 9],
        [2, 20],
      ],
      [
        [1, ENTRY_VERIFIED],
        [2, ENTRY_VERIFIED],
        [3, ENTRY_VERIFIED],
      ],
    )
    expect([1, 2, 3].map((entry) => transfer.states.get(entry))).toEqual([ENTRY_PENDING, ENTRY_PENDING, ENTRY_PENDING])
    expect([1, 2, 3].map((entry) => transfer.states.digest(entry))).toEqual([null, null, null])
  })

  test('says nothing of files that have come to an end; folders are made again', () => {
    const transfer = after(
      [],
      [
        [0, ENTRY_VERIFIED],
        [1, ENTRY_PUBLISHED],
        [2, ENTRY_FAILED],
      ],
    )
    expect([0, 1, 2].map((entry) => transfer.states.get(entry))).toEqual([ENTRY_PENDING, ENTRY_PUBLISHED, ENTRY_FAILED])
    expect([...transfer.ranges.all()]).toEqual([{ start: 0, end: 25 }])
  })
})
