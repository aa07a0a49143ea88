/** A sender that is to bring content, and brings next to nothing, is found out; one that is not expected to is not. */

import { expect, test } from 'vitest'
import { WATCH_MS, watchRate } from '../../../src/server/rate-watch.ts'
import { VirtualClock } from '../transfer/virtual-time.ts'

const LEAST = 1000

/** Runs some minutes, each of which brings so many bytes, or `null` where nothing is expected at its end. */
async function watched(minutes: readonly (number | null)[]): Promise<number | null> {
  const clock = new VirtualClock()
  let bytes = 0
  let isExpected = true
  let foundIn: number | null = null
  let minute = 0
  const stop = watchRate(
    clock,
    LEAST,
    () => (isExpected ? bytes : null),
    () => (foundIn = minute),
  )
  for (const brought of minutes) {
    minute++
    isExpected = brought !== null
    bytes += brought ?? 0
    await clock.pass(WATCH_MS)
  }
  stop()
  expect(clock.timers).toBe(0)
  return foundIn
}

const ENOUGH = (LEAST * WATCH_MS) / 1000

test.each([
  [[ENOUGH, ENOUGH, ENOUGH], null],
  [[ENOUGH - 1], 1],
  [[ENOUGH, ENOUGH, 0], 3],
  [[ENOUGH, null, null, ENOUGH, ENOUGH], null],
  [[null, 0, ENOUGH], null],
  [[null, 0, 0], 3],
])('minutes that bring %o: found out in %o', async (minutes, found) => {
  expect(await watched(minutes)).toBe(found)
})
