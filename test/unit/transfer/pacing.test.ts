import { afterEach, describe, expect, test } from 'vitest'

import type { ByteStream } from '../../../src/carriers/carrier.ts'
import { memoryPipe } from '../../../src/carriers/memory.ts'
import { pacer } from '../../../src/transfer/pacing.ts'
import { settle, VirtualClock } from './virtual-time.ts'

/** How much had arrived at each step of virtual time. */
type Curve = readonly number[]

const STEP_MS = 10
const RATES = [20_000, 1_000_000, 50_000_000]

let clock = new VirtualClock()
let streams: ByteStream[] = []
afterEach(() => {
  for (const stream of streams) stream.destroy()
  clock = new VirtualClock()
})

function pipe(windowBytes = 1 << 20): [ByteStream, ByteStream] {
  const pair = memoryPipe({ windowBytes })
  streams = [...pair]
  return pair
}

/** Counts what arrives. @param pauses after every delivery, until the next turn of the event loop */
function count(stream: ByteStream, pauses = false): () => number {
  const room = new Uint8Array(1 << 22)
  let arrived = 0
  stream.start({
    space: () => room,
    filled(bytes) {
      arrived += bytes
      if (pauses) setImmediate(() => stream.resume())
      return !pauses
    },
    ended: () => undefined,
  })
  return () => arrived
}

async function curve(arrived: () => number, ms: number): Promise<Curve> {
  const points = [arrived()]
  for (let at = 0; at < ms; at += STEP_MS) {
    await clock.pass(STEP_MS)
    points.push(arrived())
  }
  return points
}

/** Every second is within 5 % of the rate, and no stretch has more than its due and 50 ms. */
function expectRate(points: Curve, bytesPerSecond: number): void {
  const bytes = (from: number, to: number): number => (points[to] as number) - (points[from] as number)
  const second = 1000 / STEP_MS
  for (let at = 10; at + second < points.length; at++)
    expect(
      Math.abs(bytes(at, at + second) / bytesPerSecond - 1),
      `the second from ${at * STEP_MS} ms`,
    ).toBeLessThanOrEqual(0.05)
  for (let from = 0; from < points.length; from += 7)
    for (let to = from + 1; to < points.length; to += 3) {
      const due = (bytesPerSecond * (to - from) * STEP_MS) / 1000
      expect(bytes(from, to), `from ${from * STEP_MS} to ${to * STEP_MS} ms`).toBeLessThanOrEqual(
        due + (bytesPerSecond * 51) / 1000,
      )
    }
}

test('reads wait once for each 33 ms of the rate, and not after each piece', async () => {
  const [near, far] = pipe()
  const waits = new Set<number>()
  const counting = {
    nowMs: () => clock.nowMs(),
    after: (ms: number, call: () => void) => {
      waits.add(clock.nowMs())
      return clock.after(ms, call)
    },
  }
  const arrived = count(pacer(1_000_000, counting)(near))
  void (async () => {
    for (let i = 0; i < 2000; i++) await far.write([new Uint8Array(1000)])
  })().catch(() => undefined)
  await curve(arrived, 1000)
  expect(arrived()).toBeGreaterThan(950_000)
  expect(waits.size).toBeLessThanOrEqual(35)
})

describe('no limit', () => {
  test('is the stream itself', () => {
    const [near] = pipe()
    expect(pacer(undefined, clock)(near)).toBe(near)
    expect(pacer(0, clock)(near)).toBe(near)
  })
})

describe.each(RATES)('%d bytes a second', (rate) => {
  test('is what is written', async () => {
    const [near, far] = pipe()
    const stream = pacer(rate, clock)(near)
    const arrived = count(far)
    const record = new Uint8Array(Math.max(1000, rate / 20))
    let isOver = false
    void (async () => {
      while (!isOver) await stream.write([record.subarray(0, 4), record])
    })().catch(() => undefined)
    expectRate(await curve(arrived, 3000), rate)
    isOver = true
  })

  test.each([
    ['a reader that is always ready', false],
    ['a reader that pauses after every delivery', true],
  ])('is what is read by %s', async (_, pauses) => {
    const [near, far] = pipe()
    const arrived = count(pacer(rate, clock)(near), pauses)
    const record = new Uint8Array(1 << 18)
    let isOver = false
    void (async () => {
      while (!isOver) await far.write([record])
    })().catch(() => undefined)
    expectRate(await curve(arrived, 3000), rate)
    isOver = true
  })

  test('is not saved up while nothing moves', async () => {
    const [near, far] = pipe()
    const stream = pacer(rate, clock)(near)
    const arrived = count(far)
    await clock.pass(60_000)
    void stream.write([new Uint8Array(rate)]).catch(() => undefined)
    await settle(100)
    expect(arrived()).toBeLessThanOrEqual((rate * 50) / 1000)
    await clock.pass(1100)
    expect(arrived()).toBe(rate)
  })
})

test('streams of one transfer are held to its rate together, and burst no more than one', async () => {
  const pace = pacer(500_000, clock)
  const pipes = Array.from({ length: 4 }, () => pipe())
  streams = pipes.flat()
  const arrived = pipes.map(([, far]) => count(far))
  for (const [near] of pipes) {
    const stream = pace(near)
    void (async () => {
      for (;;) await stream.write([new Uint8Array(20_000)])
    })().catch(() => undefined)
  }
  expectRate(await curve(() => arrived.reduce((sum, bytes) => sum + bytes(), 0), 3000), 500_000)
  // none of them waits for all others
  for (const bytes of arrived) expect(bytes()).toBeGreaterThan(250_000)
})

describe('a paced stream', () => {
  test('keeps the order of writes and brings every byte', async () => {
    const [near, far] = pipe()
    const stream = pacer(100_000, clock)(near)
    const got: number[] = []
    const room = new Uint8Array(5000)
    let ended = false
    far.start({
      space: () => room,
      filled(bytes) {
        got.push(...room.subarray(0, bytes))
        return true
      },
      ended: (error) => {
        ended = error === null
      },
    })
    const sizes = [1, 5000, 0, 7, 12_000]
    const written = sizes.map((size, at) => stream.write([new Uint8Array(size).fill(at)]))
    const end = stream.end()
    await clock.pass(1000)
    await Promise.all([...written, end])
    expect(got).toEqual(sizes.flatMap((size, at) => new Array<number>(size).fill(at)))
    expect(ended).toBe(true)
  })

  test('delivers nothing to a reader that has paused, whatever time passes', async () => {
    const [near, far] = pipe()
    const stream = pacer(100_000, clock)(near)
    let paused = false
    let faults = 0
    let arrived = 0
    const room = new Uint8Array(100_000)
    stream.start({
      space: () => room,
      filled(bytes) {
        if (paused) faults++
        arrived += bytes
        paused = arrived % 2 === 0 || arrived > 9000
        return !paused
      },
      ended: () => undefined,
    })
    void far.write([new Uint8Array(50_000)]).catch(() => undefined)
    for (let round = 0; round < 50; round++) {
      await clock.pass(500)
      paused = false
      stream.resume()
      // Once more, although nothing is paused: a reader may say so at any time.
      stream.resume()
    }
    expect(faults).toBe(0)
    expect(arrived).toBe(50_000)
  })

  test('fails its writes when it is dropped, and leaves no timer behind', async () => {
    const [near, far] = pipe()
    count(far)
    const stream = pacer(10_000, clock)(near)
    const written = stream.write([new Uint8Array(100_000)])
    written.catch(() => undefined)
    await clock.pass(100)
    stream.destroy()
    await clock.pass(100)
    await expect(written).rejects.toMatchObject({ code: 'connection_lost' })
    expect(clock.timers).toBe(0)
  })
})

describe('hurry', () => {
  test('lets out at once what waits, so that a farewell behind it is heard', async () => {
    const [near, far] = pipe()
    const hurry = new AbortController()
    const stream = pacer(10_000, clock, hurry.signal)(near)
    const arrived = count(far)
    const written = Promise.all([stream.write([new Uint8Array(200_000)]), stream.write([new Uint8Array(7)])])
    await clock.pass(1000)
    expect(arrived()).toBeLessThan(11_000)
    hurry.abort()
    await written
    await settle(100)
    expect(arrived()).toBe(200_007)
  })

  test('takes in at once what the other side has under way', async () => {
    const [near, far] = pipe()
    const hurry = new AbortController()
    const arrived = count(pacer(10_000, clock, hurry.signal)(near))
    void far.write([new Uint8Array(200_000)]).catch(() => undefined)
    await clock.pass(1000)
    expect(arrived()).toBeLessThan(11_000)
    hurry.abort()
    await settle(2000)
    expect(arrived()).toBe(200_000)
  })
})
