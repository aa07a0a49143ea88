/**
 * F-02: what passes is changed on its way. Nothing wrong is ever saved, nothing crashes, the peer is not taken for an
 * attacker, and what can heal heals.
 */

import { expect, test } from 'vitest'
import type { Direction, Fault } from '../rigs/chaos-proxy.ts'
import { HANDSHAKE_FRAMES, heals, smallSession } from '../rigs/healing.ts'
import { Chance, seedOr, under } from '../rigs/seeds.ts'

const slow = process.env['SEALIFT_SLOW'] === '1'
const seed = seedOr(21)

/** Codes with which a line may end that met noise before its session was confirmed; run again, it succeeds. */
const NOISE_CODES = new Set([
  'auth_failed',
  'connection_lost',
  'done',
  'not_sealift',
  'peer_silent',
  'policy_refused',
  'protocol_violation',
  'rejected',
  'version_mismatch',
])

function makeNoise(chance: Chance, kind: string): Fault {
  switch (kind) {
    case 'flip':
      return { kind: 'flip', bit: chance.integer(0, 8) }
    case 'duplicate':
    case 'drop':
      return { kind, bytes: chance.integer(1, 200) }
    case 'swap':
      return { kind, bytes: chance.integer(1, 200) }
    default:
      return { kind: 'insert', content: chance.bytes(chance.integer(1, 64)) }
  }
}

/** Three guesses are what noise in a confirmation may look like before the token is void. */
async function survives(direction: Direction, spot: number, fault: Fault): Promise<void> {
  const codes = await heals(1, [{ direction, spot, fault }], { lines: 2 })
  for (const code of codes) expect(NOISE_CODES).toContain(code)
}

test.each(['flip', 'duplicate', 'drop', 'swap', 'insert'])(
  'a %s anywhere is an error or heals',
  { timeout: slow ? 3_600_000 : 60_000 },
  async (kind) => {
    const { bytes } = await smallSession()
    const chance = new Chance(seed)
    const failures = []
    for (const direction of ['up', 'down'] as const) {
      for (let sample = 0; sample < (slow ? bytes[direction] : 12); sample++) {
        const spot = slow ? sample : chance.integer(0, bytes[direction])
        const fault = makeNoise(chance, kind)
        const where = `seed ${seed}, ${JSON.stringify(fault)} ${direction} at ${spot}`
        const t0 = Date.now()
        try {
          await under(where, () => survives(direction, spot, fault))
        } catch (e) {
          failures.push((e as Error).message.slice(0, 900))
        }
        if (Date.now() - t0 > 1000) console.log('slow', where, Date.now() - t0)
      }
    }
    expect(failures.join('\n')).toEqual('')
  },
)

test(
  'a length that promises more than ever comes does not hold up a session for long',
  { timeout: 120_000 },
  async () => {
    const { borders } = await smallSession()
    for (const direction of ['up', 'down'] as const) {
      // The last border is the end of the last record.
      for (let border = HANDSHAKE_FRAMES; border < borders[direction].length - 1; border++) {
        // Half a megabyte more, within what a record may have.
        const fault: Fault = { kind: 'flip', bit: 3 }
        await under(`${direction}, record ${border}`, async () => {
          expect(await heals(1, [{ direction, spot: { border, delta: 1 }, fault }], { lines: 1 })).toEqual(['done'])
        })
      }
    }
  },
)
