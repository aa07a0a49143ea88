/**
 * One push to a receiving server, between processes that die: whoever dies is started again with the same line, until the
 * sender says that all is done. Between them is a proxy, so that one can die at a byte of the wire.
 */

import { setTimeout as delay } from 'node:timers/promises'
import { expect } from 'vitest'
import type { ChaosProxy } from './chaos-proxy.ts'
import type { SideProcess } from './children.ts'
import { incomplete } from './invariants.ts'
import { type Kill, KilledProcesses, type KillReport, startKillingProxy, type WireKill } from './killed-processes.ts'
import { makePlace, type Place } from './place.ts'
import type { TreeOptions } from './small-tree.ts'

export interface PushKillPlan {
  readonly seed: number
  readonly tree: TreeOptions
  /** Where the first process of each role dies. */
  readonly sender?: Kill
  readonly server?: Kill
  /** Dies when this byte of the first connection passes. */
  readonly onWire?: WireKill<'sender' | 'server'>
}

const TOKEN = 'coral-magnet-fabric-otter'
const LONGEST_MS = 30_000
const MOST_PROCESSES = 8

/** @throws where an invariant breaks, or all is not there in the end */
export async function runKilledPush(plan: PushKillPlan): Promise<KillReport> {
  const place = makePlace(plan.seed, plan.tree)
  const push = await KilledPush.start(place, plan)
  try {
    return await push.run()
  } finally {
    await push.stop()
    place.remove()
  }
}

class KilledPush {
  readonly #place: Place
  readonly #plan: PushKillPlan
  readonly #proxy: ChaosProxy
  readonly #processes: KilledProcesses
  #sender: SideProcess | null = null
  #server: SideProcess | null = null
  #port = 0

  private constructor(place: Place, plan: PushKillPlan, proxy: ChaosProxy) {
    this.#place = place
    this.#processes = new KilledProcesses(place)
    this.#plan = plan
    this.#proxy = proxy
    this.#processes.secrets.tokens.add(TOKEN)
  }

  static async start(place: Place, plan: PushKillPlan): Promise<KilledPush> {
    const victims: { kill: (victim: 'sender' | 'server') => void } = { kill: () => undefined }
    const proxy = await startKillingProxy(plan.onWire, (victim) => victims.kill(victim))
    const push = new KilledPush(place, plan, proxy)
    victims.kill = (victim) => (victim === 'sender' ? push.#sender : push.#server)?.kill()
    return push
  }

  async run(): Promise<KillReport> {
    const endsMs = performance.now() + LONGEST_MS
    while (!(await this.#step())) {
      if (performance.now() > endsMs)
        throw new Error(`not done after ${LONGEST_MS / 1000} s: ${this.#processes.story()}`)
      if (this.#processes.count > 2 * MOST_PROCESSES)
        throw new Error(`started again and again: ${this.#processes.story()}`)
    }
    // The moment when the sender said so (I5).
    expect(incomplete(this.#place), this.#processes.story()).toEqual([])
    this.#processes.check()
    return this.#processes.report()
  }

  /** Starts whoever is missing and waits until somebody ends. @returns whether the sender is done */
  async #step(): Promise<boolean> {
    await this.#startServer()
    this.#startSender()
    const sender = this.#sender as SideProcess
    const server = this.#server as SideProcess
    await Promise.race([sender.ended, server.ended])
    // What ended one side often ends the other in the same moment.
    await Promise.race([Promise.all([sender.ended, server.ended]), delay(20)])
    this.#processes.check()
    for (const { role, ending } of [sender, server])
      if (ending?.event === 'crashed')
        throw new Error(`the ${role} crashed: ${ending.output}; ${this.#processes.story()}`)
    if (sender.ending?.event !== 'end') return false
    expect(sender.ending.error, this.#processes.story()).toBeNull()
    return true
  }

  async #startServer(): Promise<void> {
    if (this.#server !== null && this.#server.ending === null) return
    const { out, root, receiverLedger } = this.#place
    this.#server = this.#processes.start({
      role: 'server',
      target: TOKEN,
      options: {},
      settings: {
        ST_HOST: '127.0.0.1',
        ST_PORT: String(this.#port),
        ST_OUTPUT_DIR: out,
        ST_IDENTITY: `${root}/ledgers/server.key`,
        ST_RATE_LIMIT_BYTES_PER_SEC: '0',
        ST_HEALTH: 'no',
        DB_PATH: receiverLedger,
      },
      kill: this.#server === null ? (this.#plan.server ?? null) : null,
    })
    const listening = await this.#server.listening
    if (listening === null) return
    this.#port = listening.port
    this.#proxy.senderPort = listening.port
  }

  #startSender(): void {
    if (this.#sender !== null && this.#sender.ending === null) return
    const { source, senderLedger, root } = this.#place
    this.#sender = this.#processes.start({
      role: 'sender',
      target: source,
      options: {
        to: `127.0.0.1:${String(this.#proxy.port)}`,
        token: TOKEN,
        configFolder: `${root}/ledgers/config`,
        ledgerPath: senderLedger,
        name: 'sender',
      },
      kill: this.#sender === null ? (this.#plan.sender ?? null) : null,
    })
  }

  async stop(): Promise<void> {
    await this.#processes.stop()
    await this.#proxy.close()
  }
}
