/**
 * One sender that waits for its receiver: sessions come and go, the transfer stays.
 *
 * Owns which session is the current one (a newer one replaces it), how long to wait while there is none, and how the
 * transfer ends. Knows neither sockets nor tokens: admission hands it confirmed sessions.
 */

import type { CompressSetting } from '../protocol/choices.ts'
import type { ErrorCode } from '../protocol/errors.ts'
import { SealiftError } from '../protocol/errors.ts'
import type { Done, Hello, Offer } from '../protocol/messages.ts'
import type { Clock } from './clock.ts'
import { refuseStream } from './joined-streams.ts'
import type { Outgoing } from './outgoing.ts'
import { type SenderOutcome, SenderSession } from './sender-session.ts'
import type { Session } from './session.ts'
import type { StageProbe } from './stage.ts'
import type { Waiting } from './waiting.ts'

export interface SenderOptions {
  readonly outgoing: Outgoing
  readonly offer: Omit<Offer, 'manifestFollows'>
  readonly clock: Clock
  readonly compress: CompressSetting
  readonly compressionLevel: number | null
  /** How long to wait while there is no session; `null` where whoever brings sessions sees to that. */
  readonly waitMs: number | null
  /** Whether another process could go on where this one ends. */
  readonly resumable: boolean
  readonly probe: StageProbe
  readonly onHello: (session: Session, hello: Hello) => void
  /** The receiver lets it wait in line. @param place 1 is the next */
  readonly onQueued: (place: number) => void
  readonly onAccepted: () => void
  /** The receiver has everything, durable; resolves when the ledger knows. */
  readonly onDone: (done: Done) => Promise<void>
  readonly onWarning: (code: ErrorCode, message: string) => void
}

export class Sender {
  readonly #options: SenderOptions
  readonly #end = Promise.withResolvers<Done>()
  /** Whose connections are not let go of yet. */
  readonly #sessions = new Set<Session>()
  #current: { session: Session; conversation: SenderSession } | null = null
  #done: Done | null = null
  #wireBytes = 0
  #hadSession = false
  #cancelWait: () => void = () => undefined
  #waitingSinceMs = 0
  #stopped: SealiftError | null = null
  #receiverLimit: number | null = null

  constructor(options: SenderOptions) {
    this.#options = options
    this.#end.promise.catch(() => undefined)
    this.#wait()
  }

  /** Resolves when the receiver has everything; rejects with why that will not be. */
  get end(): Promise<Done> {
    return this.#end.promise
  }

  /** Whether it was stopped, or all is done. */
  get isOver(): boolean {
    return this.#stopped !== null || this.#done !== null
  }

  /** Bytes a second to which the receiver holds this sender; `null` where it said none. */
  get receiverLimit(): number | null {
    return this.#receiverLimit
  }

  /** Bytes of all sessions so far, both directions. */
  get wireBytes(): number {
    return this.#wireBytes + (this.#current?.conversation.wireBytes ?? 0)
  }

  /** What the transfer waits for; `null` while something happens. */
  get waiting(): Waiting | null {
    if (this.#current !== null) return this.#current.conversation.waiting
    if (this.#stopped !== null || this.#done !== null) return null
    const { clock, waitMs } = this.#options
    if (waitMs === null) return null
    const forMs = clock.nowMs() - this.#waitingSinceMs
    return { reason: this.#hadSession ? 'return' : 'receiver', forMs, remainingMs: Math.max(0, waitMs - forMs) }
  }

  /**
   * Takes a confirmed session; an older one makes room for it. Never rejects.
   * @returns how it went; `null` where the sender was stopped before it, or a newer session took over
   */
  async join(session: Session): Promise<SenderOutcome | null> {
    this.#keepUntilReleased(session)
    const stopped = this.#stopped
    if (stopped !== null) {
      // Read, so that the receiver's farewell is heard.
      session.listen(() => undefined)
      await session.close(stopped.wireCode)
      return null
    }
    const older = this.#current
    this.#cancelWait()
    this.#hadSession = true
    const { outgoing, offer, clock, compress, compressionLevel, probe, onHello, onQueued, onAccepted } = this.#options
    const conversation = new SenderSession({
      session,
      outgoing,
      clock,
      offer,
      compress,
      compressionLevel,
      probe,
      onHello: (hello) => onHello(session, hello),
      onQueued,
      onAccepted,
      onLimit: (bytesPerSecond) => {
        this.#receiverLimit = bytesPerSecond
      },
      onDone: async (done) => {
        await this.#options.onDone(done)
        this.#done = done
      },
    })
    this.#current = { session, conversation }
    void older?.conversation.stop(new SealiftError('replaced', 'a newer session took over'))
    const outcome = await conversation.run()
    this.#wireBytes += conversation.wireBytes
    if (!this.#leave(session)) return null
    if (this.#done !== null) this.#end.resolve(this.#done)
    else if (outcome.kind === 'refused') this.#end.reject(outcome.error)
    else if (outcome.kind === 'broken' && this.#stopped === null && this.#options.waitMs !== null) {
      this.#options.onWarning(outcome.error.code, `${outcome.error.message}; waiting for it to come back`)
      this.#wait()
    }
    return outcome
  }

  /** Takes one more stream of the session of now. Resolves at its end; never rejects. */
  async joinStream(stream: Session): Promise<void> {
    this.#keepUntilReleased(stream)
    if (this.#current === null || this.#stopped !== null) await refuseStream(stream)
    else await this.#current.conversation.join(stream)
  }

  #keepUntilReleased(session: Session): void {
    this.#sessions.add(session)
    void session.released.then(() => this.#sessions.delete(session))
  }

  /** @returns whether the session was the current one until now */
  #leave(session: Session): boolean {
    if (this.#current?.session !== session) return false
    this.#current = null
    return true
  }

  #wait(): void {
    const { clock, waitMs } = this.#options
    this.#cancelWait()
    if (waitMs === null) return
    this.#waitingSinceMs = clock.nowMs()
    this.#cancelWait = clock.after(waitMs, () => {
      const minutes = formatWait(waitMs)
      const message = this.#hadSession
        ? `the receiver did not come back within ${minutes}`
        : `nobody connected within ${minutes}`
      this.#end.reject(
        new SealiftError('nobody_came', message, {
          ...(this.#hadSession && !this.#options.resumable
            ? {}
            : {
                hint: this.#hadSession
                  ? 'run the same line again: it goes on with what is missing'
                  : '--wait SECONDS waits longer',
              }),
        }),
      )
    })
  }

  /** Stops: the peer is told why, nothing new is taken. Resolves when the session is over. */
  async stop(error: SealiftError): Promise<void> {
    this.#stopped ??= error
    this.#cancelWait()
    await this.#current?.conversation.stop(error)
    // A stop that came when all was done changes nothing.
    if (this.#done === null) this.#end.reject(error)
    else this.#end.resolve(this.#done)
  }

  /** After the end: takes nothing more, and resolves when every connection is let go of. */
  async close(): Promise<void> {
    const { wireCode } = (this.#stopped ??= new SealiftError('peer_stopped', 'the sender has ended'))
    this.#cancelWait()
    await Promise.all(
      [...this.#sessions].map(async (session) => {
        await session.close(wireCode)
        await session.released
      }),
    )
  }
}

function formatWait(waitMs: number): string {
  const seconds = Math.round(waitMs / 1000)
  return seconds >= 120 && seconds % 60 === 0 ? `${String(seconds / 60)} minutes` : `${String(seconds)} seconds`
}
