/**
 * Which transfers run at a server at once, and in which order others follow: by priority, and among equals by who came
 * first. Who waits goes up one priority for each {@link CLASS_MS}, so that nobody waits for ever.
 *
 * Owns the line and who runs. Knows transfers by their id, and no sessions: whoever asks is told its place, and let in.
 */

import { SealiftError } from '../protocol/errors.ts'
import { RECONNECT_TIMEOUT_MS } from '../protocol/limits.ts'
import type { Clock } from '../transfer/clock.ts'

/** To wait so long counts as much as one priority. */
export const CLASS_MS = 600_000
/** More are turned away. */
export const MAX_QUEUED = 1000
/** For so long after a connection broke, a transfer that ran has its room kept, and one that waited its place. */
const HOLD_MS = RECONNECT_TIMEOUT_MS

export interface QueueOptions {
  /** Transfers that run at once; `null`: no limit. */
  readonly maxActive: number | null
  readonly clock: Clock
}

/** What asks to be let in. */
export interface Applicant {
  readonly transferId: string
  /** 0 … 9, the most urgent last. */
  readonly priority: number
  /** Aborted when it waits no more. */
  readonly signal: AbortSignal
  /** Told where it has to wait, and then of each change. @param place in line; 1 is the next */
  readonly onPlace: (place: number) => void
}

/** The right to run. */
export interface Turn {
  /** Counts once. @param comesBack whether its sender was cut off, and is expected again */
  leave(comesBack: boolean): void
}

interface Running {
  /** Sessions that bring it; none while it is only expected again. */
  sessions: number
  cancelHold: () => void
}

/** When a transfer came to the line, and how many had come before it. */
interface Arrival {
  readonly atMs: number
  readonly number: number
}

interface Queued {
  readonly applicant: Applicant
  readonly arrival: Arrival
  /** When it would have come to be where it is with priority 0: the least is the next. */
  readonly rankMs: number
  place: number
  readonly letIn: () => void
}

export class TransferQueue {
  readonly #options: QueueOptions
  readonly #running = new Map<string, Running>()
  /** The next one first. */
  #line: Queued[] = []
  /** Of transfers that left the line: since when they had waited, and until when that is remembered. The oldest first. */
  readonly #left = new Map<string, { readonly arrival: Arrival; readonly untilMs: number }>()
  #arrivals = 0
  #isClosed = false

  constructor(options: QueueOptions) {
    this.#options = options
  }

  /** Transfers that wait. */
  get length(): number {
    return this.#line.length
  }

  /**
   * Resolves when it is this transfer's turn: at once where there is room, or it runs already.
   * @throws SealiftError `server_busy` where too many wait; the signal's reason
   */
  async enter(applicant: Applicant): Promise<Turn> {
    const { transferId, signal } = applicant
    signal.throwIfAborted()
    if (this.#running.has(transferId) || this.#hasRoom) return this.#begin(transferId)
    if (this.#line.length >= MAX_QUEUED)
      throw new SealiftError('server_busy', 'the server has as many transfers waiting as it takes')
    return this.#wait(applicant)
  }

  /** Lets nobody in any more, and keeps no room: those in line stay there until they go. */
  close(): void {
    this.#isClosed = true
    for (const { cancelHold } of this.#running.values()) cancelHold()
  }

  get #hasRoom(): boolean {
    const { maxActive } = this.#options
    return !this.#isClosed && (maxActive === null || this.#running.size < maxActive)
  }

  #begin(transferId: string): Turn {
    let running = this.#running.get(transferId)
    if (running === undefined) {
      running = { sessions: 0, cancelHold: () => undefined }
      this.#running.set(transferId, running)
    }
    running.cancelHold()
    running.sessions++
    let hasLeft = false
    return {
      leave: (comesBack) => {
        if (!hasLeft) this.#leave(transferId, running, comesBack)
        hasLeft = true
      },
    }
  }

  #leave(transferId: string, running: Running, comesBack: boolean): void {
    if (--running.sessions > 0) return
    const free = (): void => {
      this.#running.delete(transferId)
      this.#advance()
    }
    const isKept = comesBack && !this.#isClosed && this.#options.maxActive !== null
    if (isKept) running.cancelHold = this.#options.clock.after(HOLD_MS, free)
    else free()
  }

  #wait(applicant: Applicant): Promise<Turn> {
    const { transferId, priority, signal } = applicant
    const arrival = this.#arrivalOf(transferId)
    // Whoever waits goes up as fast as all others do, so the order among them never changes.
    const rankMs = arrival.atMs - priority * CLASS_MS
    return new Promise((resolve, reject) => {
      const queued: Queued = {
        applicant,
        arrival,
        rankMs,
        place: 0,
        letIn: () => {
          signal.removeEventListener('abort', giveUp)
          resolve(this.#begin(transferId))
        },
      }
      const giveUp = (): void => {
        this.#forsake(queued)
        reject(signal.reason as Error)
      }
      signal.addEventListener('abort', giveUp, { once: true })
      const at = this.#line.findIndex((other) => isBefore(queued, other))
      this.#line.splice(at === -1 ? this.#line.length : at, 0, queued)
      this.#tell()
    })
  }

  /** Since when a transfer waits: whose connection broke while it waited does not begin anew. */
  #arrivalOf(transferId: string): Arrival {
    const nowMs = this.#options.clock.nowMs()
    const before = this.#left.get(transferId)
    this.#left.delete(transferId)
    if (before !== undefined && before.untilMs >= nowMs) return before.arrival
    return { atMs: nowMs, number: this.#arrivals++ }
  }

  #forsake(queued: Queued): void {
    const { transferId } = queued.applicant
    this.#line = this.#line.filter((other) => other !== queued)
    this.#left.delete(transferId)
    this.#left.set(transferId, { arrival: queued.arrival, untilMs: this.#options.clock.nowMs() + HOLD_MS })
    const [oldest] = this.#left.keys()
    if (this.#left.size > MAX_QUEUED && oldest !== undefined) this.#left.delete(oldest)
    this.#tell()
  }

  /** Lets in as many as there is room for. */
  #advance(): void {
    while (this.#hasRoom) {
      const next = this.#line.shift()
      if (next === undefined) break
      next.letIn()
    }
    this.#tell()
  }

  #tell(): void {
    for (const [at, queued] of this.#line.entries()) {
      if (queued.place === at + 1) continue
      queued.place = at + 1
      queued.applicant.onPlace(queued.place)
    }
  }
}

function isBefore(one: Queued, other: Queued): boolean {
  return one.rankMs < other.rankMs || (one.rankMs === other.rankMs && one.arrival.number < other.arrival.number)
}
