/** Faults on any of the connections of one transfer, at random places, in virtual time: all arrives, and nothing is left. */

import { expect, test } from 'vitest'
import type { Fault, Planned } from '../rigs/chaos-proxy.ts'
import { makePlace } from '../rigs/place.ts'
import { Chance, seedOr, under } from '../rigs/seeds.ts'
import { withRun } from '../rigs/transfer-run.ts'

const MIB = 1 << 20
const slow = process.env['SEALIFT_SLOW'] === '1'
const seed = seedOr(61)

const FAULTS: readonly Fault[] = [
  { kind: 'cut', how: 'fin' },
  { kind: 'cut', how: 'reset' },
  { kind: 'cut', how: 'silence' },
  { kind: 'half-close' },
  { kind: 'stall' },
  { kind: 'flip', bit: 3 },
]

function planOf(chance: Chance, faulty: number): (connection: number) => readonly Planned[] {
  const plans = Array.from({ length: faulty }, (): Planned[] => {
    if (chance.next() < 0.3) return []
    const direction = chance.pick(['up', 'down', 'down'] as const)
    const spot = chance.integer(0, direction === 'up' ? 4000 : chance.pick([4000, 3 * MIB]))
    return [{ direction, spot, fault: chance.pick(FAULTS) }]
  })
  // The token is for the first of all: its handshake is another test's matter.
  const [first] = plans[0] ?? []
  if (first !== undefined) plans[0] = [{ ...first, direction: 'down', spot: chance.integer(3000, 3 * MIB) }]
  return (connection) => plans[connection] ?? []
}

const rounds = slow ? 200 : 2
test(`${rounds} at random: seed ${seed}`, { timeout: slow ? 1_800_000 : 60_000 }, async () => {
  const chance = new Chance(seed)
  for (let round = 0; round < rounds; round++) {
    const place = makePlace(chance.integer(1, 1e9), {
      files: chance.integer(0, 40),
      largeBytes: chance.integer(0, 9 * MIB),
    })
    const streams = chance.integer(2, 6)
    const compress = chance.pick(['none', 'zstd'] as const)
    const plan = planOf(chance, chance.integer(1, 9))
    await under(`seed ${seed}, round ${round}`, () =>
      withRun(place, { plan, send: { compress }, receive: { streams } }, async (run) => {
        await run.receiveAll(3)
        const { bytes } = await run.checkDone()
        expect(run.lastProgress(run.sender)).toMatchObject({ bytesDone: bytes })
      }),
    )
    place.remove()
  }
})
