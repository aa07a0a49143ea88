/**
 * Opens the streams beside the first one, and opens them anew when they break, for as long as a session lives
 * (PROTOCOL 1.6, 2.8).
 *
 * A transfer that cannot have them goes on with what it has: they are tried for quietly, and said once. Knows neither
 * addresses nor keys, and not what is said over a stream.
 */

import { errorCodeFromWire, SealiftError, toSealiftError } from '../protocol/errors.ts'
import { MIN_CHUNK_BYTES } from '../protocol/limits.ts'
import { type Clock, delay } from '../transfer/clock.ts'
import type { WarningEvent } from '../transfer/events.ts'
import type { Session } from '../transfer/session.ts'

const FIRST_BACK_OFF_MS = 200
const LONGEST_BACK_OFF_MS = 5000
/** Connections that are made at once: a server lets only a few wait at its door for each address. */
const MAX_DIALLING = 3
/** So many in vain, and none before that, are worth a word. */
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
  #failures = 0
  #hadOne = false

  constructor(options: FurtherStreamsOptions) {
    this.#options = options
  }

  /** Keeps them open until the signal is aborted. Resolves then; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(Array.from({ length: this.#options.streams }, () => this.#keep(signal)))
  }

  async #keep(signal: AbortSignal): Promise<void> {
    const { clock, use } = this.#options
    let backOffMs = FIRST_BACK_OFF_MS
    while (!signal.aborted) {
      try {
        const stream = await this.#dial(signal)
        const sinceMs = clock.nowMs()
        await use(stream)
        if (signal.aborted) return
        if (clock.nowMs() - sinceMs > LONGEST_BACK_OFF_MS) backOffMs = FIRST_BACK_OFF_MS
        if (stream.wireBytes >= MOVED_BYTES) this.#hadOne = true
        else this.#failed(await reasonOf(stream))
      } catch (thrown) {
        if (signal.aborted) return
        const error = toSealiftError(thrown)
        this.#failed(error)
        if (!error.retryable) return
      }
      await delay(clock, backOffMs * (0.5 + Math.random()), signal).catch(() => undefined)
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

  #failed(error: SealiftError): void {
    if (++this.#failures === FAILURES_TO_SAY && !this.#hadOne) this.#options.onFailed(error)
  }
}

async function reasonOf(stream: Session): Promise<SealiftError> {
  const { code, error } = await stream.end
  return error ?? new SealiftError(errorCodeFromWire(code) ?? 'peer_stopped', 'the other side ended it')
}

/** What is said where a transfer has to go on over one stream. */
export function furtherWarning({ code, message }: SealiftError): WarningEvent {
  return { event: 'warning', code, message: `no further stream can be opened, so it goes on over one: ${message}` }
}
