/**
 * Sending to one receiver: what is sent and as which transfer, from the paths to the run that waits for its receiver.
 */

import { randomUUID } from 'node:crypto'
import { SourceReader } from '../files/source-reader.ts'
import type { WalkResult } from '../files/walk.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { SealiftError } from '../protocol/errors.ts'
import type { Manifest } from '../protocol/manifest.ts'
import { systemClock } from '../transfer/clock.ts'
import { manifestDigest } from '../transfer/manifest-digest.ts'
import type { ListenPlace } from './listen-address.ts'
import { settleSending } from './open-questions.ts'
import type { SendOptions } from './options.ts'
import { type Replaced, SenderRun } from './sender-run.ts'
import { compressSetting, excludedEvents, walkWarnings } from './source-walk.ts'
import { type Emit, type Run, startTransfer, type Transfer, type TransferResult, type Watch } from './transfer.ts'
import { openUserLedger } from './user-ledger.ts'

/**
 * Sends files and folders to one receiver: listens, says address and token in the `listening` event, and waits.
 *
 * Starts at once. After an interruption, calling it again with the same paths and options goes on with what is missing.
 *
 * @param paths files and folders; a link that is named is followed
 * @throws SealiftError nothing; {@link Transfer.done} rejects
 *   before it listens with `nothing_to_send`, `path_missing`, `path_unreadable`, `path_repeated`, `limit_exceeded`, `usage`,
 *   `settings_invalid`, `no_tailscale`, `address_unavailable`, `host_unknown`, `port_in_use`, `transfer_busy`;
 *   with what a receiver says no by: `rejected`, `unanswered`, `conflict`, `policy_refused`, `limit_exceeded`,
 *   `manifest_invalid`, `version_mismatch`;
 *   with `nobody_came`, also where a receiver was there and did not come back; with `token_burned`, `ledger_unavailable`,
 *   `ledger_corrupt`, `ledger_newer`, `partial`; with `interrupted`, or the `SealiftError` that it was stopped with
 * @example
 * ```ts
 * const transfer = sendFiles(['photos'], { pod: true })
 * for await (const event of transfer) if (event.event === 'listening') console.log(event.connect)
 * await transfer.done
 * ```
 */
export function sendFiles(paths: string | readonly string[], options: SendOptions = {}): Transfer {
  return startTransfer(options.signal, runSend([paths].flat(), options))
}

/** @internal The work of {@link sendFiles}, for a handle that is made elsewhere. */
export function runSend(paths: readonly string[], options: SendOptions): Run {
  return (emit, signal, watch) => new DirectSend(paths, options, emit, signal, watch).run()
}

class DirectSend {
  readonly #paths: readonly string[]
  /** With the answers to what was open, once they are known. */
  #options: SendOptions
  readonly #emit: Emit
  readonly #signal: AbortSignal
  readonly #watch: Watch

  constructor(paths: readonly string[], options: SendOptions, emit: Emit, signal: AbortSignal, watch: Watch) {
    this.#paths = paths
    this.#options = options
    this.#emit = emit
    this.#signal = signal
    this.#watch = watch
  }

  async run(): Promise<TransferResult> {
    this.#signal.throwIfAborted()
    let lookingSinceMs: number | null = null
    this.#watch(() =>
      lookingSinceMs === null
        ? null
        : { reason: 'files', forMs: systemClock.nowMs() - lookingSinceMs, remainingMs: null },
    )
    const { walk, options, place } = await settleSending(this.#paths, this.#options, this.#signal, (isLooking) => {
      lookingSinceMs = isLooking ? systemClock.nowMs() : null
    })
    this.#options = options
    for (const event of [...excludedEvents(walk), ...walkWarnings(walk)]) this.#emit(event)
    if (walk.manifest.count === 0) throw new SealiftError('path_unreadable', 'nothing of what was given can be read')
    const ledger = await openUserLedger(this.#options.ledgerPath)
    try {
      return await this.#send(walk, place, ledger)
    } finally {
      await ledger.close()
    }
  }

  async #send(walk: WalkResult, place: ListenPlace, ledger: Ledger): Promise<TransferResult> {
    const { manifest } = walk
    const checksum = manifestDigest(manifest)
    const { id, key, replaces } = await this.#takeUp(manifest, walk, checksum, ledger)
    const lock = await ledger.lock(id, 'sender')
    const run = new SenderRun(this.#options, this.#emit, {
      id,
      key,
      manifest,
      reader: new SourceReader({ manifest, sources: walk.sources }),
      failedFiles: walk.failed.length,
      content: 'files',
      ledger,
      checksum,
      replaces,
      compress: compressSetting(this.#options),
    })
    this.#watch(() => run.waiting)
    try {
      return await run.run(place, this.#signal)
    } finally {
      lock.release()
    }
  }

  /** The unfinished transfer that this is, or a new one (PROTOCOL 3.1). */
  async #takeUp(
    manifest: Manifest,
    walk: WalkResult,
    checksum: string,
    ledger: Ledger,
  ): Promise<{ id: string; key: number; replaces: Replaced | null }> {
    const roots = [...manifest.roots()].map((root) => walk.sources.sourcePath(root))
    const { exclude = [], excludeFrom = [], all = false, links = true, priority = 5 } = this.#options
    const options = { exclude, excludeFrom, all, links, priority }
    const same = await ledger.transfers.findResumableSender({ roots, options, checksum })
    if (same !== null) {
      const before = same.replaces === null ? null : await ledger.transfers.find(same.replaces, 'sender')
      return { id: same.id, key: same.key, replaces: before === null || before.completedAtMs !== null ? null : before }
    }
    const older = await ledger.transfers.findReplaceableSender(roots)
    const id = randomUUID()
    const key = await ledger.transfers.create({
      id,
      role: 'sender',
      transferType: 'upload',
      filename: roots.length === 1 ? manifest.name(0) : `${String(roots.length)} items`,
      fileSize: manifest.totalBytes,
      checksum,
      roots,
      options,
      entryCount: manifest.count,
      priority,
      transportUsed: 'tcp',
      replaces: older?.id ?? null,
    })
    return { id, key, replaces: older }
  }
}
