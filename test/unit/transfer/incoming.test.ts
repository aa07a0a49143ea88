import { expect, test } from 'vitest'

import type { TreeWriter } from '../../../src/files/tree-writer.ts'
import { ENTRY_PENDING } from '../../../src/ledger/entry-state.ts'
import type { Progress } from '../../../src/ledger/progress.ts'
import { RangeSet } from '../../../src/protocol/ranges.ts'
import { Incoming } from '../../../src/transfer/incoming.ts'
import { noProbe } from '../../../src/transfer/stage.ts'
import { filesOf } from '../protocol/entries.ts'
import { settle, VirtualClock } from './virtual-time.ts'

const MIB = 1 << 20

test('streams that are held back by the disk all go on when it has caught up, not just the last of them', async () => {
  const disk = Promise.withResolvers<undefined>()
  const writer = { write: () => disk.promise } as unknown as TreeWriter
  const ledger = {
    ranges: { all: () => new RangeSet(), missing: () => new RangeSet(), add: () => 0, unsyncedBytes: 0 },
    states: { get: () => ENTRY_PENDING, tally: () => 1 },
    checkpoint: () => Promise.resolve(),
  } as unknown as Progress
  const incoming = new Incoming({
    manifest: filesOf(64 * MIB),
    writer,
    ledger,
    clock: new VirtualClock(),
    probe: noProbe,
    onFailed: () => undefined,
    onProgress: () => undefined,
    onSize: () => undefined,
    onFault: () => undefined,
  })
  const held: unknown[] = []
  let [goneOn, released] = [0, 0]
  for (let chunk = 0; chunk < 12; chunk++) {
    const waits = incoming.chunk(chunk * MIB, new Uint8Array(MIB), () => released++)
    if (waits === undefined) continue
    held.push(waits)
    void waits.then(() => goneOn++)
  }
  await settle()
  expect([held.length, goneOn, released]).toEqual([4, 0, 0])
  disk.resolve(undefined)
  await settle()
  expect([goneOn, released]).toEqual([4, 12])
})
