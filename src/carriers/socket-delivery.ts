/**
 * How what arrives gets into a {@link ByteSink}: nothing before the start, nothing while the sink is paused, pieces
 * cut to the room there is, and one end. For carriers whose source hands over pieces of its own size.
 *
 * Knows no socket. It calls the sink within `push`, `landed`, `resume` and `end`, and never by itself, but for a fault
 * from before the start, which is told in a microtask after it.
 */

import type { SealiftError } from '../protocol/errors.ts'
import type { ByteSink } from './carrier.ts'

const NOTHING = new Uint8Array(0)

export class Delivery {
  #sink: ByteSink | null = null
  #paused = false
  #closed = false
  readonly #release: (piece: Uint8Array) => void
  /** The piece that is being copied, and what of it had no place in the sink when that paused. */
  #piece: Uint8Array = NOTHING
  #rest: Uint8Array = NOTHING
  /** An orderly end that waits for the rest. */
  #endWaits = false
  /** A fault from before the start. */
  #faultWaits: SealiftError | null = null

  /** @param release called with each piece that was pushed once all of it is copied; by default it is left alone */
  constructor(release: (piece: Uint8Array) => void = () => undefined) {
    this.#release = release
  }

  /** Whether the source may hand over more. */
  get flowing(): boolean {
    return this.#sink !== null && !this.#paused && !this.#closed && this.#rest.length === 0
  }

  /** Room of the sink for one read without a copy; only while {@link flowing}. Say {@link landed} when it is written. */
  space(): Uint8Array {
    if (this.#sink === null) throw new Error('a delivery that has not started has no room')
    return this.#sink.space()
  }

  /** @throws Error where it was started before: a fault in Sealift */
  start(sink: ByteSink): void {
    if (this.#sink !== null) throw new Error('a stream is started once')
    this.#sink = sink
    const fault = this.#faultWaits
    if (fault === null && !this.#endWaits) return
    queueMicrotask(() => {
      if (this.#closed) return
      if (fault === null) this.#settle()
      else this.#tell(fault)
    })
  }

  /** `bytes` were written into {@link space}. @returns whether the source may hand over more */
  landed(bytes: number): boolean {
    if (this.#sink === null || this.#closed) return false
    if (!this.#sink.filled(bytes)) this.#paused = true
    return this.flowing
  }

  /**
   * Copies a piece into the sink. Where the sink pauses in the middle of it, the rest is kept by reference, so the
   * piece may not change until {@link flowing} again.
   * @returns whether the source may hand over more
   */
  push(piece: Uint8Array): boolean {
    if (this.#closed) return false
    this.#rest = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece])
    this.#piece = this.#rest
    this.#settle()
    return this.flowing
  }

  /** The sink goes on. @returns whether the source may hand over more */
  resume(): boolean {
    this.#paused = false
    this.#settle()
    return this.flowing
  }

  /**
   * Nothing more comes. An orderly end waits behind the rest and a pause; a fault is told at once, because what it
   * cut off is sent again anyway. Only the first end counts.
   */
  end(error: SealiftError | null): void {
    if (this.#closed || this.#endWaits) return
    if (error === null) {
      this.#endWaits = true
      this.#settle()
    } else if (this.#sink === null) {
      this.#faultWaits ??= error
    } else {
      this.#tell(error)
    }
  }

  /** This side dropped the stream: the sink hears nothing more. */
  close(): void {
    this.#closed = true
    this.#piece = NOTHING
    this.#rest = NOTHING
  }

  /** Delivers as much of the rest as the sink takes, and then the end. */
  #settle(): void {
    const sink = this.#sink
    if (sink === null) return
    while (this.#rest.length > 0 && !this.#paused && !this.#closed) {
      const piece = this.#rest
      const space = sink.space()
      const bytes = Math.min(space.length, piece.length)
      space.set(bytes === piece.length ? piece : piece.subarray(0, bytes))
      // before the sink hears of it: the sink may destroy the stream
      this.#rest = bytes === piece.length ? NOTHING : piece.subarray(bytes)
      if (this.#rest.length === 0) this.#release(this.#piece)
      if (!sink.filled(bytes)) this.#paused = true
    }
    if (this.#endWaits && this.#rest.length === 0 && !this.#paused && !this.#closed) this.#tell(null)
  }

  #tell(error: SealiftError | null): void {
    const sink = this.#sink
    this.close()
    sink?.ended(error)
  }
}
