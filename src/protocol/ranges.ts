/**
 * Ranges of the content and sets of them. A set is kept sorted and coalesced, so that a transfer which went on in
 * order is one range however long it ran.
 *
 * Owns the arithmetic and the binary page form (protocol.md, "Ranges"). Knows nothing of files or ledgers.
 */

import { ByteReader, ByteWriter } from './bytes.ts'
import { SealiftError } from './errors.ts'
import { MAX_CONTENT_BYTES, MAX_PAGE_BYTES, MAX_RANGES } from './limits.ts'

/** A half-open stretch `[start, end)` of the content, in bytes; never empty. */
export interface Range {
  readonly start: number
  readonly end: number
}

export class RangeSet implements Iterable<Range> {
  // Two parallel arrays: a set of a million ranges costs 16 bytes each, not an object each.
  #starts: number[] = []
  #ends: number[] = []
  #totalBytes = 0

  static of(ranges: Iterable<Range>): RangeSet {
    const set = new RangeSet()
    for (const { start, end } of ranges) set.add(start, end)
    return set
  }

  /** Bytes in the set. */
  get totalBytes(): number {
    return this.#totalBytes
  }

  /** How many separate ranges the set has. */
  get count(): number {
    return this.#starts.length
  }

  /** Where the last range ends; -1 where there is none. */
  get end(): number {
    return this.#ends.at(-1) ?? -1
  }

  clone(): RangeSet {
    const copy = new RangeSet()
    copy.#starts = this.#starts.slice()
    copy.#ends = this.#ends.slice()
    copy.#totalBytes = this.#totalBytes
    return copy
  }

  clear(): void {
    this.#starts = []
    this.#ends = []
    this.#totalBytes = 0
  }

  /** Index of the first range whose end is at or behind `offset` (`> offset` when `strict`). */
  #find(offset: number, strict: boolean): number {
    let low = 0
    let high = this.#ends.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const end = this.#ends[middle] as number
      if (strict ? end > offset : end >= offset) high = middle
      else low = middle + 1
    }
    return low
  }

  /** Adds `[start, end)`; what is in the set already stays. @returns how many bytes are new. */
  add(start: number, end: number): number {
    if (end <= start) return 0
    const first = this.#find(start, false)
    let last = first
    let low = start
    let high = end
    let known = 0
    while (last < this.#starts.length && (this.#starts[last] as number) <= end) {
      const from = this.#starts[last] as number
      const to = this.#ends[last] as number
      low = Math.min(low, from)
      high = Math.max(high, to)
      known += to - from
      last++
    }
    this.#replace(first, last, [low], [high])
    const gained = high - low - known
    this.#totalBytes += gained
    return gained
  }

  /** Takes `[start, end)` out. @returns how many bytes were there. */
  remove(start: number, end: number): number {
    if (end <= start) return 0
    const first = this.#find(start, true)
    let last = first
    const starts: number[] = []
    const ends: number[] = []
    let removed = 0
    while (last < this.#starts.length && (this.#starts[last] as number) < end) {
      const from = this.#starts[last] as number
      const to = this.#ends[last] as number
      if (from < start) {
        starts.push(from)
        ends.push(start)
      }
      if (to > end) {
        starts.push(end)
        ends.push(to)
      }
      removed += Math.min(to, end) - Math.max(from, start)
      last++
    }
    if (last > first) this.#replace(first, last, starts, ends)
    this.#totalBytes -= removed
    return removed
  }

  #replace(first: number, last: number, starts: number[], ends: number[]): void {
    // The common cases by far are one range that grows and one that is appended.
    if (last === first && first === this.#starts.length) {
      this.#starts.push(...starts)
      this.#ends.push(...ends)
    } else if (last - first === 1 && starts.length === 1) {
      this.#starts[first] = starts[0] as number
      this.#ends[first] = ends[0] as number
    } else {
      this.#starts.splice(first, last - first, ...starts)
      this.#ends.splice(first, last - first, ...ends)
    }
  }

  addAll(ranges: Iterable<Range>): void {
    for (const { start, end } of ranges) this.add(start, end)
  }

  removeAll(ranges: Iterable<Range>): void {
    for (const { start, end } of ranges) this.remove(start, end)
  }

  /** Whether all of `[start, end)` is in the set; an empty stretch always is. */
  contains(start: number, end: number): boolean {
    if (end <= start) return true
    const at = this.#find(start, true)
    return at < this.#starts.length && (this.#starts[at] as number) <= start && (this.#ends[at] as number) >= end
  }

  /** Whether any byte of `[start, end)` is in the set. */
  intersects(start: number, end: number): boolean {
    if (end <= start) return false
    const at = this.#find(start, true)
    return at < this.#starts.length && (this.#starts[at] as number) < end
  }

  /** End of the run that begins at or before `offset` and reaches beyond it; `offset` itself where there is none. */
  runEnd(offset: number): number {
    const at = this.#find(offset, true)
    return at < this.#starts.length && (this.#starts[at] as number) <= offset ? (this.#ends[at] as number) : offset
  }

  /** The first range at or behind `offset`, cut to begin there; `null` where there is none. */
  next(offset: number): Range | null {
    const at = this.#find(offset, true)
    if (at >= this.#starts.length) return null
    return { start: Math.max(offset, this.#starts[at] as number), end: this.#ends[at] as number }
  }

  /** The parts of the set that lie in `[start, end)`. */
  *within(start: number, end: number): Generator<Range> {
    if (end <= start) return
    for (let at = this.#find(start, true); at < this.#starts.length && (this.#starts[at] as number) < end; at++) {
      yield { start: Math.max(start, this.#starts[at] as number), end: Math.min(end, this.#ends[at] as number) }
    }
  }

  /** What of `[start, end)` is not in the set. */
  missing(start: number, end: number): RangeSet {
    const rest = new RangeSet()
    let from = start
    for (const range of this.within(start, end)) {
      rest.add(from, range.start)
      from = range.end
    }
    rest.add(from, end)
    return rest
  }

  *[Symbol.iterator](): Generator<Range> {
    for (let at = 0; at < this.#starts.length; at++) {
      yield { start: this.#starts[at] as number, end: this.#ends[at] as number }
    }
  }
}

const RANGE_BYTES = 16
const RANGES_PER_PAGE = Math.floor((MAX_PAGE_BYTES - 16) / RANGE_BYTES)

/** Ranges as pages: pairs of start and end, 8 bytes each, ascending and apart. At least one page, perhaps empty. */
export function* encodeRangePages(set: Iterable<Range>): Generator<Uint8Array> {
  const writer = new ByteWriter(1024)
  let count = 0
  let pages = 0
  for (const { start, end } of set) {
    writer.u64(start).u64(end)
    if (++count === RANGES_PER_PAGE) {
      yield writer.finish()
      writer.reset()
      count = 0
      pages++
    }
  }
  if (count > 0 || pages === 0) yield writer.finish()
}

/**
 * Adds the ranges of one page to a set.
 * @param into what the pages before it gave; the page's ranges all lie behind those
 * @param limit end of the content; no range may reach beyond it
 * @throws SealiftError `protocol_violation` where a range is empty, out of order or out of bounds;
 *   `limit_exceeded` where the set grows beyond {@link MAX_RANGES}
 */
export function decodeRangePage(page: Uint8Array, into: RangeSet, limit = MAX_CONTENT_BYTES): void {
  if (page.length % RANGE_BYTES !== 0) throw new SealiftError('protocol_violation', 'a page of ranges is cut')
  const reader = new ByteReader(page)
  // Pages go upwards as their ranges do: whatever a peer sends, each range is appended and none inserted.
  let previousEnd = into.end
  while (reader.left > 0) {
    const start = reader.u64()
    const end = reader.u64()
    if (end <= start || start <= previousEnd || end > limit) {
      throw new SealiftError('protocol_violation', 'a range is empty, out of order or out of bounds')
    }
    previousEnd = end
    into.add(start, end)
  }
  if (into.count > MAX_RANGES) throw new SealiftError('limit_exceeded', 'too many separate ranges')
}
