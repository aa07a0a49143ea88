/**
 * One session of one sender at a server, as the engine's {@link Reception}: which transfer it is for turns out with its
 * offer, and so does whether it may be.
 *
 * Owns what a server allows: whose transfer it is, policies, sizes. The transfer itself is the business of a
 * {@link DirectReception}, made here for this session and closed with it.
 */

import type { Ledger } from '../ledger/ledger.ts'
import { SealiftError } from '../protocol/errors.ts'
import { MAX_CHUNK_BYTES, CHUNK_HEADER_BYTES, MIN_CHUNK_BYTES, TAG_BYTES } from '../protocol/limits.ts'
import type { Manifest } from '../protocol/manifest.ts'
import type { Hello, Offer } from '../protocol/messages.ts'
import type { Clock } from '../transfer/clock.ts'
import { findKnownTransfer } from '../transfer/known-transfer.ts'
import type { StartedTransfer } from '../transfer/lasting-reception.ts'
import type { AcceptedTransfer, Reception } from '../transfer/receiver-session.ts'
import { DirectReception } from '../transfer/reception.ts'
import type { StageProbe } from '../transfer/stage.ts'
import type { Guest } from './guest.ts'

/** What is told of a visit while it lasts. */
export interface VisitHooks {
  /** The transfer is accepted, or taken up again. */
  readonly onTransfer: (started: StartedTransfer) => void
  readonly onEntry: (entry: number, status: 'ok' | 'failed' | 'skipped', savedAs: string | null) => void
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
  /** Resolves once no other session of this guest works on that transfer. @throws SealiftError `policy_refused` where one of another does */
  readonly claim: (transferId: string) => Promise<void>
  /** Whether it fits into what this guest may send. @throws SealiftError `limit_exceeded`, `disk_full` */
  readonly checkLimits: (offer: Offer) => Promise<void> | void
  /** To how many bytes a second this guest is held; `null`: to none. */
  readonly bytesPerSecond: number | null
  readonly onFault: (error: SealiftError) => void
}

export class Visit implements Reception {
  readonly #options: VisitOptions
  #known: Hello['known'] = null
  #reception: DirectReception | null = null

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
    const room = maxPayloadBytes - CHUNK_HEADER_BYTES - TAG_BYTES
    return { name, maxChunkBytes: Math.max(MIN_CHUNK_BYTES, Math.min(MAX_CHUNK_BYTES, room)), known: this.#known }
  }

  /** `null` before an offer was let through. */
  get reception(): DirectReception | null {
    return this.#reception
  }

  async offered(offer: Offer): Promise<void> {
    const { ledger, guest, allowOverwrite, claim } = this.#options
    if (this.#reception !== null) throw new SealiftError('protocol_violation', 'a second offer in one session')
    if (offer.text === true) throw new SealiftError('policy_refused', 'a server takes files, and no texts')
    if (!allowOverwrite && (offer.conflict === 'overwrite' || offer.conflict === 'update'))
      throw new SealiftError('policy_refused', 'the sender asks to replace what is here, which is not allowed')
    // Whose it is comes first: the session of another is not to be replaced.
    const before = await ledger.transfers.find(offer.transferId, 'receiver')
    if (before !== null && before.userId !== guest.owner) throw belongsToAnother()
    await claim(offer.transferId)
    const row = await ledger.transfers.find(offer.transferId, 'receiver')
    const isUnfinished = row !== null && row.completedAtMs === null && row.outputDir !== null
    const reception = this.#makeReception(isUnfinished ? (row.outputDir as string) : this.#options.placeNew(), offer)
    await reception.joined(guest.resumeId)
    this.#reception = reception
    await reception.offered(offer)
  }

  #makeReception(outputDir: string, offer: Offer): DirectReception {
    const { ledger, clock, probe, guest, peer, name, checkLimits } = this.#options
    const { onTransfer, onEntry, onProgress, onWarning, onFault } = this.#options
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
      reportsFiles: true,
      decide: async ({ policy }) => {
        await checkLimits(offer)
        return policy
      },
      onTransfer,
      onEntry,
      onProgress,
      onWarning,
      onSize: () => undefined,
      onFault,
    })
  }

  async accept(offer: Offer, manifest: Manifest | null, signal: AbortSignal): Promise<AcceptedTransfer> {
    const reception = this.#reception
    if (reception === null) throw new SealiftError('protocol_violation', 'a manifest without an offer')
    const accepted = await reception.accept(offer, manifest, signal)
    const { bytesPerSecond } = this.#options
    return bytesPerSecond === null ? accepted : { ...accepted, bytesPerSecond }
  }

  /** Lets go of everything; what is safe stays. A key that no transfer came to need is dropped. */
  async close(isDone: boolean): Promise<void> {
    const { ledger, guest } = this.#options
    if (isDone) await this.#reception?.told()
    await this.#reception?.close()
    const { key } = await findKnownTransfer(ledger, guest.resumeId)
    if (key === null) await ledger.resumeKeys.drop(guest.resumeId, 'receiver')
  }
}

/** The sender hears no more than that it may not (PROTOCOL 1.11). */
export function belongsToAnother(): SealiftError {
  return new SealiftError('policy_refused', 'the transfer belongs to another sender')
}
