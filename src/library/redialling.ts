/**
 * Connecting, and coming back: sessions one after another, until one brought the transfer to its end or it is not worth
 * another try (PROTOCOL 2.8).
 *
 * Owns how long is waited between tries, and how long in all. What a session does is its caller's.
 */

import { type ErrorCode, type SealiftError, toSealiftError } from '../protocol/errors.ts'
import { RECONNECT_TIMEOUT_MS } from '../protocol/limits.ts'
import { type Clock, delay } from '../transfer/clock.ts'
import type { DialledSession } from '../transfer/dialling.ts'
import type { Waiting } from '../transfer/waiting.ts'

const FIRST_BACK_OFF_MS = 100
const LONGEST_BACK_OFF_MS = 5000
/** Before the first session, a connection that is cut in its handshake is dialled again so often (PROTOCOL 1.9). */
const MAX_CUT_HANDSHAKES = 3
/** Sessions in a row that move nothing and still renew the patience: a path that lets no record through is no reason to go on for ever. */
const MAX_IDLE_SESSIONS = 3

/** How a session went: the transfer is at its end, this side ended it, or it broke. */
export type SessionOutcome =
  { readonly kind: 'done' } | { readonly kind: 'ended' | 'broken'; readonly error: SealiftError }

export interface RediallingOptions {
  readonly clock: Clock
  readonly connect: (signal: AbortSignal) => Promise<DialledSession>
  readonly session: (dialled: DialledSession) => Promise<SessionOutcome>
  /** Whether coming back would change nothing, although the error may pass. */
  readonly isOver: (error: SealiftError) => boolean
  /** Whether a peer that takes a connection and says nothing may just be busy, as a server is; default: it is something else. */
  readonly retriesSilence?: boolean
  /** How long to try after the last progress; default 30 s. */
  readonly patienceMs?: () => number
  /** It is tried again because of this. */
  readonly onRetry: (error: SealiftError) => void
}

export class Redialling {
  readonly #options: RediallingOptions
  /** Dialling, or about to: since when, and when it is tried again. */
  #away: { reason: 'connecting' | 'retry'; sinceMs: number; untilMs: number | null } | null = null
  /** When patience began: at the last progress, or at the end of a session, whichever was later. */
  #patientSinceMs: number
  #progressed = false
  #idleSessions = 0

  constructor(options: RediallingOptions) {
    this.#options = options
    this.#patientSinceMs = options.clock.nowMs()
  }

  /** `null` while there is a session. */
  get waiting(): Waiting | null {
    if (this.#away === null) return null
    const { reason, sinceMs, untilMs } = this.#away
    const nowMs = this.#options.clock.nowMs()
    return { reason, forMs: nowMs - sinceMs, remainingMs: untilMs === null ? null : Math.max(0, untilMs - nowMs) }
  }

  /** Something moved in this session. */
  progressed(): void {
    this.#progressed = true
  }

  /**
   * @returns `null` once a session ended well, else the error of the last one
   * @throws the signal's reason
   */
  async run(signal: AbortSignal): Promise<SealiftError | null> {
    const { clock, connect, session, isOver, onRetry, patienceMs, retriesSilence = false } = this.#options
    let backOffMs = FIRST_BACK_OFF_MS
    let hadSession = false
    let cutHandshakes = 0
    for (;;) {
      signal.throwIfAborted()
      let error: SealiftError
      try {
        this.#away = { reason: 'connecting', sinceMs: clock.nowMs(), untilMs: null }
        const dialled = await connect(signal)
        this.#away = null
        hadSession = true
        const outcome = await session(dialled)
        if (outcome.kind === 'done') return null
        signal.throwIfAborted()
        error = outcome.error
        // A fault of this side, such as a full disk, is for the user to mend: coming back would meet it again.
        if (outcome.kind === 'ended' || isOver(error)) return error
        if (this.#renewPatience()) backOffMs = FIRST_BACK_OFF_MS
      } catch (thrown) {
        signal.throwIfAborted()
        error = toSealiftError(thrown)
        const isCut = isCutHandshake(error) || (retriesSilence && BUSY.has(error.code))
        if (!hadSession && (!isCut || ++cutHandshakes > MAX_CUT_HANDSHAKES)) return error
        if (!error.retryable) return error
      }
      const limitMs = patienceMs?.() ?? RECONNECT_TIMEOUT_MS
      if (!error.retryable || clock.nowMs() - this.#patientSinceMs > limitMs) return error
      onRetry(error)
      const waitMs = backOffMs * (0.5 + Math.random())
      const nowMs = clock.nowMs()
      this.#away = { reason: 'retry', sinceMs: nowMs, untilMs: nowMs + waitMs }
      await delay(clock, waitMs, signal)
      backOffMs = Math.min(backOffMs * 2, LONGEST_BACK_OFF_MS)
    }
  }

  /**
   * A session is over. Patience begins at its end and not at the last progress in it, since it takes 30 seconds of
   * silence to see that a connection is dead.
   * @returns whether anything had moved
   */
  #renewPatience(): boolean {
    const progressed = this.#progressed
    this.#progressed = false
    this.#idleSessions = progressed ? 0 : this.#idleSessions + 1
    if (this.#idleSessions <= MAX_IDLE_SESSIONS) this.#patientSinceMs = this.#options.clock.nowMs()
    return progressed
  }
}

/** How a server is that has too much to do. */
const BUSY: ReadonlySet<ErrorCode> = new Set(['peer_silent', 'server_busy'])

/** The connection was made and then broke: the token may not be spent yet, so it is worth another try at once. */
function isCutHandshake(error: SealiftError): boolean {
  return error.code === 'connection_lost'
}
