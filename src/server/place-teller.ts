/**
 * Tells one sender its place in line (protocol.md, "The queue"): the newest, not more than once a second, and once a minute
 * also where it stays the same, so that a sender knows that somebody still thinks of it.
 *
 * One word under way is enough: who does not read must not fill this memory with them.
 */

import { QUEUED_INTERVAL_MS, QUEUED_REPEAT_MS } from '../protocol/limits.ts'
import type { Clock } from '../transfer/clock.ts'

export class PlaceTeller {
  readonly #clock: Clock
  readonly #say: (place: number) => Promise<void>
  #place: number | null = null
  #told: number | null = null
  #isPausing = false
  #isSaying = false
  #isOver = false
  #cancelPause: () => void = () => undefined
  #cancelRepeat: () => void = () => undefined

  /** @param say resolves when it has left; where that fails, nothing more is said */
  constructor(clock: Clock, say: (place: number) => Promise<void>) {
    this.#clock = clock
    this.#say = say
  }

  tell(place: number): void {
    this.#place = place
    this.#saySoon()
  }

  /** The wait is over. */
  stop(): void {
    this.#isOver = true
    this.#cancelPause()
    this.#cancelRepeat()
  }

  #saySoon(): void {
    if (this.#isOver || this.#isPausing || this.#isSaying || this.#place === null || this.#place === this.#told) return
    this.#told = this.#place
    this.#isSaying = this.#isPausing = true
    this.#cancelPause = this.#clock.after(QUEUED_INTERVAL_MS, () => {
      this.#isPausing = false
      this.#saySoon()
    })
    this.#cancelRepeat()
    this.#cancelRepeat = this.#clock.after(QUEUED_REPEAT_MS, () => {
      this.#told = null
      this.#saySoon()
    })
    this.#say(this.#place).then(
      () => {
        this.#isSaying = false
        this.#saySoon()
      },
      () => this.stop(),
    )
  }
}
