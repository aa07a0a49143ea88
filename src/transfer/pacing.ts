/**
 * A stream held to a rate, in both directions, counted on the wire, with bursts of at most 50 ms.
 *
 * Writes are cut into slices and wait their turn; reads are paused when they run ahead.
 */

import type { ByteSink, ByteStream } from '../carriers/carrier.ts'
import type { Clock } from './clock.ts'

const BURST_MS = 50

/** When the next byte may go, at so many bytes a second. */
class Pace {
  readonly #bytesPerMs: number
  readonly #clock: Clock
  #freeAtMs: number

  constructor(bytesPerSecond: number, clock: Clock) {
    this.#bytesPerMs = bytesPerSecond / 1000
    this.#clock = clock
    this.#freeAtMs = clock.nowMs()
  }

  /** Bytes of one slice. */
  get sliceBytes(): number {
    return Math.max(1, Math.floor((this.#bytesPerMs * BURST_MS) / 2))
  }

  /** Takes note of bytes that pass. @returns milliseconds to wait before more may */
  pass(bytes: number): number {
    const now = this.#clock.nowMs()
    this.#freeAtMs = Math.max(this.#freeAtMs, now - BURST_MS / 2) + bytes / this.#bytesPerMs
    return Math.max(0, this.#freeAtMs - now)
  }
}

/**
 * @param bytesPerSecond `undefined` or 0: no limit, the stream itself comes back
 * @param hurry ends the limit: what is still under way then is what a farewell waits behind
 */
export function paced(
  stream: ByteStream,
  bytesPerSecond: number | undefined,
  clock: Clock,
  hurry: AbortSignal | null = null,
): ByteStream {
  if (bytesPerSecond === undefined || bytesPerSecond === 0) return stream
  return new PacedStream(stream, bytesPerSecond, clock, hurry)
}

class PacedStream implements ByteStream {
  readonly peer: ByteStream['peer']
  readonly #stream: ByteStream
  readonly #clock: Clock
  readonly #out: Pace
  readonly #in: Pace
  #turn: Promise<void> = Promise.resolve()
  /** The sink takes nothing now. */
  #isPaused = false
  /** The rate allows nothing now. */
  #cancelWait: (() => void) | null = null
  /** Lets a write go on that waits for the rate. */
  #release: () => void = () => undefined
  readonly #hurry: AbortSignal | null
  readonly #hurried = (): void => {
    this.#release()
    if (this.#cancelWait === null) return
    this.#cancelWait()
    this.#cancelWait = null
    if (!this.#isPaused) this.#stream.resume()
  }

  constructor(stream: ByteStream, bytesPerSecond: number, clock: Clock, hurry: AbortSignal | null) {
    this.peer = stream.peer
    this.#stream = stream
    this.#clock = clock
    this.#out = new Pace(bytesPerSecond, clock)
    this.#in = new Pace(bytesPerSecond, clock)
    this.#hurry = hurry
    hurry?.addEventListener('abort', this.#hurried, { once: true })
  }

  get #isHurried(): boolean {
    return this.#hurry?.aborted === true
  }

  start(sink: ByteSink): void {
    this.#stream.start({
      space: () => sink.space().subarray(0, this.#in.sliceBytes),
      filled: (bytes) => {
        const waitMs = this.#in.pass(bytes)
        if (waitMs > 0 && !this.#isHurried) this.#wait(waitMs)
        // What the sink wants and what the rate allows are two things: only both together let the next bytes in.
        this.#isPaused = !sink.filled(bytes)
        return !this.#isPaused && this.#cancelWait === null
      },
      ended: (error) => sink.ended(error),
    })
  }

  #wait(waitMs: number): void {
    this.#cancelWait?.()
    this.#cancelWait = this.#clock.after(waitMs, () => {
      this.#cancelWait = null
      if (!this.#isPaused) this.#stream.resume()
    })
  }

  resume(): void {
    // Later, since it may be called from within `filled`, whose answer counts first.
    queueMicrotask(() => {
      this.#isPaused = false
      if (this.#cancelWait === null) this.#stream.resume()
    })
  }

  write(parts: readonly Uint8Array[]): Promise<void> {
    const written = this.#turn.then(() => this.#writeSlices(parts))
    this.#turn = written.catch(() => undefined)
    return written
  }

  async #writeSlices(parts: readonly Uint8Array[]): Promise<void> {
    const { sliceBytes } = this.#out
    for (const part of parts) {
      for (let at = 0; at < part.length; at += sliceBytes) {
        const slice = part.subarray(at, at + sliceBytes)
        await this.#stream.write([slice])
        const waitMs = this.#out.pass(slice.length)
        if (waitMs > 0 && !this.#isHurried) await this.#pass(waitMs)
      }
    }
  }

  #pass(waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#clock.after(waitMs, resolve)
      this.#release = () => {
        cancel()
        resolve()
      }
    })
  }

  async end(): Promise<void> {
    await this.#turn
    await this.#stream.end()
  }

  destroy(): void {
    this.#hurry?.removeEventListener('abort', this.#hurried)
    this.#cancelWait?.()
    this.#stream.destroy()
  }
}
