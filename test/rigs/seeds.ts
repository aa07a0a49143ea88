/**
 * Repeatable chance for tests. The seed of a run comes from `SEALIFT_SEED`, else the one a test names; whoever uses it
 * puts it into the message of a failure.
 */

/** Numbers that the same seed gives again (mulberry32). */
export class Chance {
  readonly seed: number
  #state: number

  constructor(seed: number) {
    this.seed = seed >>> 0
    this.#state = this.seed
  }

  /** 0 ≤ number < 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b_79f5) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number with `from` ≤ number < `to`. */
  integer(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from))
  }

  pick<T>(items: readonly T[]): T {
    if (items.length === 0) throw new Error('nothing to pick from')
    return items[this.integer(0, items.length)] as T
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    for (let at = 0; at < length; at++) bytes[at] = this.integer(0, 256)
    return bytes
  }
}

/** The seed of `SEALIFT_SEED`, else this one. */
export function seedOr(seed: number): number {
  const given = Number(process.env['SEALIFT_SEED'])
  return Number.isSafeInteger(given) && given > 0 ? given : seed
}

/** Runs what may fail and adds to its error where it was, so that it can be run again alone. */
export async function under<T>(where: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    throw new Error(`${where}: ${message}`, { cause: error })
  }
}
