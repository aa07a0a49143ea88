/**
 * Reads a stream that can be read only once, such as standard input, as the content of one file (PROTOCOL 2.6).
 *
 * Keeps what is not safe at the receiver, and little more, and then stops reading, so that whoever writes into the stream
 * is held back. A short stream is kept whole: it can be sent again.
 * Knows nothing of chunks, sessions or digests.
 */

import { setImmediate as nextTurn } from 'node:timers/promises'
import { SealiftError } from '../protocol/errors.ts'
import { MAX_CONTENT_BYTES, MAX_UNACKNOWLEDGED_BYTES } from '../protocol/limits.ts'
import type { ContentReader, ReadOutcome } from './content-reader.ts'
import { errnoOf } from './disk-faults.ts'
import type { SourceFault } from './source-fault.ts'

/** Bytes are kept in blocks, so that a producer of single bytes costs no object for each. */
const BLOCK_BYTES = 1 << 20
/** Read and not asked for yet, at most: enough to keep a lane busy. */
const READ_AHEAD_BYTES = 4 << 20
/** Kept although it is safe. */
const KEPT_BYTES = 8 << 20

/** Hears how the stream goes on. */
export interface StreamListener {
  /** The bytes `[start, end)` can be read. */
  grown(start: number, end: number): void
  /** That was all; nothing is heard after this. */
  ended(sizeBytes: number): void
  /** The stream broke; nothing is heard after this. */
  failed(fault: SourceFault): void
}

export interface StreamReaderOptions {
  /** Read once, from its start. */
  readonly source: AsyncIterable<Uint8Array>
  /** Bytes that are not safe, at most. */
  readonly windowBytes?: number
}

export class StreamReader implements ContentReader {
  readonly #source: AsyncIterable<Uint8Array>
  readonly #windowBytes: number
  /** What is held, in order; all but the last are full. */
  #blocks: Uint8Array[] = []
  #spares: Uint8Array[] = []
  /** Offset of the first block. */
  #start = 0
  #end = 0
  /** Where the bytes end that were ever asked for. */
  #askedEnd = 0
  #safeEnd = 0
  #closed = false
  #fault: SourceFault | null = null
  #wakeReading: (() => void) | null = null

  constructor({ source, windowBytes = MAX_UNACKNOWLEDGED_BYTES }: StreamReaderOptions) {
    this.#source = source
    this.#windowBytes = windowBytes
  }

  /** Offset of the first byte that can still be read. */
  get start(): number {
    return this.#start
  }

  /** Bytes that have come so far. */
  get end(): number {
    return this.#end
  }

  /** Why it broke; `null` where it did not. */
  get fault(): SourceFault | null {
    return this.#fault
  }

  /** Begins to read; to be called once. */
  follow(listener: StreamListener): void {
    void this.#readAll(listener)
  }

  async #readAll(listener: StreamListener): Promise<void> {
    try {
      for await (const bytes of this.#source) {
        // A consumer of the library may give whatever it has.
        if (!((bytes as unknown) instanceof Uint8Array)) throw new Error('it gives something else than bytes')
        await this.#append(bytes, listener)
        if (this.#closed) return
      }
    } catch (error) {
      this.#fault = streamFault(error)
    }
    if (this.#closed) return
    if (this.#fault === null) listener.ended(this.#end)
    else listener.failed(this.#fault)
  }

  async #append(bytes: Uint8Array, listener: StreamListener): Promise<void> {
    for (let at = 0; at < bytes.length && !this.#closed;) {
      const room = Math.min(this.#safeEnd + this.#windowBytes, this.#askedEnd + READ_AHEAD_BYTES) - this.#end
      if (room <= 0) {
        await new Promise<void>((resolve) => {
          this.#wakeReading = resolve
        })
        continue
      }
      const start = this.#end
      if (start >= MAX_CONTENT_BYTES) throw new SealiftError('limit_exceeded', 'is longer than can be counted')
      const block = this.#blockAtEnd()
      const used = start % BLOCK_BYTES
      const taken = bytes.subarray(at, at + Math.min(room, BLOCK_BYTES - used))
      block.set(taken, used)
      this.#end = start + taken.length
      at += taken.length
      listener.grown(start, this.#end)
      // One large piece must not keep the sessions waiting until all of it is copied.
      if (at < bytes.length) await nextTurn()
    }
  }

  #blockAtEnd(): Uint8Array {
    if (this.#end % BLOCK_BYTES !== 0) return this.#blocks.at(-1) as Uint8Array
    const block = this.#spares.pop() ?? new Uint8Array(BLOCK_BYTES)
    this.#blocks.push(block)
    return block
  }

  /** All before this offset is safe now: less than before where the receiver lost some. */
  settle(safeEnd: number): void {
    this.#safeEnd = safeEnd
    while (this.#blocks.length * BLOCK_BYTES > KEPT_BYTES && this.#start + BLOCK_BYTES <= safeEnd) {
      this.#spares.push(this.#blocks.shift() as Uint8Array)
      this.#start += BLOCK_BYTES
    }
    this.#wakeUp()
  }

  #wakeUp(): void {
    this.#wakeReading?.()
    this.#wakeReading = null
  }

  read(start: number, end: number, into: Uint8Array): ReadOutcome {
    if (start < this.#start || end > this.#end || into.length < end - start) {
      throw new RangeError(`[${start}, ${end}) is not held or has no room`)
    }
    if (end > this.#askedEnd) {
      this.#askedEnd = end
      this.#wakeUp()
    }
    for (let at = start; at < end;) {
      const block = this.#blocks[Math.floor((at - this.#start) / BLOCK_BYTES)] as Uint8Array
      const from = at % BLOCK_BYTES
      const part = block.subarray(from, from + Math.min(end - at, BLOCK_BYTES - from))
      into.set(part, at - start)
      at += part.length
    }
    return { bytes: end - start, failed: null }
  }

  readBack(_entry: number, fileOffset: number, into: Uint8Array): Promise<number> {
    const end = Math.min(this.#end, fileOffset + into.length)
    if (fileOffset < this.#start) return Promise.reject(new SealiftError('source_vanished', 'the stream has gone on'))
    return Promise.resolve(this.read(fileOffset, end, into).bytes)
  }

  /** Lets go of everything. The source is ended too, once it has given what it is asked for now. */
  close(): void {
    this.#closed = true
    this.#blocks = []
    this.#spares = []
    this.#start = this.#end
    this.#wakeUp()
  }
}

function streamFault(error: unknown): SourceFault {
  if (error instanceof SealiftError) return { code: error.code, message: error.message }
  const errno = errnoOf(error)
  const why = errno === '' ? (error instanceof Error ? error.message : String(error)) : errno
  return { code: 'source_unreadable', message: `cannot be read (${why})` }
}
