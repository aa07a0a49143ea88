/**
 * Which ranges of a transfer's content are safe, in memory, in two classes (protocol.md 3.9): *synced* ones outlive
 * the loss of power; *unsynced* ones are in the page cache, which outlives the process but not the machine. A byte
 * is in one class at most.
 *
 * Remembers what changed since it was last written; does not know how it is written.
 */

import { type Range, RangeSet } from '../protocol/ranges.ts'

/** The unsynced ranges at the moment when a sync began: those that it makes durable. */
export interface SyncMark {
  readonly ranges: RangeSet
}

/** Up to so many ranges are moved one by one. */
const FEW_RANGES = 64

export class SafeRanges {
  #synced = new RangeSet()
  #unsynced = new RangeSet()
  readonly #marks = new Set<SyncMark>()
  #touched = new RangeSet()

  /** Bytes that are safe, in both classes. */
  get totalBytes(): number {
    return this.#synced.totalBytes + this.#unsynced.totalBytes
  }

  /** Bytes that would be lost with the machine. */
  get unsyncedBytes(): number {
    return this.#unsynced.totalBytes
  }

  /** Owned by this object; not to be changed, nor kept beyond the turn. */
  get synced(): RangeSet {
    return this.#synced
  }

  /** Owned by this object; not to be changed, nor kept beyond the turn. */
  get unsynced(): RangeSet {
    return this.#unsynced
  }

  /** Both classes as one set; a copy, the caller's own. */
  all(): RangeSet {
    const all = this.#synced.clone()
    all.addAll(this.#unsynced)
    return all
  }

  /** Whether all of `[start, end)` is safe. */
  contains(start: number, end: number): boolean {
    if (this.#synced.contains(start, end) || this.#unsynced.contains(start, end)) return true
    return this.missing(start, end).count === 0
  }

  /** What of `[start, end)` is not safe; a copy. */
  missing(start: number, end: number): RangeSet {
    const missing = this.#synced.missing(start, end)
    missing.removeAll(this.#unsynced.within(start, end))
    return missing
  }

  /**
   * Adds `[start, end)`, which has been written but not synced; what is synced already stays so.
   * @returns how many bytes are new
   */
  add(start: number, end: number): number {
    if (!this.#synced.intersects(start, end)) return this.#addUnsynced(start, end)
    let gained = 0
    for (const gap of this.#synced.missing(start, end)) gained += this.#addUnsynced(gap.start, gap.end)
    return gained
  }

  #addUnsynced(start: number, end: number): number {
    const gained = this.#unsynced.add(start, end)
    if (gained > 0) this.#touched.add(start, end)
    return gained
  }

  /** Takes `[start, end)` out: its bytes are gone, short or wrong. @returns how many bytes were there */
  drop(start: number, end: number): number {
    // Should the bytes come again while a sync is under way, that sync need not have seen them.
    for (const mark of this.#marks) mark.ranges.remove(start, end)
    this.#touched.addAll(this.#synced.within(start, end))
    this.#touched.addAll(this.#unsynced.within(start, end))
    return this.#synced.remove(start, end) + this.#unsynced.remove(start, end)
  }

  /** To be called before the first sync call of a batch. Ends with {@link endSync} or {@link cancelSync}. */
  beginSync(): SyncMark {
    const mark = { ranges: this.#unsynced.clone() }
    this.#marks.add(mark)
    return mark
  }

  /**
   * To be called when all sync calls of the batch have succeeded: what was unsynced when it began, and was not
   * dropped since, is synced now.
   * @returns how many bytes
   */
  endSync(mark: SyncMark): number {
    if (!this.#marks.delete(mark)) return 0
    const moved: Range[] = []
    // A sync that began later and ended earlier may have moved a part of it already.
    for (const { start, end } of mark.ranges) moved.push(...this.#unsynced.within(start, end))
    const before = this.#synced.totalBytes
    if (moved.length <= FEW_RANGES) {
      this.#synced.addAll(moved)
      this.#unsynced.removeAll(moved)
    } else {
      // One by one each would shift all behind it; both sets are in order, so they are written anew in one pass.
      this.#synced = RangeSet.of(inOrder(this.#synced, moved))
      const left = new RangeSet()
      for (const { start, end } of this.#unsynced) left.addAll(mark.ranges.missing(start, end))
      this.#unsynced = left
    }
    this.#touched.addAll(moved)
    return this.#synced.totalBytes - before
  }

  /** To be called when a sync failed: nothing becomes synced by it. */
  cancelSync(mark: SyncMark): void {
    this.#marks.delete(mark)
  }

  /** The stretches in which anything changed since this was last asked; the caller writes them or gives them back. */
  takeTouched(): RangeSet {
    const touched = this.#touched
    this.#touched = new RangeSet()
    return touched
  }

  /** Says that these stretches are not as they are written. */
  giveBack(touched: Iterable<Range>): void {
    this.#touched.addAll(touched)
  }

  /** Puts back what was kept; nothing of it counts as changed. */
  restore(synced: Iterable<Range>, unsynced: Iterable<Range>): void {
    this.#synced.addAll(synced)
    this.#unsynced.addAll(unsynced)
    this.#unsynced.removeAll(this.#synced)
  }
}

/** Two sorted sequences as one. */
function* inOrder(a: Iterable<Range>, b: Iterable<Range>): Generator<Range> {
  const others = b[Symbol.iterator]()
  let other = others.next()
  for (const range of a) {
    for (; other.done !== true && other.value.start < range.start; other = others.next()) yield other.value
    yield range
  }
  for (; other.done !== true; other = others.next()) yield other.value
}
