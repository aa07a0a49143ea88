/** How far a transfer is and how fast: counts acknowledged bytes and speaks at most ten times a second. */

import type { Clock } from './clock.ts'
import type { ProgressEvent } from './events.ts'
import type { StartedTransfer } from './lasting-reception.ts'

/** Between two events, at least. */
export const PROGRESS_INTERVAL_MS = 100
/** The rate is that of the last seconds, so that a stall shows and a start does not lie. */
const RATE_WINDOW_MS = 5000

export interface ProgressTotals {
  readonly transferId: string
  readonly bytesTotal: number | null
  readonly filesTotal: number | null
}

export class Progress {
  readonly #clock: Clock
  #totals: ProgressTotals
  readonly #emit: (event: ProgressEvent) => void
  #bytesDone = 0
  #filesDone = 0
  #moved = 0
  #samples: { atMs: number; moved: number }[] = []
  #cancel: (() => void) | null = null
  #spokenMs = Number.NEGATIVE_INFINITY
  #startedMs: number | null = null
  #stopped = false

  constructor(clock: Clock, totals: ProgressTotals, emit: (event: ProgressEvent) => void) {
    this.#clock = clock
    this.#totals = totals
    this.#emit = emit
  }

  /** That of a receiver, begun with its transfer. */
  static ofReception(clock: Clock, started: StartedTransfer, emit: (event: ProgressEvent) => void): Progress {
    const { id, manifest, files, safeBytes, skippedBytes, endedFiles } = started
    const progress = new Progress(clock, { transferId: id, bytesTotal: manifest.totalBytes, filesTotal: files }, emit)
    progress.start()
    progress.set(safeBytes + skippedBytes, endedFiles)
    return progress
  }

  get bytesDone(): number {
    return this.#bytesDone
  }

  get filesDone(): number {
    return this.#filesDone
  }

  /** What this process moved. */
  get movedBytes(): number {
    return this.#moved
  }

  /** Milliseconds since acceptance; 0 before it. */
  get elapsedMs(): number {
    return this.#startedMs === null ? 0 : this.#clock.nowMs() - this.#startedMs
  }

  /** How long since acceptance, and how fast this process moved what it did. */
  get pace(): { readonly seconds: number; readonly bytesPerSecond: number } {
    const seconds = this.elapsedMs / 1000
    return { seconds, bytesPerSecond: seconds > 0 ? Math.round(this.movedBytes / seconds) : 0 }
  }

  /** Accepted: from now on there is progress to speak of. The first call counts. */
  start(): void {
    if (this.#startedMs !== null) return
    this.#startedMs = this.#clock.nowMs()
    this.#samples = [{ atMs: this.#startedMs, moved: 0 }]
  }

  /** Where things stand when a session begins: not movement. */
  set(bytesDone: number, filesDone: number): void {
    this.#bytesDone = bytesDone
    this.#filesDone = filesDone
    this.#speak()
  }

  /** So much more is done (or, where a file must be sent again, less). */
  add(bytes: number, files: number): void {
    this.#bytesDone += bytes
    this.#filesDone += files
    this.#moved += bytes
    this.#speak()
  }

  /** The size of the content is known at last. */
  setTotal(bytesTotal: number): void {
    this.#totals = { ...this.#totals, bytesTotal }
  }

  /** Says where things stand now, whenever it was last said. */
  flush(): void {
    this.#cancel?.()
    this.#cancel = null
    if (this.#startedMs !== null) this.#say()
  }

  /** Says nothing more by itself. */
  stop(): void {
    this.#stopped = true
    this.#cancel?.()
    this.#cancel = null
  }

  #speak(): void {
    if (this.#startedMs === null || this.#cancel !== null || this.#stopped) return
    const waitMs = this.#spokenMs + PROGRESS_INTERVAL_MS - this.#clock.nowMs()
    if (waitMs <= 0) this.#say()
    else
      this.#cancel = this.#clock.after(waitMs, () => {
        this.#cancel = null
        this.#say()
      })
  }

  #say(): void {
    const now = this.#clock.nowMs()
    this.#spokenMs = now
    this.#samples.push({ atMs: now, moved: this.#moved })
    while (this.#samples.length > 2 && (this.#samples[0]?.atMs ?? now) < now - RATE_WINDOW_MS) this.#samples.shift()
    const first = this.#samples[0] ?? { atMs: now, moved: 0 }
    const seconds = (now - first.atMs) / 1000
    this.#emit({
      event: 'progress',
      ...this.#totals,
      bytesDone: this.#bytesDone,
      filesDone: this.#filesDone,
      bytesPerSecond: seconds > 0 ? Math.max(0, Math.round((this.#moved - first.moved) / seconds)) : 0,
    })
  }
}
