/**
 * What one receiver decides and keeps: which transfer an offer is, whether to take it, where it goes, and how it ends.
 *
 * Joins ledger, staging and the user's consent into the {@link LastingReception} that sessions talk to, one after another for the
 * same transfer. Knows no sockets and no tokens.
 */

import { failedEntries, type ReceivePlan, replacedEntries, skippedEntries } from '../files/conflicts.ts'
import { checkRoomLeft } from '../files/free-space.ts'
import { setAsideStaging } from '../files/staging.ts'
import { TreeWriter } from '../files/tree-writer.ts'
import { ENTRY_FAILED, ENTRY_PENDING, ENTRY_PUBLISHED, ENTRY_SKIPPED } from '../ledger/entry-state.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Progress as LedgerProgress } from '../ledger/progress.ts'
import type { TransferLock } from '../ledger/transfer-lock.ts'
import { type ErrorCode, SealiftError } from '../protocol/errors.ts'
import { DEFAULT_PRIORITY, MAX_CHUNK_BYTES } from '../protocol/limits.ts'
import { KIND_FILE, type Manifest } from '../protocol/manifest.ts'
import { encodeManifestPages } from '../protocol/manifest-pages.ts'
import type { Done, Hello, Offer } from '../protocol/messages.ts'
import { Incoming } from './incoming.ts'
import { type EndedEntry, type PublishedUnit, savedEntries, skippedBy } from './ended-entries.ts'
import { publishAll, type PublishingOptions, recoverPublishing } from './publishing.ts'
import { type EndedTransfer, endedTransfer, endingOf, rememberEnding } from './ended-transfer.ts'
import { findKnownTransfer } from './known-transfer.ts'
import type { LastingReception, StartedTransfer } from './lasting-reception.ts'
import type { AcceptedTransfer } from './receiver-session.ts'
import type { StageProbe } from './stage.ts'
import { stateRuns } from './state-runs.ts'
import { type DecisionOptions, decideOffer } from './offer-decision.ts'
import { adoptOlder, dropWhatIsGone, findOwned, readManifest } from './takeover.ts'

export interface ReceptionOptions extends DecisionOptions {
  readonly ledger: Ledger
  readonly probe: StageProbe
  readonly name: string
  /** Host and port that were dialled; `null` where the sender came by itself. */
  readonly host: string | null
  readonly port: number | null
  /** How the peer is shown. */
  readonly peer: string
  /** Whose transfers these are (PROTOCOL 1.11); a receiver that is no server has none but its user's. */
  readonly owner?: string | undefined
  /** Whether `onEntries` is to be called. */
  readonly reportsFiles: boolean
  /**
   * Resolves when an agreed transfer may begin, called for each session of it.
   * @param transfer its row
   * @throws to refuse it
   */
  readonly mayBegin?: (transfer: number, safeBytes: number) => Promise<void>
  /** The transfer is known, now or after a restart. */
  readonly onTransfer: (started: StartedTransfer) => void
  readonly onEntry: (entry: EndedEntry) => void
  /** The same for as many as there are, made when they are looked at. */
  readonly onEntries: (entries: Iterable<EndedEntry>) => void
  readonly onWarning: (code: ErrorCode, message: string) => void
  readonly onProgress: (bytes: number, files: number) => void
  /** The size of content of unknown length is known at last. */
  readonly onSize: (sizeBytes: number) => void
  readonly onFault: (error: SealiftError) => void
}

export interface ReplacedFiles {
  readonly files: number
  /** As in the manifest. */
  readonly first: readonly string[]
}

const REPLACED_NAMED = 12

interface Current {
  readonly id: string
  readonly key: number
  readonly manifest: Manifest
  readonly plan: ReceivePlan
  readonly progress: LedgerProgress
  readonly writer: TreeWriter
  readonly incoming: Incoming
  epoch: number
}

/** One receiver: at most one transfer, over as many sessions as it takes. */
export class DirectReception implements LastingReception {
  readonly #options: ReceptionOptions
  readonly #failures = new Map<number, { readonly code: ErrorCode; readonly message: string }>()
  #current: Current | null = null
  #lock: TransferLock | null = null
  #resume: { id: Uint8Array; key: number | null } | null = null
  #known: Hello['known'] = null
  #savedRoots = new Map<number, string>()
  /** What got its final name and has not been reported. */
  readonly #published: PublishedUnit[] = []
  #accepting: Promise<AcceptedTransfer> | null = null
  #finished: Done | null = null
  #finishing: Promise<Done> | null = null
  #isGivenUp = false
  #endedBefore: EndedTransfer | null = null
  /** Row of the transfer that has ended. */
  #endedKey: number | null = null

  constructor(options: ReceptionOptions) {
    this.#options = options
  }

  /** Final names of the roots, once they are published. */
  get savedRoots(): readonly string[] {
    return [...this.#savedRoots.entries()].sort(([a], [b]) => a - b).map(([, name]) => name)
  }

  /** Files of this side whose place was taken: how many, and the paths of the first few. */
  get replaced(): ReplacedFiles {
    const replaced: { files: number; first: string[] } = { files: 0, first: [] }
    const current = this.#current
    if (current === null) return replaced
    for (const entry of replacedEntries(current.plan)) {
      if (current.progress.states.get(entry) !== ENTRY_PUBLISHED) continue
      if (replaced.files++ < REPLACED_NAMED) replaced.first.push(current.manifest.path(entry))
    }
    return replaced
  }

  get transferId(): string | null {
    return this.#current?.id ?? this.#endedBefore?.id ?? null
  }

  /** The transfer that had ended before this process began, where that is all there is to say; else `null`. */
  get endedBefore(): EndedTransfer | null {
    return this.#endedBefore
  }

  /** Row of the transfer; `null` before one is accepted, and where it ended before. */
  get unfinishedKey(): number | null {
    return this.#finished === null ? (this.#current?.key ?? null) : null
  }

  sha256(entry: number): Uint8Array | null {
    return this.#current?.progress.states.digest(entry) ?? null
  }

  failure(entry: number): SealiftError | null {
    const failure = this.#failures.get(entry)
    return failure === undefined ? null : new SealiftError(failure.code, failure.message)
  }

  get finished(): Done | null {
    return this.#finished
  }

  get hello(): Hello {
    return { name: this.#options.name, maxChunkBytes: MAX_CHUNK_BYTES, known: this.#known }
  }

  async joined(resumeId: Uint8Array): Promise<void> {
    const { key, known } = await findKnownTransfer(this.#options.ledger, resumeId)
    this.#resume = { id: resumeId, key }
    this.#known = known
  }

  async offered(offer: Offer): Promise<void> {
    const current = this.#current
    if (current !== null && current.id !== offer.transferId) {
      throw new SealiftError('peer_stopped', 'the sender was started again, and offers something else now', {
        hint: 'run the same line again to take what it offers now',
      })
    }
    // The lock comes before anything is read, so that two processes never work on one staging folder.
    this.#lock ??= await this.#options.ledger.lock(offer.transferId, 'receiver')
  }

  accept(offer: Offer, manifest: Manifest | null, signal: AbortSignal): Promise<AcceptedTransfer> {
    const accepting = this.#accept(offer, manifest, signal)
    this.#accepting = accepting
    return accepting
  }

  async #accept(offer: Offer, manifest: Manifest | null, signal: AbortSignal): Promise<AcceptedTransfer> {
    const { ledger } = this.#options
    const earlier = await this.#endedEarlier(offer)
    if (earlier !== null) return earlier
    const current = this.#current ?? (await this.#open(offer, manifest, signal))
    const isNew = this.#current === null
    this.#current = current
    // By this key it comes back, also where it is cut off while it waits.
    if (this.#resume !== null && this.#resume.key !== current.key) {
      await ledger.resumeKeys.attach(this.#resume.id, 'receiver', current.key)
      this.#resume.key = current.key
    }
    // What came in the session before is not to be sent again.
    if (!isNew) await current.incoming.checkpoint()
    await this.#options.mayBegin?.(current.key, current.incoming.safeRanges.totalBytes)
    current.epoch++
    await ledger.transfers.update(current.key, {
      status: 'in_progress',
      epoch: current.epoch,
      peer: this.#options.peer,
    })
    this.#known = { transferId: current.id, digest: offer.digest }
    if (isNew) this.#announce(current)
    return {
      incoming: current.incoming,
      epoch: current.epoch,
      target: 'disk',
      mayPause: current.manifest.totalBytes === null,
      stateRuns: () => stateRuns(current.progress.states, (entry) => this.#wireCode(entry)),
      safeRanges: () => current.incoming.safeRanges,
      finish: () => this.#finishOnce(current),
      report: () => this.#report(),
    }
  }

  /** A transfer that ended here while the sender did not hear of it: only that is still to be said. */
  async #endedEarlier(offer: Offer): Promise<AcceptedTransfer | null> {
    if (this.#current !== null && this.#finished === null) return null
    const row = await this.#options.ledger.transfers.find(offer.transferId, 'receiver')
    if (row?.status !== 'completed' || row.told || row.checksum !== offer.digest) return null
    const ending = endingOf(row, offer)
    const done = this.#finished ?? ending.done
    this.#finished = done
    this.#endedKey = row.key
    if (this.#current === null) {
      this.#endedBefore = { id: row.id, files: offer.files, bytes: row.fileSize ?? 0 }
      for (const [root, name] of ending.savedRoots.entries()) this.#savedRoots.set(root, name)
    }
    // Where the session broke before the files were reported.
    return { ...endedTransfer(row, offer, done), report: () => this.#report() }
  }

  #wireCode(entry: number): number {
    const failure = this.#failures.get(entry)
    return failure === undefined ? 0 : new SealiftError(failure.code, '').wireCode
  }

  /** The transfer of an offer: the one in the ledger, or a new one that the user agrees to. */
  async #open(offer: Offer, offered: Manifest | null, signal: AbortSignal): Promise<Current> {
    const { ledger, outputDir } = this.#options
    const row = await ledger.transfers.find(offer.transferId, 'receiver')
    if (row !== null && row.checksum !== null && row.checksum !== offer.digest) {
      throw new SealiftError('protocol_violation', 'the sender changed the manifest of a transfer')
    }
    if (row !== null && row.outputDir === outputDir && row.plan !== null && (await ledger.manifests.has(row.key))) {
      const manifest = offered ?? (await readManifest(ledger, row.key))
      // The sender said it to an earlier process; the manifest does not have it.
      if (manifest.isOpenEnded && row.fileSize !== null) manifest.settleSize(row.fileSize)
      return this.#build(row.id, row.key, manifest, row.plan as ReceivePlan, row.epoch, true)
    }
    if (offered === null) throw new SealiftError('protocol_violation', 'an offer without its manifest')
    const { owner } = this.#options
    const findOwn =
      owner === undefined ? undefined : (names: readonly string[]) => ledger.ownedRoots.find(owner, outputDir, names)
    const plan = await decideOffer({ ...this.#options, findOwn }, offer, offered, signal)
    // The session may have ended in the very moment of the answer: then nothing is made.
    signal.throwIfAborted()
    // Staging that no row knows is never trusted: its bytes may be anything (PROTOCOL 1.6).
    setAsideStaging(outputDir, offer.transferId)
    const fields = {
      filename: titleOf(offered),
      fileSize: offer.bytes,
      priority: offer.priority ?? DEFAULT_PRIORITY,
      checksum: offer.digest,
      host: this.#options.host,
      peer: this.#options.peer,
      userId: this.#options.owner ?? null,
      outputDir,
      options: { port: this.#options.port },
      plan,
      entryCount: offered.count,
      transportUsed: 'tcp',
      replaces: offer.replaces,
      epoch: 0,
    }
    let key: number
    if (row === null) {
      key = await ledger.transfers.create({
        id: offer.transferId,
        role: 'receiver',
        transferType: 'download',
        ...fields,
      })
    } else {
      key = row.key
      await ledger.transfers.restart(key, fields)
    }
    await ledger.manifests.save(key, encodeManifestPages(offered))
    const current = await this.#build(offer.transferId, key, offered, plan, 0, false)
    await this.#takeOver(offer, current)
    return current
  }

  /**
   * Takes over what an older transfer has of the same files (PROTOCOL 3.1): only where this session came by that
   * transfer's key, or is of its owner, so that nobody else's bytes are touched.
   */
  async #takeOver({ replaces }: Offer, current: Current): Promise<void> {
    const { ledger, outputDir, owner } = this.#options
    const key = this.#resume?.key ?? null
    const row = key === null ? await findOwned(ledger, replaces, owner) : await ledger.transfers.get(key)
    if (row?.id !== replaces || row.outputDir !== outputDir || row.completedAtMs !== null) return
    const lock = await ledger.lock(row.id, 'receiver')
    try {
      if (await adoptOlder(ledger, row, outputDir, current)) current.incoming.takeStock()
      if (this.#resume !== null) await ledger.resumeKeys.attach(this.#resume.id, 'receiver', current.key)
      await ledger.transfers.finish(row.key, 'cancelled')
    } finally {
      lock.release()
    }
  }

  async #build(
    id: string,
    key: number,
    manifest: Manifest,
    plan: ReceivePlan,
    epoch: number,
    resumed: boolean,
  ): Promise<Current> {
    const { ledger, clock, probe, outputDir, onProgress, onFault } = this.#options
    const writer = TreeWriter.open({ outputDir, transferId: id, manifest, plan, probe })
    const progress = await ledger.openProgress(key, manifest.count)
    for (const { entry } of skippedEntries(plan)) progress.states.set(entry, ENTRY_SKIPPED)
    for (const { entry, code, message } of failedEntries(manifest, plan)) {
      progress.states.set(entry, ENTRY_FAILED)
      this.#failures.set(entry, { code, message })
    }
    if (resumed) {
      await recoverPublishing(this.#publishing(key, manifest, plan, progress, writer, () => Promise.resolve()))
      dropWhatIsGone({ manifest, progress, writer })
    }
    const incoming = new Incoming({
      manifest,
      writer,
      ledger: progress,
      clock,
      probe,
      onSize: (sizeBytes) => this.#settleSize(key, sizeBytes),
      onProgress: (bytes, files) => {
        onProgress(bytes, files)
        if (manifest.totalBytes === null) this.#checkRoomLeft()
      },
      onFault,
      onFailed: (entry, code, message) => this.#entryFailed(entry, code, message),
    })
    return { id, key, manifest, plan, progress, writer, incoming, epoch }
  }

  /** What has no end is stopped before the disk is full, since others write to it too. */
  #checkRoomLeft(): void {
    const { outputDir, onFault } = this.#options
    try {
      checkRoomLeft(outputDir)
    } catch (error) {
      onFault(error as SealiftError)
    }
  }

  #publishing(
    transfer: number,
    manifest: Manifest,
    plan: ReceivePlan,
    progress: LedgerProgress,
    writer: TreeWriter,
    sync: () => Promise<void>,
  ): PublishingOptions {
    const { ledger, probe, onEntry } = this.#options
    return {
      ledger,
      transfer,
      progress,
      manifest,
      plan,
      writer,
      probe,
      sync,
      onPublished: (unit, savedAs) => {
        const root = plan.roots.findLast((planned) => planned.root <= unit)
        if (root !== undefined) this.#savedRoots.set(root.root, savedAs.split('/')[0] as string)
        this.#published.push({ unit, savedAs })
      },
      onSkipped: (entry) => onEntry({ entry, status: 'skipped', savedAs: null }),
      onFailed: (entry, code, message) => this.#entryFailed(entry, code, message),
    }
  }

  #entryFailed(entry: number, code: ErrorCode, message: string): void {
    const { onEntry, onWarning } = this.#options
    this.#failures.set(entry, { code, message })
    onEntry({ entry, status: 'failed', savedAs: null })
    // Where there is nothing else, this is how the transfer ends, and is said then.
    if (this.#current?.manifest.isOpenEnded !== true) onWarning(code, message)
  }

  #settleSize(key: number, sizeBytes: number): void {
    const { ledger, onSize, onFault } = this.#options
    onSize(sizeBytes)
    // Queued before any state that needs it.
    ledger.transfers.update(key, { fileSize: sizeBytes }).catch((error: unknown) => onFault(error as SealiftError))
  }

  #announce({ id, manifest, plan, progress }: Current): void {
    const { onTransfer, onEntry, onEntries, onWarning } = this.#options
    let files = 0
    let endedFiles = 0
    let skippedBytes = 0
    for (let entry = 0; entry < manifest.count; entry++) {
      const state = progress.states.get(entry)
      if (manifest.kind(entry) !== KIND_FILE) continue
      files++
      if (state === ENTRY_SKIPPED || state === ENTRY_FAILED) skippedBytes += manifest.sizeBytes(entry) ?? 0
      if (state !== ENTRY_PENDING) endedFiles++
    }
    onTransfer({ id, manifest, files, safeBytes: progress.ranges.totalBytes, skippedBytes, endedFiles })
    if (this.#options.reportsFiles) onEntries(skippedBy(plan))
    for (const { entry, code, message } of failedEntries(manifest, plan)) {
      onEntry({ entry, status: 'failed', savedAs: null })
      onWarning(code, message)
    }
  }

  /** A session that breaks while its files are published leaves that under way: the next one waits for it, and does not begin again. */
  #finishOnce(current: Current): Promise<Done> {
    this.#finishing ??= this.#finish(current).finally(() => {
      this.#finishing = null
    })
    return this.#finishing
  }

  async #finish(current: Current): Promise<Done> {
    const { ledger, probe } = this.#options
    const { key, manifest, plan, progress, writer, incoming } = current
    await incoming.stop()
    await incoming.checkpoint()
    await publishAll(this.#publishing(key, manifest, plan, progress, writer, () => incoming.sync()))
    const { states } = progress
    const done = { published: 0, skipped: 0, failed: 0 }
    for (let entry = 0; entry < manifest.count; entry++) {
      if (manifest.kind(entry) !== KIND_FILE) continue
      const state = states.get(entry)
      if (state === ENTRY_FAILED) done.failed++
      else if (state === ENTRY_SKIPPED) done.skipped++
      else done.published++
    }
    const { owner, outputDir } = this.#options
    if (owner !== undefined) await ledger.ownedRoots.claim(owner, outputDir, this.savedRoots)
    writer.remove()
    probe('before-end')
    // Kept for a sender that does not hear of it now and asks again.
    const options = rememberEnding(this.#options.port, { done, savedRoots: this.savedRoots })
    await ledger.transfers.update(key, { options })
    await ledger.transfers.finish(key, 'completed')
    probe('after-end')
    this.#finished = done
    this.#endedKey = key
    return done
  }

  /** Says of each file where it was saved; after the sender was told, which would wait for it otherwise. */
  #report(): void {
    const current = this.#current
    if (current !== null && this.#options.reportsFiles)
      this.#options.onEntries(savedEntries(current, this.#published.splice(0)))
  }

  async told(): Promise<void> {
    if (this.#endedKey === null) return
    const { transfers } = this.#options.ledger
    await transfers.markTold(this.#endedKey)
    // Now that nobody asks for it any more, the row says how it was.
    const failure = this.#current?.manifest.isOpenEnded === true ? this.failure(0) : null
    if (failure !== null) await transfers.finish(this.#endedKey, 'failed', failure)
  }

  async giveUp(error: SealiftError): Promise<void> {
    const current = this.#current
    if (current === null || this.#finished !== null || this.#isGivenUp) return
    this.#isGivenUp = true
    await current.incoming.stop()
    current.writer.remove()
    await this.#options.ledger.transfers.finish(current.key, 'failed', error)
  }

  async close(): Promise<void> {
    await this.#accepting?.catch(() => undefined)
    await this.#finishing?.catch(() => undefined)
    const current = this.#current
    if (current !== null && this.#finished === null && !this.#isGivenUp) {
      await current.incoming.stop()
      await current.incoming.checkpoint()
      current.writer.close()
    }
    this.#lock?.release()
    this.#lock = null
  }
}

/** For `status`: the first root, or how many there are. */
function titleOf(manifest: Manifest): string {
  const roots = [...manifest.roots()]
  return roots.length === 1 ? manifest.name(roots[0] as number) : `${roots.length} items`
}
