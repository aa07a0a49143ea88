/**
 * The audit log of a server: one line for every connection, handshake, transfer, refusal, ban and error.
 *
 * A line is in the ledger, synced, with the new end of its chain, before anything else; the files repeat what the ledger has
 * (SIGKILL between the two costs nothing: the next start writes what is missing). Whoever waits for {@link AuditLog.write}
 * knows that: what lets somebody in, ends a transfer or turns somebody away is written before the other side hears of it.
 *
 * Owns batches (a flood of connections must not sync the disk for each), what is folded of a flood, and the age of files.
 */

import fs from 'node:fs'
import { join } from 'node:path'
import type { AuditRecords } from '../ledger/audit.ts'
import { SealiftError, toSealiftError } from '../protocol/errors.ts'
import type { Clock } from '../transfer/clock.ts'
import { appendEvents } from './audit-append.ts'
import { type AuditEvent, pointOf } from './audit-chain.ts'
import { AuditFile, listRotated, prepareAuditFolder, type RotationRules, toFolderError } from './audit-files.ts'
import { repairFiles } from './audit-repair.ts'

export interface AuditLogOptions extends RotationRules {
  readonly records: AuditRecords
  /** Absolute. */
  readonly folder: string
  readonly clock: Clock
  /** Milliseconds since 1970. */
  readonly wallMs: () => number
  /** The files cannot be written, and it is tried again with the next line; or what {@link AuditLog.note} was given was lost. */
  onFault(error: SealiftError): void
}

/**
 * Lines that nobody waits for are written together, but for the first after a silence. One that somebody waits for is written
 * at once with all before it: what comes while that is done makes the next batch.
 */
const BATCH_MS = 50
/** Lines of one transaction: a few milliseconds. */
const MAX_BATCH = 100
/** Connections and refusals that are written one by one: so many at once … */
const MAX_FLOOD = 1000
/** … and one more each so many milliseconds. The others are counted, so that strangers do not fill the disk. */
const FLOOD_PAUSE_MS = 20
/** Between two lines that say how many were only counted. */
const FOLD_MS = 1000
/** How often it is looked whether a file is too old. */
const TIDY_MS = 60_000

interface Waiting {
  readonly event: AuditEvent
  readonly timeMs: number
  readonly isUrgent: boolean
  readonly settle: (error: SealiftError | null) => void
}

export class AuditLog {
  readonly #options: AuditLogOptions
  readonly #file: AuditFile
  #waiting: Waiting[] = []
  /** Settles when nothing waits any more; `null` then. */
  #flushing: Promise<void> | null = null
  /** Ends the pause before the next batch. */
  #hurry: () => void = () => undefined
  #lastFlushMs: number
  /** When the allowance of a flood will be whole again. */
  #floodUntilMs: number
  #folded = 0
  #foldedAtMs: number
  #tidyAtMs: number
  #isFaulty = false
  #closed = false

  private constructor(options: AuditLogOptions, file: AuditFile) {
    this.#options = options
    this.#file = file
    this.#lastFlushMs = options.clock.nowMs() - BATCH_MS
    this.#floodUntilMs = options.clock.nowMs()
    this.#foldedAtMs = options.clock.nowMs() - FOLD_MS
    this.#tidyAtMs = options.clock.nowMs()
  }

  /**
   * Opens the log; mends its files where they are not as the ledger says, and writes that into it.
   * @throws SealiftError `settings_invalid` where the folder cannot be written; that of the ledger
   */
  static async open(options: AuditLogOptions): Promise<AuditLog> {
    const { folder, records, wallMs } = options
    prepareAuditFolder(folder)
    const { first, lastSeq, aside, wasTorn, lost } = await repairFiles(folder, records, wallMs()).catch(
      (error: unknown) => {
        throw toFolderError(folder, error)
      },
    )
    const log = new AuditLog(options, new AuditFile(folder, options, first, lastSeq))
    for (const file of aside) await log.write({ event: 'audit', detail: { status: 'set aside', file } })
    if (wasTorn || lost > 0)
      await log.write({ event: 'audit', detail: { status: wasTorn ? 'torn line mended' : 'mended', count: lost } })
    await log.#repeat()
    await log.#removeOld()
    return log
  }

  /**
   * Adds a line. Of a flood of connections and refusals some are only counted, in a line of their own.
   * @returns when it is in the ledger, synced
   * @throws SealiftError `ledger_unavailable`, `ledger_corrupt`: then whatever it is about must not go on
   */
  write(event: AuditEvent): Promise<void> {
    return this.#add(event, true)
  }

  /** The same for what nobody waits for. */
  note(event: AuditEvent): void {
    this.#add(event, false).catch((error: unknown) => this.#options.onFault(toSealiftError(error)))
  }

  #add(event: AuditEvent, isUrgent: boolean): Promise<void> {
    if (this.#closed) return Promise.reject(new SealiftError('ledger_unavailable', 'the audit log is closed'))
    if (this.#isFlood(event)) {
      this.#folded++
      return Promise.resolve()
    }
    if (this.#folded > 0 && this.#options.clock.nowMs() - this.#foldedAtMs >= FOLD_MS) this.#foldIn()
    return this.#queue(event, isUrgent)
  }

  /** Writes what waits. Nothing can be added any more. */
  async close(): Promise<void> {
    if (this.#closed) return
    if (this.#folded > 0) this.#foldIn()
    this.#closed = true
    this.#hurry()
    await this.#flushing
    this.#file.close()
  }

  #queue(event: AuditEvent, isUrgent: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (error: SealiftError | null): void => (error === null ? resolve() : reject(error))
      this.#waiting.push({ event, timeMs: this.#options.wallMs(), isUrgent, settle })
      if (isUrgent) this.#hurry()
      this.#flushing ??= this.#flush()
    })
  }

  #isFlood({ event }: AuditEvent): boolean {
    if (event !== 'connection' && event !== 'refusal') return false
    const now = this.#options.clock.nowMs()
    this.#floodUntilMs = Math.max(this.#floodUntilMs, now)
    if (this.#floodUntilMs - now >= MAX_FLOOD * FLOOD_PAUSE_MS) return true
    this.#floodUntilMs += FLOOD_PAUSE_MS
    return false
  }

  #foldIn(): void {
    const count = this.#folded
    this.#folded = 0
    this.#foldedAtMs = this.#options.clock.nowMs()
    this.#queue({ event: 'audit', detail: { status: 'not written one by one', count } }, false).catch(() => undefined)
  }

  async #flush(): Promise<void> {
    const { clock, records } = this.#options
    while (this.#waiting.length > 0) {
      const isDue = this.#closed || this.#waiting.length >= MAX_BATCH || this.#waiting.some(({ isUrgent }) => isUrgent)
      const pauseMs = isDue ? 0 : this.#lastFlushMs + BATCH_MS - clock.nowMs()
      if (pauseMs > 0) await this.#pause(pauseMs)
      this.#lastFlushMs = clock.nowMs()
      const batch = this.#waiting.splice(0, MAX_BATCH)
      try {
        await appendEvents(records, batch)
        await this.#repeat()
        for (const { settle } of batch) settle(null)
        await this.#removeOld().catch((error: unknown) => this.#options.onFault(this.#fault(error)))
      } catch (error) {
        for (const { settle } of batch) settle(toSealiftError(error))
      }
    }
    this.#flushing = null
  }

  #pause(pauseMs: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(pauseMs, resolve)
      this.#hurry = () => {
        cancel()
        resolve()
      }
    })
  }

  /** Writes into the files what the ledger has and they have not, also what another process added there. */
  async #repeat(): Promise<void> {
    const { records, folder } = this.#options
    const before = this.#file.lastSeq
    try {
      for (;;) {
        const lines = await records.linesAfter(this.#file.lastSeq)
        if (lines.length === 0) break
        this.#file.append(lines)
      }
      this.#isFaulty = false
      if (this.#file.lastSeq > before) await records.markFiled(this.#file.lastSeq, folder)
    } catch (error) {
      if (!this.#isFaulty) this.#options.onFault(this.#fault(error))
      this.#isFaulty = true
    }
  }

  #fault(cause: unknown): SealiftError {
    const { message } = toSealiftError(cause)
    return new SealiftError('disk_fault', `the audit log cannot be written: ${message}`, { cause })
  }

  /** Files whose last line is older than the retention go; the ledger keeps the hash that the next one names. */
  async #removeOld(): Promise<void> {
    const { records, folder, retentionMs, wallMs, clock } = this.#options
    if (clock.nowMs() < this.#tidyAtMs) return
    this.#tidyAtMs = clock.nowMs() + TIDY_MS
    for (const { name, lastSeq } of listRotated(folder)) {
      const { anchor } = await records.head()
      if (lastSeq > anchor.seq) {
        const last = await records.find(lastSeq)
        const point = last === null ? null : pointOf(last.line)
        // What the ledger does not know is kept: it may be what is left of a damage.
        if (last === null || point === null || last.timeMs >= wallMs() - retentionMs) return
        await records.anchor(point)
      }
      fs.rmSync(join(folder, name))
    }
  }
}
