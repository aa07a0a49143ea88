/**
 * The contract of lanes as a test suite: `src/transfer/lane.ts`, line by line. Each kind of lane has a short file beside
 * this one that says how to open one and how its far side is played.
 */

import { setImmediate as turn } from 'node:timers/promises'

import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { type Range, RangeSet } from '../../src/protocol/ranges.ts'
import type { Chunk, Lane, LaneEnd, Receipt } from '../../src/transfer/lane.ts'

export interface LaneSetup {
  readonly lane: Lane
  /** What arrived at the far side, in any order; bytes may come more than once. */
  readonly arrived: readonly Chunk[]
  /** The far side says that these are safe. */
  acknowledge(ranges: readonly Range[]): void | Promise<void>
  /** The far side, or the carrier, says that these are gone. */
  lose(ranges: readonly Range[]): void | Promise<void>
  /** The far side takes nothing more, until it goes on. */
  stall(): void
  goOn(): void
  /** Ends the lane: in order by the far side, or by a fault after which another lane may go on. */
  end(how: 'in order' | 'broken'): void | Promise<void>
  /** Lets go of everything, whatever state it is in. */
  close(): void | Promise<void>
}

const SMALL = 1000

/** @param patience turns of the event loop after which something that is under way is taken never to come */
export function laneSuite(name: string, open: () => Promise<LaneSetup>, patience = 20_000): void {
  describe(`${name} as a lane`, () => {
    let setup: LaneSetup
    let lane: Lane
    let stop: AbortController

    beforeEach(async () => {
      setup = await open()
      lane = setup.lane
      stop = new AbortController()
    })
    afterEach(async () => {
      stop.abort(new Error('the test is over'))
      await setup.close()
    })

    async function until(holds: () => boolean, what: string): Promise<void> {
      for (let turns = 0; turns < patience; turns++) {
        if (holds()) return
        await turn()
      }
      expect.unreachable(`${what} never came`)
    }

    /** Whether a promise is still open when nothing moves any more. */
    async function isOpen(promise: Promise<unknown>): Promise<boolean> {
      let open = true
      const settled = (): void => {
        open = false
      }
      promise.then(settled, settled)
      for (let turns = 0; turns < 300 && open; turns++) await turn()
      return open
    }

    /** The bytes of a chunk follow from its place, so that any mix-up shows. */
    function chunkAt(start: number, bytes: number): Chunk {
      const content = new Uint8Array(bytes)
      for (let at = 0; at < bytes; at++) content[at] = ((start + at) * 131 + ((start + at) >> 8)) & 0xff
      return { start, end: start + bytes, bytes: content }
    }

    /** Sends `count` chunks as the lane has room. @returns their ranges */
    async function sendChunks(count: number, bytesEach = SMALL, from = 0): Promise<Range[]> {
      const ranges: Range[] = []
      let start = from
      for (let sent = 0; sent < count; sent++) {
        const bytes = Math.min(bytesEach, await lane.capacity(stop.signal))
        await lane.send(chunkAt(start, bytes), stop.signal)
        ranges.push({ start, end: start + bytes })
        start += bytes
      }
      return ranges
    }

    /** Sends until the lane has no more room. @returns the ranges under way */
    async function fillWindow(): Promise<Range[]> {
      const ranges: Range[] = []
      let start = 0
      for (;;) {
        const waiting = new AbortController()
        const capacity = lane.capacity(waiting.signal)
        let room: number | null = null
        capacity.then(
          (bytes) => {
            room = bytes
          },
          () => undefined,
        )
        if (await isOpen(capacity)) {
          waiting.abort(new Error('full'))
          return ranges
        }
        const bytes = room as number | null
        if (bytes === null) return ranges
        await lane.send(chunkAt(start, bytes), stop.signal)
        ranges.push({ start, end: start + bytes })
        start += bytes
      }
    }

    function collect(): { receipts: Receipt[]; ended: () => boolean } {
      const receipts: Receipt[] = []
      let isEnded = false
      void (async () => {
        for await (const receipt of lane.receipts) receipts.push(receipt)
        isEnded = true
      })()
      return { receipts, ended: () => isEnded }
    }

    function safeIn(receipts: readonly Receipt[]): Range[] {
      return [...RangeSet.of(receipts.flatMap((receipt) => ('safe' in receipt ? receipt.safe : [])))]
    }

    test('has limits that mean something', () => {
      const { maxChunkBytes, windowBytes } = lane.limits
      expect(maxChunkBytes).toBeGreaterThanOrEqual(1)
      expect(windowBytes).toBeGreaterThanOrEqual(maxChunkBytes)
      expect(Number.isSafeInteger(maxChunkBytes)).toBe(true)
    })

    test('has room for a chunk, of at least one byte and no more than its limit', async () => {
      const room = await lane.capacity(stop.signal)
      expect(Number.isSafeInteger(room)).toBe(true)
      expect(room).toBeGreaterThanOrEqual(1)
      expect(room).toBeLessThanOrEqual(lane.limits.maxChunkBytes)
    })

    test('brings every chunk to the far side, byte for byte', async () => {
      const sent = await sendChunks(12, 3001)
      await until(() => RangeSet.of(setup.arrived).totalBytes >= (sent.at(-1)?.end ?? 0), 'all content')
      for (const { start, end, bytes } of setup.arrived)
        expect(bytes, `the chunk at ${start}`).toEqual(chunkAt(start, end - start).bytes)
      expect([...RangeSet.of(setup.arrived)]).toEqual([...RangeSet.of(sent)])
    })

    test('takes chunks of one byte and of all the room there is', async () => {
      await sendChunks(1, 1)
      const [, large] = [1, (await sendChunks(1, lane.limits.maxChunkBytes, 1))[0] as Range]
      await until(() => RangeSet.of(setup.arrived).contains(0, large.end), 'both chunks')
      const found = setup.arrived.find(({ start }) => start === 1) as Chunk
      expect(Buffer.compare(found.bytes, chunkAt(1, found.end - 1).bytes)).toBe(0)
    })

    test('leaves the bytes to the caller again once send has resolved', async () => {
      await lane.capacity(stop.signal)
      const chunk = chunkAt(0, SMALL)
      const wanted = chunk.bytes.slice()
      await lane.send(chunk, stop.signal)
      chunk.bytes.fill(0xee)
      await until(() => setup.arrived.length > 0, 'the chunk')
      expect(setup.arrived[0]?.bytes).toEqual(wanted)
    })

    test('tells what is safe and what is lost, once each', async () => {
      const { receipts } = collect()
      const [a, b, c] = (await sendChunks(3)) as [Range, Range, Range]
      await until(() => RangeSet.of(setup.arrived).totalBytes === 3 * SMALL, 'all content')
      await setup.acknowledge([c])
      await setup.lose([b])
      await setup.acknowledge([a])
      await until(() => receipts.length >= 3, 'three receipts')
      expect(await isOpen(new Promise(() => undefined))).toBe(true)
      expect(safeIn(receipts)).toEqual([a, c])
      expect(receipts.flatMap((receipt) => ('lost' in receipt ? receipt.lost : []))).toEqual([b])
      const told = receipts.flatMap((receipt) => ('safe' in receipt ? receipt.safe : receipt.lost))
      expect(told.reduce((bytes, { start, end }) => bytes + end - start, 0)).toBe(3 * SMALL)
    })

    test('keeps receipts until somebody reads them', async () => {
      const sent = await sendChunks(3)
      await until(() => RangeSet.of(setup.arrived).totalBytes === 3 * SMALL, 'all content')
      await setup.acknowledge(sent)
      for (let turns = 0; turns < 100; turns++) await turn()
      const { receipts } = collect()
      await until(() => safeIn(receipts).length > 0, 'the receipts')
      expect(safeIn(receipts)).toEqual([{ start: 0, end: 3 * SMALL }])
    })

    test('never has more under way than its window, and a receipt makes room', async () => {
      const under = await fillWindow()
      const bytes = RangeSet.of(under).totalBytes
      expect(bytes).toBeLessThanOrEqual(lane.limits.windowBytes)
      expect(bytes).toBeGreaterThan(lane.limits.windowBytes - lane.limits.maxChunkBytes)
      const capacity = lane.capacity(stop.signal)
      expect(await isOpen(capacity)).toBe(true)
      await setup.acknowledge(under)
      expect(await capacity).toBeGreaterThanOrEqual(1)
    })

    test('has room again for what was lost', async () => {
      const under = await fillWindow()
      const capacity = lane.capacity(stop.signal)
      await setup.lose(under)
      expect(await capacity).toBeGreaterThanOrEqual(1)
    })

    test('stops waiting for room when it is told to, with the reason it was given', async () => {
      const reason = new Error('enough')
      stop.abort(reason)
      await expect(lane.capacity(stop.signal)).rejects.toBe(reason)
      await fillLater()
      const waiting = new AbortController()
      const capacity = lane.capacity(waiting.signal)
      expect(await isOpen(capacity)).toBe(true)
      waiting.abort(reason)
      await expect(capacity).rejects.toBe(reason)
    })

    /** As {@link fillWindow}, after the test's own signal was used up. */
    async function fillLater(): Promise<void> {
      stop = new AbortController()
      await fillWindow()
    }

    test('that leads to somebody who takes nothing stops waiting when it is told to', async () => {
      setup.stall()
      let waiting: AbortController
      let capacity: Promise<number>
      // The system may find more room for what waits, long after it seemed to have none.
      do {
        await fillWindow()
        waiting = new AbortController()
        capacity = lane.capacity(waiting.signal)
      } while (!(await isOpen(capacity)))
      const reason = new Error('enough')
      waiting.abort(reason)
      expect(await isOpen(capacity)).toBe(false)
      await expect(capacity).rejects.toBe(reason)
      setup.goOn()
    })

    test.each(['in order', 'broken'] as const)('that ended %s takes nothing more, and says so once', async (how) => {
      const { receipts, ended } = collect()
      const [first, second] = (await sendChunks(2)) as [Range, Range]
      await until(() => setup.arrived.length >= 2, 'both chunks')
      await setup.acknowledge([first])
      await until(() => receipts.length > 0, 'the receipt')
      const waiting = lane.closed
      expect(await isOpen(waiting)).toBe(true)
      await setup.end(how)
      const end: LaneEnd = await waiting
      if (how === 'broken') expect([end.retryable, end.error?.name]).toEqual([true, 'SealiftError'])
      else expect(end.error).toBe(undefined)
      await until(ended, 'the end of the receipts')
      // The other chunk's fate stays open: it is for whoever asks for it again.
      expect(RangeSet.of(safeIn(receipts)).intersects(second.start, second.end)).toBe(false)
      const reason = new Error('enough')
      const late = new AbortController()
      const capacity = lane.capacity(late.signal)
      expect(await isOpen(capacity)).toBe(true)
      late.abort(reason)
      await expect(capacity).rejects.toBe(reason)
      expect(await lane.closed).toEqual(end)
    })

    test('that ends while somebody waits for room leaves that to the signal', async () => {
      await fillWindow()
      const reason = new Error('enough')
      const waiting = new AbortController()
      const capacity = lane.capacity(waiting.signal)
      await setup.end('broken')
      await lane.closed
      expect(await isOpen(capacity)).toBe(true)
      waiting.abort(reason)
      await expect(capacity).rejects.toBe(reason)
    })
  })
}
