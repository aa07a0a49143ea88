/**
 * Virtual time for a whole process: `setTimeout` and `performance.now` creep while anything moves, and leap ahead while
 * nothing does. A deadline of a minute passes in a moment, and the order of things stays that of a real network.
 */

import { clearInterval, setInterval } from 'node:timers'
import { vi } from 'vitest'

/** Nothing moved for so many turns of the watch: idle. */
const IDLE_TURNS = 3
const TURN_MS = 4
const LEAP_MS = 1000
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
  const watch = setInterval(() => {
    const now = moves()
    idleTurns = now === last ? idleTurns + 1 : 0
    last = now
    if (leaping) return
    leaping = true
    void vi.advanceTimersByTimeAsync(idleTurns < IDLE_TURNS ? CREEP_MS : LEAP_MS).finally(() => {
      leaping = false
    })
  }, TURN_MS)
  return {
    elapsedMs: () => performance.now() - startedMs,
    get timers() {
      return vi.getTimerCount()
    },
    async pass(ms) {
      await vi.advanceTimersByTimeAsync(ms)
    },
    stop() {
      clearInterval(watch)
      vi.useRealTimers()
    },
  }
}
