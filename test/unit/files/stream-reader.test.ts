/** A stream is read once, ahead of what is safe by its window and no further, and given as often as it is held. */

import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { StreamReader } from '../../../src/files/stream-reader.ts'
import type { SourceFault } from '../../../src/files/source-fault.ts'

const MIB = 1 << 20

/** Bytes that tell where they stand. */
function pattern(start: number, bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, at) => ((start + at) * 31 + ((start + at) >> 8)) & 0xff)
}

/** A stream that a test feeds, and what a reader makes of it. */
class Feed {
  readonly grown: [number, number][] = []
  ended: number | null = null
  failed: SourceFault | null = null
  asked = 0
  returned = false
  readonly reader: StreamReader
  #give: ((result: IteratorResult<Uint8Array, undefined>) => void) | null = null
  #fail: ((error: unknown) => void) | null = null

  constructor(windowBytes?: number) {
    const iterator: AsyncIterator<Uint8Array, undefined> = {
      next: () => {
        this.asked++
        return new Promise((resolve, reject) => {
          this.#give = resolve
          this.#fail = reject
        })
      },
      return: () => {
        this.returned = true
        return Promise.resolve({ done: true, value: undefined })
      },
    }
    this.reader = new StreamReader({
      source: { [Symbol.asyncIterator]: () => iterator },
      ...(windowBytes === undefined ? {} : { windowBytes }),
    })
    this.reader.follow({
      grown: (start, end) => this.grown.push([start, end]),
      ended: (sizeBytes) => (this.ended = sizeBytes),
      failed: (fault) => (this.failed = fault),
    })
  }

  async give(bytes: Uint8Array): Promise<void> {
    this.#give?.({ done: false, value: bytes })
    await turns()
  }

  async end(): Promise<void> {
    this.#give?.({ done: true, value: undefined })
    await turns()
  }

  async break(error: unknown): Promise<void> {
    this.#fail?.(error)
    await turns()
  }

  /** What the reader gives of a stretch. */
  read(start: number, end: number): Uint8Array {
    const into = new Uint8Array(end - start)
    expect(this.reader.read(start, end, into)).toEqual({ bytes: end - start, failed: null })
    return into
  }
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 40; turn++) await nextTurn()
}

describe('what comes', () => {
  test('is told at once and can be read again and again, over the borders of blocks', async () => {
    const feed = new Feed()
    await feed.give(pattern(0, 1))
    await feed.give(pattern(1, 10))
    await feed.give(pattern(11, 2 * MIB))
    expect(feed.grown.slice(0, 2)).toEqual([
      [0, 1],
      [1, 11],
    ])
    expect(feed.grown.at(-1)?.[1]).toBe(2 * MIB + 11)
    for (let time = 0; time < 2; time++) {
      expect(feed.read(0, 11)).toEqual(pattern(0, 11))
      expect(feed.read(MIB - 5, MIB + 7)).toEqual(pattern(MIB - 5, 12))
    }
    await feed.end()
    expect([feed.ended, feed.failed]).toEqual([2 * MIB + 11, null])
    feed.reader.close()
  })

  test('may be nothing at all', async () => {
    const feed = new Feed()
    await feed.give(new Uint8Array())
    expect(feed.ended).toBeNull()
    await feed.end()
    expect([feed.ended, feed.grown]).toEqual([0, []])
  })

  test('that breaks off is a fault and no end', async () => {
    const feed = new Feed()
    await feed.give(pattern(0, 5))
    await feed.break(Object.assign(new Error('i/o error'), { code: 'EIO' }))
    expect(feed.ended).toBeNull()
    expect(feed.failed).toEqual({ code: 'source_unreadable', message: 'cannot be read (EIO)' })
    expect(feed.reader.fault).toEqual(feed.failed)
  })

  test('that is text and not bytes is a fault', async () => {
    const feed = new Feed()
    await feed.give('text' as unknown as Uint8Array)
    expect(feed.failed).toMatchObject({
      code: 'source_unreadable',
      message: expect.stringContaining('bytes') as string,
    })
  })

  test('in single bytes costs no more room than in large pieces', async () => {
    const feed = new Feed()
    for (let at = 0; at < 300; at++) await feed.give(pattern(at, 1))
    expect(feed.read(0, 300)).toEqual(pattern(0, 300))
  })
})

describe('the window', () => {
  test('holds whoever writes back, until something is safe', async () => {
    const feed = new Feed(2 * MIB)
    await feed.give(pattern(0, 2 * MIB))
    const asked = feed.asked
    await feed.give(pattern(2 * MIB, 100))
    expect(feed.reader.end).toBe(2 * MIB)
    expect(feed.asked).toBe(asked)
    feed.reader.settle(40)
    await turns()
    expect(feed.reader.end).toBe(2 * MIB + 40)
    feed.reader.settle(1000)
    await turns()
    expect(feed.reader.end).toBe(2 * MIB + 100)
    expect(feed.asked).toBe(asked + 1)
    expect(feed.read(2 * MIB - 3, 2 * MIB + 100)).toEqual(pattern(2 * MIB - 3, 103))
    feed.reader.close()
  })

  test('is held from a single piece that is larger than it, too', async () => {
    const feed = new Feed(MIB)
    await feed.give(pattern(0, 3 * MIB + 5))
    for (let safe = MIB; safe <= 3 * MIB; safe += MIB) {
      expect(feed.reader.end).toBe(safe)
      feed.reader.settle(safe)
      await turns()
    }
    expect(feed.reader.end).toBe(3 * MIB + 5)
    feed.reader.close()
  })

  test('is not filled ahead of what anybody asks for', async () => {
    const feed = new Feed()
    await feed.give(pattern(0, 6 * MIB))
    expect(feed.reader.end).toBe(4 * MIB)
    feed.read(0, MIB)
    await turns()
    expect(feed.reader.end).toBe(5 * MIB)
    feed.reader.close()
  })

  /** So much came, and all of it is safe. */
  async function through(feed: Feed, bytes: number): Promise<void> {
    for (let at = 0; at < bytes; at += MIB) {
      await feed.give(pattern(at, MIB))
      feed.read(at, at + MIB)
      feed.reader.settle(at + MIB)
    }
  }

  test('keeps a short stream whole, and of a long one a little more than what is not safe', async () => {
    const feed = new Feed()
    await through(feed, 8 * MIB)
    expect(feed.reader.start).toBe(0)
    await feed.give(pattern(8 * MIB, 10))
    expect(feed.reader.start).toBe(0)
    feed.reader.settle(8 * MIB + 1)
    expect(feed.reader.start).toBe(MIB)
    expect(feed.read(MIB, MIB + 50)).toEqual(pattern(MIB, 50))
    expect(() => feed.read(MIB - 1, MIB)).toThrow(RangeError)
    await expect(feed.reader.readBack(0, MIB - 1, new Uint8Array(1))).rejects.toMatchObject({ code: 'source_vanished' })
    const again = new Uint8Array(20)
    expect(await feed.reader.readBack(0, 8 * MIB - 4, again)).toBe(14)
    expect(again.subarray(0, 14)).toEqual(pattern(8 * MIB - 4, 14))
    feed.reader.close()
  })

  test('lets nothing go that a receiver lost', async () => {
    const feed = new Feed()
    await through(feed, 8 * MIB)
    feed.reader.settle(5)
    await feed.give(pattern(8 * MIB, 3 * MIB))
    expect([feed.reader.start, feed.reader.end]).toEqual([0, 11 * MIB])
    expect(feed.read(5, 60)).toEqual(pattern(5, 55))
    feed.reader.close()
  })
})

test('closing wakes what waits for room, and ends the source', async () => {
  const feed = new Feed(MIB)
  await feed.give(pattern(0, 2 * MIB))
  expect(feed.returned).toBe(false)
  feed.reader.close()
  await turns()
  expect(feed.returned).toBe(true)
  expect([feed.ended, feed.failed]).toEqual([null, null])
})
