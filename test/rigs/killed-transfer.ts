/**
 * One transfer between processes that die: whoever dies is started again with the same line, until the sender says that
 * all is done. A receiver that lives is left to come back by itself.
 */

import { setTimeout as delay } from 'node:timers/promises'
import { expect } from 'vitest'
import { receiveFiles, SealiftError } from '../../src/index.ts'
import type { ChaosProxy } from './chaos-proxy.ts'
import type { SideProcess } from './children.ts'
import { incomplete } from './invariants.ts'
import { type Kill, KilledProcesses, type KillReport, startKillingProxy, type WireKill } from './killed-processes.ts'
import { makePlace, type Place } from './place.ts'
import type { TreeOptions } from './small-tree.ts'

export interface KillPlan {
  readonly seed: number
  readonly tree: TreeOptions
  /** Where the first process of each role dies. */
  readonly sender?: Kill
  readonly receiver?: Kill
  /** Dies when this byte of the first connection passes. */
  readonly onWire?: WireKill<'sender' | 'receiver'>
  /** Called when everybody who was to die is dead or done, before anything is started again. */
  readonly between?: (place: Place) => void
  /** Whether staging of another transfer may be left behind. */
  readonly leavesStaging?: boolean
}

/** Anything takes at most so long; the longest is a receiver that has everything and waits to tell. */
const LONGEST_MS = 25_000
const MOST_PROCESSES = 6

/** @throws where an invariant breaks, or all is not there in the end */
export async function runKilledTransfer(plan: KillPlan): Promise<KillReport> {
  const place = makePlace(plan.seed, plan.tree)
  const transfer = await KilledTransfer.start(place, plan)
  try {
    return await transfer.run()
  } finally {
    await transfer.stop()
    place.remove()
  }
}

class KilledTransfer {
  readonly #place: Place
  readonly #plan: KillPlan
  readonly #proxy: ChaosProxy
  readonly #processes: KilledProcesses
  #sender: SideProcess | null = null
  #receiver: SideProcess | null = null
  #token = ''
  #port = 0
  #between = false

  private constructor(place: Place, plan: KillPlan, proxy: ChaosProxy) {
    this.#place = place
    this.#processes = new KilledProcesses(place)
    this.#plan = plan
    this.#proxy = proxy
  }

  static async start(place: Place, plan: KillPlan): Promise<KilledTransfer> {
    const victims: { kill: (victim: 'sender' | 'receiver') => void } = { kill: () => undefined }
    const proxy = await startKillingProxy(plan.onWire, (victim) => victims.kill(victim))
    const transfer = new KilledTransfer(place, plan, proxy)
    victims.kill = (victim) => (victim === 'sender' ? transfer.#sender : transfer.#receiver)?.kill()
    return transfer
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
    const left = incomplete(this.#place).filter(
      (line) => !(this.#plan.leavesStaging === true && line.includes('.sealift-')),
    )
    expect(left, this.#processes.story()).toEqual([])
    await this.#receiver?.ended
    this.#processes.check()
    return this.#processes.report()
  }

  /** Starts whoever is missing and waits until somebody ends. @returns whether the sender is done */
  async #step(): Promise<boolean> {
    await this.#startSender()
    this.#startReceiver()
    const sender = this.#sender as SideProcess
    const receiver = this.#receiver as SideProcess
    await Promise.race([sender.ended, receiver.ended])
    // What ended one side often ends the other in the same moment.
    await Promise.race([Promise.all([sender.ended, receiver.ended]), delay(receiver.ending === null ? 20 : 300)])
    this.#processes.check()
    for (const { role, ending } of [sender, receiver]) {
      if (ending?.event === 'crashed')
        throw new Error(`the ${role} crashed: ${ending.output}; ${this.#processes.story()}`)
    }
    if (sender.ending?.event === 'end') {
      expect(sender.ending.error, this.#processes.story()).toBeNull()
      return true
    }
    const { between } = this.#plan
    if (between !== undefined && !this.#between) {
      this.#between = true
      // What is done to the ledger of a process is done while it is away.
      sender.kill()
      receiver.kill()
      await Promise.all([sender.ended, receiver.ended])
      between(this.#place)
    }
    return false
  }

  async #startSender(): Promise<void> {
    if (this.#sender !== null && this.#sender.ending === null) return
    const isFirst = this.#sender === null
    const { source, senderLedger } = this.#place
    const used = this.#token
    this.#sender = this.#processes.start({
      role: 'sender',
      target: source,
      options: { pod: true, port: this.#port, ledgerPath: senderLedger, name: 'sender', waitMs: 60_000 },
      kill: isFirst ? (this.#plan.sender ?? null) : null,
    })
    const listening = await this.#sender.listening
    if (listening === null || listening.token === null) return
    this.#port = listening.port
    this.#proxy.senderPort = listening.port
    this.#token = listening.token
    this.#processes.secrets.tokens.add(listening.token)
    if (used !== '' && this.#plan.seed % 3 === 0) await this.#tryOldToken(used)
  }

  /** I4: what opened the sender that died does not open the one that runs. */
  async #tryOldToken(used: string): Promise<void> {
    const { root } = this.#place
    const attempt = receiveFiles(`127.0.0.1:${this.#port}:${used}`, {
      outputDir: `${root}/ledgers/elsewhere`,
      ledgerPath: `${root}/ledgers/x/x.db`,
    })
    const code = await attempt.done.then(
      () => 'done',
      (error: unknown) => (error instanceof SealiftError ? error.code : 'internal'),
    )
    expect(code, `I4: an old token; ${this.#processes.story()}`).toBe('auth_failed')
  }

  #startReceiver(): void {
    if (this.#receiver !== null && this.#receiver.ending === null) return
    const isFirst = this.#receiver === null
    const { out, receiverLedger } = this.#place
    this.#receiver = this.#processes.start({
      role: 'receiver',
      target: `127.0.0.1:${this.#proxy.port}:${this.#token}`,
      options: { outputDir: out, ledgerPath: receiverLedger, name: 'receiver' },
      kill: isFirst ? (this.#plan.receiver ?? null) : null,
    })
  }

  async stop(): Promise<void> {
    await this.#processes.stop()
    await this.#proxy.close()
  }
}
