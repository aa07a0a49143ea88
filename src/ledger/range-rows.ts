/**
 * Safe ranges as rows: coalesced within each class, and written incrementally, so that a checkpoint costs as much as
 * what changed, however many ranges there are.
 *
 * How: where nothing was touched, rows and sets agree. So for each touched stretch the rows that begin in it, or at its
 * end, are deleted, and the ranges of both classes that overlap or adjoin it are inserted whole. A row that begins
 * before the stretch and reaches it still begins there, so that the inserted range replaces it.
 */

import type { Range, RangeSet } from '../protocol/ranges.ts'
import type { Prepare } from './database.ts'
import type { SafeRanges } from './safe-ranges.ts'

/** Rows of one write at most, to keep its part of a transaction well under a millisecond. */
const ROWS_PER_WRITE = 128

interface SafeRow extends Range {
  readonly synced: boolean
}

/** What one write does to the rows of a transfer. Made at once, written later: it holds copies. */
export interface RangeChange {
  readonly stretches: readonly Range[]
  readonly rows: readonly SafeRow[]
}

/** The changes that bring the rows up to date with the sets, in the order in which they are to be written. */
export function planChanges(safe: SafeRanges, touched: RangeSet): RangeChange[] {
  const changes: RangeChange[] = []
  let stretches: Range[] = []
  let rows = new Map<number, SafeRow>()
  for (const stretch of touched) {
    stretches.push(stretch)
    for (const range of adjoining(safe.synced, stretch)) rows.set(range.start, { ...range, synced: true })
    for (const range of adjoining(safe.unsynced, stretch)) rows.set(range.start, { ...range, synced: false })
    if (rows.size + stretches.length >= ROWS_PER_WRITE) {
      changes.push({ stretches, rows: [...rows.values()] })
      stretches = []
      rows = new Map()
    }
  }
  if (stretches.length > 0) changes.push({ stretches, rows: [...rows.values()] })
  return changes
}

/** @param bootId the present run of the machine, for ranges that are not synced */
export function writeChange(prepare: Prepare, transfer: number, bootId: string, change: RangeChange): void {
  const deleteWithin = prepare('DELETE FROM ranges WHERE transfer = ? AND "start" BETWEEN ? AND ?')
  const insert = prepare('INSERT OR REPLACE INTO ranges (transfer, "start", "end", boot) VALUES (?, ?, ?, ?)')
  for (const { start, end } of change.stretches) {
    deleteWithin.run(transfer, start, end)
  }
  for (const { start, end, synced } of change.rows) insert.run(transfer, start, end, synced ? null : bootId)
}

/**
 * Reads the rows of a transfer into sets that are still empty.
 * @returns the ranges that were lost with an earlier run of the machine; their rows go with the next checkpoint
 */
export function readRanges(prepare: Prepare, transfer: number, bootId: string, into: SafeRanges): Range[] {
  const rows = prepare('SELECT "start", "end", boot FROM ranges WHERE transfer = ? ORDER BY "start"').all(transfer)
  const synced: Range[] = []
  const unsynced: Range[] = []
  const lost: Range[] = []
  let previousEnd = 0
  let overlapping = false
  for (const row of rows) {
    const range = { start: Number(row['start']), end: Number(row['end']) }
    overlapping ||= range.start < previousEnd
    previousEnd = Math.max(previousEnd, range.end)
    if (row['boot'] === null) synced.push(range)
    else if (row['boot'] === bootId) unsynced.push(range)
    else lost.push(range)
  }
  into.restore(synced, unsynced)
  // A process that died between two writes of one checkpoint can leave rows that overlap: all are written anew.
  into.giveBack(overlapping ? [{ start: 0, end: previousEnd }] : lost)
  return lost.flatMap((range) => [...into.missing(range.start, range.end)])
}

/** The whole ranges of a set that overlap or adjoin a stretch. */
function* adjoining(set: RangeSet, stretch: Range): Generator<Range> {
  const from = Math.max(0, stretch.start - 1)
  // One byte more at each side finds what adjoins; the ranges come cut to that, and are made whole again.
  for (const part of set.within(from, stretch.end + 1)) {
    yield { start: part.start === from ? runStart(set, from) : part.start, end: set.runEnd(part.start) }
  }
}

/** Where the run begins that holds the byte at `offset`: by steps that double, then by halves. */
function runStart(set: RangeSet, offset: number): number {
  let inside = offset
  let outside = -1
  for (let step = 1; inside > 0; step *= 2) {
    const probe = Math.max(0, offset - step)
    if (!set.contains(probe, offset)) {
      outside = probe
      break
    }
    inside = probe
  }
  while (inside - outside > 1) {
    const middle = outside + Math.floor((inside - outside) / 2)
    if (set.contains(middle, offset)) inside = middle
    else outside = middle
  }
  return inside
}
