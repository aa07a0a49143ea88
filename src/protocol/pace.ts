/**
 * A rate as a rule: how long to wait behind bytes that have passed, with bursts of at most 50 ms. Time is given from outside;
 * waiting is the business of whoever moves the bytes.
 */

import { BURST_MS } from './limits.ts'

/** What passes in one piece; the rest of a burst makes up for timers that come late, as they do on a busy machine. */
const SLICE_MS = 33
const CREDIT_MS = BURST_MS - SLICE_MS

export interface Pace {
  /** What may pass in one piece, so that what passes stays smooth; at least 1. */
  readonly sliceBytes: number
  /** Takes note of bytes that pass. @returns milliseconds to wait before more may */
  pass(bytes: number): number
}

/** One rate, for one stream or for several that share it. */
export class TokenBucket implements Pace {
  readonly #bytesPerMs: number
  readonly #nowMs: () => number
  #freeAtMs: number

  /** @param nowMs monotonic milliseconds */
  constructor(bytesPerSecond: number, nowMs: () => number) {
    this.#bytesPerMs = bytesPerSecond / 1000
    this.#nowMs = nowMs
    this.#freeAtMs = nowMs()
  }

  get sliceBytes(): number {
    return Math.max(1, Math.floor(this.#bytesPerMs * SLICE_MS))
  }

  /** How long what has passed is felt yet, in milliseconds; less than 0 where it could take a burst. */
  get debtMs(): number {
    return this.#freeAtMs - this.#nowMs()
  }

  pass(bytes: number): number {
    const now = this.#nowMs()
    this.#freeAtMs = Math.max(this.#freeAtMs, now - CREDIT_MS) + bytes / this.#bytesPerMs
    return Math.max(0, this.#freeAtMs - now)
  }
}
