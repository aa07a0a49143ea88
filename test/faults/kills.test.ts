/** F-03: a process is killed, at every named stage and at random bytes of the wire, and the same line is run again. */

import { expect, test } from 'vitest'
import { RECEIVER_STAGES, runPlans } from '../rigs/killed-processes.ts'
import { type KillPlan, runKilledTransfer } from '../rigs/killed-transfer.ts'
import { Chance, seedOr } from '../rigs/seeds.ts'

const slow = process.env['SEALIFT_SLOW'] === '1'
const seed = seedOr(31)
const MIB = 1 << 20

const SENDER_STAGES = [
  'listening',
  'resume-key-kept',
  'handshake-confirmed',
  'offer',
  'manifest',
  'accepted',
  'acknowledged',
  'done',
] as const

function makePlan(chance: Chance): KillPlan {
  const plan = {
    seed: chance.integer(1, 1e9),
    tree: { files: chance.integer(0, 6), largeBytes: chance.pick([0, 3 * MIB, 9 * MIB]) },
  }
  const time = chance.pick([1, 1, 1, 2, 3])
  switch (chance.integer(0, 4)) {
    case 0:
      return { ...plan, sender: { stage: chance.pick(SENDER_STAGES), time } }
    case 1:
      return { ...plan, receiver: { stage: chance.pick(RECEIVER_STAGES), time } }
    case 2:
      return {
        ...plan,
        sender: { stage: chance.pick(SENDER_STAGES), time: 1 },
        receiver: { stage: chance.pick(RECEIVER_STAGES), time },
      }
    default:
      return {
        ...plan,
        onWire: {
          victim: chance.pick(['sender', 'receiver'] as const),
          direction: chance.pick(['up', 'down'] as const),
          byte: chance.integer(0, chance.pick([3000, 9000, 3 * MIB])),
        },
      }
  }
}

const runAll = (plans: readonly KillPlan[]): Promise<number> => runPlans(plans, runKilledTransfer)

test('every stage of the sender', { timeout: 120_000 }, async () => {
  const plans = SENDER_STAGES.map((stage, at) => ({ seed: 300 + at, tree: {}, sender: { stage, time: 1 } }))
  // None of the stages may have lost its name unseen.
  expect(await runAll(plans)).toBe(plans.length)
})

test('every stage of the receiver', { timeout: 120_000 }, async () => {
  const plans = RECEIVER_STAGES.map((stage, at) => ({ seed: 400 + at, tree: {}, receiver: { stage, time: 1 } }))
  expect(await runAll(plans)).toBe(plans.length)
})

test(`${slow ? 'many' : 'a few'} at random: seed ${seed}`, { timeout: slow ? 1_800_000 : 120_000 }, async () => {
  const chance = new Chance(seed)
  await runAll(Array.from({ length: slow ? 220 : 4 }, () => makePlan(chance)))
})
