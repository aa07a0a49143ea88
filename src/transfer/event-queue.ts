/** What an iterating caller reads from. */

import type { TransferEvent } from './events.ts'

/** Events, queued for one reader. Progress that nobody has read yet is replaced, so the queue stays small. */
export class EventQueue implements AsyncIterable<TransferEvent> {
  #events: TransferEvent[] = []
  #ended = false
  #wake: (() => void) | null = null

  push(event: TransferEvent): void {
    if (this.#ended) return
    const last = this.#events.length - 1
    if (event.event === 'progress' && this.#events[last]?.event === 'progress') this.#events[last] = event
    else this.#events.push(event)
    this.#wake?.()
  }

  /** No event comes after this; what is queued can still be read. */
  end(): void {
    this.#ended = true
    this.#wake?.()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TransferEvent, undefined> {
    for (;;) {
      const events = this.#events
      this.#events = []
      yield* events
      if (this.#events.length > 0) continue
      if (this.#ended) return
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      this.#wake = null
    }
  }
}
