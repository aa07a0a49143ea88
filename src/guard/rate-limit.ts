/**
 * The rate at which one owner may bring bytes: all connections of an owner share it, however many there are.
 *
 * Owns who shares with whom. The rule of a rate is `protocol/pace.ts`, holding a stream to it `transfer/pacing.ts`: what runs
 * ahead is not read, so that the kernel holds the sender back and nothing is buffered here.
 */

import { BURST_MS } from '../protocol/limits.ts'
import { type Pace, TokenBucket } from '../protocol/pace.ts'

/** Smaller pieces cost more than they smooth. */
const MIN_SLICE_BYTES = 256

interface OwnerRate {
  readonly bucket: TokenBucket
  readonly bytesPerSecond: number
  members: number
}

/** The part of one connection. Until its owner is known it passes whatever comes: a handshake is small and has its own limits. */
export interface RateShare extends Pace {
  /** What its owner is held to; `null`: nothing, or no owner yet. */
  readonly bytesPerSecond: number | null
  /**
   * From now on it counts for this owner.
   * @param bytesPerSecond instead of the limit that all have; `null` lifts it
   */
  assign(owner: string, bytesPerSecond?: number | null): void
  /** The connection has ended. Counts once, however often it is called. */
  leave(): void
}

export class RateLimits {
  readonly #bytesPerSecond: number | null
  readonly #nowMs: () => number
  readonly #rates = new Map<string, OwnerRate>()

  /**
   * @param bytesPerSecond of one owner; `null`: no limit
   * @param nowMs monotonic milliseconds
   */
  constructor(bytesPerSecond: number | null, nowMs: () => number) {
    this.#bytesPerSecond = bytesPerSecond
    this.#nowMs = nowMs
  }

  /** Owners that are kept count of. */
  get owners(): number {
    return this.#rates.size
  }

  newShare(): RateShare {
    let rate: OwnerRate | null = null
    let hasLeft = false
    return {
      get bytesPerSecond() {
        return rate?.bytesPerSecond ?? null
      },
      get sliceBytes() {
        if (rate === null) return Number.MAX_SAFE_INTEGER
        const { sliceBytes, debtMs } = rate.bucket
        // Who has come while the others wait has to wait too, and is told so by its first bytes.
        if (debtMs > BURST_MS) return Math.min(sliceBytes, MIN_SLICE_BYTES)
        // Together they burst no more than one alone.
        return Math.min(sliceBytes, Math.max(MIN_SLICE_BYTES, Math.floor(sliceBytes / Math.max(1, rate.members))))
      },
      pass: (bytes) => rate?.bucket.pass(bytes) ?? 0,
      assign: (owner, bytesPerSecond = this.#bytesPerSecond) => {
        if (rate !== null) rate.members--
        rate = bytesPerSecond === null || bytesPerSecond === 0 || hasLeft ? null : this.#join(owner, bytesPerSecond)
      },
      leave: () => {
        if (!hasLeft && rate !== null) rate.members--
        hasLeft = true
      },
    }
  }

  #join(owner: string, bytesPerSecond: number): OwnerRate {
    this.#forgetIdle()
    const known = this.#rates.get(owner)
    if (known?.bytesPerSecond === bytesPerSecond) {
      known.members++
      return known
    }
    const rate = { bucket: new TokenBucket(bytesPerSecond, this.#nowMs), bytesPerSecond, members: 1 }
    this.#rates.set(owner, rate)
    return rate
  }

  /** Who has left keeps its debt, so that coming back at once is no way around the limit. */
  #forgetIdle(): void {
    for (const [owner, rate] of this.#rates)
      if (rate.members === 0 && rate.bucket.debtMs <= -BURST_MS) this.#rates.delete(owner)
  }
}
