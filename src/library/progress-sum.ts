/** The progress of several transfers as one. */

import type { ProgressEvent } from '../transfer/events.ts'
import { systemClock } from '../transfer/clock.ts'
import { PROGRESS_INTERVAL_MS } from '../transfer/progress.ts'

/** How far the files of a call are, all together. */
export interface ParallelProgress {
  /** Safe at the server, acknowledged. */
  readonly bytesDone: number
  /** Of all files that could be read. */
  readonly bytesTotal: number
  readonly filesDone: number
  readonly filesTotal: number
}

export class ProgressSum {
  readonly #totals: { readonly files: number; readonly bytes: number }
  readonly #tell: (progress: ParallelProgress) => void
  /** Of the transfers that run, the newest; keys are the transfers. */
  readonly #running = new Map<object, { readonly files: number; readonly bytes: number }>()
  #files = 0
  #bytes = 0
  #toldMs = -Infinity

  constructor(
    totals: { readonly files: number; readonly bytes: number },
    tell: ((progress: ParallelProgress) => void) | undefined,
  ) {
    this.#totals = totals
    this.#tell = tell ?? (() => undefined)
  }

  of(transfer: object, { bytesDone, filesDone }: ProgressEvent): void {
    this.#running.set(transfer, { files: filesDone, bytes: bytesDone })
    if (systemClock.nowMs() - this.#toldMs < PROGRESS_INTERVAL_MS) return
    this.#say()
  }

  /** A transfer has ended. @param counts whether what it had done stays done; else it is done once more */
  over(transfer: object, counts: boolean): void {
    const { files = 0, bytes = 0 } = this.#running.get(transfer) ?? {}
    this.#running.delete(transfer)
    if (!counts) return
    this.#files += files
    this.#bytes += bytes
    this.#say()
  }

  #say(): void {
    this.#toldMs = systemClock.nowMs()
    let [filesDone, bytesDone] = [this.#files, this.#bytes]
    for (const { files, bytes } of this.#running.values()) {
      filesDone += files
      bytesDone += bytes
    }
    const { files: filesTotal, bytes: bytesTotal } = this.#totals
    this.#tell({ bytesDone, bytesTotal, filesDone, filesTotal })
  }
}
