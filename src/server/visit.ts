/**
 * One session of one sender at a server, as the engine's {@link Reception}: which transfer it is for turns out with its
 * offer, and so does whether it may be.
 *
 * Owns what a server allows: whose transfer it is, policies, sizes. The transfer itself is the business of a
 * {@link DirectReception}, made here for this session and closed with it.
 */

import { chunkLimit } from '../guard/quotas.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { type ErrorCode, isDiskError, SealiftError, toSealiftError } from '../protocol/errors.ts'
import { DEFAULT_PRIORITY, MAX_UNACKNOWLEDGED_BYTES } from '../protocol/limits.ts'
import type { Manifest } from '../protocol/manifest.ts'
import type { Hello, Offer } from '../protocol/messages.ts'
import type { Clock } from '../transfer/clock.ts'
import type { EndedEntry } from '../transfer/ended-entries.ts'
import { findKnownTransfer } from '../transfer/known-transfer.ts'
import type { StartedTransfer } from '../transfer/lasting-reception.ts'
import type { AcceptedTransfer, ReceiverOutcome, Reception } from '../transfer/receiver-session.ts'
import { DirectReception } from '../transfer/reception.ts'
import type { StageProbe } from '../transfer/stage.ts'
import type { Guest } from './guest.ts'
import { PlaceTeller } from './place-teller.ts'
import type { Applicant, Turn } from './transfer-queue.ts'

/** What is told of a visit while it lasts. */
export interface VisitHooks {
  /** The transfer is accepted, or taken up again. */
  readonly onTransfer: (started: StartedTransfer) => void
  /** @param sha256 32 bytes, borrowed; `null` where it is not known */
  readonly onEntry: (ended: EndedEntry, sha256: Uint8Array | null) => void
  /** Whether `onEntry` wants to hear of all that was saved or skipped. */
  readonly reportsFiles: boolean
  /** It has to wait for its turn. @param place in line; 1 is the next */
  readonly onQueued: (transferId: string, place: number) => void
  readonly onProgress: (bytes: number, files: number) => void
  readonly onWarning: (code: SealiftError['code'], message: string) => void
}

export interface VisitOptions extends VisitHooks {
  readonly ledger: Ledger
  readonly clock: Clock
  readonly probe: StageProbe
  readonly guest: Guest
  /** Address of the sender, for the ledger and for people. */
  readonly peer: string
  /** What the sender is told this server is called. */
  readonly name: string
  readonly maxPayloadBytes: number
  readonly allowOverwrite: boolean
  /** Where a new transfer of this guest goes, absolute. */
  readonly placeNew: () => string
  /**
   * Resolves once no other session of this guest works on that transfer.
   * @throws SealiftError `policy_refused` where one of another does
   */
  readonly claim: (transferId: string) => Promise<void>
  /** The connection is for that transfer. @throws SealiftError `server_busy` */
  readonly join: (transferId: string) => void
  /**
   * Whether there is room for it, kept for it from now on; asked once the ledger knows the transfer, and for content of
   * unknown length as it grows.
   * @returns how far it may go without asking again
   * @throws SealiftError `limit_exceeded`, `disk_full`, with how much there would be
   */
  readonly reserve: (offer: Offer, transfer: number, arrivedBytes: number) => Promise<number>
  /** Resolves when it is its turn to run. @throws SealiftError `server_busy`; the signal's reason */
  readonly takeTurn: (applicant: Applicant) => Promise<Turn>
  /** Written down before the sender hears of it. @throws SealiftError of the ledger */
  readonly record: (status: 'queued' | 'accepted' | 'completed', offer: Offer) => Promise<void>
  /** To how many bytes a second this guest is held; `null`: to none. */
  readonly bytesPerSecond: () => number | null
  /** Nobody brings bytes of that transfer any more. */
  readonly release: (transfer: number) => Promise<void>
  readonly onFault: (error: SealiftError) => void
}

/** How the session of the moment waits. */
interface Wait {
  readonly signal: AbortSignal
  readonly tellPlace: (place: number) => Promise<void>
}

/** As much as may be under way while it is asked for. */
const GROW_AHEAD_BYTES = MAX_UNACKNOWLEDGED_BYTES

export class Visit implements Reception {
  readonly #options: VisitOptions
  #known: Hello['known'] = null
  #wait: Wait | null = null
  #turn: Turn | null = null
  #reception: DirectReception | null = null
  /** Row of the transfer, once there is room for it. */
  #key: number | null = null
  /** Of content of unknown length: how much has come, and how far it may go. */
  #arrivedBytes = 0
  #mayReachBytes = Number.MAX_SAFE_INTEGER
  #growing = false
  #isOpenEnded = false

  constructor(options: VisitOptions) {
    this.#options = options
  }

  /** Looks up which transfer the sender comes back for; before the session begins. */
  async prepare(): Promise<void> {
    const { ledger, guest } = this.#options
    this.#known = (await findKnownTransfer(ledger, guest.resumeId)).known
  }

  get hello(): Hello {
    const { name, maxPayloadBytes } = this.#options
    return { name, maxChunkBytes: chunkLimit(maxPayloadBytes), known: this.#known }
  }

  /** `null` before an offer was let through. */
  get reception(): DirectReception | null {
    return this.#reception
  }

  async offered(offer: Offer): Promise<void> {
    const { ledger, guest, allowOverwrite, claim, join } = this.#options
    if (this.#reception !== null) throw new SealiftError('protocol_violation', 'a second offer in one session')
    if (offer.text === true) throw new SealiftError('policy_refused', 'a server takes files, and no texts')
    if (!allowOverwrite && (offer.conflict === 'overwrite' || offer.conflict === 'update'))
      throw new SealiftError('policy_refused', 'the sender asks to replace what is here, which is not allowed')
    // Whose it is comes first: the session of another is not to be replaced.
    const before = await ledger.transfers.find(offer.transferId, 'receiver')
    if (before !== null && before.userId !== guest.owner) throw belongsToAnother()
    await claim(offer.transferId)
    join(offer.transferId)
    const row = await ledger.transfers.find(offer.transferId, 'receiver')
    const place = row?.completedAtMs === null ? row.outputDir : null
    const reception = this.#makeReception(place ?? this.#options.placeNew(), offer)
    await reception.joined(guest.resumeId)
    this.#reception = reception
    await reception.offered(offer)
  }

  #makeReception(outputDir: string, offer: Offer): DirectReception {
    const { ledger, clock, probe, guest, peer, name } = this.#options
    const { onTransfer, onProgress, onWarning, onFault, reportsFiles } = this.#options
    return new DirectReception({
      ledger,
      clock,
      probe,
      name,
      outputDir,
      conflict: offer.conflict,
      portableNames: false,
      host: null,
      port: null,
      peer,
      owner: guest.owner,
      reportsFiles,
      decide: ({ policy }) => Promise.resolve(policy),
      mayBegin: (transfer, safeBytes) => this.#mayBegin(offer, transfer, safeBytes),
      onTransfer,
      onEntry: (ended) => this.#ended(ended),
      onEntries: (entries) => {
        for (const ended of entries) this.#ended(ended)
      },
      onProgress: (bytes, files) => {
        onProgress(bytes, files)
        if (offer.bytes === null) this.#grow(offer, bytes)
      },
      onWarning,
      onSize: () => undefined,
      onFault,
    })
  }

  async accept(
    offer: Offer,
    manifest: Manifest | null,
    signal: AbortSignal,
    tellPlace: (place: number) => Promise<void>,
  ): Promise<AcceptedTransfer> {
    const reception = this.#reception
    if (reception === null) throw new SealiftError('protocol_violation', 'a manifest without an offer')
    this.#isOpenEnded = offer.bytes === null
    this.#wait = { signal, tellPlace }
    const accepted = await reception.accept(offer, manifest, signal)
    const { record } = this.#options
    await record('accepted', offer)
    const bytesPerSecond = this.#options.bytesPerSecond()
    return {
      ...accepted,
      ...(bytesPerSecond === null ? {} : { bytesPerSecond }),
      finish: async () => {
        const done = await accepted.finish()
        await record('completed', offer)
        return done
      },
    }
  }

  /** Keeps room for it, and waits until it is its turn. */
  async #mayBegin(offer: Offer, transfer: number, safeBytes: number): Promise<void> {
    try {
      this.#mayReachBytes = await this.#options.reserve(offer, transfer, safeBytes)
      this.#key = transfer
      this.#turn = await this.#takeTurn(offer)
    } catch (thrown) {
      const error = toSealiftError(thrown)
      // Of what never began nothing stays, where this side will not have it.
      if (safeBytes === 0 && this.#wait?.signal.aborted !== true) await this.#reception?.giveUp(error)
      throw error
    }
  }

  async #takeTurn(offer: Offer): Promise<Turn> {
    const { clock, takeTurn, onQueued, record, onFault } = this.#options
    const { signal, tellPlace } = this.#wait as Wait
    const { transferId, priority = DEFAULT_PRIORITY } = offer
    const teller = new PlaceTeller(clock, tellPlace)
    let waits = false
    const onPlace = (place: number): void => {
      teller.tell(place)
      if (waits) return
      waits = true
      onQueued(transferId, place)
      record('queued', offer).catch((error: unknown) => onFault(toSealiftError(error)))
    }
    try {
      return await takeTurn({ transferId, priority, signal, onPlace })
    } finally {
      teller.stop()
    }
  }

  #ended(ended: EndedEntry): void {
    const sha256 = ended.status === 'ok' ? (this.#reception?.sha256(ended.entry) ?? null) : null
    this.#options.onEntry(ended, sha256)
  }

  /** What has no end asks for more room before it has used up what it has. */
  #grow(offer: Offer, bytes: number): void {
    this.#arrivedBytes += bytes
    const [transfer, arrived] = [this.#key, this.#arrivedBytes]
    if (transfer === null || this.#growing || arrived < this.#mayReachBytes - GROW_AHEAD_BYTES) return
    this.#growing = true
    this.#options.reserve(offer, transfer, arrived).then(
      (mayReachBytes) => {
        this.#mayReachBytes = mayReachBytes
        this.#growing = false
      },
      (error: unknown) => this.#options.onFault(toSealiftError(error)),
    )
  }

  /** Lets go of everything; what is safe stays. */
  async close(outcome: ReceiverOutcome): Promise<void> {
    try {
      if (outcome.kind === 'done') await this.#reception?.told()
      else if (this.#isOpenEnded && isLast(outcome.error)) await this.#reception?.giveUp(outcome.error)
      await this.#reception?.close()
    } finally {
      this.#turn?.leave(isCutOff(outcome))
    }
    if (this.#key !== null) await this.#options.release(this.#key)
  }
}

/** The sender hears no more than that it may not (PROTOCOL 1.11). */
export function belongsToAnother(): SealiftError {
  return new SealiftError('policy_refused', 'the transfer belongs to another sender')
}

/** Whether its sender did not mean to go, and will be back. */
function isCutOff(outcome: ReceiverOutcome): boolean {
  return outcome.kind !== 'done' && CUTS.has(outcome.error.code)
}

const CUTS: ReadonlySet<ErrorCode> = new Set(['connection_lost', 'peer_silent', 'record_invalid', 'replaced'])

/**
 * Whether a stream cannot be gone on with: its sender has ended, or there is no room for it here. After all else, a stop of
 * this server among it, the sender comes back.
 */
function isLast(error: SealiftError): boolean {
  return error.code === 'peer_stopped' || isDiskError(error)
}
