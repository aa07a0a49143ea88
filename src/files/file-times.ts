/**
 * Modification times between the wire (integer nanoseconds) and the operating system, which Node gives as a double
 * of seconds (PROTOCOL 3.11; S-42).
 */

import type { TimeLike } from 'node:fs'

const SECOND_NS = 1_000_000_000n
/** 1901-12-13: what the common file systems hold at the least. */
const MIN_MTIME_NS = -(1n << 31n) * SECOND_NS
/** 2242-03-16: so far a double of seconds still tells microseconds apart. */
const MAX_MTIME_NS = (1n << 33n) * SECOND_NS - 1n

/** How far two times may lie apart and still be the same: what a double of seconds cannot tell. */
const SAME_NS = 1000n
/** Below and above these the answer is known without exact times: until 2109 two doubles err by 0.5 µs together. */
const SURELY_SAME_MS = 0.0005
const SURELY_OTHER_MS = 0.0015
const DOUBLES_DECIDE_MS = 2 ** 42

/** A time within what can be written, whatever a peer says. */
export function clampMtimeNs(mtimeNs: bigint): bigint {
  if (mtimeNs < MIN_MTIME_NS) return MIN_MTIME_NS
  return mtimeNs > MAX_MTIME_NS ? MAX_MTIME_NS : mtimeNs
}

/**
 * A time as `futimes` wants it, such that millisecond and microsecond come back right.
 *
 * The nearest double is too low half of the time, and the system cuts off what it cannot hold, so that 5 ms become
 * 4.999; then the next double above is taken.
 */
export function writableTime(mtimeNs: bigint): TimeLike {
  const clamped = clampMtimeNs(mtimeNs)
  let wholeUs = clamped / 1000n
  if (wholeUs * 1000n > clamped) wholeUs--
  const wanted = Number(wholeUs)
  let seconds = Number(clamped) / 1e9
  for (let got = microsecondsKept(seconds); got !== wanted; got = microsecondsKept(seconds)) {
    seconds = neighbour(seconds, got < wanted ? 1 : -1)
  }
  // Node takes a negative number for "now", a string for what it says.
  return seconds < 0 ? String(seconds) : seconds
}

/** The microsecond that a double of seconds becomes once it is cut to whole nanoseconds. */
function microsecondsKept(seconds: number): number {
  let whole = Math.trunc(seconds)
  let nanoseconds = Math.trunc((seconds - whole) * 1e9)
  if (nanoseconds < 0) {
    nanoseconds += 1e9
    whole--
  }
  return whole * 1e6 + Math.floor(nanoseconds / 1000)
}

const double = new Float64Array(1)
const doubleBits = new BigInt64Array(double.buffer)

function neighbour(value: number, direction: 1 | -1): number {
  if (value === 0) return direction * 1e-9
  double[0] = value
  doubleBits[0] = (doubleBits[0] as bigint) + BigInt(value > 0 ? direction : -direction)
  return double[0]
}

/**
 * Whether a file's time is the one that was sent, within 1 µs.
 * @param exact asked only where the doubles cannot decide
 */
export function isSameMtime(mtimeMs: number, sentNs: bigint, exact: () => bigint): boolean {
  const sent = clampMtimeNs(sentNs)
  const apartMs = Math.abs(mtimeMs - Number(sent) / 1e6)
  if (Math.abs(mtimeMs) < DOUBLES_DECIDE_MS) {
    if (apartMs < SURELY_SAME_MS) return true
    if (apartMs > SURELY_OTHER_MS) return false
  }
  const apartNs = exact() - sent
  return apartNs <= SAME_NS && apartNs >= -SAME_NS
}
