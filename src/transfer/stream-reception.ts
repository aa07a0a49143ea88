/**
 * Receives one file without saving it: content goes in order to a target that this side's user named, or, where it is a
 * text, to the user. Nothing rests on disk, so another process begins again at the first byte.
 *
 * Decides on the offer and keeps the transfer over its sessions. Knows no sockets, folders or ledger.
 */

import { ENTRY_FAILED, ENTRY_PENDING, ENTRY_PUBLISHED } from '../ledger/entry-state.ts'
import { SealiftError } from '../protocol/errors.ts'
import { MAX_CHUNK_BYTES, MAX_TEXT_BYTES } from '../protocol/limits.ts'
import { KIND_FILE, type Manifest } from '../protocol/manifest.ts'
import type { Done, Hello, Offer } from '../protocol/messages.ts'
import type { Clock } from './clock.ts'
import { awaitConsent } from './consent.ts'
import type { EndedEntry } from './ended-entries.ts'
import type { LastingReception, StartedTransfer } from './lasting-reception.ts'
import type { AcceptedTransfer } from './receiver-session.ts'
import type { StageProbe } from './stage.ts'
import { StreamIncoming, type StreamTarget } from './stream-incoming.ts'

export interface StreamReceptionOptions {
  readonly clock: Clock
  readonly probe: StageProbe
  readonly name: string
  readonly target: StreamTarget
  /** Asks the user. @throws SealiftError `declined` */
  readonly decide: (offer: Offer, manifest: Manifest, signal: AbortSignal) => Promise<void>
  readonly onTransfer: (started: StartedTransfer) => void
  readonly onEntry: (entry: EndedEntry) => void
  readonly onSize: (sizeBytes: number) => void
  readonly onProgress: (bytes: number, files: number) => void
  /** The sender knows the end, or will never: the key for coming back under which the last session came is of no use. */
  readonly onEnd: (resumeId: Uint8Array) => Promise<void>
}

interface Current {
  readonly id: string
  readonly digest: string
  readonly manifest: Manifest
  readonly incoming: StreamIncoming
  epoch: number
}

export class StreamReception implements LastingReception {
  readonly #options: StreamReceptionOptions
  #current: Current | null = null
  #finished: Done | null = null
  #reported = false
  #resumeId: Uint8Array | null = null

  constructor(options: StreamReceptionOptions) {
    this.#options = options
  }

  get hello(): Hello {
    return { name: this.#options.name, maxChunkBytes: MAX_CHUNK_BYTES, known: null }
  }

  get transferId(): string | null {
    return this.#current?.id ?? null
  }

  get finished(): Done | null {
    return this.#finished
  }

  sha256(): Uint8Array | null {
    return this.#current?.incoming.sha256 ?? null
  }

  failure(): SealiftError | null {
    return this.#current?.incoming.failure ?? null
  }

  joined(resumeId: Uint8Array): Promise<void> {
    this.#resumeId = resumeId
    return Promise.resolve()
  }

  offered(offer: Offer): Promise<void> {
    try {
      checkOffer(offer, this.#current?.id ?? null)
      return Promise.resolve()
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async accept(offer: Offer, manifest: Manifest | null, signal: AbortSignal): Promise<AcceptedTransfer> {
    const current = (this.#current ??= await this.#open(offer, manifest, signal))
    if (current.digest !== offer.digest)
      throw new SealiftError('protocol_violation', 'the sender changed the manifest of a transfer')
    const { incoming } = current
    return {
      incoming,
      epoch: ++current.epoch,
      target: 'output',
      mayPause: current.manifest.totalBytes === null,
      stateRuns: () => {
        const { state, failure } = incoming
        return state === ENTRY_PENDING ? [] : [{ first: 0, count: 1, state, code: failure?.wireCode ?? 0 }]
      },
      safeRanges: () => incoming.safeRanges,
      finish: () => Promise.resolve(this.#finish(current)),
      report: () => this.#report(),
    }
  }

  async #open(offer: Offer, manifest: Manifest | null, signal: AbortSignal): Promise<Current> {
    const { clock, probe, target, decide, onTransfer, onProgress, onSize } = this.#options
    if (manifest === null) throw new SealiftError('protocol_violation', 'an offer without its manifest')
    if (manifest.kind(0) !== KIND_FILE) throw severalFiles(offer)
    await awaitConsent(clock, signal, (stop) => decide(offer, manifest, stop))
    const incoming = new StreamIncoming({
      manifest,
      clock,
      probe,
      target,
      onProgress: (bytes) => onProgress(bytes, 0),
      onSize,
    })
    onTransfer({ id: offer.transferId, manifest, files: 1, safeBytes: 0, skippedBytes: 0, endedFiles: 0 })
    return { id: offer.transferId, digest: offer.digest, manifest, incoming, epoch: 0 }
  }

  #finish({ incoming }: Current): Done {
    if (this.#finished !== null) return this.#finished
    if (incoming.failure === null) {
      this.#options.target.finish()
      incoming.publish()
      this.#options.onProgress(0, 1)
    }
    const failed = incoming.state === ENTRY_FAILED ? 1 : 0
    this.#finished = { published: 1 - failed, skipped: 0, failed }
    return this.#finished
  }

  #report(): void {
    if (this.#reported) return
    this.#reported = true
    const status = this.#current?.incoming.state === ENTRY_PUBLISHED ? 'ok' : 'failed'
    this.#options.onEntry({ entry: 0, status, savedAs: null })
  }

  async told(): Promise<void> {
    if (this.#resumeId !== null) await this.#options.onEnd(this.#resumeId)
  }

  giveUp(): Promise<void> {
    return this.told()
  }

  close(): Promise<void> {
    this.#current?.incoming.close()
    return Promise.resolve()
  }
}

function checkOffer(offer: Offer, currentId: string | null): void {
  if (currentId !== null && currentId !== offer.transferId) {
    throw new SealiftError('peer_stopped', 'the sender was started again, and offers something else now', {
      hint: 'run the same line again to take what it offers now',
    })
  }
  if (offer.entries !== 1 || offer.files !== 1) throw severalFiles(offer)
}

function severalFiles({ files }: Offer): SealiftError {
  const what = files === 1 ? 'a folder' : `${String(files)} files`
  return new SealiftError('usage', `only one file can be written to an output, and the sender offers ${what}`, {
    hint: 'receive into a folder: -o FOLDER; or let the sender pack it: tar c FOLDER | sealift send -',
  })
}

/** @throws SealiftError where an offer of a text breaks the rules for one (PROTOCOL 2.9) */
export function checkTextOffer({ entries, files, bytes }: Offer): void {
  if (entries !== 1 || files !== 1 || bytes === null)
    throw new SealiftError('protocol_violation', 'the sender offers a text that is none')
  if (bytes > MAX_TEXT_BYTES)
    throw new SealiftError('limit_exceeded', `the sender offers a text over ${String(MAX_TEXT_BYTES)} bytes`)
}
