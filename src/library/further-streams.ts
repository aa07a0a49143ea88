/**
 * Opens the streams beside the first one, and opens them anew when they break, for as long as a session lives
 * (PROTOCOL 1.6, 2.8).
 *
 * A transfer that cannot have them goes on with what it has: they are tried for quietly, and said once. Knows neither
 * addresses nor keys, and not what is said over a stream.
 */

import { errorCodeFromWire, SealiftError, toSealiftError } from '../protocol/errors.ts'
import { MIN_CHUNK_BYTES } from '../protocol/limits.ts'
import { type Clock, delay, orAborted } from '../transfer/clock.ts'
import type { WarningEvent } from '../transfer/events.ts'
import type { Session } from '../transfer/session.ts'

const FIRST_BACK_OFF_MS = 200
const LONGEST_BACK_OFF_MS = 5000
/** Connections that are made at once: a server lets only a few wait at its door for each address. */
const MAX_DIALLING = 3
/** So many in vain, one after another, are worth a word where there is not one stream. */
const FAILURES_TO_SAY = 3
/** One that moved less was refused, or came to nothing. */
const MOVED_BYTES = MIN_CHUNK_BYTES

export interface FurtherStreamsOptions {
  readonly clock: Clock
  /** How many to keep open. */
  readonly streams: number
  readonly connect: (signal: AbortSignal) => Promise<Session>
  /** Hands a stream to the session that it is for; resolves at its end. */
  readonly use: (stream: Session) => Promise<void>
  /** None can be had, because of this; called at most once. */
  readonly onFailed: (error: SealiftError) => void
}

export class FurtherStreams {
  readonly #options: FurtherStreamsOptions
  #dialling = 0
  #waiting: (() => void)[] = []
  #open = 0
  /** Whether one has moved something, or it was said that none can be had. */
  #isSettled = false

  constructor(options: FurtherStreamsOptions) {
    this.#options = options
  }

  /** Keeps them open until the signal is aborted; whose they are ends them. Resolves then; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(Array.from({ length: this.#options.streams }, () => this.#keep(signal)))
  }

  async #keep(signal: AbortSignal): Promise<void> {
    const { clock, use } = this.#options
    let backOffMs = FIRST_BACK_OFF_MS
    let failures = 0
    for (;;) {
      let error: SealiftError | null = null
      try {
        const stream = await this.#dial(signal)
        const sinceMs = clock.nowMs()
        this.#open++
        // A farewell that nobody answers is not waited for: the next session is not to be held up by it.
        await orAborted(
          use(stream).finally(() => this.#open--),
          signal,
        )
        if (clock.nowMs() - sinceMs > LONGEST_BACK_OFF_MS) backOffMs = FIRST_BACK_OFF_MS
        if (stream.wireBytes >= MOVED_BYTES) this.#isSettled = true
        else error = await reasonOf(stream)
      } catch (thrown) {
        error = toSealiftError(thrown)
      }
      if (signal.aborted) return
      failures = error === null ? 0 : failures + 1
      const isInVain = error?.retryable === false
      if (error !== null && (isInVain || failures >= FAILURES_TO_SAY)) this.#sayNone(error)
      if (isInVain) return
      try {
        await delay(clock, backOffMs * (0.5 + Math.random()), signal)
      } catch {
        return
      }
      backOffMs = Math.min(backOffMs * 2, LONGEST_BACK_OFF_MS)
    }
  }

  async #dial(signal: AbortSignal): Promise<Session> {
    if (this.#dialling >= MAX_DIALLING) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#dialling++
    try {
      return await this.#options.connect(signal)
    } finally {
      this.#dialling--
      this.#waiting.shift()?.()
    }
  }

  #sayNone(error: SealiftError): void {
    if (this.#isSettled || this.#open > 0) return
    this.#isSettled = true
    this.#options.onFailed(error)
  }
}

async function reasonOf(stream: Session): Promise<SealiftError> {
  const { code, error } = await stream.end
  return error ?? new SealiftError(errorCodeFromWire(code) ?? 'peer_stopped', 'the other side ended it')
}

/** Says that a transfer has to go on over one stream; once, however many sessions it has. */
export function warnOnce(emit: (warning: WarningEvent) => void): FurtherStreamsOptions['onFailed'] {
  let hasSaid = false
  return ({ code, message }) => {
    if (!hasSaid)
      emit({ event: 'warning', code, message: `no further stream can be opened, so it goes on over one: ${message}` })
    hasSaid = true
  }
}
