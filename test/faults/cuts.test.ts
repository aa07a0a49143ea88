/** F-01: the connection breaks, at every border of a small session and beside it, in every way; both sides live on. */

import { describe, expect, test } from 'vitest'
import type { Direction, Fault, Planned } from '../rigs/chaos-proxy.ts'
import { makePlace } from '../rigs/place.ts'
import { Chance, seedOr, under } from '../rigs/seeds.ts'
import { type TransferRun, withRun } from '../rigs/transfer-run.ts'

const MIB = 1 << 20
/** Borders of a small session, at least: so that a change of the conversation cannot empty this test unseen. */
const LEAST_BORDERS = { up: 8, down: 7 }
/** Two handshake frames in each direction come before the records. */
const HANDSHAKE_FRAMES = 2

async function bordersOfSmallSession(): Promise<Record<Direction, number>> {
  const place = makePlace(1)
  const borders = { up: 0, down: 0 }
  await withRun(place, {}, async (run) => {
    await run.receiveAll()
    await run.checkDone()
    const passage = run.passages[0]!
    borders.up = passage.borders.up.length
    borders.down = passage.borders.down.length
  })
  place.remove()
  return borders
}

/** A transfer whose first connection meets these faults heals, in this many lines at most. */
async function heals(seed: number, faults: readonly Planned[], lines: number): Promise<void> {
  const place = makePlace(seed)
  await withRun(place, { plan: (connection) => (connection === 0 ? faults : []) }, async (run) => {
    await run.receiveAll(lines)
    await run.checkDone()
  })
  place.remove()
}

const WAYS: readonly Fault[] = [
  { kind: 'cut', how: 'fin' },
  { kind: 'cut', how: 'reset' },
  { kind: 'cut', how: 'silence' },
  { kind: 'half-close' },
  { kind: 'stall' },
]

describe('a small session', () => {
  test.each(WAYS.map((fault) => ({ fault, name: fault.kind === 'cut' ? `cut by ${fault.how}` : fault.kind })))(
    'heals from a $name at every border, a byte before it and a byte behind it',
    { timeout: 60_000 },
    async ({ fault }) => {
      const borders = await bordersOfSmallSession()
      expect(borders.up).toBeGreaterThanOrEqual(LEAST_BORDERS.up)
      expect(borders.down).toBeGreaterThanOrEqual(LEAST_BORDERS.down)
      const failures: string[] = []
      for (const direction of ['up', 'down'] as const) {
        for (let border = 0; border < borders[direction]; border++) {
          for (const delta of [-1, 0, 1]) {
            // Before a session is confirmed, a first connection that goes silent is told to the user.
            const lines = border <= HANDSHAKE_FRAMES ? 2 : 1
            const where = `${direction} border ${border} ${delta}`
            const t0 = Date.now()
            try { await under(where, () => heals(1, [{ direction, spot: { border, delta }, fault }], lines)) }
            catch (e) { failures.push(String((e as Error).message).slice(0,600)) }
            if (Date.now() - t0 > 1000) console.log('slow', where, Date.now() - t0)
          }
        }
      }
      expect(failures).toEqual([])
    },
  )
})
