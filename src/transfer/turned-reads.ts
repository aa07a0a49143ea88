/** A stream that reads in turn with others: who decides when its turn is over, and when it comes again, is given from outside. */

import { type ByteSink, type ByteStream, sealerOf } from '../carriers/carrier.ts'

/** Its place among them. */
export interface TurnTaker {
  /** @returns whether more may be read now; else it is told when it may */
  read(bytes: number): boolean
  leave(): void
}

/** @param join takes a place; its argument is to be called when reading may go on */
export function turnedReads(stream: ByteStream, join: (goOn: () => void) => TurnTaker): ByteStream {
  return new TurnedStream(stream, join)
}

class TurnedStream implements ByteStream {
  readonly peer: ByteStream['peer']
  readonly seal: ByteStream['seal']
  readonly #stream: ByteStream
  readonly #place: TurnTaker
  /** The sink takes nothing now. */
  #isPaused = false
  /** It is the turn of others. */
  #isWaiting = false

  constructor(stream: ByteStream, join: (goOn: () => void) => TurnTaker) {
    this.peer = stream.peer
    this.seal = sealerOf(stream)
    this.#stream = stream
    this.#place = join(() => {
      this.#isWaiting = false
      if (!this.#isPaused) this.#stream.resume()
    })
  }

  start(sink: ByteSink): void {
    this.#stream.start({
      space: () => sink.space(),
      filled: (bytes) => {
        this.#isWaiting = !this.#place.read(bytes)
        this.#isPaused = !sink.filled(bytes)
        return !this.#isPaused && !this.#isWaiting
      },
      ended: (error) => {
        this.#place.leave()
        sink.ended(error)
      },
    })
  }

  resume(): void {
    // Later, since it may be called from within `filled`, whose answer counts first.
    queueMicrotask(() => {
      this.#isPaused = false
      if (!this.#isWaiting) this.#stream.resume()
    })
  }

  write(parts: readonly Uint8Array[]): Promise<void> {
    return this.#stream.write(parts)
  }

  end(): Promise<void> {
    return this.#stream.end()
  }

  destroy(): void {
    this.#place.leave()
    this.#stream.destroy()
  }
}
