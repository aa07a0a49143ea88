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

/** Noise in records heals by itself; noise in the handshake may be told to the user. */
async function survives(direction: Direction, spot: number, fault: Fault, firstRecord: number): Promise<void> {
  const codes = await heals(1, [{ direction, spot, fault }], { lines: 2 })
  if (spot >= firstRecord) expect(codes).toEqual(['done'])
  for (const code of codes) expect(NOISE_CODES).toContain(code)
}

/** In the slow run every byte of the shorter direction, and so many steps apart elsewhere. */
const SLOW_STEPS = { flip: { up: 1, down: 3 }, other: { up: 5, down: 15 } } as const
const FAST_SAMPLES = 9

function* spotsOf(kind: string, direction: Direction, bytes: number, chance: Chance): Generator<number> {
  if (slow) {
    const step = SLOW_STEPS[kind === 'flip' ? 'flip' : 'other'][direction]
    for (let spot = 0; spot < bytes; spot += step) yield spot
  } else {
    for (let sample = 0; sample < FAST_SAMPLES; sample++) yield chance.integer(0, bytes)
  }
}

test.each(['flip', 'duplicate', 'drop', 'swap', 'insert'])(
  'a %s anywhere is an error or heals',
  { timeout: slow ? 1_800_000 : 60_000 },
  async (kind) => {
    const { bytes, borders } = await smallSession()
    const chance = new Chance(seed)
    for (const direction of ['up', 'down'] as const) {
      const firstRecord = borders[direction][HANDSHAKE_FRAMES] as number
      for (const spot of spotsOf(kind, direction, bytes[direction], chance)) {
        const fault = makeNoise(chance, kind)
        const where = `seed ${seed}, ${JSON.stringify(fault)} ${direction} at ${spot}`
        await under(where, () => survives(direction, spot, fault, firstRecord))
      }
    }
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
