/** F-03 on a server: server or sender is killed at a named stage or a random byte, and started again with the same line. */

import { test } from 'vitest'
import { runPlans } from '../rigs/killed-processes.ts'
import { type PushKillPlan, runKilledPush } from '../rigs/killed-push.ts'
import { Chance, seedOr } from '../rigs/seeds.ts'

const slow = process.env['SEALIFT_SLOW'] === '1'
const seed = seedOr(47)
const MIB = 1 << 20

const SENDER_STAGES = ['resume-key-kept', 'handshake-confirmed', 'offer', 'accepted', 'acknowledged', 'done'] as const
const SERVER_STAGES = [
  'accepted',
  'chunk',
  'after-checkpoint',
  'publish-intent',
  'renamed',
  'after-publish',
  'before-end',
  'after-end',
  'done',
] as const

function makePlan(chance: Chance): PushKillPlan {
  const plan = {
    seed: chance.integer(1, 1e9),
    tree: { files: chance.integer(0, 6), largeBytes: chance.pick([0, 3 * MIB, 9 * MIB]) },
  }
  const time = chance.pick([1, 1, 1, 2, 3])
  switch (chance.integer(0, 3)) {
    case 0:
      return { ...plan, sender: { stage: chance.pick(SENDER_STAGES), time } }
    case 1:
      return { ...plan, server: { stage: chance.pick(SERVER_STAGES), time } }
    default: {
      const victim = chance.pick(['sender', 'server'] as const)
      const direction = chance.pick(['up', 'down'] as const)
      return { ...plan, onWire: { victim, direction, byte: chance.integer(0, chance.pick([6000, 3 * MIB])) } }
    }
  }
}

test(`${slow ? 'a hundred' : 'ten'} at random: seed ${seed}`, { timeout: slow ? 1_200_000 : 120_000 }, async () => {
  const chance = new Chance(seed)
  const plans = Array.from({ length: slow ? 100 : 10 }, () => makePlan(chance))
  await runPlans(plans, runKilledPush)
})
