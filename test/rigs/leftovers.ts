/** What a transfer in this process has left behind: timers, sockets, files. */

import { setImmediate } from 'node:timers/promises'
import { leftOpen, openHandles } from './invariants.ts'

/** Turns of the event loop that the system needs to close what was let go of. */
const CLOSING_TURNS = 4

/** Remembers what there is now. @returns what has come since and is still there, in words */
export function watchLeftovers(): () => Promise<string[]> {
  const filesBefore = openHandles()
  const resourcesBefore = countResources()
  return async () => {
    for (let turn = 0; turn < CLOSING_TURNS; turn++) await setImmediate()
    const left = leftOpen(filesBefore, openHandles())
    for (const [name, count] of countResources()) {
      const before = resourcesBefore.get(name) ?? 0
      if (count > before) left.push(`${count - before} × ${name}`)
    }
    return left
  }
}

function countResources(): Map<string, number> {
  const counts = new Map<string, number>()
  for (const name of process.getActiveResourcesInfo()) counts.set(name, (counts.get(name) ?? 0) + 1)
  return counts
}
