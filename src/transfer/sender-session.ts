/**
 * The sender's part of one session, from HELLO to the final record.
 *
 * Owns what is said when; what is sent is the business of {@link Outgoing}. One of these lives as long as its session.
 */

import type { CompressSetting } from '../protocol/choices.ts'
import { type ErrorCode, errorCodeFromWire, SealiftError, toSealiftError } from '../protocol/errors.ts'
import { CONSENT_TIMEOUT_MS, MAX_CHUNK_BYTES, STALL_TIMEOUT_MS } from '../protocol/limits.ts'
import { encodeManifestPages } from '../protocol/manifest-pages.ts'
import {
  type Done,
  DIGESTS_PER_MESSAGE,
  type Hello,
  type Message,
  type Offer,
  type StateRun,
} from '../protocol/messages.ts'
import { decodeRangePage, RangeSet } from '../protocol/ranges.ts'
import type { Clock } from './clock.ts'
import type { Announcer, Outgoing } from './outgoing.ts'
import type { Session } from './session.ts'
import type { StageProbe } from './stage.ts'
import { StreamLane } from './stream-lane.ts'
import { LULL_MS, lullOfPipe, type Waiting } from './waiting.ts'

export interface SenderSessionOptions {
  readonly session: Session
  readonly outgoing: Outgoing
  readonly clock: Clock
  readonly offer: Omit<Offer, 'manifestFollows'>
  readonly compress: CompressSetting
  readonly compressionLevel: number | null
  readonly probe: StageProbe
  /** The receiver said who it is. */
  readonly onHello: (hello: Hello) => void
  /** The receiver accepted, and this much is safe there already. */
  readonly onAccepted: (epoch: number) => void
  /** To how many bytes a second the receiver holds this sender; `null`: to none. */
  readonly onLimit: (bytesPerSecond: number | null) => void
  /** The receiver says that all is durable; resolves when this side has noted it. */
  readonly onDone: (done: Done) => Promise<void>
}

/** How a session went: all done, refused for good, or over before that. */
export type SenderOutcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'refused'; readonly error: SealiftError }
  | { readonly kind: 'broken'; readonly error: SealiftError }

/** Codes after which coming back would change nothing. */
const FINAL_CODES: ReadonlySet<ErrorCode> = new Set([
  'rejected',
  'declined',
  'unanswered',
  'conflict',
  'policy_refused',
  'manifest_invalid',
  'limit_exceeded',
  'version_mismatch',
])

/** Whether the receiver said no for good: coming back would change nothing. */
export function isRefusal(code: ErrorCode): boolean {
  return FINAL_CODES.has(code)
}

/** A receiver's user may think, and its disk may take its time; but not for ever. */
const LONGEST_QUIET_MS = CONSENT_TIMEOUT_MS + STALL_TIMEOUT_MS

/** Manifest pages that may wait in this process while the peer reads. */
const MAX_QUEUED_PAGES_BYTES = 2 << 20

export class SenderSession {
  readonly #options: SenderSessionOptions
  readonly #session: Session
  readonly #outgoing: Outgoing
  readonly #stop = new AbortController()
  #outcome: SenderOutcome | null = null
  /** The receiver has said that it has all, and the ledger is told. */
  #ending: Promise<void> | null = null
  #maxChunkBytes = MAX_CHUNK_BYTES
  #epoch = 0
  #safe = new RangeSet()
  #lane: StreamLane | null = null
  #offeredMs: number | null = null
  #statedEntries = 0
  readonly #sentAgain = new Set<number>()
  #receiptsRead = 0
  readonly #announcer: Announcer = {
    digests: (digests) => {
      for (let at = 0; at < digests.length; at += DIGESTS_PER_MESSAGE) {
        this.#sendSoon({ type: 'digests', digests: digests.slice(at, at + DIGESTS_PER_MESSAGE) })
      }
    },
    failed: (entry, code) => this.#sendSoon({ type: 'entryFailed', entry, code: new SealiftError(code, '').wireCode }),
    ended: (sizeBytes) => {
      this.#sendSoon({ type: 'entryEnd', sizeBytes })
      this.#session.awaitWord(LONGEST_QUIET_MS)
    },
    abandoned: (ranges) => this.#lane?.lose(ranges),
  }

  constructor(options: SenderSessionOptions) {
    this.#options = options
    this.#session = options.session
    this.#outgoing = options.outgoing
  }

  /** Runs the session to its end; never rejects. */
  async run(): Promise<SenderOutcome> {
    this.#session.listen((message) => this.#take(message))
    this.#session.awaitWord(STALL_TIMEOUT_MS)
    const end = await this.#session.end
    this.#stop.abort(new SealiftError('connection_lost', 'the session is over'))
    this.#outgoing.detach(this.#announcer)
    if (this.#lane !== null) this.#outgoing.scheduler.release(this.#lane)
    if (this.#outcome !== null) return this.#outcome
    if (end.error !== null) return { kind: 'broken', error: end.error }
    const code = errorCodeFromWire(end.code) ?? 'peer_stopped'
    if (isRefusal(code)) return { kind: 'refused', error: refusal(code) }
    return { kind: 'broken', error: new SealiftError(code, peerMessage(code)) }
  }

  /** What this session waits for; `null` while something happens. */
  get waiting(): Waiting | null {
    const nowMs = this.#options.clock.nowMs()
    if (this.#lane === null)
      return this.#offeredMs === null ? null : { reason: 'answer', forMs: nowMs - this.#offeredMs, remainingMs: null }
    const lull = this.#session.lull
    if (lull === null || this.#lane.stalledMs >= LULL_MS) return lull
    if (this.#outgoing.mayPause && this.#lane.stalledMs === 0) return lullOfPipe(lull)
    // Nothing is under way that could be acknowledged: it is the reading that takes so long.
    return { ...lull, reason: 'disk' }
  }

  /** Ends the session with a reason that the peer is told. */
  async stop(error: SealiftError): Promise<void> {
    // The receiver has all, and hears by a good farewell that this side knows; after that this says nothing.
    await this.#ending?.catch(() => undefined)
    await this.#session.close(error.wireCode)
  }

  #take(message: Message): void | Promise<void> {
    switch (message.type) {
      case 'hello':
        return this.#offer(message.hello)
      case 'accept':
        this.#epoch = message.accept.epoch
        this.#options.onLimit(message.accept.bytesPerSecond ?? null)
        this.#session.awaitWord(STALL_TIMEOUT_MS)
        this.#outgoing.beginSurvey()
        return undefined
      case 'reject':
        return this.#refused(message.code, message.roomBytes)
      case 'states':
        this.#states(message.runs)
        return undefined
      case 'safe':
        decodeRangePage(message.page, this.#safe, this.#outgoing.endOffset)
        if (message.last) this.#move()
        return undefined
      case 'ack': {
        const ranges = new RangeSet()
        decodeRangePage(message.page, ranges, this.#outgoing.endOffset)
        this.#lane?.acknowledge([...ranges])
        this.#options.probe('acknowledged')
        return undefined
      }
      case 'nack':
        this.#again(message.entry)
        return undefined
      case 'done':
        return this.#done(message.done)
      default:
        throw new SealiftError('protocol_violation', `a sender is not told ${message.type}`)
    }
  }

  /** An honest receiver says each state at the start, when it fails, and at the end: more is work for nothing. */
  #states(runs: readonly StateRun[]): void {
    for (const { count } of runs) this.#statedEntries += count
    if (this.#statedEntries > 3 * this.#outgoing.manifest.count)
      throw new SealiftError('protocol_violation', 'the receiver states the same entries again and again')
    this.#outgoing.states(runs)
  }

  /** A second mismatch fails a file there, so none is asked for twice in a session (PROTOCOL 2.4). */
  #again(entry: number): void {
    if (this.#sentAgain.has(entry))
      throw new SealiftError('protocol_violation', 'the receiver asks for a file again and again')
    this.#sentAgain.add(entry)
    this.#outgoing.again(entry)
  }

  async #offer(hello: Hello): Promise<void> {
    const { offer, onHello, probe } = this.#options
    onHello(hello)
    this.#session.awaitWord(null)
    this.#maxChunkBytes = Math.min(hello.maxChunkBytes, offer.maxChunkBytes, MAX_CHUNK_BYTES)
    const known = hello.known?.transferId === offer.transferId && hello.known.digest === offer.digest
    probe('offer')
    await this.#session.send({ type: 'offer', offer: { ...offer, manifestFollows: !known } })
    if (known) {
      this.#awaitAnswer()
      return
    }
    // Pages go out while the next is made, one behind, because the last one must say that it is.
    let page: Uint8Array = new Uint8Array()
    for (const next of encodeManifestPages(this.#outgoing.manifest)) {
      if (page.length > 0) this.#sendSoon({ type: 'manifest', last: false, page })
      page = next
      await this.#session.drained(MAX_QUEUED_PAGES_BYTES)
    }
    this.#sendSoon({ type: 'manifest', last: true, page })
    this.#awaitAnswer()
    probe('manifest')
  }

  #awaitAnswer(): void {
    this.#offeredMs = this.#options.clock.nowMs()
    this.#session.awaitWord(LONGEST_QUIET_MS)
  }

  /** Sends without waiting: a failure ends the session, and that says it. */
  #sendSoon(message: Parameters<Session['send']>[0]): void {
    this.#session.send(message).catch(() => undefined)
  }

  async #refused(wire: number, roomBytes: number | null): Promise<void> {
    // A no is a no, whatever else the number may mean; but for want of room, which may come.
    const said = errorCodeFromWire(wire)
    const isFull = said === 'disk_full' && roomBytes !== null
    const code = said !== null && (isFull || isRefusal(said)) ? said : 'rejected'
    this.#outcome = { kind: 'refused', error: refusal(code, roomBytes) }
    void this.#session.close(0)
    return Promise.resolve()
  }

  #move(): void {
    const { clock, compress, compressionLevel, onAccepted } = this.#options
    const lane = new StreamLane({
      session: this.#session,
      clock,
      epoch: this.#epoch,
      maxChunkBytes: this.#maxChunkBytes,
      compress,
      compressionLevel,
    })
    this.#lane = lane
    // While nothing comes to send, the receiver has nothing to say.
    this.#session.awaitWord(this.#outgoing.mayPause ? null : LONGEST_QUIET_MS)
    this.#outgoing.attach(this.#safe, this.#announcer)
    onAccepted(this.#epoch)
    this.#options.probe('accepted')
    this.#receipts(lane).catch((thrown: unknown) => this.#session.fail(toSealiftError(thrown)))
    this.#watchForStall(lane)
    this.#outgoing.move(lane, this.#stop.signal).catch((thrown: unknown) => {
      if (!this.#stop.signal.aborted) this.#session.fail(toSealiftError(thrown))
    })
  }

  async #receipts(lane: StreamLane): Promise<void> {
    for await (const receipt of lane.receipts) {
      if ('safe' in receipt) {
        // Nothing acknowledged: the receiver says that it lives, and is held back itself (PROTOCOL 2.5).
        if (receipt.safe.length === 0) this.#outgoing.scheduler.renew(lane)
        this.#outgoing.safe(receipt.safe)
      } else this.#outgoing.scheduler.giveBack(receipt.lost)
      this.#receiptsRead++
    }
  }

  /** A receiver that pings but takes nothing is stuck (F-06). */
  #watchForStall(lane: StreamLane): void {
    const cancel = this.#options.clock.after(STALL_TIMEOUT_MS / 4, () => {
      if (this.#session.isOver) return
      if (lane.stalledMs >= STALL_TIMEOUT_MS) {
        this.#session.fail(new SealiftError('peer_silent', 'the receiver has acknowledged nothing for a minute'))
      } else this.#watchForStall(lane)
    })
    this.#stop.signal.addEventListener('abort', cancel, { once: true })
  }

  async #done(done: Done): Promise<void> {
    // What was acknowledged just before may still be on its way from the lane.
    while (this.#lane !== null && this.#receiptsRead < this.#lane.receiptCount) await Promise.resolve()
    // "Done" on the sender's screen is a promise, and it is not the receiver's to make alone.
    if (!this.#outgoing.isComplete)
      throw new SealiftError('protocol_violation', 'the receiver says that it has what it has not')
    this.#ending = this.#options.onDone(done)
    await this.#ending
    this.#outcome = { kind: 'done' }
    this.#options.probe('done')
    // Not waited for: the peer's farewell comes in through this very handler.
    void this.#session.close(0)
  }
}

/**
 * What was declined there is rejected here.
 * @param roomBytes how much the receiver would take, where it said so
 */
function refusal(code: ErrorCode, roomBytes: number | null = null): SealiftError {
  const room = `the receiver takes ${(roomBytes ?? 0).toLocaleString('en-US')} bytes of this`
  return new SealiftError(code === 'declined' ? 'rejected' : code, roomBytes === null ? peerMessage(code) : room, {
    ...(code === 'unanswered' ? { hint: 'ask whoever receives; the same line offers it again' } : {}),
    ...(code === 'disk_full' ? { hint: 'once there is room, the same line goes on with what is missing' } : {}),
  })
}

function peerMessage(code: string): string {
  switch (code) {
    case 'rejected':
    case 'declined':
      return 'the receiver said no'
    case 'unanswered':
      return 'nobody answered at the receiver'
    case 'conflict':
      return 'the receiver has something in the way, and its policy is to fail'
    case 'policy_refused':
      return 'the receiver does not allow this'
    case 'limit_exceeded':
      return 'this is more than the receiver takes'
    case 'server_busy':
      return 'the server has as many transfers of this address as it takes'
    case 'manifest_invalid':
      return 'the receiver found the list of files malformed'
    case 'interrupted':
    case 'terminated':
    case 'peer_stopped':
      return 'the receiver was stopped'
    case 'disk_full':
      return "the receiver's disk is full"
    case 'target_read_only':
    case 'target_gone':
    case 'disk_fault':
      return "the receiver's disk has a fault"
    default:
      return `the receiver ended the session (${code})`
  }
}
