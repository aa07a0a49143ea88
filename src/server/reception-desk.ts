/**
 * The sessions that a server has: each is received by a {@link Visit}, and no two work on the same transfer.
 *
 * Owns who works on what, and how all of it ends. Knows no sockets and no tokens.
 */

import { compareBytes } from '../protocol/bytes.ts'
import { sourceOf } from '../guard/peer-address.ts'
import { SealiftError, toSealiftError } from '../protocol/errors.ts'
import { ReceiverSession, type ReceiverOutcome } from '../transfer/receiver-session.ts'
import type { Clock } from '../transfer/clock.ts'
import type { Session } from '../transfer/session.ts'
import type { StageProbe } from '../transfer/stage.ts'
import { watchRate } from './rate-watch.ts'
import { belongsToAnother, Visit, type VisitOptions } from './visit.ts'

/** A session at work. */
interface Seat {
  readonly owner: string
  /** Address of the sender. */
  readonly peer: string
  /** 16 bytes: the key by which its sender comes back, and joins. */
  readonly resumeId: Uint8Array
  readonly conversation: ReceiverSession
  /** Resolves when it has let go of its transfer; never rejects. */
  readonly left: Promise<unknown>
  transferId: string | null
}

export interface Departure {
  readonly outcome: ReceiverOutcome
  readonly transferId: string | null
  /** Of all its streams, both directions. */
  readonly wireBytes: number
  /** What went wrong at the end on this side: the disk, the ledger. */
  readonly fault: SealiftError | null
}

/** How slow a sender may be. */
export interface Patience {
  /** How long one may say nothing that is expected of it. */
  readonly idleMs: number
  /** What it brings at the least while content is expected (`rate-watch.ts`); `null`: no limit. */
  readonly minBytesPerSecond: number | null
}

export class ReceptionDesk {
  readonly #patience: Patience
  readonly #seats = new Set<Seat>()
  #stopped: SealiftError | null = null

  constructor(patience: Patience) {
    this.#patience = patience
  }

  /** How many sessions there are. */
  get size(): number {
    return this.#seats.size
  }

  /** Receives what a confirmed session brings, to its end; never rejects. */
  async receive(
    session: Session,
    options: Omit<VisitOptions, 'claim' | 'onFault'>,
    probe: StageProbe,
  ): Promise<Departure> {
    const left = Promise.withResolvers<undefined>()
    const visit = new Visit({
      ...options,
      claim: (transferId) => this.#claim(seat, transferId),
      onFault: (error) => seat.conversation.fault(error),
    })
    const seat: Seat = {
      owner: options.guest.owner,
      peer: session.peer.address,
      resumeId: options.guest.resumeId,
      conversation: new ReceiverSession({ session, reception: visit, probe, quietLimitMs: this.#patience.idleMs }),
      left: left.promise,
      transferId: null,
    }
    this.#seats.add(seat)
    const unwatch = this.#watch(options.clock, seat.conversation)
    let outcome: ReceiverOutcome | null = null
    let fault: SealiftError | null = null
    try {
      await visit.prepare()
      if (this.#stopped !== null) void seat.conversation.stop(this.#stopped)
      outcome = await seat.conversation.run()
      await visit.close(outcome)
    } catch (thrown) {
      fault = toSealiftError(thrown)
      session.fail(fault)
    } finally {
      unwatch()
      this.#seats.delete(seat)
      left.resolve(undefined)
    }
    outcome ??= { kind: 'ended', error: fault ?? new SealiftError('internal', 'a session without an end') }
    const { wireBytes } = seat.conversation
    return { outcome, fault, wireBytes, transferId: visit.reception?.transferId ?? seat.transferId }
  }

  /**
   * The transfer at work whose sender has this key: one more stream may join it.
   * @throws SealiftError `session_taken` where there is none, or it takes no content now
   */
  joinable(resumeId: Uint8Array): string {
    return this.#joinable(resumeId).transferId
  }

  #joinable(resumeId: Uint8Array): { readonly conversation: ReceiverSession; readonly transferId: string } {
    for (const { conversation, transferId, resumeId: own } of this.#seats)
      if (transferId !== null && conversation.expectsContent && compareBytes(own, resumeId) === 0)
        return { conversation, transferId }
    throw new SealiftError('session_taken', 'there is no session to join')
  }

  /** Gives one more stream to the session whose sender has this key, until either ends. @throws SealiftError as {@link joinable} */
  async join(stream: Session, resumeId: Uint8Array): Promise<void> {
    await this.#joinable(resumeId).conversation.join(stream)
  }

  /** @returns what ends the watching */
  #watch(clock: Clock, conversation: ReceiverSession): () => void {
    const { minBytesPerSecond } = this.#patience
    if (minBytesPerSecond === null) return () => undefined
    const readBytes = (): number | null => (conversation.expectsContent ? conversation.wireBytes : null)
    return watchRate(clock, minBytesPerSecond, readBytes, () => {
      void conversation.stop(new SealiftError('peer_silent', 'the sender brings next to nothing'))
    })
  }

  /** The newest session of a transfer replaces those before it (PROTOCOL 1.6). */
  async #claim(seat: Seat, transferId: string): Promise<void> {
    const others = [...this.#seats].filter((other) => other !== seat && other.transferId === transferId)
    if (others.some(({ owner }) => owner !== seat.owner)) throw belongsToAnother()
    seat.transferId = transferId
    for (const other of others) {
      void other.conversation.stop(new SealiftError('replaced', 'a newer session took over'))
      await other.left
    }
  }

  /** Ends the sessions of a source (`guard/peer-address.ts`); what is safe stays. */
  async dismiss(source: string, error: SealiftError): Promise<void> {
    const seats = [...this.#seats].filter(({ peer }) => sourceOf(peer) === source)
    await Promise.all(seats.map(({ conversation }) => conversation.stop(error)))
  }

  /** Ends all sessions: what is safe stays, and each sender is told. Resolves when all have let go. */
  async stop(error: SealiftError): Promise<void> {
    this.#stopped = error
    await Promise.all(
      [...this.#seats].map(async ({ conversation, left }) => {
        await conversation.stop(error)
        await left
      }),
    )
  }
}
