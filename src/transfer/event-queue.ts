/**
 * The events of a transfer on their way to whoever reads them.
 *
 * Owns what is kept while nobody does: a transfer that is only waited for must not gather a million of them.
 */

import type { TransferEvent } from './events.ts'

/** What the queue looks at; it has other fields beside these. */
interface AnyEvent {
  readonly event: string
  readonly transferId?: string | null
}

/** Events of many files at once: made when they are read. */
export type EventRun<Event extends AnyEvent = TransferEvent> = Iterable<Event>

/** While nobody reads, the newest so many are kept, a run as one, and where the sender listens. */
export const MAX_UNREAD_EVENTS = 1000

/**
 * A reader gets every event from its first one on, in order, and what was kept from before. Each event goes to one
 * reader. Progress that nobody has read yet is replaced by that of the same transfer.
 */
export class EventQueue<Event extends AnyEvent = TransferEvent> implements AsyncIterable<Event> {
  #waiting: (Event | Iterator<Event>)[] = []
  /** Where the next one stands; what is before it was read. */
  #next = 0
  #readers = 0
  #ended = false
  /** What readers wait on; `null` while none does. */
  #change: PromiseWithResolvers<undefined> | null = null

  push(event: Event | EventRun<Event>): void {
    if (this.#ended) return
    const last = this.#waiting.length - 1
    if (Symbol.iterator in event) this.#waiting.push(event[Symbol.iterator]())
    else if (event.event === 'progress' && last >= this.#next && isProgress(this.#waiting[last], event.transferId))
      this.#waiting[last] = event
    else this.#waiting.push(event)
    if (this.#readers === 0 && this.#waiting.length - this.#next >= 2 * MAX_UNREAD_EVENTS) this.#dropOldest()
    this.#wake()
  }

  /** No event comes after this; what is kept can still be read. */
  end(): void {
    this.#ended = true
    this.#wake()
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Event, undefined> {
    this.#readers++
    let reading = true
    const leave = (): IteratorReturnResult<undefined> => {
      if (reading) {
        reading = false
        this.#readers--
        if (this.#readers === 0) this.#dropOldest()
        // For a `next` of this reader that still waits.
        this.#wake()
      }
      return { done: true, value: undefined }
    }
    return {
      next: async () => {
        while (reading) {
          const event = this.#take()
          if (event !== null) return { done: false, value: event }
          if (this.#ended) break
          this.#change ??= Promise.withResolvers()
          await this.#change.promise
        }
        return leave()
      },
      return: () => Promise.resolve(leave()),
      [Symbol.asyncIterator]() {
        return this
      },
    }
  }

  #take(): Event | null {
    for (let first = this.#waiting[this.#next]; first !== undefined; first = this.#waiting[this.#next]) {
      if ('event' in first) {
        this.#next++
        // What was read is let go in batches: to move the rest up for each would cost more than all else.
        if (this.#next >= MAX_UNREAD_EVENTS && this.#next * 2 >= this.#waiting.length) this.#dropRead()
        return first
      }
      const { done, value } = first.next() as IteratorResult<Event, undefined>
      if (done !== true) return value
      this.#next++
    }
    this.#dropRead()
    return null
  }

  #dropRead(): void {
    this.#waiting.splice(0, this.#next)
    this.#next = 0
  }

  #dropOldest(): void {
    this.#dropRead()
    const surplus = this.#waiting.length - MAX_UNREAD_EVENTS
    if (surplus <= 0) return
    this.#waiting = this.#waiting.filter(
      (event, at) => at >= surplus || ('event' in event && event.event === 'listening'),
    )
  }

  #wake(): void {
    this.#change?.resolve(undefined)
    this.#change = null
  }
}

function isProgress(event: AnyEvent | Iterator<AnyEvent> | undefined, transferId: string | null | undefined): boolean {
  return event !== undefined && 'event' in event && event.event === 'progress' && event.transferId === transferId
}
