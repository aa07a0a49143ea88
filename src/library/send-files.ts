/**
 * Sending to one receiver: what is sent and as which transfer, from the paths to the run that waits for its receiver.
 */

import { randomUUID } from 'node:crypto'
import { SourceReader } from '../files/source-reader.ts'
import type { WalkResult } from '../files/walk.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { TransferLock } from '../ledger/transfer-lock.ts'
import type { TransferRow } from '../ledger/transfer-row.ts'
import { SealiftError, toSealiftError } from '../protocol/errors.ts'
import { DEFAULT_PRIORITY, MAX_CHUNK_BYTES } from '../protocol/limits.ts'
import type { Manifest } from '../protocol/manifest.ts'
import type { RangeSet } from '../protocol/ranges.ts'
import { systemClock } from '../transfer/clock.ts'
import { manifestDigest } from '../transfer/manifest-digest.ts'
import { settleSending } from './open-questions.ts'
import { checkOptions } from './option-checks.ts'
import type { SendOptions } from './options.ts'
import type { SendCompany } from './send-company.ts'
import type { Meet } from './sender-meeting.ts'
import { type Replaced, SenderRun } from './sender-run.ts'
import { chooseFirst, compressSetting, excludedEvents, walkWarnings } from './source-walk.ts'
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
 *   `settings_invalid`, `no_tailscale`, `address_unavailable`, `host_unknown`, `port_in_use`;
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

/**
 * @internal The work of {@link sendFiles}, for a handle that is made elsewhere.
 * @param company other transfers of the same call
 */
export function runSend(paths: readonly string[], options: SendOptions, company: SendCompany | null = null): Run {
  return (emit, signal, watch) => new DirectSend(paths, options, company, emit, signal, watch).run()
}

class DirectSend {
  readonly #paths: readonly string[]
  /** With the answers to what was open, once they are known. */
  #options: SendOptions
  readonly #company: SendCompany | null
  readonly #emit: Emit
  readonly #signal: AbortSignal
  readonly #watch: Watch

  constructor(
    paths: readonly string[],
    options: SendOptions,
    company: SendCompany | null,
    emit: Emit,
    signal: AbortSignal,
    watch: Watch,
  ) {
    this.#paths = paths
    this.#options = options
    this.#company = company
    this.#emit = emit
    this.#signal = signal
    this.#watch = watch
  }

  async run(): Promise<TransferResult> {
    this.#signal.throwIfAborted()
    checkOptions(this.#options)
    let lookingSinceMs: number | null = null
    this.#watch(() =>
      lookingSinceMs === null
        ? null
        : { reason: 'files', forMs: systemClock.nowMs() - lookingSinceMs, remainingMs: null },
    )
    const looking = (isLooking: boolean): void => {
      lookingSinceMs = isLooking ? systemClock.nowMs() : null
    }
    const settled = await settleSending(this.#paths, this.#options, this.#signal, looking, this.#company)
    const { walk, options, meet } = settled
    // A small tree is walked in one turn, and the signal not looked at.
    this.#signal.throwIfAborted()
    this.#options = options
    for (const event of [...excludedEvents(walk), ...walkWarnings(walk)]) this.#emit(event)
    for (const { path, code } of walk.failed) options.onFailed?.(path, code)
    if (walk.manifest.count === 0) throw new SealiftError('path_unreadable', 'nothing of what was given can be read')
    const { ranges: first, warnings } = await chooseFirst(walk.manifest, options, this.#signal)
    for (const warning of warnings) this.#emit(warning)
    if (this.#company !== null) return this.#send(walk, first, meet, this.#company.ledger)
    const ledger = await openUserLedger(options.ledgerPath)
    try {
      return await this.#send(walk, first, meet, ledger)
    } finally {
      await ledger.close()
    }
  }

  async #send(walk: WalkResult, first: readonly RangeSet[], meet: Meet, ledger: Ledger): Promise<TransferResult> {
    const { manifest } = walk
    const checksum = manifestDigest(manifest)
    const { id, key, replaces, lock } = await this.#takeUp(manifest, walk, checksum, ledger)
    const run = new SenderRun(this.#options, this.#emit, {
      id,
      key,
      manifest,
      reader: new SourceReader({ manifest, sources: walk.sources }),
      first,
      failedFiles: walk.failed.length,
      content: 'files',
      ledger,
      checksum,
      replaces,
      compress: compressSetting(this.#options),
      maxChunkBytes: this.#company?.maxChunkBytes ?? MAX_CHUNK_BYTES,
    })
    this.#watch(
      () => run.waiting,
      () => run.receiverLimit,
    )
    try {
      return await run.run(meet, this.#signal)
    } finally {
      lock.release()
    }
  }

  /** The unfinished transfer that this is, or a new one (PROTOCOL 3.1). */
  async #takeUp(manifest: Manifest, walk: WalkResult, checksum: string, ledger: Ledger): Promise<TakenUp> {
    const { transfers } = ledger
    const roots = [...manifest.roots()].map((root) => walk.sources.sourcePath(root))
    const {
      exclude = [],
      excludeFrom = [],
      all = false,
      links = true,
      priority = DEFAULT_PRIORITY,
      to,
      resumes,
    } = this.#options
    const wanted = resumes === undefined ? null : await transfers.find(resumes, 'sender')
    // Each server has its own transfer of the same files; one that is gone on with stays what it was.
    const options = { exclude, excludeFrom, all, links, priority, to: wanted === null ? to : wanted.options['to'] }
    if (wanted?.completedAtMs === null && wanted.checksum === checksum)
      return this.#goOn(wanted, await ledger.lock(wanted.id, 'sender'), ledger)
    if (wanted !== null && !isSameList(roots, wanted.roots))
      throw new SealiftError('usage', 'these are not the files of that transfer', {
        hint: 'sealift send sends them as another one',
      })
    for (const same of await transfers.listResumableSenders({ roots, options, checksum })) {
      const lock = await lockUnfinished(same, ledger)
      if (lock !== null) return this.#goOn(same, lock, ledger)
    }
    const replaces = await findReplaced(roots, options.to, ledger)
    const id = randomUUID()
    // Before there is a row that another call could take up.
    const lock = await ledger.lock(id, 'sender')
    try {
      const key = await transfers.create({
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
        replaces: replaces?.id ?? null,
      })
      return { id, key, replaces, lock }
    } catch (error) {
      lock.release()
      throw error
    }
  }

  async #goOn(row: TransferRow, lock: TransferLock, { transfers }: Ledger): Promise<TakenUp> {
    const before = row.replaces === null ? null : await transfers.find(row.replaces, 'sender')
    return { id: row.id, key: row.key, replaces: before?.completedAtMs === null ? before : null, lock }
  }
}

function isSameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((path, index) => path === b[index])
}

/** A transfer that is this call's own until the lock is released. */
interface TakenUp {
  readonly id: string
  readonly key: number
  readonly replaces: Replaced | null
  readonly lock: TransferLock
}

/** An unfinished transfer of these roots to the same receiver, which may have some of the files already. */
async function findReplaced(roots: readonly string[], to: unknown, ledger: Ledger): Promise<Replaced | null> {
  for (const older of await ledger.transfers.listReplaceableSenders(roots)) {
    if (older.options['to'] !== to) continue
    const lock = await lockUnfinished(older, ledger)
    lock?.release()
    if (lock !== null) return older
  }
  return null
}

/** @returns `null` where another call works on it, which has a receiver of its own, or has just ended it */
async function lockUnfinished({ id, key }: TransferRow, ledger: Ledger): Promise<TransferLock | null> {
  let lock: TransferLock
  try {
    lock = await ledger.lock(id, 'sender')
  } catch (error) {
    if (toSealiftError(error).code === 'transfer_busy') return null
    throw error
  }
  if ((await ledger.transfers.get(key))?.completedAtMs === null) return lock
  lock.release()
  return null
}
