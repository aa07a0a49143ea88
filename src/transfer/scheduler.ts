/**
 * Who sends what next: leases the missing ranges of the content to lanes that have room.
 *
 * Owns what is wanted and who has it on lease. Only `settle` makes a range safe; a lane that ends, loses a chunk
 * or lets a lease expire gives its work back (PROTOCOL 3.8). Knows lanes only as keys, and no bytes.
 */

import { LEASE_TIMEOUT_MS, MAX_AHEAD_OF_HASH_BYTES, MAX_CONTENT_BYTES } from '../protocol/limits.ts'
import type { Manifest } from '../protocol/manifest.ts'
import { type Range, RangeSet } from '../protocol/ranges.ts'

/**
 * Entries in one chunk, at most: small files are read and written synchronously, and neither side is to be deaf for long
 * because a chunk holds a hundred thousand tiny ones.
 */
const MAX_ENTRIES_PER_CHUNK = 2048

interface Lease {
  readonly ranges: RangeSet
  expiresMs: number
}

/** A part of the content that is leased before what comes behind it. */
interface Tier {
  /** All of it; whole files, and those of no other tier. */
  readonly content: RangeSet
  readonly wanted: RangeSet
  /** Nothing before this offset is free to lease. */
  cursor: number
}

export class Scheduler {
  readonly #manifest: Manifest
  readonly #nowMs: () => number
  /** The first of them with something free is leased from; the last has all that is in no other. */
  readonly #tiers: readonly Tier[]
  readonly #leased = new RangeSet()
  readonly #leases = new Map<object, Lease>()
  #waiting: (() => void)[] = []

  /** @param first what is leased in front of all else, in this order: whole files, none of them twice */
  constructor(manifest: Manifest, nowMs: () => number, first: readonly RangeSet[] = []) {
    this.#manifest = manifest
    this.#nowMs = nowMs
    const preferred = new RangeSet()
    for (const ranges of first) preferred.addAll(ranges)
    const contents = [...first, preferred.missing(0, MAX_CONTENT_BYTES)]
    this.#tiers = contents.map((content) => ({ content, wanted: new RangeSet(), cursor: 0 }))
  }

  /** Bytes that are wanted and not yet safe. */
  get wantedBytes(): number {
    return this.#tiers.reduce((bytes, { wanted }) => bytes + wanted.totalBytes, 0)
  }

  /** Begins anew with what the receiver's ledger says is missing; all leases end. */
  begin(wanted: RangeSet): void {
    this.#leased.clear()
    this.#leases.clear()
    for (const tier of this.#tiers) {
      tier.wanted.clear()
      for (const { start, end } of tier.content) tier.wanted.addAll(wanted.within(start, end))
      tier.cursor = 0
    }
    this.#changed()
  }

  /**
   * The next free range, cut so that no file that fits into one chunk is split over two, and the files are not too many.
   * @param maxBytes at most so many bytes; at least 1
   * @returns `null` where nothing is free now
   */
  lease(lane: object, maxBytes: number): Range | null {
    this.#expire()
    for (const tier of this.#tiers) {
      const free = this.#free(tier)
      if (free === null) continue
      // Far ahead of the first missing byte, hashing would have to read back what the page cache has let go of.
      if (isFarAhead(tier, free.start)) return null
      const end = this.#cut(free.start, Math.min(free.end, free.start + maxBytes), maxBytes)
      tier.cursor = end
      this.#lease(lane, free.start, end)
      return { start: free.start, end }
    }
    return null
  }

  /** The first stretch of a tier that is wanted, and that nobody has on lease. */
  #free(tier: Tier): Range | null {
    let free = tier.wanted.next(tier.cursor)
    while (free !== null) {
      const leasedUntil = this.#leased.runEnd(free.start)
      if (leasedUntil === free.start) break
      free = tier.wanted.next(leasedUntil)
    }
    if (free === null) return null
    const untilLeased = this.#leased.next(free.start)?.start ?? free.end
    return { start: free.start, end: Math.min(free.end, untilLeased) }
  }

  #lease(lane: object, start: number, end: number): void {
    this.#leased.add(start, end)
    let lease = this.#leases.get(lane)
    if (lease === undefined) {
      lease = { ranges: new RangeSet(), expiresMs: 0 }
      this.#leases.set(lane, lease)
    }
    lease.ranges.add(start, end)
    lease.expiresMs = this.#nowMs() + LEASE_TIMEOUT_MS
  }

  #cut(start: number, end: number, maxBytes: number): number {
    const manifest = this.#manifest
    const file = manifest.fileAt(end - 1)
    const first = manifest.fileAt(start)
    if (file - first >= MAX_ENTRIES_PER_CHUNK) return manifest.startOffset(first + MAX_ENTRIES_PER_CHUNK)
    const from = manifest.startOffset(file)
    const to = manifest.endOffsetOf(file)
    return from > start && to > end && to - from <= maxBytes ? from : end
  }

  /** These are safe: nobody needs to send them any more. */
  settle(ranges: Iterable<Range>): void {
    const expiresMs = this.#nowMs() + LEASE_TIMEOUT_MS
    for (const { start, end } of ranges) {
      this.#unwant(start, end)
      this.#leased.remove(start, end)
      // Only the lane that brought it is alive: a dead one beside it must not live on by another's work.
      for (const lease of this.#leases.values()) if (lease.ranges.remove(start, end) > 0) lease.expiresMs = expiresMs
    }
    this.#changed()
  }

  /** A lane lives, though nothing that it has became safe. */
  renew(lane: object): void {
    const lease = this.#leases.get(lane)
    if (lease !== undefined) lease.expiresMs = this.#nowMs() + LEASE_TIMEOUT_MS
  }

  /** These are wanted (again), and nobody has them. */
  want(start: number, end: number): void {
    for (const { content, wanted } of this.#tiers) wanted.addAll(content.within(start, end))
    this.#unlease(start, end)
    this.#changed()
  }

  /** These will never be sent. */
  abandon(start: number, end: number): void {
    this.#unwant(start, end)
    this.#unlease(start, end)
    this.#changed()
  }

  /** A lease, or the unread part of one, comes back unsent. */
  giveBack(ranges: Iterable<Range>): void {
    for (const { start, end } of ranges) this.#unlease(start, end)
    this.#changed()
  }

  /** A lane ended: all that it had on lease is free. */
  release(lane: object): void {
    const lease = this.#leases.get(lane)
    if (lease === undefined) return
    this.#leases.delete(lane)
    this.giveBack(lease.ranges)
  }

  /** Resolves when something changed that may give a lane work, or finish it. */
  changed(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  #unwant(start: number, end: number): void {
    for (const { wanted } of this.#tiers) wanted.remove(start, end)
  }

  #unlease(start: number, end: number): void {
    for (const tier of this.#tiers) tier.cursor = Math.min(tier.cursor, start)
    this.#leased.remove(start, end)
    for (const lease of this.#leases.values()) lease.ranges.remove(start, end)
  }

  #expire(): void {
    if (this.#leases.size === 0) return
    const now = this.#nowMs()
    for (const [lane, lease] of this.#leases) if (lease.expiresMs <= now) this.release(lane)
  }

  #changed(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const wake of waiting) wake()
  }
}

/** Whether more of a tier lies between its first missing byte and that offset than may. */
function isFarAhead({ content, wanted }: Tier, offset: number): boolean {
  let bytes = 0
  for (const { start, end } of content.within(wanted.next(0)?.start ?? offset, offset)) {
    bytes += end - start
    if (bytes > MAX_AHEAD_OF_HASH_BYTES) return true
  }
  return false
}
