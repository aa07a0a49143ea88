/**
 * Whether a server can do its work now: its ledger answers, its output folder can be written, the disk has room.
 *
 * Owns what is looked at and how often. Who asks, and in which form they get it, is not its business.
 */

import { freeBytes } from '../files/free-space.ts'
import { checkTarget } from '../files/staging.ts'
import { type ErrorCode, toSealiftError } from '../protocol/errors.ts'
import type { Clock } from '../transfer/clock.ts'

/** What is good, or the code of what is wrong with it. */
export type Condition = 'ok' | ErrorCode

/** The answer of `/health`: these names are a contract (docs/operations.md). */
export interface HealthReport {
  readonly status: 'ok' | 'failing'
  readonly version: string
  readonly uptimeSeconds: number
  /** Sessions that bring something now. */
  readonly transfersRunning: number
  /** Sessions that wait for their turn. */
  readonly transfersQueued: number
  readonly ledger: Condition
  readonly output: Condition
  /** `disk_full` where less is free than ST_MIN_FREE. */
  readonly disk: Condition
  /** What this user may still write; `null` where nobody can say. */
  readonly diskFreeBytes: number | null
}

export interface HealthOptions {
  readonly version: string
  /** Absolute. */
  readonly outputDir: string
  readonly minFreeBytes: number
  readonly transfersRunning: () => number
  readonly transfersQueued: () => number
  /** Reads something from the ledger. @throws SealiftError where that fails */
  readonly askLedger: () => Promise<unknown>
  readonly clock: Clock
}

/** However often it is asked for, disk and ledger are looked at once in this time. */
const LOOK_INTERVAL_MS = 1000

type Facts = Pick<HealthReport, 'ledger' | 'output' | 'disk' | 'diskFreeBytes'>

export class Health {
  readonly #options: HealthOptions
  readonly #startedMs: number
  #facts: Promise<Facts> | null = null
  #lookedMs = 0

  constructor(options: HealthOptions) {
    this.#options = options
    this.#startedMs = options.clock.nowMs()
  }

  /** Never rejects. */
  async report(): Promise<HealthReport> {
    const { version, transfersRunning, transfersQueued, clock } = this.#options
    const nowMs = clock.nowMs()
    if (this.#facts === null || nowMs - this.#lookedMs >= LOOK_INTERVAL_MS) {
      this.#facts = this.#look()
      this.#lookedMs = nowMs
    }
    const facts = await this.#facts
    const isWell = [facts.ledger, facts.output, facts.disk].every((condition) => condition === 'ok')
    return {
      status: isWell ? 'ok' : 'failing',
      version,
      uptimeSeconds: Math.floor((nowMs - this.#startedMs) / 1000),
      transfersRunning: transfersRunning(),
      transfersQueued: transfersQueued(),
      ...facts,
    }
  }

  async #look(): Promise<Facts> {
    const { askLedger, outputDir, minFreeBytes } = this.#options
    const ledger = askLedger().then(
      (): Condition => 'ok',
      (error: unknown): Condition => toSealiftError(error).code,
    )
    const output = look(() => checkTarget(outputDir))
    const disk = look(() => freeBytes(outputDir))
    const isFull = disk.value !== null && disk.value < minFreeBytes
    return {
      ledger: await ledger,
      output: output.condition,
      disk: isFull ? 'disk_full' : disk.condition,
      diskFreeBytes: disk.value,
    }
  }
}

function look<T>(at: () => T): { readonly condition: Condition; readonly value: T | null } {
  try {
    return { condition: 'ok', value: at() }
  } catch (error) {
    return { condition: toSealiftError(error).code, value: null }
  }
}
