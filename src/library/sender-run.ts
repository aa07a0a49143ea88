/**
 * One process's part in a transfer at the sender, from the first meeting to the end: joins progress, events and ledger
 * around the engine's {@link Sender}. What is sent, and under which id, was decided before; how the two sides meet is the
 * business of a {@link SenderMeeting}.
 */

import { hostname } from 'node:os'
import type { ContentReader } from '../files/content-reader.ts'
import { StreamReader } from '../files/stream-reader.ts'
import { ENTRY_FAILED, ENTRY_PUBLISHED, ENTRY_SKIPPED } from '../ledger/entry-state.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { CompressSetting } from '../protocol/choices.ts'
import { isTellable, SealiftError, toSealiftError } from '../protocol/errors.ts'
import { DEFAULT_PRIORITY } from '../protocol/limits.ts'
import { KIND_FILE, type Manifest } from '../protocol/manifest.ts'
import { escapeForDisplay } from '../protocol/names.ts'
import type { RangeSet } from '../protocol/ranges.ts'
import { systemClock } from '../transfer/clock.ts'
import { fileEvent } from '../transfer/ended-entries.ts'
import type { FileEvent } from '../transfer/events.ts'
import { Outgoing } from '../transfer/outgoing.ts'
import { Progress } from '../transfer/progress.ts'
import { Sender } from '../transfer/sender.ts'
import { isRefusal } from '../transfer/sender-session.ts'
import { noProbe } from '../transfer/stage.ts'
import type { Waiting } from '../transfer/waiting.ts'
import type { SendOptions } from './options.ts'
import type { Meet, SenderMeeting } from './sender-meeting.ts'
import type { Emit, TransferResult } from './transfer.ts'

/** The unfinished transfer of the same roots that a new one stands in for. */
export interface Replaced {
  readonly id: string
  readonly key: number
}

export interface RunContext {
  readonly id: string
  readonly key: number
  readonly manifest: Manifest
  /** Owned by the run from now on. */
  readonly reader: ContentReader
  /** Content that goes in front, in this order; nothing of it where that is not known. */
  readonly first?: readonly RangeSet[]
  /** Files that failed before, as they were listed. */
  readonly failedFiles: number
  /** Only files can be read again by another process that takes the transfer up. */
  readonly content: 'files' | 'stream' | 'text'
  readonly ledger: Ledger
  readonly checksum: string
  readonly replaces: Replaced | null
  readonly compress: CompressSetting
  /** Of a chunk, at most; no more than the protocol has. */
  readonly maxChunkBytes: number
}

/** Everything from the first meeting to the end of one process's part in a transfer. */
export class SenderRun {
  readonly #options: SendOptions
  readonly #emit: Emit
  readonly #context: RunContext
  readonly #outgoing: Outgoing
  readonly #progress: Progress
  readonly #files: number
  #meeting: SenderMeeting | null = null
  #sender: Sender | null = null
  #failed: number
  /** Why the last of the files that failed did. */
  #failure: SealiftError['code'] = 'partial'
  /** Files that were skipped or failed in this turn of the event loop, not yet said. */
  readonly #endedNow: number[] = []
  #resumedBytes: number | null = null
  /** In line at the receiver. */
  #isQueued = false
  #endingReplaced: Promise<void> | null = null

  constructor(options: SendOptions, emit: Emit, context: RunContext) {
    this.#options = options
    this.#emit = emit
    this.#context = context
    const { manifest, reader, first = [], failedFiles, id } = context
    this.#failed = failedFiles
    this.#files = manifest.fileCount
    this.#progress = new Progress(
      systemClock,
      { transferId: id, bytesTotal: manifest.totalBytes, filesTotal: this.#files },
      emit,
    )
    this.#outgoing = new Outgoing({
      manifest,
      reader,
      clock: systemClock,
      first,
      onSize: (sizeBytes) => this.#settleSize(sizeBytes),
      onProgress: (bytes) => {
        this.#meeting?.progressed()
        this.#progress.add(bytes, 0)
      },
      onEnded: (entry, state, code) => this.#entryEnded(entry, state, code),
    })
  }

  /** Stays unknown in this transfer, also where a stream ended at once. */
  get #offeredBytes(): number | null {
    const { manifest } = this.#context
    return manifest.isOpenEnded ? null : manifest.totalBytes
  }

  /** The digest of a short text would give it away. */
  get #saysFiles(): boolean {
    return this.#options.fileEvents !== false && this.#context.content !== 'text'
  }

  get #isResumable(): boolean {
    return this.#context.content === 'files'
  }

  /** What it waits for; `null` while something happens, and before it listens. */
  get waiting(): Waiting | null {
    return this.#meeting?.waiting ?? this.#sender?.waiting ?? null
  }

  /** @see Transfer.receiverLimit */
  get receiverLimit(): number | null {
    return this.#sender?.receiverLimit ?? null
  }

  async run(meet: Meet, signal: AbortSignal): Promise<TransferResult> {
    const { id, ledger, key, replaces } = this.#context
    const meeting = (this.#meeting = meet({
      options: this.#options,
      emit: this.#emit,
      ledger,
      id,
      key,
      replaced: replaces?.key ?? null,
      files: this.#files,
      bytes: this.#offeredBytes,
    }))
    const sender = (this.#sender = this.#makeSender(meeting))
    const stop = (): void => void sender.stop(toSealiftError(signal.reason))
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
    try {
      await meeting.run(sender, signal)
      return this.#finish(sender)
    } catch (error) {
      const failure = toSealiftError(error)
      await sender.stop(failure)
      if (isRefusal(failure.code) || !this.#isResumable) {
        const isStop = failure.code === 'rejected' || failure.exitCode >= 130
        await ledger.transfers.finish(key, isStop ? 'cancelled' : 'failed', failure)
      }
      throw withTransfer(error, id, this.#isResumable)
    } finally {
      signal.removeEventListener('abort', stop)
      this.#progress.stop()
      await meeting.close()
      await sender.close()
      await this.#outgoing.close()
      await this.#endingReplaced
    }
  }

  #makeSender(meeting: SenderMeeting): Sender {
    const { id, manifest, checksum, replaces, ledger, key, content, compress } = this.#context
    const sender: Sender = new Sender({
      outgoing: this.#outgoing,
      offer: {
        transferId: id,
        replaces: replaces?.id ?? null,
        name: this.#options.name ?? hostname(),
        maxChunkBytes: this.#context.maxChunkBytes,
        entries: manifest.count,
        files: this.#files,
        bytes: this.#offeredBytes,
        digest: checksum,
        conflict: this.#options.conflict ?? null,
        ...(content === 'text' ? { text: true } : {}),
        priority: this.#options.priority ?? DEFAULT_PRIORITY,
        ...(this.#options.streams === undefined ? {} : { streams: this.#options.streams }),
      },
      clock: systemClock,
      compress,
      compressionLevel: this.#options.compressionLevel ?? null,
      waitMs: meeting.waitMs,
      probe: this.#options.probe ?? noProbe,
      resumable: this.#isResumable,
      onHello: (session) => {
        this.#emit({
          event: 'connected',
          transferId: id,
          peer: session.peer.address,
          identity: meeting.identityOf(session.peer),
          suite: session.suite,
          cipher: session.cipher,
        })
        ledger.transfers
          .update(key, { status: 'in_progress', peer: session.peer.address })
          .catch((error: unknown) => sender.stop(toSealiftError(error)))
      },
      onQueued: (place) => {
        this.#emit({ event: 'queued', transferId: id, place })
        if (!this.#isQueued) this.#say(key, 'pending')
        this.#isQueued = true
      },
      onAccepted: () => this.#accepted(),
      onDone: () => ledger.transfers.finish(key, 'completed'),
      onWarning: (code, message) => this.#emit({ event: 'warning', code, message }),
    })
    return sender
  }

  /** For people who look at it; nothing depends on it here. */
  #say(key: number, status: 'pending' | 'in_progress'): void {
    this.#context.ledger.transfers.update(key, { status }).catch(() => undefined)
  }

  #accepted(): void {
    if (this.#isQueued) this.#say(this.#context.key, 'in_progress')
    this.#isQueued = false
    const safe = this.#outgoing.safeRanges.totalBytes
    this.#resumedBytes ??= safe
    this.#progress.start()
    this.#meeting?.accepted()
    this.#progress.set(safe + this.#outgoing.voidBytes, this.#outgoing.endedFiles)
    if (this.#context.replaces === null) return
    // The transfer goes on without it; the older row is then found unfinished once more.
    this.#endingReplaced = this.#endReplaced(this.#context.replaces).catch((error: unknown) => {
      const { code, message } = toSealiftError(error)
      this.#emit({ event: 'warning', code, message })
    })
  }

  /** The receiver has taken over what it had of the older transfer; its key goes on with the new one. */
  async #endReplaced({ key }: Replaced): Promise<void> {
    const { ledger } = this.#context
    const resumeId = this.#meeting?.resumeId ?? null
    if (resumeId !== null) await ledger.resumeKeys.attach(resumeId, 'sender', this.#context.key)
    await ledger.transfers.finish(key, 'cancelled')
  }

  #settleSize(sizeBytes: number): void {
    const { ledger, key } = this.#context
    this.#progress.setTotal(sizeBytes)
    // For people who look at it; nothing depends on it here.
    ledger.transfers.update(key, { fileSize: sizeBytes }).catch(() => undefined)
  }

  #entryEnded(entry: number, state: number, code: SealiftError['code'] | null): void {
    const { manifest } = this.#context
    if (manifest.kind(entry) !== KIND_FILE) return
    const failed = state === ENTRY_FAILED
    this.#progress.add(0, 1)
    if (failed) {
      this.#failed++
      this.#failure = code !== null && isTellable(code) ? code : 'partial'
      this.#options.onFailed?.(manifest.path(entry), code)
      // Where there is nothing else, this is how the transfer ends, and is said then.
      if (this.#isResumable) {
        const message = `${escapeForDisplay(manifest.path(entry))}: ${failureText(code)}`
        this.#emit({ event: 'warning', code: code ?? 'partial', message })
      }
    }
    if (!this.#saysFiles) return
    // A receiver may skip a million files in one message: what is said of them is made when it is read.
    if (this.#endedNow.length === 0) queueMicrotask(() => this.#emit(this.#fileEvents(this.#endedNow.splice(0))))
    this.#endedNow.push(entry)
  }

  *#fileEvents(entries: Iterable<number>): Generator<FileEvent> {
    const { manifest, id } = this.#context
    for (const entry of entries) {
      const state = this.#outgoing.state(entry)
      const failed = state === ENTRY_FAILED
      const status = failed ? 'failed' : state === ENTRY_SKIPPED ? 'skipped' : 'ok'
      yield fileEvent(id, manifest, { entry, status, savedAs: null }, failed ? null : this.#outgoing.sha256(entry))
    }
  }

  *#published(): Generator<number> {
    const { manifest } = this.#context
    for (let entry = 0; entry < manifest.count; entry++) {
      const isFile = manifest.kind(entry) === KIND_FILE
      if (isFile && this.#outgoing.state(entry) === ENTRY_PUBLISHED) yield entry
    }
  }

  #finish(sender: Sender): TransferResult {
    const { id, manifest } = this.#context
    if (this.#saysFiles) this.#emit(this.#fileEvents(this.#published()))
    this.#progress.set(this.#progress.bytesDone, this.#files)
    this.#progress.flush()
    const result = {
      transferId: id,
      files: this.#files,
      bytes: manifest.totalBytes ?? 0,
      bytesOnWire: sender.wireBytes,
      resumedBytes: this.#resumedBytes ?? 0,
      ...this.#progress.pace,
    }
    if (this.#failed > 0 && !this.#isResumable) throw this.#onlyFailure()
    this.#emit({ event: 'done', ...result })
    if (this.#failed > 0) {
      throw new SealiftError(
        'partial',
        `${String(this.#failed)} could not be sent; all others are safe at the receiver`,
        {
          hint: 'the warnings above name them; run the same line again to send what is left',
          transferId: id,
        },
      )
    }
    return { role: 'sender', ...result, savedTo: [], replaced: { files: 0, first: [] } }
  }

  /** Where there is one entry, its failure is that of the transfer. */
  #onlyFailure(): SealiftError {
    const { id, reader } = this.#context
    const fault = reader instanceof StreamReader ? reader.fault : null
    const why = fault === null ? lossText(this.#failure) : `what was to be sent ${fault.message}`
    return new SealiftError(this.#failure, why, { hint: ONCE_HINT, transferId: id, retryable: false })
  }
}

/** What came through a pipe cannot be read again. */
const ONCE_HINT = 'what was read cannot be read again: start both sides anew'

function lossText(code: SealiftError['code']): string {
  switch (code) {
    case 'source_vanished':
      return 'the receiver lost what it had, and it is not held here any more'
    case 'digest_mismatch':
      return 'what arrived has another SHA-256 than what was sent'
    case 'target_gone':
      return "the receiver's output was closed before all was written"
    case 'disk_full':
      return "the receiver's disk is full"
    default:
      return `the receiver could not take it (${code})`
  }
}

function failureText(code: string | null): string {
  switch (code) {
    case 'source_changed':
      return 'changed while it was read; not sent'
    case 'source_vanished':
      return 'is gone; not sent'
    case 'source_unreadable':
      return 'cannot be read; not sent'
    default:
      return `failed at the receiver (${code ?? 'unknown'})`
  }
}

function withTransfer(thrown: unknown, transferId: string, resumable: boolean): SealiftError {
  const { code, message, hint, cause, retryable, transferId: known } = toSealiftError(thrown)
  if (known !== undefined) return toSealiftError(thrown)
  const again = resumable ? `run the same line again, or: sealift resume ${transferId}` : ONCE_HINT
  const advice = hint ?? (retryable ? again : undefined)
  return new SealiftError(code, message, {
    ...(advice === undefined ? {} : { hint: advice }),
    cause,
    retryable,
    transferId,
  })
}
