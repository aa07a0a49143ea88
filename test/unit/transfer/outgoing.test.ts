/** The pump from the scheduler into a lane: how much it has under way, and how it ends. */

import { setImmediate as turn } from 'node:timers/promises'

import { expect, test } from 'vitest'

import type { ContentReader } from '../../../src/files/content-reader.ts'
import { SealiftError } from '../../../src/protocol/errors.ts'
import { MAX_CHUNK_BYTES } from '../../../src/protocol/limits.ts'
import { RangeSet } from '../../../src/protocol/ranges.ts'
import type { Chunk, Lane } from '../../../src/transfer/lane.ts'
import { type Announcer, Outgoing } from '../../../src/transfer/outgoing.ts'
import { filesOf } from '../protocol/entries.ts'
import { until } from './virtual-time.ts'

/** The byte at a place of the content. */
const byteAt = (offset: number): number => (offset * 7 + (offset >> 11)) & 0xff

const reader: ContentReader = {
  read(start, end, into) {
    for (let at = start; at < end; at++) into[at - start] = byteAt(at)
    return { bytes: end - start, failed: null }
  },
  readBack: () => Promise.reject(new Error('nothing is read twice here')),
  close: () => undefined,
}

interface Sending {
  readonly chunk: Chunk
  readonly signal: AbortSignal
  readonly done: PromiseWithResolvers<undefined>
}

/** A lane that takes whatever it is given, and lets the test say when each chunk has gone. */
class OpenLane implements Lane {
  readonly limits = { maxChunkBytes: MAX_CHUNK_BYTES, windowBytes: 1 << 30 }
  readonly receipts: Lane['receipts'] = (async function* () {})()
  readonly closed = new Promise<never>(() => undefined)
  readonly sendings: Sending[] = []

  async capacity(signal: AbortSignal): Promise<number> {
    signal.throwIfAborted()
    return 1000
  }

  send(chunk: Chunk, signal: AbortSignal): Promise<void> {
    const done = Promise.withResolvers<undefined>()
    this.sendings.push({ chunk, signal, done })
    return done.promise
  }
}

function moving(...sizes: number[]): {
  outgoing: Outgoing
  lane: OpenLane
  stop: AbortController
  end: Promise<unknown>
  digests: number[]
} {
  const manifest = filesOf(...sizes)
  const outgoing = new Outgoing({
    manifest,
    reader,
    clock: { nowMs: () => 0, after: () => () => undefined },
    onProgress: () => undefined,
    onSize: () => undefined,
    onEnded: () => undefined,
  })
  const digests: number[] = []
  const announcer: Announcer = {
    digests: (told) => digests.push(...told.map(({ entry }) => entry)),
    failed: () => undefined,
    ended: () => undefined,
    abandoned: () => undefined,
  }
  outgoing.attach(new RangeSet(), announcer)
  const lane = new OpenLane()
  const stop = new AbortController()
  const end = outgoing.move(lane, stop.signal).catch((error: unknown) => error)
  return { outgoing, lane, stop, end, digests }
}

/** Lets the pump do all that it can without another word from the lane. */
async function rest(): Promise<void> {
  for (let turns = 0; turns < 50; turns++) await turn()
}

test('has a few chunks under way at most, also where the lane would take all at once', async () => {
  const { lane, stop, end } = moving(50_000)
  await rest()
  const under = lane.sendings.length
  expect(under).toBeGreaterThan(1)
  expect(under).toBeLessThanOrEqual(6)
  lane.sendings[0]?.done.resolve(undefined)
  await until(() => lane.sendings.length === under + 1)
  await rest()
  expect(lane.sendings.length).toBe(under + 1)
  stop.abort(new Error('enough'))
  await end
})

test('leaves a chunk’s bytes alone until the lane has sent it, and goes through the content in order', async () => {
  const { lane, stop, end } = moving(20_500)
  for (let sent = 0; sent < 21; sent++) {
    await until(() => lane.sendings.length > sent)
    await rest()
    // the newest of those under way is done first, as no lane need keep to the order
    for (const { chunk } of lane.sendings.slice(sent)) {
      for (let at = chunk.start; at < chunk.end; at++)
        if (chunk.bytes[at - chunk.start] !== byteAt(at)) expect.unreachable(`byte ${at} was overwritten`)
    }
    lane.sendings[sent]?.done.resolve(undefined)
  }
  expect(lane.sendings.map(({ chunk }) => chunk.start)).toEqual(Array.from({ length: 21 }, (_, n) => n * 1000))
  stop.abort(new Error('enough'))
  await end
})

test('says a file’s digest when its last chunk has gone, not before', async () => {
  const { lane, stop, end, digests } = moving(1500, 300)
  await rest()
  expect(lane.sendings.map(({ chunk }) => [chunk.start, chunk.end])).toEqual([
    [0, 1000],
    [1000, 1800],
  ])
  lane.sendings[0]?.done.resolve(undefined)
  await rest()
  expect(digests).toEqual([])
  lane.sendings[1]?.done.resolve(undefined)
  await until(() => digests.length === 2)
  expect(digests).toEqual([0, 1])
  stop.abort(new Error('enough'))
  await end
})

test('ends with what a chunk failed of, tells the other chunks, and gives everything back', async () => {
  const { outgoing, lane, end } = moving(50_000)
  await rest()
  const failure = new SealiftError('codec_failed', 'a chunk could not be made')
  lane.sendings[1]?.done.reject(failure)
  expect(await end).toBe(failure)
  expect(lane.sendings[0]?.signal.aborted).toBe(true)
  for (const { done } of lane.sendings) done.reject(new Error('stopped'))
  await rest()
  // what was under way is free for the next lane, from its first byte on
  expect(outgoing.scheduler.lease({}, 1000)).toEqual({ start: 0, end: 1000 })
})

test('ends with the reason it is stopped for, also while it waits for a chunk to go', async () => {
  const { outgoing, lane, stop, end } = moving(50_000)
  await rest()
  const reason = new Error('enough')
  stop.abort(reason)
  for (const { done } of lane.sendings) done.reject(reason)
  expect(await end).toBe(reason)
  expect(outgoing.scheduler.lease({}, 1000)).toEqual({ start: 0, end: 1000 })
})

test('is closed only when no lane works on a chunk any more', async () => {
  const { outgoing, lane, stop, end } = moving(50_000)
  await rest()
  stop.abort(new Error('enough'))
  await end
  let isClosed = false
  const closing = outgoing.close().then(() => (isClosed = true))
  const [last, ...others] = lane.sendings
  for (const { done } of others) done.reject(new Error('stopped'))
  await rest()
  expect(isClosed).toBe(false)
  last?.done.reject(new Error('stopped'))
  await closing
})
