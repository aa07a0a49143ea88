import { describe, expect, test } from 'vitest'

import { ByteWriter } from '../../../src/protocol/bytes.ts'
import { MAX_PAGE_BYTES, MAX_RANGES } from '../../../src/protocol/limits.ts'
import { decodeRangePage, encodeRangePages, type Range, RangeSet } from '../../../src/protocol/ranges.ts'

function setOf(...pairs: readonly (readonly [number, number])[]): RangeSet {
  return RangeSet.of(pairs.map(([start, end]) => ({ start, end })))
}

function pairs(set: Iterable<Range>): [number, number][] {
  return [...set].map(({ start, end }) => [start, end])
}

function pageOf(...ranges: readonly (readonly [number, number])[]): Uint8Array {
  const writer = new ByteWriter()
  for (const [start, end] of ranges) writer.u64(start).u64(end)
  return writer.finish()
}

describe('a set of ranges', () => {
  test('joins what touches and counts what is new', () => {
    const set = new RangeSet()
    expect(set.add(10, 20)).toBe(10)
    expect(set.add(30, 40)).toBe(10)
    expect(set.add(20, 30)).toBe(10)
    expect(pairs(set)).toEqual([[10, 40]])
    expect(set.add(15, 35)).toBe(0)
    expect(set.add(0, 100)).toBe(70)
    expect(set.totalBytes).toBe(100)
    expect(set.count).toBe(1)
  })

  test('has nothing empty or backwards in it', () => {
    const set = setOf([5, 5], [9, 3])
    expect(set.count).toBe(0)
    expect(set.remove(4, 4)).toBe(0)
    expect(set.contains(7, 7)).toBe(true)
    expect(set.intersects(7, 7)).toBe(false)
  })

  test('takes a hole out of the middle', () => {
    const set = setOf([0, 100])
    expect(set.remove(40, 60)).toBe(20)
    expect(pairs(set)).toEqual([
      [0, 40],
      [60, 100],
    ])
    expect(set.remove(30, 70)).toBe(20)
    expect(set.totalBytes).toBe(60)
    expect(set.remove(30, 70)).toBe(0)
  })

  test('says what is there and what is missing', () => {
    const set = setOf([10, 20], [30, 40])
    expect(pairs(set.missing(0, 50))).toEqual([
      [0, 10],
      [20, 30],
      [40, 50],
    ])
    expect(pairs(set.within(15, 35))).toEqual([
      [15, 20],
      [30, 35],
    ])
    expect(set.next(20)).toEqual({ start: 30, end: 40 })
    expect(set.next(33)).toEqual({ start: 33, end: 40 })
    expect(set.next(40)).toBe(null)
    expect([set.runEnd(9), set.runEnd(10), set.runEnd(19), set.runEnd(20)]).toEqual([9, 20, 20, 20])
    expect([set.contains(10, 20), set.contains(10, 21), set.contains(20, 30)]).toEqual([true, false, false])
    expect([set.intersects(20, 30), set.intersects(19, 30)]).toEqual([false, true])
  })

  test('counts exactly up to the largest safe integer', () => {
    const set = setOf([0, Number.MAX_SAFE_INTEGER])
    expect(set.remove(Number.MAX_SAFE_INTEGER - 1, Number.MAX_SAFE_INTEGER)).toBe(1)
    expect(set.totalBytes).toBe(Number.MAX_SAFE_INTEGER - 1)
  })

  test('a copy and a cleared set have nothing to do with what they were', () => {
    const set = setOf([0, 10])
    const copy = set.clone()
    copy.add(20, 30)
    set.clear()
    expect([set.totalBytes, set.count, copy.totalBytes]).toEqual([0, 0, 20])
  })

  test('takes a million ranges in order in linear time, apart or touching', () => {
    const startMs = performance.now()
    const apart = new RangeSet()
    const touching = new RangeSet()
    for (let at = 0; at < 1_000_000; at++) {
      apart.add(at * 10, at * 10 + 5)
      touching.add(at * 10, at * 10 + 10)
    }
    let found = 0
    for (let at = 0; at < 1_000_000; at++) if (apart.contains(at * 10, at * 10 + 5)) found++
    expect(found).toBe(1_000_000)
    expect([apart.count, touching.count]).toEqual([1_000_000, 1])
    // A splice in each step would take minutes.
    expect(performance.now() - startMs).toBeLessThan(5000)
  })
})

describe('pages of ranges', () => {
  test('an empty set is one empty page', () => {
    expect([...encodeRangePages(new RangeSet())]).toEqual([new Uint8Array()])
  })

  test('many ranges are cut into pages that fit, and come back the same', () => {
    const set = new RangeSet()
    for (let at = 0; at < 40_000; at++) set.add(at * 7, at * 7 + 3)
    const pages = [...encodeRangePages(set)]
    expect(pages.length).toBe(3)
    for (const page of pages) expect(page.length).toBeLessThan(MAX_PAGE_BYTES)
    const back = new RangeSet()
    for (const page of pages) decodeRangePage(page, back)
    expect(pairs(back)).toEqual(pairs(set))
  })

  test('a set that fills its last page exactly has no empty page behind it', () => {
    const one = [...encodeRangePages(setOf([0, 1]))]
    const perPage = Math.floor((MAX_PAGE_BYTES - 16) / 16)
    const set = RangeSet.of(Array.from({ length: perPage }, (_, at) => ({ start: at * 2, end: at * 2 + 1 })))
    expect([one.length, [...encodeRangePages(set)].length]).toEqual([1, 1])
  })

  test.each([
    ['an empty range', pageOf([5, 5])],
    ['a range backwards', pageOf([9, 5])],
    ['ranges that overlap', pageOf([0, 10], [9, 20])],
    ['ranges that touch, which are one', pageOf([0, 10], [10, 20])],
    ['ranges out of order', pageOf([20, 30], [0, 10])],
    ['the same range twice', pageOf([0, 10], [0, 10])],
    ['a range beyond the content', pageOf([0, 10], [90, 101])],
    ['half a range', pageOf([0, 10]).subarray(0, 15)],
    ['a number that is too large', new Uint8Array(16).fill(0xff)],
  ])('%s is refused', (_, page) => {
    expect(() => decodeRangePage(page, new RangeSet(), 100)).toThrow(
      expect.objectContaining({ name: 'SealiftError', code: 'protocol_violation' }) as Error,
    )
  })

  test('the last byte of the content is within it', () => {
    const set = new RangeSet()
    decodeRangePage(pageOf([99, 100]), set, 100)
    expect(pairs(set)).toEqual([[99, 100]])
  })

  test('pages follow each other upwards, so that no order of theirs costs more than reading them', () => {
    for (const second of [pageOf([0, 10]), pageOf([50, 70]), pageOf([60, 70])]) {
      const set = new RangeSet()
      decodeRangePage(pageOf([50, 60]), set)
      expect(() => decodeRangePage(second, set)).toThrow(
        expect.objectContaining({ code: 'protocol_violation' }) as Error,
      )
    }
  })

  test('a peer cannot make the set grow for ever, and the way there is linear', () => {
    const set = new RangeSet()
    const startMs = performance.now()
    const grow = (): void => {
      for (let from = 0; ; from += 16_000) {
        const writer = new ByteWriter(16_000 * 16)
        for (let at = from; at < from + 16_000; at++) writer.u64(at * 2).u64(at * 2 + 1)
        decodeRangePage(writer.finish(), set)
      }
    }
    expect(grow).toThrow(expect.objectContaining({ code: 'limit_exceeded' }) as Error)
    expect(set.count).toBeLessThan(MAX_RANGES + 16_384)
    expect(performance.now() - startMs).toBeLessThan(5000)
  })
})
