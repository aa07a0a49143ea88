/**
 * A stream held to a rate, in both directions, counted on the wire, with bursts of at most 50 ms.
 *
 * Writes are cut into slices and wait their turn; reads are paused when they run ahead.
 */

import { type ByteSink, type ByteStream, sealerOf } from '../carriers/carrier.ts'
import { type Pace, TokenBucket } from '../protocol/pace.ts'
import type { Clock } from './clock.ts'

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
  const newPace = (): Pace => new TokenBucket(bytesPerSecond, () => clock.nowMs())
  return new PacedStream(stream, { out: newPace(), into: newPace() }, clock, hurry)
}

/** A stream whose reads are held to a pace that others may share; what it writes is not held back. */
export function pacedReads(stream: ByteStream, into: Pace, clock: Clock): ByteStream {
  return new PacedStream(stream, { out: null, into }, clock, null)
}

/** `null`: no limit. */
interface Paces {
  readonly out: Pace | null
  readonly into: Pace
}

class PacedStream implements ByteStream {
  readonly peer: ByteStream['peer']
  readonly seal: ByteStream['seal']
  readonly #stream: ByteStream
  readonly #clock: Clock
  readonly #paces: Paces
  #turn: Promise<void> = Promise.resolve()
  /** The sink takes nothing now. */
  #isPaused = false
  /** What has been read of the slice that is under way. */
  #sliceReadBytes = 0
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

  constructor(stream: ByteStream, paces: Paces, clock: Clock, hurry: AbortSignal | null) {
    this.peer = stream.peer
    this.seal = sealerOf(stream)
    this.#stream = stream
    this.#clock = clock
    this.#paces = paces
    this.#hurry = hurry
    hurry?.addEventListener('abort', this.#hurried, { once: true })
  }

  get #isHurried(): boolean {
    return this.#hurry?.aborted === true
  }

  start(sink: ByteSink): void {
    const { into } = this.#paces
    this.#stream.start({
      space: () => sink.space().subarray(0, Math.max(1, into.sliceBytes - this.#sliceReadBytes)),
      filled: (bytes) => {
        const waitMs = into.pass(bytes)
        this.#sliceReadBytes += bytes
        // A slice may come in several reads: to wait after each of them costs more than to read it.
        if (this.#sliceReadBytes >= into.sliceBytes) {
          this.#sliceReadBytes = 0
          if (waitMs > 0 && !this.#isHurried) this.#wait(waitMs)
        }
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
    const { out } = this.#paces
    if (out === null) return this.#stream.write(parts)
    const written = this.#turn.then(() => this.#writeSlices(parts, out))
    this.#turn = written.catch(() => undefined)
    return written
  }

  async #writeSlices(parts: readonly Uint8Array[], out: Pace): Promise<void> {
    const { sliceBytes } = out
    for (const part of parts) {
      for (let at = 0; at < part.length; at += sliceBytes) {
        const slice = part.subarray(at, at + sliceBytes)
        await this.#stream.write([slice])
        const waitMs = out.pass(slice.length)
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
