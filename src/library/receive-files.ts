/**
 * Receiving from a listening sender: joins the address, the token, the ledger and the reception into one transfer, and
 * comes back by itself when the connection drops.
 */

import { resolve } from 'node:path'
import { dialTcp } from '../carriers/tcp.ts'
import { type ConnectAddress, formatAddress, parseConnectAddress } from '../config/address.ts'
import { nodeCrypto } from '../crypto/node.ts'
import { freeBytes } from '../files/free-space.ts'
import { checkTarget, removeStaleStaging } from '../files/staging.ts'
import { normalizeToken } from '../identity/token.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { ConflictPolicy } from '../protocol/choices.ts'
import { SealiftError, toSealiftError } from '../protocol/errors.ts'
import { CONNECT_TIMEOUT_MS, RECONNECT_TIMEOUT_MS } from '../protocol/limits.ts'
import { KIND_FILE } from '../protocol/manifest.ts'
import { systemClock } from '../transfer/clock.ts'
import { type DialledSession, Dialer } from '../transfer/dialling.ts'
import { type EndedEntry, fileEvent } from '../transfer/ended-entries.ts'
import type { FileEvent } from '../transfer/events.ts'
import { pacer } from '../transfer/pacing.ts'
import { Progress } from '../transfer/progress.ts'
import { type ReceiverOutcome, ReceiverSession } from '../transfer/receiver-session.ts'
import type { OfferToDecide } from '../transfer/offer-decision.ts'
import type { LastingReception, StartedTransfer } from '../transfer/lasting-reception.ts'
import type { DirectReception } from '../transfer/reception.ts'
import type { Session } from '../transfer/session.ts'
import { noProbe } from '../transfer/stage.ts'
import type { Waiting } from '../transfer/waiting.ts'
import { listOffer } from './offer-listing.ts'
import { checkOptions, readAnswer } from './option-checks.ts'
import type { ReceiveOptions } from './options.ts'
import { adviseOnReaching, identifyPeer } from './peer-identity.ts'
import { ReceiverKeys } from './receiver-keys.ts'
import { Redialling } from './redialling.ts'
import { FurtherStreams, warnOnce } from './further-streams.ts'
import { makeReceptions } from './receptions.ts'
import { type Emit, type Run, startTransfer, type Transfer, type TransferResult } from './transfer.ts'
import { openUserLedger } from './user-ledger.ts'

/** With everything saved, the sender gets this long to come back and hear of it. */
const TELL_TIMEOUT_MS = 3000

/**
 * Fetches what a sender offers.
 *
 * Starts at once. After an interruption, calling it again with the same address and folder goes on with what is missing.
 *
 * @param connect `ADDRESS[:PORT][:TOKEN]`, as the sender's `listening` event has it
 * @throws SealiftError nothing; {@link Transfer.done} rejects
 *   before there is a session with `usage`, `settings_invalid`, `target_not_folder`, `target_read_only`, `transfer_busy`,
 *   `connect_failed`, `host_unknown`, `not_sealift`, `version_mismatch`, `auth_failed`, `token_burned`, `peer_refused`, `rejected`,
 *   `policy_refused`, `session_taken`, `limit_exceeded`;
 *   at the offer with `declined`, `unanswered`, `conflict`, `disk_full`, `limit_exceeded`, `manifest_invalid`, `usage` (several files
 *   for one `output`);
 *   once it has come back in vain with `connection_lost`, `peer_silent`, `peer_stopped`, `replaced`, `record_invalid`;
 *   with a fault of either side: `protocol_violation`, `codec_failed`, `disk_full`, `target_read_only`, `target_gone`,
 *   `disk_fault`, `ledger_unavailable`, `ledger_corrupt`, `ledger_newer`;
 *   with `partial`, or, where there is one file only and it came from a pipe or went to an `output`, with why it failed:
 *   `source_unreadable`, `source_changed`, `source_vanished`, `digest_mismatch`, `name_unusable`, `entry_in_the_way`, `target_gone`
 *   (what `output` threw is said); with `interrupted`, or the `SealiftError` that it was stopped with
 * @example
 * ```ts
 * const transfer = receiveFiles('127.0.0.1:15820:coral-magnet', { outputDir: 'in' })
 * for await (const event of transfer) if (event.event === 'progress') console.log(event.bytesDone)
 * console.log((await transfer.done).savedTo)
 * ```
 */
export function receiveFiles(connect: string, options: ReceiveOptions = {}): Transfer {
  return startTransfer(options.signal, runReceive(connect, options))
}

/** @internal The work of {@link receiveFiles}, for a handle that is made elsewhere. */
export function runReceive(connect: string, options: ReceiveOptions): Run {
  return async (emit, signal, watch) => {
    signal.throwIfAborted()
    checkOptions(options)
    const address = parseConnectAddress(connect)
    const ledger = await openUserLedger(options.ledgerPath)
    try {
      const receive = new DirectReceive(address, options, emit, signal, ledger)
      watch(() => receive.waiting)
      return await receive.run()
    } finally {
      await ledger.close()
    }
  }
}

class DirectReceive {
  readonly #address: ConnectAddress
  readonly #options: ReceiveOptions
  readonly #emit: Emit
  readonly #signal: AbortSignal
  readonly #ledger: Ledger
  /** Where it goes, among the keys of coming back too. */
  readonly #outputDir: string
  readonly #reception: LastingReception
  /** Saves files; `null` where all goes to an output. */
  readonly #files: DirectReception | null
  #started: StartedTransfer | null = null
  #progress: Progress | null = null
  #conversation: ReceiverSession | null = null
  #identity: Promise<string | null> = Promise.resolve(null)
  #redialling: Redialling | null = null
  /** Whose connections are not let go of yet. */
  readonly #sessions = new Set<Session>()
  #wireBytes = 0
  #failed = 0
  readonly #warnOfFurther: ReturnType<typeof warnOnce>

  constructor(address: ConnectAddress, options: ReceiveOptions, emit: Emit, signal: AbortSignal, ledger: Ledger) {
    this.#address = address
    this.#options = options
    this.#emit = emit
    this.#signal = signal
    this.#ledger = ledger
    this.#warnOfFurther = warnOnce(emit)
    const made = makeReceptions({
      address,
      options,
      ledger,
      emit,
      signal,
      identity: () => this.#identity,
      decide: (question, stop) => this.#decide(question, stop),
      onTransfer: (started) => this.#begin(started),
      onEntry: (entry) => this.#entry(entry),
      onEntries: (entries) => emit(this.#fileEvents(entries)),
      onProgress: (bytes, files) => {
        this.#redialling?.progressed()
        this.#progress?.add(bytes, files)
      },
      onSize: (sizeBytes) => this.#progress?.setTotal(sizeBytes),
      onFault: (error) => this.#conversation?.fault(error),
    })
    this.#reception = made.reception
    this.#files = made.files
    this.#outputDir = made.outputDir
  }

  /** What it waits for; `null` while something happens. */
  get waiting(): Waiting | null {
    return this.#redialling?.waiting ?? this.#conversation?.waiting ?? null
  }

  async run(): Promise<TransferResult> {
    const { host, port } = this.#address
    if (this.#files !== null) {
      checkTarget(this.#outputDir)
      const unfinished = await this.#ledger.transfers.listUnfinished('receiver')
      removeStaleStaging(this.#outputDir, Date.now(), new Set(unfinished.map(({ id }) => id)))
    }
    await this.#ledger.resumeKeys.prune()
    const typed = this.#options.token ?? this.#address.token
    const token = typed === null ? null : normalizeToken(typed)
    const keys = await ReceiverKeys.open(this.#ledger, { host, port, outputDir: this.#outputDir })
    if (token === null && keys.offered.length === 0) throw noWayIn(this.#address)
    const over = new AbortController()
    const pace = pacer(this.#options.bytesPerSecond, systemClock, this.#signal)
    const dialer = new Dialer({
      crypto: nodeCrypto,
      clock: systemClock,
      purpose: 'direct',
      role: 'receiver',
      token,
      dial: async (signal) => {
        const stream = await dialTcp({ host, port, timeoutMs: CONNECT_TIMEOUT_MS, signal })
        // Beside the handshake, which takes longer; of a further stream it is known.
        if (this.#conversation === null)
          this.#identity = identifyPeer(stream.peer, AbortSignal.any([this.#signal, over.signal]))
        return pace(stream)
      },
      resumeKeys: () => keys.offered,
      commit: async (pending, suite) => {
        await keys.commit(pending, suite)
        if (suite === 'cpace') this.#options.probe?.('resume-key-kept')
      },
      confirmed: async (resumeId, suite) => {
        await keys.confirmed(resumeId, suite)
        this.#options.probe?.('handshake-confirmed')
      },
    })
    let failure: unknown
    try {
      return await this.#untilDone(dialer, keys)
    } catch (error) {
      failure = error
    } finally {
      this.#progress?.stop()
      over.abort()
      await Promise.all([this.#identity, ...[...this.#sessions].map(({ released }) => released)])
      // What is being published when it is stopped is published still, and that is worth a word.
      await this.#reception.close()
      keys.close()
    }
    throw await this.#explain(toSealiftError(failure))
  }

  /** Sessions one after another, until the transfer is done or cannot go on. */
  async #untilDone(dialer: Dialer, keys: ReceiverKeys): Promise<TransferResult> {
    const redialling = new Redialling({
      clock: systemClock,
      connect: (signal) => dialer.connect(signal),
      session: (dialled) => this.#session(dialled, dialer, keys),
      // Stopped by its user before anything was accepted: there is nothing to come back for.
      isOver: (error) => this.#isOver(error) || (error.code === 'peer_stopped' && this.#started === null),
      patienceMs: () => (this.#reception.finished === null ? RECONNECT_TIMEOUT_MS : TELL_TIMEOUT_MS),
      onRetry: ({ code, message }) => this.#emit({ event: 'warning', code, message: `${message}; connecting again` }),
    })
    this.#redialling = redialling
    const error = await redialling.run(this.#signal)
    // Once all is saved, it does not matter that the sender may not know: it can ask again.
    if (error === null || this.#reception.finished !== null) return this.#result()
    if (this.#isOver(error)) throw await this.#giveUp(error)
    throw error
  }

  /** Whether the sender is gone for good, and with it what it read from a pipe. */
  #isOver(error: SealiftError): boolean {
    return this.#started?.manifest.isOpenEnded === true && (error.code === 'peer_stopped' || isRefused(error))
  }

  async #giveUp(cause: SealiftError): Promise<SealiftError> {
    const error = new SealiftError(
      cause.code,
      'the sender has ended, and what it read from a pipe cannot be read again',
      {
        hint: 'this transfer cannot be resumed, and nothing of it is kept: start both sides anew',
        cause,
        retryable: false,
      },
    )
    await this.#reception.giveUp(error)
    return error
  }

  #keepUntilReleased(session: Session): void {
    this.#sessions.add(session)
    void session.released.then(() => this.#sessions.delete(session))
  }

  async #session({ session, resumeId }: DialledSession, dialer: Dialer, keys: ReceiverKeys): Promise<ReceiverOutcome> {
    this.#keepUntilReleased(session)
    try {
      await this.#reception.joined(resumeId)
    } catch (error) {
      session.fail(error)
      throw error
    }
    const identity = await this.#identity
    const over = new AbortController()
    const further: Promise<void>[] = []
    const conversation: ReceiverSession = new ReceiverSession({
      session,
      reception: this.#reception,
      probe: this.#options.probe ?? noProbe,
      onMoving: (wished) => {
        const streams = Math.max(wished, this.#options.streams ?? 1)
        further.push(this.#further(streams, resumeId, dialer, keys, conversation).run(over.signal))
      },
    })
    this.#conversation = conversation
    this.#emit({
      event: 'connected',
      transferId: this.#started?.id ?? null,
      peer: session.peer.address,
      identity,
      suite: session.suite,
      cipher: session.cipher,
    })
    const stop = (): void => void conversation.stop(toSealiftError(this.#signal.reason))
    this.#signal.addEventListener('abort', stop, { once: true })
    if (this.#signal.aborted) stop()
    const outcome = await conversation.run()
    over.abort(new SealiftError('connection_lost', 'the session is over'))
    await Promise.all(further)
    this.#signal.removeEventListener('abort', stop)
    this.#conversation = null
    this.#wireBytes += conversation.wireBytes
    // Once the sender knows that all is done, a stop comes too late to change anything.
    if (outcome.kind === 'done') await this.#reception.told()
    else this.#signal.throwIfAborted()
    return outcome
  }

  #further(
    streams: number,
    resumeId: Uint8Array,
    dialer: Dialer,
    keys: ReceiverKeys,
    conversation: ReceiverSession,
  ): FurtherStreams {
    return new FurtherStreams({
      clock: systemClock,
      streams: streams - 1,
      connect: (signal) => dialer.join(keys.get(resumeId), signal),
      use: (stream) => {
        this.#keepUntilReleased(stream)
        return conversation.join(stream)
      },
      onFailed: this.#warnOfFurther,
    })
  }

  async #decide(question: OfferToDecide, signal: AbortSignal): Promise<ConflictPolicy> {
    const { offer, manifest, survey, plan, policy, outputDir } = question
    const { accept } = this.#options
    if (accept === undefined) return policy
    const answer = await accept(
      {
        transferId: offer.transferId,
        from: offer.name,
        identity: await this.#identity,
        peer: this.#address.host,
        files: offer.files,
        bytes: offer.bytes,
        kind: 'files',
        outputDir,
        savedAs: plan.roots.map(({ savedAs }) => savedAs),
        freeBytes: freeBytes(outputDir),
        ...listOffer(manifest, survey, plan),
      },
      AbortSignal.any([signal, this.#signal]),
    )
    return readAnswer(answer, policy)
  }

  #begin(started: StartedTransfer): void {
    this.#started = started
    this.#progress = Progress.ofReception(systemClock, started, this.#emit)
  }

  #entry(ended: EndedEntry): void {
    if (ended.status === 'failed' && this.#started?.manifest.kind(ended.entry) === KIND_FILE) this.#failed++
    if (this.#options.fileEvents === false) return
    for (const event of this.#fileEvents([ended])) this.#emit(event)
  }

  *#fileEvents(entries: Iterable<EndedEntry>): Generator<FileEvent> {
    const started = this.#started
    if (started === null) return
    const { id, manifest } = started
    for (const ended of entries) {
      const { entry, status } = ended
      if (manifest.kind(entry) !== KIND_FILE) continue
      yield fileEvent(id, manifest, ended, status === 'ok' ? this.#reception.sha256(entry) : null)
    }
  }

  #result(): TransferResult {
    const started = this.#started
    const before = this.#files?.endedBefore ?? null
    const pace = this.#progress?.pace ?? { seconds: 0, bytesPerSecond: 0 }
    this.#progress?.flush()
    const failure = this.#onlyFailure()
    if (failure !== null) throw failure
    const result = {
      transferId: started?.id ?? this.#reception.transferId ?? '',
      files: started?.files ?? before?.files ?? 0,
      bytes: started?.manifest.totalBytes ?? before?.bytes ?? 0,
      bytesOnWire: this.#wireBytes,
      resumedBytes: started?.safeBytes ?? before?.bytes ?? 0,
      ...pace,
    }
    this.#emit({ event: 'done', ...result })
    const failed = this.#reception.finished?.failed ?? this.#failed
    if (failed > 0) {
      throw new SealiftError('partial', `${String(failed)} could not be received; all others are saved`, {
        hint: 'the warnings above name them',
        transferId: result.transferId,
      })
    }
    return {
      role: 'receiver',
      ...result,
      savedTo: (this.#files?.savedRoots ?? []).map((name) => resolve(this.#outputDir, name)),
      replaced: this.#files?.replaced ?? { files: 0, first: [] },
    }
  }

  /** Where a transfer has one entry that cannot be sent again, its failure is that of the transfer. */
  #onlyFailure(): SealiftError | null {
    const isSaved = this.#files !== null && this.#files.transferId !== null
    if (isSaved && this.#started?.manifest.isOpenEnded !== true) return null
    const failure = this.#reception.failure(0)
    if (failure === null) return null
    return new SealiftError(failure.code, failure.message, {
      hint: failure.hint ?? 'nothing of it can be used: start both sides anew',
      cause: failure,
      retryable: false,
    })
  }

  /** Adds what the user can do about it. */
  async #explain(error: SealiftError): Promise<SealiftError> {
    const transferId = this.#reception.transferId ?? undefined
    const isStop = error.code === 'interrupted' || error.code === 'terminated'
    const isUnreachable = error.code === 'connect_failed' || error.code === 'host_unknown'
    const hint =
      (isUnreachable ? await adviseOnReaching(this.#address.host) : null) ??
      error.hint ??
      (isStop && this.#reception.finished !== null
        ? 'all is saved already; the same line again tells the sender so'
        : undefined) ??
      (transferId !== undefined && error.retryable ? this.#adviseOnComingBack(transferId) : HINTS[error.code])
    return new SealiftError(error.code, error.message, {
      ...(hint === undefined ? {} : { hint }),
      ...(transferId === undefined ? {} : { transferId }),
      cause: error,
      retryable: error.retryable,
    })
  }

  /** Of what goes to an output or is a text nothing rests, and the ledger does not know it. */
  #adviseOnComingBack(transferId: string): string {
    if (this.#files !== null && this.#files.transferId !== null)
      return `run the same line again, or: sealift resume ${transferId}`
    return this.#started?.manifest.isOpenEnded === true
      ? 'what the sender reads from a pipe cannot be read again: start both sides anew'
      : 'run the same line again while the sender waits: it begins at the first byte'
  }
}

const HINTS: Readonly<Partial<Record<SealiftError['code'], string>>> = {
  auth_failed: 'a token works once, for one receiver; look again at what the sender shows now',
  connect_failed: 'is the sender still running, and is the address right?',
}

/** The sender lets in whoever has its token, or a key of an unfinished transfer. */
function noWayIn({ host, port }: ConnectAddress): SealiftError {
  const address = formatAddress(host, port, true)
  return new SealiftError('usage', `there is no token for ${address}, nor an unfinished transfer from there`, {
    hint: `give the token that the sender shows behind its address: ${address}:TOKEN`,
  })
}

/** Nobody listens there any more. */
function isRefused({ code, cause }: SealiftError): boolean {
  return code === 'connect_failed' && cause instanceof Error && 'code' in cause && cause.code === 'ECONNREFUSED'
}
