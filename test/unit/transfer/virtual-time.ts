/** A clock that stands still until a test lets time pass, and the turns of the event loop that memory carriers need. */

// by import, not the global: tests may replace the global timers
import { setImmediate } from 'node:timers'

import type { Clock } from '../../../src/transfer/clock.ts'

interface Timer {
  readonly atMs: number
  readonly call: () => void
}

/** Lets everything that is under way without a clock come to rest. */
export async function settle(turns = 12): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise<void>((resolve) => setImmediate(resolve))
}

/** Waits, in turns of the event loop, for something that happens without a clock. */
export async function until(holds: () => boolean, what = 'this'): Promise<void> {
  for (let turn = 0; turn < 200_000; turn++) {
    if (holds()) return
    await new Promise<void>((resolve) => setImmediate(resolve))
  }
  throw new Error(`${what} never came`)
}

export class VirtualClock implements Clock {
  #nowMs = 5000
  #timers: Timer[] = []

  nowMs(): number {
    return this.#nowMs
  }

  after(delayMs: number, call: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, call }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  /** How many timers wait. */
  get timers(): number {
    return this.#timers.length
  }

  /** Lets so much time pass, timer by timer, with all that follows from each. */
  async pass(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms
    await settle()
    for (;;) {
      let next: Timer | null = null
      for (const timer of this.#timers)
        if (timer.atMs <= untilMs && (next === null || timer.atMs < next.atMs)) next = timer
      if (next === null) break
      this.#nowMs = Math.max(this.#nowMs, next.atMs)
      const due = next
      this.#timers = this.#timers.filter((timer) => timer !== due)
      due.call()
      await settle()
    }
    this.#nowMs = untilMs
    await settle()
  }
}
