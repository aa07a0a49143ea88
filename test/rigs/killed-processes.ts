/** The processes of one transfer that die and are started again: what they said, how they ended, and what holds at any moment. */

import { expect } from 'vitest'
import type { Stage } from '../../src/transfer/stage.ts'
import { ChaosProxy, type Planned } from './chaos-proxy.ts'
import { SideProcess } from './children.ts'
import { changedSurroundings, Secrets, secretsInTheOpen, wrongFiles } from './invariants.ts'
import type { ChildTask } from './kill-child.ts'
import { type Place, readResumeKeys } from './place.ts'
import { under } from './seeds.ts'

/** Where a process dies. */
export type Kill = NonNullable<ChildTask['kill']>

export interface KillReport {
  /** How many processes were killed. */
  readonly killed: number
  readonly senders: number
  readonly receivers: number
}

/** A byte of the first connection with which somebody dies. */
export interface WireKill<Victim extends ChildTask['role']> {
  readonly victim: Victim
  readonly direction: 'up' | 'down'
  readonly byte: number
}

/** Stages of whoever receives, in order. */
export const RECEIVER_STAGES = [
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
] as const satisfies readonly Stage[]

/** A proxy that passes everything, and kills when the named byte passes. */
export function startKillingProxy<Victim extends ChildTask['role']>(
  onWire: WireKill<Victim> | undefined,
  kill: (victim: Victim) => void,
): Promise<ChaosProxy> {
  const planned: Planned[] =
    onWire === undefined
      ? []
      : [
          {
            direction: onWire.direction,
            spot: onWire.byte,
            fault: { kind: 'call', run: () => kill(onWire.victim) },
          },
        ]
  return ChaosProxy.start({ port: 0, plan: (connection) => (connection === 0 ? planned : []) })
}

/** A transfer waits for its processes to start more than it works, so a few run beside each other. */
const AT_ONCE = 2

/** Runs plans beside each other. @returns how many processes were killed */
export async function runPlans<Plan>(
  plans: readonly Plan[],
  run: (plan: Plan) => Promise<KillReport>,
): Promise<number> {
  const waiting = [...plans]
  let killed = 0
  const failures: string[] = []
  const work = async (): Promise<void> => {
    for (let plan = waiting.shift(); plan !== undefined; plan = waiting.shift()) {
      const chosen = plan
      await under(JSON.stringify(chosen), () => run(chosen)).then(
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

export class KilledProcesses {
  readonly secrets = new Secrets()
  readonly #place: Place
  readonly #started: SideProcess[] = []

  constructor(place: Place) {
    this.#place = place
  }

  /** How many were started. */
  get count(): number {
    return this.#started.length
  }

  start(task: ChildTask): SideProcess {
    const started = new SideProcess(task)
    this.#started.push(started)
    return started
  }

  /** I1, I2, I6: hold at any moment. */
  check(): void {
    const place = this.#place
    for (const ledger of [place.senderLedger, place.receiverLedger])
      for (const key of readResumeKeys(ledger)) this.secrets.addKey(key)
    const texts = this.#started.flatMap(({ lines }) => lines.filter((line) => !line.startsWith('{"event":"listening"')))
    const breaks = [
      ...wrongFiles(place),
      ...changedSurroundings(place),
      ...secretsInTheOpen(place, this.secrets, texts),
    ]
    expect(breaks, this.story()).toEqual([])
  }

  /** What each of them said, for a failure. */
  story(): string {
    return this.#started
      .map(({ role, ending, lines }) => {
        const said = lines.filter((line) => !line.includes('"progress"') && !line.includes('"file"')).join(' ')
        return `${role} (${ending === null ? 'runs' : ending.event}): ${said}`
      })
      .join('\n')
  }

  report(): KillReport {
    return {
      killed: this.#started.filter(({ ending }) => ending?.event === 'killed').length,
      senders: this.#started.filter(({ role }) => role === 'sender').length,
      receivers: this.#started.filter(({ role }) => role !== 'sender').length,
    }
  }

  async stop(): Promise<void> {
    for (const started of this.#started) started.kill()
    for (const started of this.#started) await started.ended
  }
}
