/** The processes of one transfer that die and are started again: what they said, how they ended, and what holds at any moment. */

import { expect } from 'vitest'
import { SideProcess } from './children.ts'
import { changedSurroundings, Secrets, secretsInTheOpen, wrongFiles } from './invariants.ts'
import type { ChildTask } from './kill-child.ts'
import { type Place, readResumeKeys } from './place.ts'

/** Where a process dies. */
export type Kill = NonNullable<ChildTask['kill']>

export interface KillReport {
  /** How many processes were killed. */
  readonly killed: number
  readonly senders: number
  readonly receivers: number
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
