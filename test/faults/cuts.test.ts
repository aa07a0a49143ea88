/** F-01: the connection breaks, at every border of a small session and beside it, in every way; both sides live on. */

import fs from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Fault, Planned } from '../rigs/chaos-proxy.ts'
import { HANDSHAKE_FRAMES, heals, smallSession } from '../rigs/healing.ts'
import { listSurroundings, makePlace } from '../rigs/place.ts'
import { Chance, seedOr, under } from '../rigs/seeds.ts'
import { longBytes } from '../rigs/small-tree.ts'
import { withRun } from '../rigs/transfer-run.ts'

const MIB = 1 << 20
const slow = process.env['SEALIFT_SLOW'] === '1'

/** What is noticed at once, and what is noticed only by a deadline. */
const LOUD: readonly Fault[] = [{ kind: 'cut', how: 'fin' }, { kind: 'cut', how: 'reset' }, { kind: 'half-close' }]
const QUIET: readonly Fault[] = [{ kind: 'cut', how: 'silence' }, { kind: 'stall' }]

const nameOf = (fault: Fault): string => (fault.kind === 'cut' ? `cut by ${fault.how}` : fault.kind)

describe('a small session', () => {
  const seed = seedOr(11)

  test.each([...LOUD, ...QUIET].map((fault) => ({ fault, name: nameOf(fault) })))(
    'heals from a $name at, before or behind every border',
    { timeout: slow ? 1_800_000 : 120_000 },
    async ({ fault, name }) => {
      const chance = new Chance(seed)
      const { borders } = await smallSession()
      for (const direction of ['up', 'down'] as const) {
        for (const border of borders[direction].keys()) {
          for (const delta of slow ? [-1, 0, 1] : [chance.integer(-1, 2)]) {
            // Before a session is confirmed, a first connection that goes silent is told to the user.
            const lines = border <= HANDSHAKE_FRAMES && QUIET.includes(fault) ? 2 : 1
            const where = `seed ${seed}, ${name}, ${direction}, border ${border} ${delta}`
            await under(where, () => heals(1, [{ direction, spot: { border, delta }, fault }], { lines }))
          }
        }
      }
    },
  )

  test('arrives byte by byte as well', async () => {
    expect(await heals(2, [], { lines: 1, sliceBytes: 1 })).toEqual(['done'])
  })

  test('heals from a cut of each of its first connections', async () => {
    const place = makePlace(3)
    const plan = (connection: number): Planned[] =>
      connection < 6
        ? [{ direction: 'down', spot: { border: 2 + (connection % 4), delta: 1 }, fault: { kind: 'cut', how: 'fin' } }]
        : []
    await withRun(place, { plan }, async (run) => {
      await run.receiveAll()
      await run.checkDone()
    })
  })
})

describe('a session of several chunks', () => {
  const seed = seedOr(12)

  /** The session's overhead for each connection and each byte, amply. */
  const overheadOf = (connections: number, bytes: number): number => connections * 16_384 + bytes / 500
  const cutsAt =
    (cuts: number, chance: Chance, lastByte: number) =>
    (connection: number): Planned[] => {
      if (connection >= cuts) return []
      const how = chance.pick(['fin', 'reset'] as const)
      return [{ direction: 'down', spot: chance.integer(3000, lastByte), fault: { kind: 'cut', how } }]
    }

  test('sends at most one chunk twice for each cut', { timeout: slow ? 1_800_000 : 60_000 }, async () => {
    const chance = new Chance(seed)
    for (let round = 0; round < (slow ? 40 : 4); round++) {
      const largeBytes = chance.integer(8 * MIB, 18 * MIB)
      const place = makePlace(chance.integer(1, 1e9), { largeBytes })
      const cuts = chance.integer(1, 5)
      await under(`seed ${seed}, round ${round}`, () =>
        withRun(place, { plan: cutsAt(cuts, chance, 7 * MIB) }, async (run) => {
          const [ending] = await run.receiveAll()
          const { bytes } = await run.checkDone()
          // What is left without the overhead came twice, or was cut in the middle.
          const twice = (ending?.result?.bytesOnWire ?? 0) - bytes - overheadOf(run.passages.length, bytes)
          expect(twice, 'bytes that were sent twice').toBeLessThanOrEqual(cuts * MIB)
          expect(run.lastProgress(run.sender)).toMatchObject({ bytesDone: bytes })
        }),
      )
      place.remove()
    }
  })

  test('keeps what came whole, also what waits to be unpacked', { timeout: slow ? 1_800_000 : 60_000 }, async () => {
    const chance = new Chance(seed)
    for (let round = 0; round < (slow ? 40 : 4); round++) {
      const place = makePlace(chance.integer(1, 1e9))
      // Letters and figures: whatever the chunks, they pack to a little more than half.
      const large = Buffer.from(longBytes(chance, chance.integer(4 * MIB, 8 * MIB))).toString('hex')
      fs.writeFileSync(join(place.source, 'letters'), large)
      fs.utimesSync(join(place.source, 'letters'), 1_600_000_000, 1_600_000_000)
      const cuts = chance.integer(1, 5)
      const options = { plan: cutsAt(cuts, chance, 3 * MIB), send: { compress: 'zstd' } } as const
      await under(`seed ${seed}, round ${round}`, () =>
        withRun({ ...place, surroundings: listSurroundings(place) }, options, async (run) => {
          const [ending] = await run.receiveAll()
          await run.checkDone()
          const packed = large.length * 0.53
          const twice = (ending?.result?.bytesOnWire ?? 0) - packed - overheadOf(run.passages.length, packed)
          expect(twice, 'bytes that were sent twice').toBeLessThanOrEqual(cuts * 0.53 * MIB)
        }),
      )
      place.remove()
    }
  })
})
