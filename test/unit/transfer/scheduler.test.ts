import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { LEASE_TIMEOUT_MS, MAX_AHEAD_OF_HASH_BYTES, MAX_CHUNK_BYTES } from '../../../src/protocol/limits.ts'
import type { Manifest } from '../../../src/protocol/manifest.ts'
import { type Range, RangeSet } from '../../../src/protocol/ranges.ts'
import { Scheduler } from '../../../src/transfer/scheduler.ts'
import { file, filesOf, folder, manifestOf } from '../protocol/entries.ts'

const MIB = 1 << 20

function all(manifest: Manifest): RangeSet {
  return RangeSet.of([{ start: 0, end: manifest.totalBytes ?? 0 }])
}

function begun(manifest: Manifest, wanted = all(manifest)): { scheduler: Scheduler; pass(ms: number): void } {
  let nowMs = 0
  const scheduler = new Scheduler(manifest, () => nowMs)
  scheduler.begin(wanted)
  return {
    scheduler,
    pass(ms) {
      nowMs += ms
    },
  }
}

/** Leases until nothing is free. */
function drain(scheduler: Scheduler, lane: object, maxBytes: number): Range[] {
  const leases: Range[] = []
  for (let next = scheduler.lease(lane, maxBytes); next !== null; next = scheduler.lease(lane, maxBytes))
    leases.push(next)
  return leases
}

function rangeOf(manifest: Manifest, at: number): Range {
  return { start: manifest.startOffset(at), end: manifest.endOffsetOf(at) }
}

const [A, B] = [{ lane: 'a' }, { lane: 'b' }]

describe('leases', () => {
  test('go through the content in order, each byte once', () => {
    const { scheduler } = begun(filesOf(10 * MIB))
    const leases = drain(scheduler, A, 3 * MIB)
    expect(leases).toEqual([
      { start: 0, end: 3 * MIB },
      { start: 3 * MIB, end: 6 * MIB },
      { start: 6 * MIB, end: 9 * MIB },
      { start: 9 * MIB, end: 10 * MIB },
    ])
    expect(scheduler.wantedBytes).toBe(10 * MIB)
    scheduler.settle(leases)
    expect(scheduler.wantedBytes).toBe(0)
  })

  test('cover what is missing and nothing else', () => {
    const wanted = RangeSet.of([
      { start: 10, end: 20 },
      { start: 50, end: 90 },
    ])
    const { scheduler } = begun(filesOf(100), wanted)
    expect(drain(scheduler, A, 25)).toEqual([
      { start: 10, end: 20 },
      { start: 50, end: 75 },
      { start: 75, end: 90 },
    ])
  })

  test('take many small files at once, and do not split one that fits', () => {
    const { scheduler } = begun(filesOf(40, 40, 40, 40))
    expect(drain(scheduler, A, 100)).toEqual([
      { start: 0, end: 80 },
      { start: 80, end: 160 },
    ])
  })

  test('take no more than 2,048 of the smallest, which keep both sides from hearing each other', () => {
    const { scheduler } = begun(filesOf(...Array.from({ length: 5000 }, () => 1)))
    expect(drain(scheduler, A, MAX_CHUNK_BYTES)).toEqual([
      { start: 0, end: 2048 },
      { start: 2048, end: 4096 },
      { start: 4096, end: 5000 },
    ])
  })

  test('split a file that does not fit, and go on with others behind its end', () => {
    const { scheduler } = begun(filesOf(30, 250, 30))
    expect(drain(scheduler, A, 100)).toEqual([
      { start: 0, end: 100 },
      { start: 100, end: 200 },
      { start: 200, end: 280 },
      { start: 280, end: 310 },
    ])
  })

  test('know folders and empty files as what they are: no content', () => {
    const manifest = manifestOf(
      folder(-1, 'r'),
      file(0, 'a', 0),
      file(0, 'b', 60),
      folder(0, 'c'),
      file(3, 'd', 60),
      file(3, 'e', 0),
    )
    const { scheduler } = begun(manifest)
    expect(drain(scheduler, A, 100)).toEqual([
      { start: 0, end: 60 },
      { start: 60, end: 120 },
    ])
  })

  test('stay within 64 MiB of the first byte that is missing', () => {
    const { scheduler } = begun(filesOf(200 * MIB))
    const leases = drain(scheduler, A, MAX_CHUNK_BYTES)
    expect(leases.at(-1)?.start).toBe(MAX_AHEAD_OF_HASH_BYTES)
    scheduler.settle(leases.slice(1))
    expect(scheduler.lease(A, MAX_CHUNK_BYTES)).toBe(null)
    scheduler.settle(leases.slice(0, 1))
    expect(scheduler.lease(A, MAX_CHUNK_BYTES)?.start).toBe(MAX_AHEAD_OF_HASH_BYTES + MIB)
  })

  test('a transfer that is all there has none', () => {
    expect(begun(filesOf(10), new RangeSet()).scheduler.lease(A, 100)).toBe(null)
  })
})

describe('what is first', () => {
  const first = (...ranges: [number, number][]): RangeSet => RangeSet.of(ranges.map(([start, end]) => ({ start, end })))

  function begunWith(tiers: readonly RangeSet[], ...sizes: readonly number[]): Scheduler {
    const manifest = filesOf(...sizes)
    const scheduler = new Scheduler(manifest, () => 0, tiers)
    scheduler.begin(all(manifest))
    return scheduler
  }

  test('is leased first, in the order of the sets, and never in one chunk with what is not', () => {
    const scheduler = begunWith([first([50, 60]), first([0, 10], [20, 40])], 10, 10, 10, 10, 10, 10, 10)
    expect(drain(scheduler, A, 1000)).toEqual([
      { start: 50, end: 60 },
      { start: 0, end: 10 },
      { start: 20, end: 40 },
      { start: 10, end: 20 },
      { start: 40, end: 50 },
      { start: 60, end: 70 },
    ])
  })

  test('is so again where it comes back or is wanted once more', () => {
    const scheduler = begunWith([first([20, 30])], 10, 10, 10)
    scheduler.lease(A, 100)
    scheduler.lease(A, 5)
    scheduler.giveBack([{ start: 20, end: 30 }])
    expect(scheduler.lease(B, 100)).toEqual({ start: 20, end: 30 })
    scheduler.settle([{ start: 20, end: 30 }])
    expect(scheduler.lease(B, 5)).toEqual({ start: 5, end: 10 })
    scheduler.want(20, 30)
    expect(scheduler.lease(B, 100)).toEqual({ start: 20, end: 30 })
    expect(scheduler.wantedBytes).toBe(30)
  })

  test('is not waited for where all of it is on its way, but where more of it is far ahead', () => {
    const scheduler = begunWith([first([10, 10 + 100 * MIB])], 10, 100 * MIB)
    const leases = drain(scheduler, A, MIB)
    expect(leases.at(-1)?.start).toBe(10 + MAX_AHEAD_OF_HASH_BYTES)
    scheduler.settle(leases)
    drain(scheduler, A, MIB)
    expect(scheduler.lease(A, MIB)).toBe(null)
    const small = begunWith([first([10, 20])], 10, 10)
    expect(drain(small, A, 100)).toEqual([
      { start: 10, end: 20 },
      { start: 0, end: 10 },
    ])
  })
})

describe('work comes back', () => {
  test('from a lane that ended', () => {
    const { scheduler } = begun(filesOf(100))
    scheduler.lease(A, 30)
    scheduler.lease(B, 30)
    expect(scheduler.lease(A, 100)).toEqual({ start: 60, end: 100 })
    scheduler.release(A)
    expect(drain(scheduler, B, 100)).toEqual([
      { start: 0, end: 30 },
      { start: 60, end: 100 },
    ])
    scheduler.release({ lane: 'never seen' })
  })

  test('what was safe before its lane ended does not', () => {
    const { scheduler } = begun(filesOf(100))
    scheduler.lease(A, 60)
    scheduler.settle([{ start: 10, end: 20 }])
    scheduler.release(A)
    expect(drain(scheduler, B, 100)).toEqual([
      { start: 0, end: 10 },
      { start: 20, end: 100 },
    ])
  })

  test('from a lane that brought nothing for a minute', () => {
    const { scheduler, pass } = begun(filesOf(100))
    scheduler.lease(A, 50)
    pass(LEASE_TIMEOUT_MS - 1)
    expect(scheduler.lease(B, 100)).toEqual({ start: 50, end: 100 })
    expect(scheduler.lease(B, 100)).toBe(null)
    pass(1)
    expect(scheduler.lease(B, 100)).toEqual({ start: 0, end: 50 })
  })

  test('not from a lane that brings something, however slowly', () => {
    const { scheduler, pass } = begun(filesOf(100))
    scheduler.lease(A, 100)
    for (let at = 0; at < 5; at++) {
      pass(LEASE_TIMEOUT_MS - 1)
      scheduler.settle([{ start: at, end: at + 1 }])
      expect(scheduler.lease(B, 100)).toBe(null)
    }
  })

  test('from a dead lane, although another one beside it is well', () => {
    const { scheduler, pass } = begun(filesOf(1000))
    scheduler.lease(A, 10)
    for (let at = 1; at < 5; at++) {
      const lease = scheduler.lease(B, 10) as Range
      pass(LEASE_TIMEOUT_MS / 4)
      scheduler.settle([lease])
    }
    expect(scheduler.lease(B, 10)).toEqual({ start: 0, end: 10 })
  })

  test('unread, in part', () => {
    const { scheduler } = begun(filesOf(100))
    scheduler.lease(A, 100)
    scheduler.giveBack([{ start: 70, end: 100 }])
    expect(scheduler.lease(B, 100)).toEqual({ start: 70, end: 100 })
  })

  test('when a file is wanted once more', () => {
    const { scheduler } = begun(filesOf(50, 50))
    scheduler.settle(drain(scheduler, A, 100))
    scheduler.want(0, 50)
    expect(scheduler.wantedBytes).toBe(50)
    expect(scheduler.lease(A, 100)).toEqual({ start: 0, end: 50 })
    scheduler.want(0, 50)
    expect(scheduler.lease(B, 100)).toEqual({ start: 0, end: 50 })
  })

  test('not when a file is given up', () => {
    const { scheduler } = begun(filesOf(50, 50))
    scheduler.lease(A, 50)
    scheduler.abandon(0, 50)
    scheduler.release(A)
    expect(drain(scheduler, B, 100)).toEqual([{ start: 50, end: 100 }])
    expect(scheduler.wantedBytes).toBe(50)
  })

  test('when a receiver comes back that has lost what was safe', () => {
    const manifest = filesOf(100)
    const { scheduler } = begun(manifest)
    scheduler.settle(drain(scheduler, A, 30))
    scheduler.lease(A, 100)
    scheduler.begin(all(manifest))
    expect(scheduler.lease(B, 100)).toEqual({ start: 0, end: 100 })
  })
})

test('who waits is woken by everything that may give work or finish it', async () => {
  const { scheduler } = begun(filesOf(100))
  const acts: (() => void)[] = [
    () => scheduler.begin(RangeSet.of([{ start: 0, end: 100 }])),
    () => scheduler.settle([{ start: 0, end: 1 }]),
    () => scheduler.want(0, 1),
    () => scheduler.abandon(1, 2),
    () => scheduler.giveBack([{ start: 2, end: 3 }]),
    () => {
      scheduler.lease(A, 10)
      scheduler.release(A)
    },
  ]
  for (const act of acts) {
    let woken = 0
    const waiting = [scheduler.changed().then(() => woken++), scheduler.changed().then(() => woken++)]
    act()
    await Promise.all(waiting)
    expect(woken).toBe(2)
  }
})

describe('several lanes in any order', () => {
  const size = fc.oneof(fc.nat(300), fc.nat(300), fc.constant(0), fc.nat(3000))
  const command = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        kind: fc.constant('lease' as const),
        lane: fc.nat(2),
        max: fc.integer({ min: 1, max: 900 }),
      }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('settle' as const), lane: fc.nat(2), part: fc.nat(3) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('release' as const), lane: fc.nat(2) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('give back' as const), lane: fc.nat(2) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(50_000) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('again' as const), file: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('give up' as const), file: fc.nat() }) },
  )

  test('no byte is leased twice, no small file split, what is first goes first, and all is sent in the end', () => {
    fc.assert(
      fc.property(
        fc.array(size, { minLength: 1, maxLength: 12 }),
        fc.array(fc.constantFrom(0, 1, 2, 2), { minLength: 12, maxLength: 12 }),
        fc.array(command, { maxLength: 60 }),
        (sizes, ranks, commands) => {
          const manifest = filesOf(...sizes)
          const tiers = [0, 1].map((rank) =>
            RangeSet.of(sizes.flatMap((_, at) => (ranks[at] === rank ? [rangeOf(manifest, at)] : []))),
          )
          const lanes = [{ lane: 0 }, { lane: 1 }, { lane: 2 }]
          let nowMs = 0
          const scheduler = new Scheduler(manifest, () => nowMs, tiers)
          const wanted = all(manifest)
          scheduler.begin(wanted.clone())
          // The model: who has what, and since when nothing was heard of it.
          const held = lanes.map(() => ({ ranges: new RangeSet(), heardMs: 0 }))
          const unlease = (start: number, end: number): void => {
            for (const lane of held) lane.ranges.remove(start, end)
          }
          const fileRange = (index: number): Range => {
            return rangeOf(manifest, index % manifest.count)
          }

          const lease = (lane: number, max: number): boolean => {
            for (const other of held) if (other.heardMs + LEASE_TIMEOUT_MS <= nowMs) other.ranges.clear()
            const free = wanted.clone()
            for (const other of held) free.removeAll(other.ranges)
            const range = scheduler.lease(lanes[lane] as object, max)
            if (range === null) {
              expect(free.totalBytes, 'nothing is free').toBe(0)
              return false
            }
            const { start, end } = range
            expect(end - start).toBeGreaterThan(0)
            expect(end - start).toBeLessThanOrEqual(max)
            expect(free.contains(start, end), `[${start}, ${end}) is free`).toBe(true)
            const tier = tiers.find((ranges) => [...ranges].some((part) => free.intersects(part.start, part.end)))
            if (tier !== undefined) expect(tier.contains(start, end), 'what is first is not mixed').toBe(true)
            for (let at = manifest.fileAt(start); at < manifest.count && manifest.startOffset(at) < end; at++) {
              const [from, to] = [manifest.startOffset(at), manifest.endOffsetOf(at)]
              if (from >= start && to - from <= max && free.contains(from, to))
                expect(to, `file ${at} of ${to - from} is not split`).toBeLessThanOrEqual(end)
            }
            const own = held[lane] as { ranges: RangeSet; heardMs: number }
            own.ranges.add(start, end)
            own.heardMs = nowMs
            return true
          }

          for (const step of commands) {
            if (step.kind === 'lease') lease(step.lane, step.max)
            else if (step.kind === 'wait') nowMs += step.ms
            else if (step.kind === 'again' || step.kind === 'give up') {
              const { start, end } = fileRange(step.file)
              unlease(start, end)
              if (step.kind === 'again') {
                wanted.add(start, end)
                scheduler.want(start, end)
              } else {
                wanted.remove(start, end)
                scheduler.abandon(start, end)
              }
            } else {
              const own = held[step.lane] as { ranges: RangeSet; heardMs: number }
              const ranges = [...own.ranges]
              const some = step.kind === 'settle' ? ranges.slice(0, step.part) : ranges.slice(-1)
              if (step.kind === 'settle') {
                if (some.length > 0) own.heardMs = nowMs
                wanted.removeAll(some)
                scheduler.settle(some)
              } else if (step.kind === 'give back') scheduler.giveBack(some)
              else scheduler.release(lanes[step.lane] as object)
              for (const { start, end } of step.kind === 'release' ? ranges : some) unlease(start, end)
            }
            expect(scheduler.wantedBytes).toBe(wanted.totalBytes)
          }
          // All lanes but one end; that one finishes.
          for (const [at, lane] of lanes.entries()) {
            scheduler.release(lane)
            held[at]?.ranges.clear()
          }
          while (lease(0, 500)) {
            const [first] = [...(held[0] as { ranges: RangeSet }).ranges]
            if (first === undefined) break
            wanted.remove(first.start, first.end)
            scheduler.settle([first])
            unlease(first.start, first.end)
          }
          expect(scheduler.wantedBytes).toBe(0)
        },
      ),
      { numRuns: 600 },
    )
  })
})

test('a lease costs the same however much is settled and leased', () => {
  const manifest = filesOf(...new Array<number>(20_000).fill(5000))
  const { scheduler } = begun(manifest)
  const startMs = performance.now()
  const under: Range[] = []
  for (;;) {
    const next = scheduler.lease(A, 5000)
    if (next === null) break
    under.push(next)
    if (under.length > 100) scheduler.settle([under.shift() as Range])
  }
  expect(scheduler.wantedBytes).toBeLessThanOrEqual(101 * 5000)
  expect(performance.now() - startMs).toBeLessThan(2000)
})
