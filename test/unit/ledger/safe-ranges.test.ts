import fc from 'fast-check'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, test } from 'vitest'
import { type Ledger, openLedger } from '../../../src/ledger/ledger.ts'
import type { Progress } from '../../../src/ledger/progress.ts'
import { SafeRanges, type SyncMark } from '../../../src/ledger/safe-ranges.ts'
import { ID_A, makeFolder, openTestLedger, receiverOf } from './place.ts'

const pairs = (ranges: Iterable<{ start: number; end: number }>): [number, number][] =>
  [...ranges].map(({ start, end }) => [start, end])

interface Row {
  readonly start: number
  readonly end: number
  readonly boot: string | null
}

function readRows(path: string, transfer: number): Row[] {
  const db = new DatabaseSync(path, { readOnly: true })
  try {
    const rows = db.prepare('SELECT "start", "end", boot FROM ranges WHERE transfer = ? ORDER BY "start"').all(transfer)
    return rows.map((row) => ({ ...row }) as unknown as Row)
  } finally {
    db.close()
  }
}

describe('SafeRanges', () => {
  test('a sync covers what was written before it began, and nothing that was dropped meanwhile', () => {
    const ranges = new SafeRanges()
    ranges.add(0, 100)
    const mark = ranges.beginSync()
    ranges.add(100, 200)
    ranges.drop(20, 30)
    ranges.add(20, 30)
    expect(ranges.endSync(mark)).toBe(90)
    expect(pairs(ranges.synced)).toEqual([
      [0, 20],
      [30, 100],
    ])
    expect(pairs(ranges.unsynced)).toEqual([
      [20, 30],
      [100, 200],
    ])
    expect(ranges.endSync(mark)).toBe(0)
    expect(ranges.contains(0, 200)).toBe(true)
    expect(ranges.totalBytes).toBe(200)
  })

  test('a sync that failed makes nothing synced', () => {
    const ranges = new SafeRanges()
    ranges.add(0, 10)
    const mark = ranges.beginSync()
    ranges.cancelSync(mark)
    expect(ranges.endSync(mark)).toBe(0)
    expect(ranges.synced.count).toBe(0)
  })

  test('what is synced stays synced when it comes again', () => {
    const ranges = new SafeRanges()
    ranges.add(10, 20)
    ranges.endSync(ranges.beginSync())
    expect(ranges.add(5, 25)).toBe(10)
    expect(pairs(ranges.synced)).toEqual([[10, 20]])
    expect(pairs(ranges.unsynced)).toEqual([
      [5, 10],
      [20, 25],
    ])
    expect(pairs(ranges.missing(0, 30))).toEqual([
      [0, 5],
      [25, 30],
    ])
  })
})

describe('SafeRanges with many ranges', () => {
  test('a sync moves them all and leaves what came later', () => {
    const ranges = new SafeRanges()
    for (let at = 0; at < 300; at += 3) ranges.add(at * 10, at * 10 + 10)
    ranges.endSync(ranges.beginSync())
    for (let at = 1; at < 300; at += 3) ranges.add(at * 10, at * 10 + 10)
    const mark = ranges.beginSync()
    ranges.add(2000, 2040)
    ranges.drop(15, 18)
    expect(ranges.endSync(mark)).toBe(997)
    expect(ranges.synced.count).toBe(101)
    expect(pairs(ranges.synced).slice(0, 3)).toEqual([
      [0, 15],
      [18, 20],
      [30, 50],
    ])
    expect(pairs(ranges.unsynced)).toEqual([
      [2000, 2010],
      [2030, 2040],
    ])
    expect(ranges.totalBytes).toBe(ranges.all().totalBytes)
  })
})

describe('ranges in the ledger', () => {
  async function begin(
    folder: string,
    bootId = 'boot-1',
  ): Promise<{ ledger: Ledger; key: number; progress: Progress }> {
    const ledger = await openTestLedger(folder, { bootId })
    const found = await ledger.transfers.find(ID_A, 'receiver')
    const key = found?.key ?? (await ledger.transfers.create(receiverOf(ID_A)))
    return { ledger, key, progress: await ledger.openProgress(key, 1) }
  }

  test('a reboot takes what was not synced, a restart of the process takes nothing', async () => {
    const folder = makeFolder()
    const first = await begin(folder)
    first.progress.ranges.add(0, 1000)
    first.progress.ranges.endSync(first.progress.ranges.beginSync())
    first.progress.ranges.add(1000, 1500)
    first.progress.ranges.add(2000, 2100)
    await first.progress.checkpoint()
    await first.ledger.close()

    const restarted = await begin(folder)
    expect(restarted.progress.lost).toEqual([])
    expect(pairs(restarted.progress.ranges.all())).toEqual([
      [0, 1500],
      [2000, 2100],
    ])
    expect(pairs(restarted.progress.ranges.synced)).toEqual([[0, 1000]])
    expect((await restarted.ledger.transfers.get(restarted.key))?.bytesDone).toBe(1600)
    await restarted.ledger.close()

    const rebooted = await begin(folder, 'boot-2')
    expect(pairs(rebooted.progress.ranges.all())).toEqual([[0, 1000]])
    expect(pairs(rebooted.progress.lost)).toEqual([
      [1000, 1500],
      [2000, 2100],
    ])
    expect((await rebooted.ledger.transfers.get(rebooted.key))?.bytesDone).toBe(1000)
    rebooted.progress.ranges.add(1000, 1200)
    await rebooted.progress.checkpoint()
    expect(readRows(rebooted.ledger.path, rebooted.key)).toEqual([
      { start: 0, end: 1000, boot: null },
      { start: 1000, end: 1200, boot: 'boot-2' },
    ])
  })

  test('many scattered ranges coalesce to one row; in order there never is more than one of each class', async () => {
    const { ledger, key, progress } = await begin(makeFolder())
    const chunk = 65_536
    for (let at = 0; at < 3000; at += 2) progress.ranges.add(at * chunk, (at + 1) * chunk)
    await progress.checkpoint()
    expect(readRows(ledger.path, key)).toHaveLength(1500)
    progress.ranges.endSync(progress.ranges.beginSync())
    for (let at = 1; at < 3000; at += 2) {
      progress.ranges.add(at * chunk, (at + 1) * chunk)
      if (at % 101 === 0) await progress.checkpoint()
    }
    progress.ranges.endSync(progress.ranges.beginSync())
    await progress.checkpoint()
    expect(readRows(ledger.path, key)).toEqual([{ start: 0, end: 3000 * chunk, boot: null }])
    for (let at = 3000; at < 3050; at++) {
      progress.ranges.add(at * chunk, (at + 1) * chunk)
      await progress.checkpoint()
      expect(readRows(ledger.path, key)).toHaveLength(2)
    }
  })

  test('offsets near the largest safe integer come back as they were', async () => {
    const folder = makeFolder()
    const { ledger, progress } = await begin(folder)
    progress.ranges.add(Number.MAX_SAFE_INTEGER - 2, Number.MAX_SAFE_INTEGER)
    await progress.checkpoint()
    await ledger.close()
    const again = await begin(folder)
    expect(pairs(again.progress.ranges.all())).toEqual([[Number.MAX_SAFE_INTEGER - 2, Number.MAX_SAFE_INTEGER]])
  })

  test('rows that overlap, from a checkpoint cut in its middle, are read as their union and put right', async () => {
    const folder = makeFolder()
    const { ledger, key } = await begin(folder)
    await ledger.close()
    const raw = new DatabaseSync(ledger.path)
    const insert = raw.prepare('INSERT INTO ranges VALUES (?, ?, ?, ?)')
    insert.run(key, 0, 100, null)
    insert.run(key, 40, 120, 'boot-1')
    insert.run(key, 50, 60, 'boot-0')
    insert.run(key, 110, 130, 'boot-0')
    raw.close()
    const again = await begin(folder)
    expect(pairs(again.progress.ranges.synced)).toEqual([[0, 100]])
    expect(pairs(again.progress.ranges.unsynced)).toEqual([[100, 120]])
    expect(again.progress.lost).toEqual([{ start: 120, end: 130 }])
    await again.progress.checkpoint()
    expect(readRows(ledger.path, key)).toEqual([
      { start: 0, end: 100, boot: null },
      { start: 100, end: 120, boot: 'boot-1' },
    ])
  })

  test('a checkpoint that failed is made good by the next', async () => {
    const folder = makeFolder()
    const { ledger, key } = await begin(folder, 'boot-1')
    await ledger.close()
    const hasty = await openTestLedger(folder, { busyTimeoutMs: 20 })
    const progress = await hasty.openProgress(key, 3)
    const other = new DatabaseSync(ledger.path)
    other.exec('BEGIN IMMEDIATE')
    progress.ranges.add(0, 10)
    progress.states.set(2, 1, new Uint8Array(32).fill(7))
    const first = progress.checkpoint()
    const second = progress.checkpoint()
    await expect(first).rejects.toMatchObject({ code: 'ledger_unavailable' })
    await expect(second).rejects.toMatchObject({ code: 'ledger_unavailable' })
    other.exec('COMMIT')
    other.close()
    await progress.checkpoint()
    expect(readRows(ledger.path, key)).toHaveLength(1)
    expect((await hasty.openProgress(key, 3)).states.get(2)).toBe(1)
  })

  test('whatever happens in whatever order, sets and rows are what a model of single bytes says', async () => {
    const size = 48
    const span = fc
      .tuple(fc.nat(size - 1), fc.integer({ min: 1, max: 12 }))
      .map(([start, length]) => ({ start, end: Math.min(size, start + length) }))
    const step = fc.oneof(
      { weight: 6, arbitrary: span.map((range) => ({ act: 'add' as const, ...range })) },
      { weight: 2, arbitrary: span.map((range) => ({ act: 'drop' as const, ...range })) },
      {
        weight: 3,
        arbitrary: fc
          .constantFrom(...(['begin', 'end', 'checkpoint', 'restart', 'reboot'] as const))
          .map((act) => ({ act, start: 0, end: 0 })),
      },
    )
    const folder = makeFolder()
    let run = 0
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
        const path = join(folder, `${run++}`, 'l.db')
        let boot = 0
        let ledger = await openLedger({ path, bootId: `boot-${boot}` })
        const key = await ledger.transfers.create(receiverOf(ID_A))
        let progress = await ledger.openProgress(key, 1)
        // 0 missing, 1 unsynced, 2 synced
        let bytes = new Uint8Array(size)
        let kept = bytes.slice()
        const marks: { mark: SyncMark; bytes: Uint8Array }[] = []
        const model = (value: number): [number, number][] => {
          const found: [number, number][] = []
          for (let at = 0; at < size; at++) {
            const last = found.at(-1)
            if (bytes[at] !== value) continue
            if (last?.[1] === at) last[1]++
            else found.push([at, at + 1])
          }
          return found
        }
        for (const { act, start, end } of steps) {
          if (act === 'add') {
            progress.ranges.add(start, end)
            for (let at = start; at < end; at++) bytes[at] ||= 1
          } else if (act === 'drop') {
            progress.ranges.drop(start, end)
            bytes.fill(0, start, end)
            for (const other of marks) other.bytes.fill(0, start, end)
          } else if (act === 'begin') {
            marks.push({ mark: progress.ranges.beginSync(), bytes: bytes.slice() })
          } else if (act === 'end') {
            const ended = marks.shift()
            if (ended === undefined) continue
            progress.ranges.endSync(ended.mark)
            for (let at = 0; at < size; at++) if (ended.bytes[at] === 1 && bytes[at] === 1) bytes[at] = 2
          } else if (act === 'checkpoint') {
            await progress.checkpoint()
            kept = bytes.slice()
            const rows = readRows(path, key)
            expect(rows.filter((row) => row.boot === null).map((row) => [row.start, row.end])).toEqual(model(2))
            expect(rows.filter((row) => row.boot !== null).map((row) => [row.start, row.end])).toEqual(model(1))
          } else {
            await ledger.close()
            if (act === 'reboot') boot++
            ledger = await openLedger({ path, bootId: `boot-${boot}` })
            progress = await ledger.openProgress(key, 1)
            bytes = kept.map((value) => (act === 'reboot' && value === 1 ? 0 : value))
            kept = bytes.slice()
            marks.length = 0
          }
          expect(pairs(progress.ranges.synced)).toEqual(model(2))
          expect(pairs(progress.ranges.unsynced)).toEqual(model(1))
        }
        await ledger.close()
      }),
      { numRuns: 60 },
    )
  })
})
