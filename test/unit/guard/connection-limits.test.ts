import { describe, expect, test, vi } from 'vitest'
import { ConnectionLimits, type Place } from '../../../src/guard/connection-limits.ts'
import { Chance, seedOr } from '../../rigs/seeds.ts'

const refused = expect.objectContaining({ code: 'server_busy', exitCode: 5, retryable: true })

/** A connection that has come for a transfer. */
function come(limits: ConnectionLimits, address: string, transferId: string): Place {
  const place = limits.enter(address, () => undefined)
  place.join(transferId)
  return place
}

describe('transfers of one address', () => {
  test('are as many as the setting says, and one more when one has ended', () => {
    const limits = new ConnectionLimits(2)
    const first = come(limits, '192.0.2.7', 'a')
    come(limits, '192.0.2.7', 'b')
    const third = limits.enter('192.0.2.7', () => undefined)
    expect(() => third.join('c')).toThrow(refused)
    come(limits, '192.0.2.8', 'd')
    first.leave()
    third.join('c')
    expect(limits.connections).toBe(3)
  })

  test('count once for all their streams, and until the last of them has ended', () => {
    const limits = new ConnectionLimits(1)
    const streams = Array.from({ length: 16 }, () => come(limits, '192.0.2.7', 'a'))
    expect(() => come(limits, '192.0.2.7', 'a')).toThrow(refused)
    const other = limits.enter('192.0.2.7', () => undefined)
    for (const stream of streams) {
      expect(() => other.join('b')).toThrow(refused)
      stream.leave()
    }
    other.join('b')
  })

  test('of one host count together, whichever of its addresses it takes', () => {
    const limits = new ConnectionLimits(1)
    come(limits, '2001:db8:1:2::1', 'a')
    expect(() => come(limits, '2001:db8:1:2::2', 'b')).toThrow(refused)
    come(limits, '2001:db8:1:3::1', 'c')
    come(limits, '192.0.2.7', 'd')
    expect(() => come(limits, '::ffff:192.0.2.7', 'e')).toThrow(refused)
  })

  test('are released once, however often their end is told', () => {
    const limits = new ConnectionLimits(2)
    const [one, two] = [come(limits, '192.0.2.7', 'a'), come(limits, '192.0.2.7', 'b')]
    for (let times = 0; times < 3; times++) one.leave()
    expect(limits.connections).toBe(1)
    come(limits, '192.0.2.7', 'c')
    expect(() => come(limits, '192.0.2.7', 'd')).toThrow(refused)
    two.leave()
    expect(() => two.join('e')).toThrow(refused)
  })

  test('in all are bounded too', () => {
    const limits = new ConnectionLimits(5)
    for (let at = 0; at < 1024; at++) come(limits, `10.0.${at >> 8}.${at & 255}`, 'a')
    expect(() => come(limits, '192.0.2.7', 'a')).toThrow(refused)
  })
})

describe('connections that say nothing', () => {
  test('of one address push out their own oldest, not the newest and nobody else', () => {
    const limits = new ConnectionLimits(3)
    const dropped: string[] = []
    const enter = (name: string, address: string): Place => limits.enter(address, () => dropped.push(name))
    const honest = enter('honest', '192.0.2.8')
    for (let at = 0; at < 1000; at++) enter(`stalled ${at}`, '192.0.2.7')
    expect(dropped).toHaveLength(997)
    expect(dropped.at(-1)).toBe('stalled 996')
    expect(limits.connections).toBe(4)
    honest.join('a')
  })

  test('of many addresses are 128 at most; those that have joined stay', () => {
    const limits = new ConnectionLimits(5)
    const drop = vi.fn()
    const joined = limits.enter('192.0.2.7', drop)
    joined.join('a')
    for (let at = 0; at < 5000; at++) limits.enter(`10.0.${at >> 8}.${at & 255}`, () => undefined)
    expect([limits.connections, limits.addresses]).toEqual([129, 129])
    expect(drop).not.toHaveBeenCalled()
  })

  test('that were pushed out join nothing', () => {
    const limits = new ConnectionLimits(1)
    const first = limits.enter('192.0.2.7', (error) => expect(error.code).toBe('peer_silent'))
    limits.enter('192.0.2.7', () => undefined)
    expect(() => first.join('a')).toThrow(refused)
    first.leave()
    expect(limits.connections).toBe(1)
  })
})

/** As many as matter: no more than 128 wait at a time, so that any number beyond is the same. */
const ADDRESSES = process.env['SEALIFT_SLOW'] === '1' ? 1_000_000 : 100_000

test(`${String(ADDRESSES)} addresses leave nothing behind`, () => {
  const limits = new ConnectionLimits(5)
  for (let at = 0; at < ADDRESSES; at++) {
    const place = limits.enter(`10.${at >> 16}.${(at >> 8) & 255}.${at & 255}`, () => undefined)
    if (at % 3 === 0) place.leave()
  }
  expect(limits.addresses).toBeLessThanOrEqual(128)
})

test('whatever order they come and go in, the count is that of those who are there', () => {
  const chance = new Chance(seedOr(9_000))
  const limits = new ConnectionLimits(2)
  const there = new Map<Place, { address: string; transfer: string | null }>()
  for (let step = 0; step < 3000; step++) {
    const where = `seed ${chance.seed}, step ${step}`
    const address = `192.0.2.${chance.integer(0, 4)}`
    const [place, state] = there.size > 0 ? chance.pick([...there]) : []
    const choice = chance.next()
    if (place === undefined || state === undefined || choice < 0.4) {
      const entered: Place = limits.enter(address, () => there.delete(entered))
      there.set(entered, { address, transfer: null })
    } else if (choice < 0.7) {
      const transfer = `t${chance.integer(0, 4)}`
      if (state.transfer !== null) continue
      const others = [...there.values()].filter((other) => other.address === state.address && other.transfer !== null)
      const running = new Set(others.map((other) => other.transfer))
      const streams = others.filter((other) => other.transfer === transfer).length
      const fits = running.has(transfer) ? streams < 16 : running.size < 2
      if (fits) place.join(transfer)
      else expect(() => place.join(transfer), where).toThrow(refused)
      if (fits) state.transfer = transfer
    } else {
      place.leave()
      there.delete(place)
    }
    expect(limits.connections, where).toBe(there.size)
  }
  for (const place of there.keys()) place.leave()
  expect([limits.connections, limits.addresses]).toEqual([0, 0])
})
