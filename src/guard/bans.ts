/**
 * Addresses that fail to prove who they are, again and again: first no guess of theirs is compared any more, then they are
 * turned away at the door for a time.
 *
 * Owns the count of failures, in memory, for so many addresses at most; the bans themselves are the ledger's, which is asked
 * at every connection, so that a ban that somebody lifts is lifted here too. What counts as a failure is said by the caller:
 * a proof that was wrong, never noise or a connection that broke (PROTOCOL 1.9). This machine itself is never banned.
 */

import type { Ban, Bans } from '../ledger/bans.ts'
import { SealiftError } from '../protocol/errors.ts'
import { isLoopback, sourceOf } from './peer-address.ts'

export interface BanRules {
  /** So many failures … */
  readonly threshold: number
  /** … within so long … */
  readonly windowMs: number
  /** … ban an address for so long. */
  readonly durationMs: number
}

export interface BanListOptions extends BanRules {
  readonly records: Pick<Bans, 'find' | 'add'>
  /** Monotonic milliseconds. */
  readonly nowMs: () => number
  /** An address has been banned, and it is in the ledger: whoever has sessions of it may end them. */
  onBan(ban: Ban): void
}

/** Failures of one address. */
interface Failures {
  /** When they were, in monotonic milliseconds, the oldest first; never more than the threshold. */
  atMs: number[]
  /** Guesses that are being compared now. */
  pending: number
}

/** Addresses that are watched at once; those that failed longest ago are forgotten for new ones. */
const MAX_WATCHED = 10_000

export class BanList {
  readonly #options: BanListOptions
  /** In the order of their last failure. */
  readonly #failures = new Map<string, Failures>()
  /** On their way into the ledger. */
  readonly #banning = new Set<string>()

  constructor(options: BanListOptions) {
    this.#options = options
  }

  /** Addresses that are watched. */
  get watched(): number {
    return this.#failures.size
  }

  /**
   * To be asked for every connection, before anything else.
   * @throws SealiftError `peer_refused` where the address is banned; `ledger_unavailable`, `ledger_corrupt`: nobody comes in
   *   while that cannot be said
   */
  async check(address: string): Promise<void> {
    if (isLoopback(address)) return
    const source = sourceOf(address)
    if (!this.#banning.has(source) && (await this.#options.records.find(source)) === null) return
    throw new SealiftError('peer_refused', 'this address is banned after too many failed handshakes')
  }

  /**
   * Counts a guess before it is compared: however many come at once, no more than the threshold are looked at.
   * Must be followed by {@link right} or {@link wrong}.
   * @returns whether it may be compared
   */
  guess(address: string): boolean {
    if (isLoopback(address)) return true
    const failures = this.#failuresOf(sourceOf(address))
    if (failures.atMs.length + failures.pending >= this.#options.threshold) return false
    failures.pending++
    return true
  }

  /** The guess was right. What failed before stays counted until its time is over. */
  right(address: string): void {
    if (isLoopback(address)) return
    const source = sourceOf(address)
    const failures = this.#failuresOf(source)
    failures.pending = Math.max(0, failures.pending - 1)
    if (failures.pending === 0 && failures.atMs.length === 0) this.#failures.delete(source)
  }

  /**
   * A handshake failed: a guess was wrong, or a key is none of those that may come.
   * @returns the ban, once it is in the ledger, where this was one too many
   * @throws SealiftError `ledger_unavailable`, `ledger_corrupt`
   */
  async wrong(address: string): Promise<Ban | null> {
    if (isLoopback(address)) return null
    const source = sourceOf(address)
    const failures = this.#failuresOf(source)
    failures.pending = Math.max(0, failures.pending - 1)
    failures.atMs.push(this.#options.nowMs())
    if (failures.atMs.length < this.#options.threshold || this.#banning.has(source)) return null
    this.#banning.add(source)
    try {
      const ban = await this.#options.records.add({
        address: source,
        reason: 'auth_failed',
        durationMs: this.#options.durationMs,
      })
      this.#failures.delete(source)
      this.#options.onBan(ban)
      return ban
    } finally {
      this.#banning.delete(source)
    }
  }

  #failuresOf(source: string): Failures {
    const { windowMs, threshold, nowMs } = this.#options
    const known = this.#failures.get(source)
    const failures = known ?? { atMs: [], pending: 0 }
    const since = nowMs() - windowMs
    failures.atMs = failures.atMs.filter((atMs) => atMs > since).slice(-threshold)
    this.#failures.delete(source)
    if (this.#failures.size >= MAX_WATCHED) this.#forgetOldest()
    this.#failures.set(source, failures)
    return failures
  }

  /** Several at once: to find the first of a Map from which many first ones were deleted takes it long. */
  #forgetOldest(): void {
    let count = MAX_WATCHED / 8
    for (const source of this.#failures.keys()) {
      if (count-- <= 0) return
      this.#failures.delete(source)
    }
  }
}
