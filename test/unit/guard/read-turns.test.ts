import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type ReadSeat, ReadTurns } from '../../../src/guard/read-turns.ts'

const PIECE = 64 << 10

/** An event loop in which everybody reads a piece in each turn who has one and may. */
class Loop {
  readonly turns = new ReadTurns((call) => this.#after.push(call))
  readonly readers: Reader[] = []
  #after: (() => void)[] = []
  /** How often somebody wanted to know that a turn had passed. */
  asked = 0

  join(weight: number, has: () => boolean = () => true): Reader {
    const reader = new Reader(this.turns, has)
    reader.seat.weigh(weight)
    this.readers.push(reader)
    return reader
  }

  /** @returns pieces that were read */
  turn(): number {
    const before = this.#sum()
    for (const reader of this.readers) reader.turn()
    const after = this.#after
    this.#after = []
    this.asked += after.length
    for (const call of after) call()
    return this.#sum() - before
  }

  run(turns: number): void {
    for (let at = 0; at < turns; at++) this.turn()
  }

  #sum(): number {
    return this.readers.reduce((sum, { pieces }) => sum + pieces, 0)
  }
}

class Reader {
  readonly seat: ReadSeat
  readonly #has: () => boolean
  pieces = 0
  mayRead = true

  constructor(turns: ReadTurns, has: () => boolean) {
    this.seat = turns.newSeat(() => (this.mayRead = true))
    this.#has = has
  }

  turn(): void {
    if (!this.mayRead || !this.#has()) return
    this.pieces++
    this.mayRead = this.seat.read(PIECE)
  }
}

describe('who shares', () => {
  test('reads by weight', () => {
    const loop = new Loop()
    const readers = [10, 1, 5].map((weight) => loop.join(weight))
    loop.run(10_000)
    const [ten = 0, one = 0, five = 0] = readers.map(({ pieces }) => pieces)
    expect([ten / one, five / one]).toEqual([expect.closeTo(10, 1), expect.closeTo(5, 1)])
    // Somebody reads in every turn.
    expect(ten).toBeGreaterThan(9000)
  })

  test('does not wait for whoever has nothing', () => {
    const loop = new Loop()
    const reader = loop.join(1)
    loop.join(10, () => false)
    loop.run(1000)
    // A turn in which nobody reads anything lasts no longer than to look.
    expect(reader.pieces).toBeGreaterThan(700)
  })

  test('has its own part again when the others have left, or bring nothing of weight', () => {
    const loop = new Loop()
    const [light, heavy] = [loop.join(1), loop.join(10)]
    loop.run(4)
    expect(light.mayRead).toBe(false)
    heavy.seat.leave()
    heavy.seat.weigh(10)
    loop.run(2)
    expect(light.mayRead).toBe(true)
    const other = loop.join(10)
    loop.run(4)
    expect(light.mayRead).toBe(false)
    light.seat.weigh(0)
    expect(light.mayRead).toBe(true)
    const before = [light.pieces, other.pieces]
    loop.run(100)
    expect([light.pieces, other.pieces]).toEqual(before.map((pieces) => pieces + 100))
  })
})

test('a thousand share as two do', () => {
  const loop = new Loop()
  const heavy = loop.join(10)
  const others = Array.from({ length: 999 }, () => loop.join(1))
  loop.run(2000)
  const pieces = others.map((one) => one.pieces)
  expect(heavy.pieces / (pieces.reduce((sum, each) => sum + each, 0) / 999)).toBeCloseTo(10, 0)
  expect(Math.max(...pieces) - Math.min(...pieces)).toBeLessThanOrEqual(4)
})

test('one alone reads as it likes, and nothing is looked at for it', () => {
  const loop = new Loop()
  const reader = loop.join(5)
  loop.join(0)
  loop.run(1000)
  expect([reader.pieces, loop.asked]).toEqual([1000, 0])
})

test('whatever comes and goes, two turns never pass without a read while somebody has something', () => {
  const act = fc.oneof(
    { weight: 8, arbitrary: fc.record({ kind: fc.constant('turn' as const) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('join' as const), weight: fc.nat(10) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('flip' as const, 'leave' as const), which: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('weigh' as const), which: fc.nat(), weight: fc.nat(10) }) },
  )
  fc.assert(
    fc.property(fc.array(act, { maxLength: 200 }), (acts) => {
      const loop = new Loop()
      const has: boolean[] = []
      const gone = new Set<number>()
      let idleTurns = 0
      for (const step of acts) {
        const which = 'which' in step && has.length > 0 ? step.which % has.length : -1
        if (step.kind === 'join') {
          const at = has.push(true) - 1
          loop.join(step.weight, () => has[at] === true && !gone.has(at))
        } else if (step.kind === 'turn') {
          const isBusy = has.some((one, at) => one && !gone.has(at))
          idleTurns = loop.turn() > 0 || !isBusy ? 0 : idleTurns + 1
          expect(idleTurns).toBeLessThan(2)
        } else if (which >= 0) {
          if (step.kind === 'flip') has[which] = !has[which]
          if (step.kind === 'leave') {
            gone.add(which)
            loop.readers[which]?.seat.leave()
          }
          if (step.kind === 'weigh' && !gone.has(which)) loop.readers[which]?.seat.weigh(step.weight)
        }
      }
    }),
  )
})
