import { describe, expect, test } from 'vitest'

import { memoryPipe } from '../../../src/carriers/memory.ts'
import type { SealiftError } from '../../../src/protocol/errors.ts'
import { MAX_RECORD_BYTES } from '../../../src/protocol/limits.ts'
import { Inbox, type InboxReader } from '../../../src/transfer/inbox.ts'
import { settle, until } from './virtual-time.ts'

/** Takes frames of so many bytes and keeps them. */
class Reader implements InboxReader {
  readonly taken: number[] = []
  ends: (SealiftError | null)[] = []
  goOn = true
  readonly #inbox: Inbox
  readonly #frameBytes: number

  constructor(inbox: Inbox, frameBytes: number) {
    this.#inbox = inbox
    this.#frameBytes = frameBytes
  }

  arrived(): boolean {
    while (this.goOn) {
      const frame = this.#inbox.frames.take(this.#frameBytes)
      if (frame === null) break
      this.taken.push(frame[0] as number)
    }
    return this.goOn
  }

  ended(error: SealiftError | null): void {
    this.ends.push(error)
  }
}

describe('an inbox', () => {
  test('keeps what comes before anyone reads, and hands it over', async () => {
    const [near, far] = memoryPipe()
    const inbox = new Inbox(near)
    await far.write([Uint8Array.of(1, 1, 2, 2)])
    await settle()
    const reader = new Reader(inbox, 2)
    inbox.readBy(reader)
    await far.write([Uint8Array.of(3, 3)])
    await until(() => reader.taken.length === 3)
    expect(reader.taken).toEqual([1, 2, 3])
    expect(inbox.receivedBytes).toBe(6)
  })

  test('goes from one reader to the next without a byte lost', async () => {
    const [near, far] = memoryPipe({ sliceBytes: 3 })
    const inbox = new Inbox(near)
    const first = new Reader(inbox, 2)
    inbox.readBy(first)
    await far.write([Uint8Array.of(1, 1, 2)])
    await settle()
    inbox.growForRecords(MAX_RECORD_BYTES)
    const second = new Reader(inbox, 3)
    inbox.readBy(second)
    await far.write([Uint8Array.of(2, 2, 3, 3, 3)])
    await until(() => second.taken.length === 2)
    expect([first.taken, second.taken]).toEqual([[1], [2, 3]])
  })

  test('holds the peer back while nobody reads: one small buffer is all', async () => {
    const [near, far] = memoryPipe({ windowBytes: 1000 })
    const inbox = new Inbox(near)
    void far.write([new Uint8Array(1 << 20)]).catch(() => undefined)
    await settle(50)
    expect(inbox.receivedBytes).toBeLessThan(9000)
    near.destroy()
  })

  test('tells its end once to who reads, also to one who comes later, behind what was left', async () => {
    const [near, far] = memoryPipe()
    const inbox = new Inbox(near)
    await far.write([Uint8Array.of(7, 7)])
    await far.end()
    await settle()
    const reader = new Reader(inbox, 2)
    inbox.readBy(reader)
    expect([reader.taken, reader.ends]).toEqual([[7], []])
    await until(() => reader.ends.length > 0)
    expect(reader.ends).toEqual([null])
    const late = new Reader(inbox, 2)
    inbox.readBy(late)
    expect(late.ends).toEqual([null])
  })

  test('without a reader takes nothing more in', async () => {
    const [near, far] = memoryPipe()
    const inbox = new Inbox(near)
    const reader = new Reader(inbox, 1)
    inbox.readBy(reader)
    inbox.readBy(null)
    await far.write([Uint8Array.of(1)])
    await settle()
    expect(reader.taken).toEqual([])
    far.destroy()
  })
})
