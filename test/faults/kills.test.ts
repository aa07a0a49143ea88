/** F-03: a process is killed, at every named stage and at random bytes of the wire, and the same line is run again. */

import { expect, test } from 'vitest'
import { type KillPlan, runKilledTransfer } from '../rigs/killed-transfer.ts'
import { Chance, seedOr, under } from '../rigs/seeds.ts'

const slow = process.env['SEALIFT_SLOW'] === '1'
const seed = seedOr(31)
const MIB = 1 << 20
/** A transfer waits for its processes to start more than it works, so a few run beside each other. */
const AT_ONCE = 2

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
const RECEIVER_STAGES = [
  'resume-key-kept',
  'handshake-confirmed',
  'accepted',
  'chunk',
  'before-checkpoint',
  'after-checkpoint',
  'before-sync',
  'synced',
  'publish-intent',
  'before-publish',
  'made-final-folder',
  'renamed',
  'published-synced',
  'after-publish',
  'staging-removed',
  'before-end',
  'after-end',
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

/** Runs plans beside each other. */
async function runAll(plans: readonly KillPlan[]): Promise<number> {
  const waiting = [...plans]
  let killed = 0
  const failures: string[] = []
  const work = async (): Promise<void> => {
    for (let plan = waiting.shift(); plan !== undefined; plan = waiting.shift()) {
      const chosen = plan
      await under(JSON.stringify(chosen), () => runKilledTransfer(chosen)).then(
        (report) => {
          killed += report.killed
        },
        (error: unknown) => failures.push(String(error)),
      )
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  expect(failures).toEqual([])
  return killed
}

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
