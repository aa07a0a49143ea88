import { describe, expect, test } from 'vitest'

import { EventQueue } from '../../../src/transfer/event-queue.ts'
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
})
