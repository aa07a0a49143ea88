/** Sets of ranges against the plainest model there is: an array with one flag for each byte. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { SealiftError } from '../../src/protocol/errors.ts'
import { decodeRangePage, encodeRangePages, type Range, RangeSet } from '../../src/protocol/ranges.ts'

const SPACE = 64
const range = fc.tuple(fc.nat(SPACE), fc.nat(SPACE))
const step = fc.record({ kind: fc.constantFrom('add' as const, 'remove' as const), range })

function stretches(flags: readonly boolean[], wanted: boolean, from = 0, to = SPACE): Range[] {
  const found: Range[] = []
  for (let at = from; at < to; at++) {
    if (flags[at] !== wanted) continue
    const last = found.at(-1)
    if (last?.end === at) found[found.length - 1] = { start: last.start, end: at + 1 }
    else found.push({ start: at, end: at + 1 })
  }
  return found
}

describe('a set of ranges', () => {
  test('is what a flag for each byte would be, after any additions and removals', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), range, fc.nat(SPACE), (steps, [from, to], offset) => {
        const set = new RangeSet()
        const flags = new Array<boolean>(SPACE).fill(false)
        for (const {
          kind,
          range: [start, end],
        } of steps) {
          let changed = 0
          for (let at = start; at < end; at++) {
            if (flags[at] !== (kind === 'add')) changed++
            flags[at] = kind === 'add'
          }
          expect(kind === 'add' ? set.add(start, end) : set.remove(start, end)).toBe(changed)
        }
        const there = stretches(flags, true)
        expect([...set]).toEqual(there)
        expect(set.count).toBe(there.length)
        expect(set.end).toBe(there.at(-1)?.end ?? -1)
        expect(set.totalBytes).toBe(flags.filter(Boolean).length)
        expect([...set.clone()]).toEqual(there)
        const inside = flags.slice(from, Math.max(from, to))
        expect(set.contains(from, to)).toBe(inside.every(Boolean))
        expect(set.intersects(from, to)).toBe(inside.some(Boolean))
        expect([...set.within(from, to)]).toEqual(stretches(flags, true, from, to))
        expect([...set.missing(from, to)]).toEqual(stretches(flags, false, from, to))
        const run = there.find(({ start, end }) => start <= offset && end > offset)
        expect(set.runEnd(offset)).toBe(run?.end ?? offset)
        const next = there.find(({ end }) => end > offset)
        expect(set.next(offset)).toEqual(
          next === undefined ? null : { start: Math.max(offset, next.start), end: next.end },
        )
      }),
      { numRuns: 2000 },
    )
  })
})

describe('a page of ranges', () => {
  test('gives back the set it was made of', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.maxSafeNat(), fc.maxSafeNat())), (all) => {
        const set = RangeSet.of(all.map(([a, b]) => ({ start: Math.min(a, b), end: Math.max(a, b) })))
        const back = new RangeSet()
        for (const page of encodeRangePages(set)) decodeRangePage(page, back)
        expect([...back]).toEqual([...set])
      }),
    )
  })

  test('whatever its bytes are, is refused with a typed error or is the one form of what it says', () => {
    // Words with few bytes set, so that many pages pass.
    const word = fc.tuple(fc.nat(40), fc.constantFrom(0, 0, 0, 1, 0x1f, 0x20, 0xff)).map(([low, high]) => {
      const bytes = new Uint8Array(8)
      bytes[7] = low
      bytes[1] = high
      return bytes
    })
    let taken = 0
    fc.assert(
      fc.property(fc.array(word, { maxLength: 8 }), fc.nat(7), (words, cut) => {
        const whole = Uint8Array.from(words.flatMap((bytes) => [...bytes]))
        const page = whole.subarray(0, whole.length - (cut === 0 ? 1 : 0))
        const set = new RangeSet()
        try {
          decodeRangePage(page, set, 1000)
        } catch (error) {
          expect(error).toBeInstanceOf(SealiftError)
          return
        }
        taken++
        expect([...encodeRangePages(set)]).toEqual([page])
      }),
      { numRuns: 2000 },
    )
    expect(taken).toBeGreaterThan(100)
  })
})
