import { afterEach, describe, expect, test } from 'vitest'
import type { ByteStream } from '../../../src/carriers/carrier.ts'
import { memoryPipe } from '../../../src/carriers/memory.ts'
import { RateLimits, type RateShare } from '../../../src/guard/rate-limit.ts'
import { pacedReads } from '../../../src/transfer/pacing.ts'
import { VirtualClock } from '../transfer/virtual-time.ts'

const RATE = 10_000_000
const STEP_MS = 10

let clock = new VirtualClock()
let limits = new RateLimits({ bytesPerSecond: RATE, totalBytesPerSecond: null }, () => clock.nowMs())
let streams: ByteStream[] = []
afterEach(() => {
  for (const stream of streams) stream.destroy()
  clock = new VirtualClock()
  limits = new RateLimits({ bytesPerSecond: RATE, totalBytesPerSecond: null }, () => clock.nowMs())
  streams = []
})

/** A connection over which as much comes as is taken. @returns how much has been taken */
function connect(share: RateShare): () => number {
  const [near, far] = memoryPipe({ windowBytes: 1 << 20 })
  streams.push(near, far)
  const room = new Uint8Array(1 << 20)
  let arrived = 0
  const sink = { space: () => room, filled: (bytes: number) => ((arrived += bytes), true), ended: () => undefined }
  pacedReads(far, share, clock).start(sink)
  near.start({ ...sink, filled: () => true })
  void near.write([new Uint8Array(1 << 27)]).catch(() => undefined)
  return () => arrived
}

function shareOf(owner: string, bytesPerSecond?: number | null): RateShare {
  const share = limits.newShare()
  share.assign(owner, bytesPerSecond)
  return share
}

/** Passes what may pass at once. @returns how much that was */
function passBurst(share: RateShare): number {
  for (let passed = 0; ;) {
    const bytes = share.sliceBytes
    passed += bytes
    if (share.pass(bytes) > 0) return passed
  }
}

/** What all of them have taken, at each step. */
async function curve(arrived: readonly (() => number)[], ms: number): Promise<number[]> {
  const sum = (): number => arrived.reduce((total, one) => total + one(), 0)
  const points = [sum()]
  for (let at = 0; at < ms; at += STEP_MS) {
    await clock.pass(STEP_MS)
    points.push(sum())
  }
  return points
}

/** Every second is within 5 % of the rate, and every shorter stretch within a burst of 50 ms. */
function expectRate(points: readonly number[], bytesPerSecond: number): void {
  const second = 1000 / STEP_MS
  for (let from = 0; from < points.length; from++)
    for (const steps of [1, 5, 20, second]) {
      const [before, after] = [points[from], points[from + steps]]
      if (before === undefined || after === undefined) continue
      const due = (bytesPerSecond * steps * STEP_MS) / 1000
      expect(after - before, `${steps * STEP_MS} ms from ${from * STEP_MS} ms`).toBeLessThanOrEqual(
        due + bytesPerSecond * 0.051,
      )
      if (steps === second) expect(after - before).toBeGreaterThanOrEqual(due * 0.95)
    }
}

describe('an owner', () => {
  test.each([1, 7, 20])('has one rate, smooth, over %i connections', async (count) => {
    const arrived = Array.from({ length: count }, () => connect(shareOf('ana')))
    expectRate(await curve(arrived, 3000), RATE)
  })

  test('shares it evenly among its connections', async () => {
    const arrived = Array.from({ length: 5 }, () => connect(shareOf('ana')))
    await curve(arrived, 2000)
    const each = arrived.map((one) => one())
    expect(Math.min(...each) / Math.max(...each)).toBeGreaterThan(0.8)
  })

  test('is not slowed by another', async () => {
    const ana = [connect(shareOf('ana')), connect(shareOf('ana'))]
    const ben = [connect(shareOf('ben'))]
    await curve([...ana, ...ben], 2000)
    for (const owner of [ana, ben]) {
      const bytes = owner.reduce((total, one) => total + one(), 0)
      expect(bytes / (RATE * 2)).toBeCloseTo(1, 1)
    }
  })

  test('may have a rate of its own', async () => {
    const share = shareOf('ana', 100_000)
    expect(share.bytesPerSecond).toBe(100_000)
    expectRate(await curve([connect(share)], 3000), 100_000)
  })

  test('gains nothing by hanging up and coming again', () => {
    let passed = 0
    for (let times = 0; times < 100; times++) {
      const share = shareOf('ana')
      passed += passBurst(share)
      share.leave()
    }
    expect(passed).toBeLessThanOrEqual(RATE * 0.08)
  })

  test('has no more than 50 ms at once, however long it was silent', async () => {
    const share = shareOf('ana')
    await clock.pass(5000)
    expect(passBurst(share)).toBeLessThanOrEqual(RATE * 0.05)
  })
})

/** Bytes that each of them has taken after that time, beside the first. */
async function ratios(shares: readonly RateShare[], ms: number): Promise<number[]> {
  const arrived = shares.map((share) => connect(share))
  await curve(arrived, ms)
  const [first = 0, ...others] = arrived.map((one) => one())
  return others.map((bytes) => bytes / first)
}

describe('weights', () => {
  const weighed = (owner: string, weight: number): RateShare => {
    const share = shareOf(owner)
    share.weigh(weight)
    return share
  }

  test('divide the rate of an owner', async () => {
    const [five, ten] = await ratios([weighed('ana', 1), weighed('ana', 5), weighed('ana', 10)], 3000)
    expect([five, ten]).toEqual([expect.closeTo(5, 0), expect.closeTo(10, 0)])
  })

  test('divide the rate of all together, smoothly, whoever they are', async () => {
    limits = new RateLimits({ bytesPerSecond: null, totalBytesPerSecond: RATE }, () => clock.nowMs())
    const arrived = [weighed('ana', 1), weighed('ben', 10), weighed('cem', 1)].map((share) => connect(share))
    expectRate(await curve(arrived, 3000), RATE)
    const [ana = 0, ben = 0, cem = 0] = arrived.map((one) => one())
    expect(ben / ana).toBeCloseTo(10, 0)
    expect(cem / ana).toBeCloseTo(1, 1)
  })

  test('leave to others what an owner may not use', async () => {
    limits = new RateLimits({ bytesPerSecond: RATE / 4, totalBytesPerSecond: RATE }, () => clock.nowMs())
    const ana = weighed('ana', 10)
    const ben = limits.newShare()
    ben.assign('ben', null)
    const arrived = [connect(ana), connect(ben)]
    await curve(arrived, 2000)
    const [slow = 0, fast = 0] = arrived.map((one) => one())
    expect([slow / (RATE / 2), fast / (RATE * 1.5)]).toEqual([expect.closeTo(1, 1), expect.closeTo(1, 1)])
    expect([ana.bytesPerSecond, ben.bytesPerSecond]).toEqual([RATE / 4, RATE])
  })

  test('count only while they bring something, and are given back', async () => {
    limits = new RateLimits({ bytesPerSecond: null, totalBytesPerSecond: RATE }, () => clock.nowMs())
    const before = weighed('ana', 2).sliceBytes
    const others = Array.from({ length: 1000 }, () => weighed('ben', 0))
    const light = weighed('ana', 2)
    expect([light.sliceBytes, before]).toEqual([Math.floor(before / 2), (RATE / 1000) * 33])
    others[0]?.weigh(4)
    expect(light.sliceBytes).toBe(Math.floor(before / 4))
    for (const share of others) share.leave()
    others[0]?.leave()
    others[0]?.weigh(9)
    expect(light.sliceBytes).toBe(Math.floor(before / 2))
  })
})

describe('no limit', () => {
  test.each([
    ['where the setting lifts it', null, undefined],
    ['where it is lifted for this owner', RATE, null],
    ['where it is lifted for this owner by 0', RATE, 0],
  ])('%s', (_, all, own) => {
    const share = new RateLimits({ bytesPerSecond: all, totalBytesPerSecond: null }, () => clock.nowMs()).newShare()
    share.assign('ana', own)
    expect([share.bytesPerSecond, share.pass(1e9), share.pass(1e9)]).toEqual([null, 0, 0])
  })

  test('while nobody knows whose the connection is', () => {
    const share = limits.newShare()
    expect([share.pass(5000), share.pass(5000), share.bytesPerSecond]).toEqual([0, 0, null])
    share.assign('ana')
    share.pass(RATE)
    expect(share.pass(1)).toBeGreaterThan(900)
  })
})

const OWNERS = process.env['SEALIFT_SLOW'] === '1' ? 1_000_000 : 50_000

test(`${String(OWNERS)} owners leave nothing behind`, () => {
  let nowMs = 0
  const many = new RateLimits({ bytesPerSecond: RATE, totalBytesPerSecond: null }, () => nowMs)
  for (let at = 0; at < OWNERS; at++) {
    const share = many.newShare()
    share.assign(`SHA256:${at}`)
    share.pass(1000)
    share.leave()
    share.leave()
    nowMs += 1
  }
  expect(many.owners).toBeLessThan(100)
})
