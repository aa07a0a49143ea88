/**
 * Unpacks the chunks of a session ahead of their turn: on the thread pool, while the ones before them are hashed and
 * written.
 *
 * Owns how many wait, and the order: what came behind a chunk is dealt with behind it. Knows no session and no files.
 */

import { decodeChunk } from '../codecs/codec-table.ts'
import { MAX_CHUNK_BYTES } from '../protocol/limits.ts'
import type { ChunkMessage } from '../protocol/messages.ts'

/** Messages that wait for their turn, at most: so many chunks of a hostile sender are in memory, packed and unpacked. */
const MAX_WAITING = 4

export class Unpacking {
  readonly #onFault: (error: unknown) => void
  #waiting = 0
  /** Settles when the newest of those that wait has been dealt with. Never rejects. */
  #turn: Promise<void> = Promise.resolve()
  #isOver = false
  /** What the pool is busy with. */
  readonly #decoding = new Set<Promise<unknown>>()

  /** @param onFault what a chunk, or its taking, failed of; called once, and nothing is dealt with after it */
  constructor(onFault: (error: unknown) => void) {
    this.#onFault = onFault
  }

  /** Resolves when all that has come by now was dealt with. Never rejects. */
  get idle(): Promise<void> {
    return this.#turn
  }

  /** Drops what waits. Resolves when the pool has nothing of it any more; what is being taken is not waited for. */
  async stop(): Promise<void> {
    this.#isOver = true
    await Promise.allSettled(this.#decoding)
  }

  /**
   * Gives the raw bytes of a chunk to `take` in their turn: at once where nothing waits and nothing is packed.
   * @param message borrowed until then
   * @param take as {@link step}
   * @returns a promise where no more should come for now
   * @throws whatever `take` throws at once
   */
  chunk(message: ChunkMessage, take: (raw: Uint8Array) => void | Promise<void>): void | Promise<void> {
    const { codec, packed, rawBytes } = message
    if (codec === 0) return this.step(() => take(packed))
    const decoding = decodeChunk(codec, packed, Math.min(rawBytes, MAX_CHUNK_BYTES))
    this.#decoding.add(decoding)
    const decoded = (): void => void this.#decoding.delete(decoding)
    decoding.then(decoded, decoded)
    return this.#inTurn(decoding, take)
  }

  /**
   * Does something in its turn: at once where nothing waits.
   * @param take may return a promise, which holds back all that comes later
   * @returns a promise where no more should come for now
   * @throws whatever `take` throws at once
   */
  step(take: () => void | Promise<void>): void | Promise<void> {
    return this.#waiting === 0 ? take() : this.#inTurn(undefined, take)
  }

  #inTurn<T>(prepared: T | Promise<T>, take: (value: T) => void | Promise<void>): void | Promise<void> {
    const before = this.#turn
    this.#waiting++
    this.#turn = this.#run(prepared, before, take)
    return this.#waiting < MAX_WAITING ? undefined : before
  }

  async #run<T>(
    prepared: T | Promise<T>,
    before: Promise<void>,
    take: (value: T) => void | Promise<void>,
  ): Promise<void> {
    try {
      const [value] = await Promise.all([prepared, before])
      if (!this.#isOver) await take(value)
    } catch (error) {
      // Those before it are dealt with first: they are whole.
      await before
      if (!this.#isOver) this.#onFault(error)
      this.#isOver = true
    } finally {
      this.#waiting--
    }
  }
}
