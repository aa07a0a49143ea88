/**
 * The rates at which senders may bring bytes: that of an owner, which all connections of an owner share, and that of all
 * together. Who shares a rate gets of it by weight.
 *
 * Owns who shares with whom. The rule of a rate is `protocol/pace.ts`, holding a stream to it `transfer/pacing.ts`: what runs
 * ahead is not read, so that the kernel holds the sender back and nothing is buffered here.
 *
 * How weights come to count: whoever has passed its slice waits until all that has passed is paid for, so that those who
 * share take turns. The slices are as large as their weights, and who has nothing to bring is not waited for.
 */

import { BURST_MS } from '../protocol/limits.ts'
import { type Pace, TokenBucket } from '../protocol/pace.ts'

/** Smaller pieces cost more than they smooth. */
const MIN_SLICE_BYTES = 256

/** One rate, and who shares it. */
interface SharedRate {
  readonly bucket: TokenBucket
  readonly bytesPerSecond: number
  members: number
  /** Of all members together. */
  weights: number
}

/** The part of one connection. Until its owner is known it passes whatever comes: a handshake is small and has its own limits. */
export interface RateShare extends Pace {
  /** What its owner is held to, or all together where that is less; `null`: to nothing, or no owner yet. */
  readonly bytesPerSecond: number | null
  /**
   * From now on it counts for this owner.
   * @param bytesPerSecond instead of the limit that all have; `null` lifts it
   */
  assign(owner: string, bytesPerSecond?: number | null): void
  /** @param weight of its share among those with which it shares: 0 while it brings next to nothing; 1 before it is said */
  weigh(weight: number): void
  /** The connection has ended. Counts once, however often it is called. */
  leave(): void
}

export interface Rates {
  /** Bytes a second of one owner; `null`: no limit. */
  readonly bytesPerSecond: number | null
  /** The same of all owners together. */
  readonly totalBytesPerSecond: number | null
}

export class RateLimits {
  readonly #bytesPerSecond: number | null
  readonly #nowMs: () => number
  readonly #rates = new Map<string, SharedRate>()
  /** That of all together. */
  readonly #total: SharedRate | null

  /** @param nowMs monotonic milliseconds */
  constructor({ bytesPerSecond, totalBytesPerSecond }: Rates, nowMs: () => number) {
    this.#bytesPerSecond = bytesPerSecond
    this.#nowMs = nowMs
    this.#total = totalBytesPerSecond === null ? null : newRate(totalBytesPerSecond, nowMs)
  }

  /** Owners that are kept count of. */
  get owners(): number {
    return this.#rates.size
  }

  newShare(): RateShare {
    return new Share((owner, bytesPerSecond = this.#bytesPerSecond) => {
      const own = bytesPerSecond === null || bytesPerSecond === 0 ? null : this.#rateOf(owner, bytesPerSecond)
      return [own, this.#total].filter((rate) => rate !== null)
    })
  }

  #rateOf(owner: string, bytesPerSecond: number): SharedRate {
    this.#forgetIdle()
    const known = this.#rates.get(owner)
    if (known?.bytesPerSecond === bytesPerSecond) return known
    const rate = newRate(bytesPerSecond, this.#nowMs)
    this.#rates.set(owner, rate)
    return rate
  }

  /** Who has left keeps its debt, so that coming back at once is no way around the limit. */
  #forgetIdle(): void {
    for (const [owner, rate] of this.#rates)
      if (rate.members === 0 && rate.bucket.debtMs <= -BURST_MS) this.#rates.delete(owner)
  }
}

function newRate(bytesPerSecond: number, nowMs: () => number): SharedRate {
  return { bucket: new TokenBucket(bytesPerSecond, nowMs), bytesPerSecond, members: 0, weights: 0 }
}

class Share implements RateShare {
  readonly #ratesOf: (owner: string, bytesPerSecond?: number | null) => readonly SharedRate[]
  #rates: readonly SharedRate[] = []
  #weight = 1
  #hasLeft = false

  constructor(ratesOf: (owner: string, bytesPerSecond?: number | null) => readonly SharedRate[]) {
    this.#ratesOf = ratesOf
  }

  get bytesPerSecond(): number | null {
    const rates = this.#rates.map(({ bytesPerSecond }) => bytesPerSecond)
    return rates.length === 0 ? null : Math.min(...rates)
  }

  get sliceBytes(): number {
    let slice = Number.MAX_SAFE_INTEGER
    for (const { bucket, weights } of this.#rates) {
      const { sliceBytes, debtMs } = bucket
      const own = this.#weight > 0 ? this.#weight : 1
      // Together they burst no more than one alone. Who has come while the others wait has to wait too, and is told so by
      // its first bytes.
      const part = debtMs > BURST_MS ? MIN_SLICE_BYTES : Math.floor((sliceBytes * own) / Math.max(own, weights))
      slice = Math.min(slice, sliceBytes, Math.max(MIN_SLICE_BYTES, part))
    }
    return slice
  }

  pass(bytes: number): number {
    let waitMs = 0
    for (const { bucket } of this.#rates) waitMs = Math.max(waitMs, bucket.pass(bytes))
    return waitMs
  }

  assign(owner: string, bytesPerSecond?: number | null): void {
    this.#part()
    if (this.#hasLeft) return
    this.#rates = this.#ratesOf(owner, bytesPerSecond)
    for (const rate of this.#rates) {
      rate.members++
      rate.weights += this.#weight
    }
  }

  weigh(weight: number): void {
    for (const rate of this.#rates) rate.weights += weight - this.#weight
    this.#weight = weight
  }

  leave(): void {
    this.#hasLeft = true
    this.#part()
  }

  #part(): void {
    for (const rate of this.#rates) {
      rate.members--
      rate.weights -= this.#weight
    }
    this.#rates = []
  }
}
