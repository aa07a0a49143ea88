/**
 * Virtual time for a whole process: `setTimeout` and `performance.now` creep while anything moves, and leap ahead while
 * nothing does. A deadline of a minute passes in a moment, and the order of things stays that of a real network.
 */

import { clearInterval, setInterval } from 'node:timers'
import { setImmediate } from 'node:timers/promises'
import { vi } from 'vitest'

/** Nothing moved for so many turns of the watch: idle. */
const IDLE_TURNS = 3
const TURN_MS = 4
const LEAP_MS = 1000
/** A leap ends early when something moves, so that what a timer sets off is not overtaken by the next timers. */
const STEP_MS = 50
/** Turns of the event loop after each step: enough for a connection within this process to be made. */
const STEP_TURNS = 3
const CREEP_MS = 1

export interface IdleClock {
  /** Virtual milliseconds since the start. */
  elapsedMs(): number
  /** Timers that wait now. */
  readonly timers: number
  /** Lets so much virtual time pass, whatever moves. */
  pass(ms: number): Promise<void>
  stop(): void
}

/** @param moves grows while something moves */
export function startIdleClock(moves: () => number): IdleClock {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  const startedMs = performance.now()
  let last = -1
  let idleTurns = 0
  let leaping = false
  let stopped = false
  const leap = async (ms: number, from: number): Promise<void> => {
    for (let left = ms; left > 0 && !stopped && moves() === from; left -= STEP_MS) {
      await vi.advanceTimersByTimeAsync(Math.min(left, STEP_MS))
      for (let turn = 0; turn < STEP_TURNS; turn++) await setImmediate()
    }
  }
  const watch = setInterval(() => {
    const now = moves()
    idleTurns = now === last ? idleTurns + 1 : 0
    last = now
    if (leaping) return
    leaping = true
    void leap(idleTurns < IDLE_TURNS ? CREEP_MS : LEAP_MS, now).finally(() => {
      leaping = false
    })
  }, TURN_MS)
  return {
    elapsedMs: () => performance.now() - startedMs,
    get timers() {
      return vi.getTimerCount()
    },
    async pass(ms) {
      if (!stopped) await vi.advanceTimersByTimeAsync(ms)
    },
    stop() {
      if (stopped) return
      stopped = true
      clearInterval(watch)
      vi.useRealTimers()
    },
  }
}
