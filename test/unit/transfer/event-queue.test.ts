import { describe, expect, test } from 'vitest'

import { EventQueue, MAX_UNREAD_EVENTS } from '../../../src/transfer/event-queue.ts'
import type { TransferEvent } from '../../../src/transfer/events.ts'
import { settle } from './virtual-time.ts'

function progress(bytesDone: number): TransferEvent {
  return {
    event: 'progress',
    transferId: 'id',
    bytesDone,
    bytesTotal: 9,
    filesDone: 0,
    filesTotal: 1,
    bytesPerSecond: 0,
  }
}
function warning(message: string): TransferEvent {
  return { event: 'warning', code: 'source_changed', message }
}

async function rest(queue: EventQueue): Promise<TransferEvent[]> {
  const events: TransferEvent[] = []
  for await (const event of queue) events.push(event)
  return events
}

describe('the queue of events', () => {
  test('gives events in order, also those from before it was read, and ends', async () => {
    const queue = new EventQueue()
    queue.push(warning('a'))
    const events = rest(queue)
    await settle()
    queue.push(warning('b'))
    await settle()
    queue.push(warning('c'))
    queue.end()
    queue.push(warning('too late'))
    expect(await events).toEqual([warning('a'), warning('b'), warning('c')])
  })

  test('replaces progress that nobody has read, and nothing else', async () => {
    const queue = new EventQueue()
    for (let at = 0; at < 100_000; at++) queue.push(progress(at))
    queue.push(warning('a'))
    queue.push(warning('b'))
    queue.push(progress(1))
    queue.push(progress(2))
    queue.end()
    expect(await rest(queue)).toEqual([progress(99_999), warning('a'), warning('b'), progress(2)])
  })

  test('loses nothing that comes while an event is dealt with', async () => {
    const queue = new EventQueue()
    queue.push(warning('a'))
    const seen: TransferEvent[] = []
    for await (const event of queue) {
      seen.push(event)
      if (seen.length === 1) queue.push(warning('b'))
      if (seen.length === 2) {
        queue.push(warning('c'))
        queue.end()
      }
    }
    expect(seen).toEqual([warning('a'), warning('b'), warning('c')])
  })

  test('that has ended empty ends at once', async () => {
    const queue = new EventQueue()
    queue.end()
    expect(await rest(queue)).toEqual([])
  })

  test('keeps the newest, and where the sender listens, while nobody reads', async () => {
    const queue = new EventQueue()
    const listening = {
      event: 'listening',
      transferId: 'id',
      address: '127.0.0.1',
      port: 1,
      token: 'a-b',
      tailnet: null,
      connect: '',
      fingerprint: null,
      healthPort: null,
      files: 1,
      bytes: 1,
    } as const
    queue.push(warning('first'))
    queue.push(listening)
    const count = 200_000
    for (let at = 0; at < count; at++) queue.push(warning(`${at}`))
    queue.end()
    const events = await rest(queue)
    expect(events[0]).toEqual(listening)
    expect(events.at(-1)).toEqual(warning(`${count - 1}`))
    expect(events.length).toBeGreaterThan(MAX_UNREAD_EVENTS)
    expect(events.length).toBeLessThanOrEqual(2 * MAX_UNREAD_EVENTS)
  })

  test('drops nothing once somebody reads, however slowly', async () => {
    const queue = new EventQueue()
    const reader = queue[Symbol.asyncIterator]()
    for (let at = 0; at < 10_000; at++) queue.push(warning(`${at}`))
    queue.end()
    let count = 0
    for (let next = await reader.next(); next.done !== true; next = await reader.next()) {
      expect(next.value).toEqual(warning(`${count}`))
      count++
    }
    expect(count).toBe(10_000)
  })

  test('makes the events of a run when they are read, and no sooner', async () => {
    const queue = new EventQueue()
    let made = 0
    function* run(): Generator<TransferEvent> {
      for (; made < 1_000_000; made++) yield warning(`${made}`)
    }
    queue.push(warning('before'))
    queue.push(run())
    queue.push(warning('after'))
    expect(made).toBe(0)
    const reader = queue[Symbol.asyncIterator]()
    expect((await reader.next()).value).toEqual(warning('before'))
    expect((await reader.next()).value).toEqual(warning('0'))
    expect((await reader.next()).value).toEqual(warning('1'))
    expect(made).toBeLessThan(3)
    made = 999_999
    expect((await reader.next()).value).toEqual(warning('after'))
  })

  test('drops the oldest runs too while nobody reads', async () => {
    const queue = new EventQueue()
    for (let at = 0; at < 100_000; at++) queue.push([warning(`${at}`)])
    queue.end()
    const events = await rest(queue)
    expect(events.at(-1)).toEqual(warning('99999'))
    expect(events.length).toBeLessThanOrEqual(2 * MAX_UNREAD_EVENTS)
  })

  test('lets a loop be left and begun again: nothing that waited is lost', async () => {
    const queue = new EventQueue()
    for (const name of ['a', 'b', 'c']) queue.push(warning(name))
    for await (const event of queue) {
      expect(event).toEqual(warning('a'))
      break
    }
    queue.push(warning('d'))
    queue.end()
    expect(await rest(queue)).toEqual([warning('b'), warning('c'), warning('d')])
  })

  test('gathers no more than it may after a loop was left', async () => {
    const queue = new EventQueue()
    const reader = queue[Symbol.asyncIterator]()
    for (let at = 0; at < 10_000; at++) queue.push(warning(`${at}`))
    await reader.return?.()
    queue.end()
    expect((await rest(queue)).length).toBe(MAX_UNREAD_EVENTS)
  })

  test('gives each event to one of several readers, and ends all of them', async () => {
    const queue = new EventQueue()
    const both = [rest(queue), rest(queue)]
    await settle()
    for (let at = 0; at < 10; at++) {
      queue.push(warning(`${at}`))
      if (at % 3 === 0) await settle()
    }
    queue.end()
    const events = (await Promise.all(both)).flat()
    expect(events.length).toBe(10)
    expect(new Set(events).size).toBe(10)
  })

  test('ends a reader that waits when it is told to return', async () => {
    const queue = new EventQueue()
    const reader = queue[Symbol.asyncIterator]()
    const waiting = reader.next()
    await settle()
    expect(await reader.return?.()).toEqual({ done: true, value: undefined })
    expect(await waiting).toEqual({ done: true, value: undefined })
    expect(await reader.next()).toEqual({ done: true, value: undefined })
  })

  test('answers several calls of next at once, in order', async () => {
    const queue = new EventQueue()
    const reader = queue[Symbol.asyncIterator]()
    const asked = [reader.next(), reader.next(), reader.next()]
    await settle()
    queue.push(warning('a'))
    queue.push(warning('b'))
    queue.end()
    expect((await Promise.all(asked)).map(({ value }) => value as unknown)).toEqual([
      warning('a'),
      warning('b'),
      undefined,
    ])
  })
})
