/** What the stream lane adds to the contract, which `test/conformance/stream-lane.test.ts` tests. */

import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { codecById } from '../../../src/codecs/codec-table.ts'
import type { ChunkMessage } from '../../../src/protocol/messages.ts'
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
