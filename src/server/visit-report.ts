/** Says as events what becomes of one session's transfer at a server. */

import type { SealiftError } from '../protocol/errors.ts'
import { KIND_FILE } from '../protocol/manifest.ts'
import { systemClock } from '../transfer/clock.ts'
import { type EndedEntry, fileEvent } from '../transfer/ended-entries.ts'
import type { StartedTransfer } from '../transfer/lasting-reception.ts'
import { Progress } from '../transfer/progress.ts'
import type { ServerEvent } from './server-event.ts'
import type { VisitHooks } from './visit.ts'

export class VisitReport {
  readonly #peer: string
  readonly #reportsFiles: boolean
  readonly #emit: (event: ServerEvent) => void
  readonly #received: (bytes: number) => void
  #started: StartedTransfer | null = null
  #progress: Progress | null = null

  /** @param received told how much more content is safe; less, where a file must come again */
  constructor(
    peer: string,
    reportsFiles: boolean,
    emit: (event: ServerEvent) => void,
    received: (bytes: number) => void,
  ) {
    this.#peer = peer
    this.#reportsFiles = reportsFiles
    this.#emit = emit
    this.#received = received
  }

  get hooks(): VisitHooks {
    return {
      onTransfer: (started) => this.#begin(started),
      onEntry: (ended, sha256) => this.#entry(ended, sha256),
      reportsFiles: this.#reportsFiles,
      onQueued: (transferId, place) => this.#emit({ event: 'queued', transferId, place }),
      onProgress: (bytes, files) => {
        this.#progress?.add(bytes, files)
        this.#received(bytes)
      },
      onWarning: (code, message) => this.#emit({ event: 'warning', code, message: `${this.#peer}: ${message}` }),
    }
  }

  #begin(started: StartedTransfer): void {
    this.#started = started
    this.#progress = Progress.ofReception(systemClock, started, this.#emit)
  }

  #entry(ended: EndedEntry, sha256: Uint8Array | null): void {
    const started = this.#started
    if (started === null || started.manifest.kind(ended.entry) !== KIND_FILE) return
    this.#emit(fileEvent(started.id, started.manifest, ended, sha256))
  }

  /** The session has ended. @param error why, where not all is done */
  ended(transferId: string | null, wireBytes: number, error: SealiftError | null): void {
    const [started, progress] = [this.#started, this.#progress]
    progress?.stop()
    if (error !== null) {
      this.#emit({ event: 'error', transferId, peer: this.#peer, error })
      return
    }
    if (started === null || progress === null) return
    progress.flush()
    this.#emit({
      event: 'done',
      transferId: started.id,
      files: started.files,
      bytes: started.manifest.totalBytes ?? 0,
      bytesOnWire: wireBytes,
      resumedBytes: started.safeBytes,
      ...progress.pace,
    })
  }
}
