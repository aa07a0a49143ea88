/**
 * Who sends what next: leases the missing ranges of the content to lanes that have room.
 *
 * Owns what is wanted and who has it on lease. Only `settle` makes a range safe; a lane that ends, loses a chunk
 * or lets a lease expire gives its work back (PROTOCOL 3.8). Knows lanes only as keys, and no bytes.
 */

import { LEASE_TIMEOUT_MS, MAX_AHEAD_OF_HASH_BYTES } from '../protocol/limits.ts'
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

export class Scheduler {
  readonly #manifest: Manifest
  readonly #nowMs: () => number
  #wanted = new RangeSet()
  readonly #leased = new RangeSet()
  readonly #leases = new Map<object, Lease>()
  /** Nothing before this offset is free to lease. */
  #cursor = 0
  #waiting: (() => void)[] = []

  constructor(manifest: Manifest, nowMs: () => number) {
    this.#manifest = manifest
    this.#nowMs = nowMs
  }

  /** Bytes that are wanted and not yet safe. */
  get wantedBytes(): number {
    return this.#wanted.totalBytes
  }

  /** Begins anew with what the receiver's ledger says is missing; all leases end. */
  begin(wanted: RangeSet): void {
    this.#wanted = wanted
    this.#leased.clear()
    this.#leases.clear()
    this.#cursor = 0
    this.#changed()
  }

  /**
   * The next free range, cut so that no file that fits into one chunk is split over two, and the files are not too many.
   * @param maxBytes at most so many bytes; at least 1
   * @returns `null` where nothing is free now
   */
  lease(lane: object, maxBytes: number): Range | null {
    this.#expire()
    const first = this.#wanted.next(0)
    if (first === null) return null
    let free = this.#wanted.next(this.#cursor)
    while (free !== null) {
      const leasedUntil = this.#leased.runEnd(free.start)
      if (leasedUntil === free.start) break
      free = this.#wanted.next(leasedUntil)
    }
    // Far ahead of the first missing byte, hashing would have to read back what the page cache has let go of.
    if (free === null || free.start > first.start + MAX_AHEAD_OF_HASH_BYTES) return null
    const untilLeased = this.#leased.next(free.start)?.start ?? free.end
    const end = this.#cut(free.start, Math.min(free.end, untilLeased, free.start + maxBytes), maxBytes)
    this.#cursor = end
    this.#leased.add(free.start, end)
    let lease = this.#leases.get(lane)
    if (lease === undefined) {
      lease = { ranges: new RangeSet(), expiresMs: 0 }
      this.#leases.set(lane, lease)
    }
    lease.ranges.add(free.start, end)
    lease.expiresMs = this.#nowMs() + LEASE_TIMEOUT_MS
    return { start: free.start, end }
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
      this.#wanted.remove(start, end)
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
    this.#wanted.add(start, end)
    this.#unlease(start, end)
    this.#cursor = Math.min(this.#cursor, start)
    this.#changed()
  }

  /** These will never be sent. */
  abandon(start: number, end: number): void {
    this.#wanted.remove(start, end)
    this.#unlease(start, end)
    this.#changed()
  }

  /** A lease, or the unread part of one, comes back unsent. */
  giveBack(ranges: Iterable<Range>): void {
    for (const { start, end } of ranges) {
      this.#unlease(start, end)
      this.#cursor = Math.min(this.#cursor, start)
    }
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

  #unlease(start: number, end: number): void {
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
