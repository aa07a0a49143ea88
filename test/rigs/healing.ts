/** A small transfer whose first connection meets faults, and what must come of it. */

import { expect } from 'vitest'
import type { Direction, Passage, Planned } from './chaos-proxy.ts'
import { makePlace } from './place.ts'
import { type RunOptions, withRun } from './transfer-run.ts'

/** Two handshake frames in each direction come before the records. */
export const HANDSHAKE_FRAMES = 2
/** At least so many borders, so that a change of the conversation cannot empty a test unseen. */
const LEAST_BORDERS: Readonly<Record<Direction, number>> = { up: 8, down: 7 }

/** What passes where nothing goes wrong. */
export async function smallSession(): Promise<Passage> {
  const place = makePlace(1)
  let passage: Passage | undefined
  await withRun(place, {}, async (run) => {
    await run.receiveAll()
    await run.checkDone()
    passage = run.passages[0]
  })
  place.remove()
  expect(passage?.borders.up.length).toBeGreaterThanOrEqual(LEAST_BORDERS.up)
  expect(passage?.borders.down.length).toBeGreaterThanOrEqual(LEAST_BORDERS.down)
  return passage as Passage
}

export interface Healing extends RunOptions {
  /** How often the receiver's line may be run until all is there. */
  readonly lines: number
}

/** All arrives, although the first connection meets these faults. @returns how the receivers ended, by their codes */
export async function heals(
  seed: number,
  faults: readonly Planned[],
  { lines, ...options }: Healing,
): Promise<string[]> {
  const place = makePlace(seed)
  let codes: string[] = []
  await withRun(place, { ...options, plan: (connection) => (connection === 0 ? faults : []) }, async (run) => {
    const endings = await run.receiveAll(lines)
    codes = endings.map(({ error }) => error?.code ?? 'done')
    await run.checkDone()
  })
  place.remove()
  return codes
}
