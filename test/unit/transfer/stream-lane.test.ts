/** What the stream lane adds to the contract, which `test/conformance/stream-lane.test.ts` tests. */

import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { codecById } from '../../../src/codecs/codec-table.ts'
import type { ChunkMessage } from '../../../src/protocol/messages.ts'
import { SendWindow } from '../../../src/transfer/send-window.ts'
import { StreamLane, type StreamLaneOptions } from '../../../src/transfer/stream-lane.ts'
import { reachMoving, type SessionPair, sessionPair } from './session-pair.ts'
import { settle, until, VirtualClock } from './virtual-time.ts'

const MIB = 1 << 20
const NEVER = new AbortController().signal

let clock: VirtualClock
let pair: SessionPair
let chunks: ChunkMessage[]

beforeEach(async () => {
  clock = new VirtualClock()
  pair = sessionPair(clock)
  chunks = []
  await reachMoving(pair)
  pair.receiver.listen((message) => {
    if (message.type === 'chunk') chunks.push({ ...message, packed: message.packed.slice() })
  })
})
afterEach(async () => {
  for (const session of [pair.sender, pair.receiver]) session.fail(new Error('the test is over'))
  await clock.pass(5000)
  expect(clock.timers).toBe(0)
})

function lane(changes: Partial<StreamLaneOptions> = {}): StreamLane {
  return new StreamLane({
    session: pair.sender,
    clock,
    epoch: 7,
    maxChunkBytes: MIB,
    compress: 'none',
    compressionLevel: null,
    ...changes,
  })
}

async function send(over: StreamLane, start: number, bytes: Uint8Array): Promise<void> {
  await over.send({ start, end: start + bytes.length, bytes }, NEVER)
}

describe('chunks', () => {
  test('say their epoch, their place and their length', async () => {
    await send(lane(), 5_000_000_000, new Uint8Array(100).fill(3))
    await until(() => chunks.length === 1)
    expect(chunks[0]).toMatchObject({ codec: 0, epoch: 7, offset: 5_000_000_000, rawBytes: 100 })
  })

  test('are compressed where that is asked for and makes them smaller', async () => {
    const over = lane({ compress: 'zstd', compressionLevel: 1 })
    const text = new TextEncoder().encode('all work and no play '.repeat(5000))
    const noise = crypto.getRandomValues(new Uint8Array(60_000))
    await send(over, 0, text)
    await send(over, text.length, noise)
    await until(() => chunks.length === 2)
    const [packed, plain] = chunks as [ChunkMessage, ChunkMessage]
    expect(packed.packed.length).toBeLessThan(text.length / 10)
    expect(Buffer.compare(await codecById(packed.codec).decode(packed.packed, packed.rawBytes), text)).toBe(0)
    expect([plain.codec, plain.packed.length]).toEqual([0, noise.length])
  })

  test('that are stopped while they are compressed do not go out, and are not under way', async () => {
    const over = lane({ compress: 'zstd', compressionLevel: 1 })
    const stop = new AbortController()
    const reason = new Error('enough')
    const sent = over.send({ start: 0, end: 50_000, bytes: new Uint8Array(50_000) }, stop.signal)
    stop.abort(reason)
    await expect(sent).rejects.toBe(reason)
    await settle()
    expect([chunks.length, over.stalledMs]).toEqual([0, 0])
  })

  test('are never larger than the other side takes', () => {
    expect(lane({ maxChunkBytes: 100_000 }).limits.maxChunkBytes).toBe(100_000)
    expect(lane({ maxChunkBytes: 1 << 30 }).limits.maxChunkBytes).toBe(MIB)
  })
})

describe('chunks that are packed', () => {
  const TEXT = new TextEncoder().encode('all work and no play makes a dull boy\n'.repeat(27_000))
  const noise = (bytes: number): Uint8Array => {
    const made = new Uint8Array(bytes)
    for (let at = 0; at < bytes; at += 65_536) crypto.getRandomValues(made.subarray(at, at + 65_536))
    return made
  }

  test('leave in the order in which they were given, also past others that need no packing', async () => {
    const over = lane({ compress: 'auto', compressionLevel: 12 })
    const given = [TEXT, noise(200_000), TEXT.subarray(0, 5000), noise(100)]
    let start = 0
    const sent = given.map((bytes) => {
      const at = start
      start += bytes.length
      return send(over, at, bytes)
    })
    await Promise.all(sent)
    await until(() => chunks.length === 4)
    expect(chunks.map(({ codec }) => codec)).toEqual([1, 0, 1, 0])
    expect(chunks.map(({ rawBytes }) => rawBytes)).toEqual(given.map(({ length }) => length))
    expect(chunks.map(({ offset }) => offset)).toEqual(chunks.map(({ offset }) => offset).toSorted((a, b) => a - b))
    for (const [at, { codec, packed, rawBytes }] of chunks.entries())
      expect(Buffer.compare(await codecById(codec).decode(packed, rawBytes), given[at] as Uint8Array)).toBe(0)
  })

  test('are three at a time, and the next has room when one has gone', async () => {
    const over = lane({ compress: 'zstd' })
    const sent = [0, 1, 2].map((at) => send(over, at * TEXT.length, TEXT))
    let hasRoom = false
    const room = over.capacity(NEVER).then((bytes) => {
      hasRoom = true
      return bytes
    })
    await Promise.resolve()
    expect(hasRoom).toBe(false)
    expect(await room).toBe(MIB)
    await Promise.all(sent)
  })

  test('are nobody’s when they are stopped: none goes out, and the lane has all its room', async () => {
    const over = lane({ compress: 'gzip', maxChunkBytes: TEXT.length })
    const stop = new AbortController()
    const sent = [0, 1, 2].map((at) =>
      over.send({ start: at * TEXT.length, end: (at + 1) * TEXT.length, bytes: TEXT }, stop.signal),
    )
    const reason = new Error('enough')
    stop.abort(reason)
    for (const { status, ...how } of await Promise.allSettled(sent))
      expect([status, how]).toEqual(['rejected', { reason }])
    await settle()
    expect(chunks.length).toBe(0)
    // a whole window of others
    let taken = 0
    for (; taken + TEXT.length <= over.limits.windowBytes; taken += TEXT.length) {
      expect(await over.capacity(NEVER)).toBe(TEXT.length)
      await send(over, 5_000_000_000 + taken, new Uint8Array(TEXT.length))
    }
  })

  test('end with a clean error where a codec fails, and those behind them do not wait for ever', async () => {
    const over = lane({ compress: 'zstd', compressionLevel: 99 })
    const sent = [0, 1].map((at) => send(over, at * 1000, new Uint8Array(1000)))
    for (const one of sent) await expect(one).rejects.toMatchObject({ name: 'SealiftError', code: 'settings_invalid' })
    expect([chunks.length, over.stalledMs]).toEqual([0, 0])
    expect(await over.capacity(NEVER)).toBe(MIB)
  })

  test('that are given up while they are packed hold no room afterwards', async () => {
    const over = lane({ compress: 'zstd' })
    const sent = send(over, 0, TEXT)
    over.lose([{ start: 0, end: TEXT.length }])
    await sent
    await until(() => chunks.length === 1)
    await clock.pass(5000)
    expect(over.stalledMs).toBe(0)
  })
})

describe('the size of a chunk', () => {
  /** Moves at a rate of virtual time. */
  async function moveAt(over: StreamLane, bytesPerSecond: number, rounds = 4): Promise<number> {
    for (let round = 0; round < rounds; round++) {
      const room = await over.capacity(NEVER)
      await send(over, 0, new Uint8Array(room))
      await clock.pass((room / bytesPerSecond) * 1000)
      over.acknowledge([{ start: 0, end: room }])
      await send(over, 0, new Uint8Array(1))
      await settle()
      over.acknowledge([{ start: 0, end: 1 }])
    }
    return over.capacity(NEVER)
  }

  test('is a quarter of a second of the measured rate', async () => {
    const bytes = await moveAt(lane(), 1_000_000)
    expect(Math.abs(bytes / 250_000 - 1)).toBeLessThan(0.05)
  })

  test('is counted as content: what packs to a thousandth is not cut into a thousand pieces', async () => {
    const bytes = await moveAt(lane({ compress: 'zstd' }), 1_000_000)
    expect(Math.abs(bytes / 250_000 - 1)).toBeLessThan(0.05)
  })

  test('is 64 KiB at least and all that is allowed at most', async () => {
    expect(await moveAt(lane(), 10_000)).toBe(65_536)
    expect(await moveAt(lane(), 500_000_000)).toBe(MIB)
  })

  test('grows again when the path gets better', async () => {
    const over = lane()
    expect(await moveAt(over, 300_000)).toBeLessThan(100_000)
    expect(await moveAt(over, 10_000_000, 60)).toBe(MIB)
  })
})

describe('with others beside it', () => {
  /** Gives a lane all that it has room for. @returns the bytes */
  async function fill(over: StreamLane, start: number): Promise<number> {
    let end = start
    for (;;) {
      const stop = new AbortController()
      const room = await Promise.race([over.capacity(stop.signal).catch(() => 0), settle().then(() => 0)])
      stop.abort()
      if (room === 0) return end - start
      await send(over, end, new Uint8Array(room))
      end += room
      await settle()
    }
  }

  test('a lane has no more under way than it brings in a second, and 3 MiB at first', async () => {
    const over = lane({ window: new SendWindow(2) })
    expect(await fill(over, 0)).toBe(3 * MIB)
    await clock.pass(250)
    over.acknowledge([{ start: 0, end: 2 * MIB }])
    expect(await fill(over, 3 * MIB)).toBe(7 * MIB)
  })

  test('a lane alone is held by the window only', async () => {
    expect(await fill(lane(), 0)).toBe(32 * MIB)
  })

  test('lanes that were told of the same room do not go over the window together', async () => {
    const window = new SendWindow(3)
    const lanes = Array.from({ length: 3 }, () => lane({ window }))
    // each brings so much in a second that nothing but the window holds it back
    for (const [n, over] of lanes.entries()) await fill(over, n * 100 * MIB)
    await clock.pass(250)
    for (const [n, over] of lanes.entries()) {
      over.acknowledge([{ start: n * 100 * MIB, end: (n * 100 + 3) * MIB }])
      await clock.pass(1)
    }
    let under = 0
    for (;;) {
      const rooms = await Promise.all(lanes.map((over) => Promise.race([over.capacity(NEVER), settle().then(() => 0)])))
      if (Math.max(...rooms) === 0) break
      for (const [n, over] of lanes.entries()) {
        const bytes = rooms[n] ?? 0
        if (bytes > 0) await send(over, n * 100 * MIB + 50 * MIB + under, new Uint8Array(bytes))
        under += bytes
      }
      await settle()
    }
    expect(under).toBeGreaterThan(24 * MIB)
    expect(under).toBeLessThanOrEqual(32 * MIB)
  })

  test('what a lane that ended had under way is room for the others', async () => {
    const window = new SendWindow(2)
    const other = sessionPair(clock)
    const [over, beside] = [lane({ window }), lane({ window, session: other.sender })]
    await fill(over, 0)
    await send(beside, 10 * MIB, new Uint8Array(MIB)).catch(() => undefined)
    const before = window.roomBytes
    other.sender.fail(new Error('cut'))
    other.receiver.fail(new Error('cut'))
    await beside.closed
    expect([before, window.roomBytes, window.lanes]).toEqual([28 * MIB, 29 * MIB, 1])
  })

  test('an acknowledgement of what others brought is no sign of life of this one', async () => {
    const over = lane({ window: new SendWindow(2) })
    await send(over, 0, new Uint8Array(1000))
    await clock.pass(20_000)
    over.settle([{ start: 5000, end: 6000 }])
    expect(over.stalledMs).toBe(20_000)
    over.settle([{ start: 0, end: 500 }])
    expect(over.stalledMs).toBe(0)
    await clock.pass(1000)
    // nothing acknowledged: the receiver says that it lives
    over.settle([])
    expect(over.stalledMs).toBe(0)
  })
})

describe('a stall', () => {
  test('is counted from the last receipt, while chunks are under way, and not otherwise', async () => {
    const over = lane()
    await clock.pass(5000)
    expect(over.stalledMs).toBe(0)
    await send(over, 0, new Uint8Array(1000))
    await clock.pass(3000)
    expect(over.stalledMs).toBe(3000)
    over.acknowledge([{ start: 0, end: 500 }])
    expect(over.stalledMs).toBe(0)
    await clock.pass(1000)
    expect(over.stalledMs).toBe(1000)
    over.acknowledge([{ start: 500, end: 1000 }])
    await clock.pass(60_000)
    expect(over.stalledMs).toBe(0)
    await send(over, 1000, new Uint8Array(1000))
    expect(over.stalledMs).toBe(0)
  })
})

test('says how its session ended: whether another may follow', async () => {
  const over = lane()
  pair.receiver.fail(new TypeError('a fault over there'))
  expect(await over.closed).toEqual({ retryable: false })
})
