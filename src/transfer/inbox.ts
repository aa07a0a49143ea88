/**
 * Where a stream's bytes arrive: one buffer, first read by the handshake, then by the session.
 *
 * Owns the buffer and who reads it now. Knows neither frames nor records.
 */

import type { ByteSink, ByteStream } from '../carriers/carrier.ts'
import type { SealiftError } from '../protocol/errors.ts'
import { FrameBuffer } from '../protocol/frame-buffer.ts'
import { MAX_HANDSHAKE_FRAME_BYTES } from '../protocol/limits.ts'

/** Reads what has arrived. */
export interface InboxReader {
  /** Bytes came. @returns whether more may come now */
  arrived(): boolean
  /** Nothing more will come. */
  ended(error: SealiftError | null): void
}

const HANDSHAKE_BUFFER_BYTES = 2 * MAX_HANDSHAKE_FRAME_BYTES
/** So many whole records have room, so that a record is moved in memory once in a while, not each time. */
const SESSION_RECORDS = 2

export class Inbox implements ByteSink {
  readonly frames = new FrameBuffer(HANDSHAKE_BUFFER_BYTES)
  readonly #stream: ByteStream
  #reader: InboxReader | null = null
  #end: { error: SealiftError | null } | null = null
  #receivedBytes = 0

  /** Starts the stream. */
  constructor(stream: ByteStream) {
    this.#stream = stream
    stream.start(this)
  }

  /** All bytes that ever arrived. */
  get receivedBytes(): number {
    return this.#receivedBytes
  }

  /** Makes room for records; called once keys are confirmed. @param maxBytes of a record, without its length word */
  growForRecords(maxBytes: number): void {
    this.frames.grow(SESSION_RECORDS * (maxBytes + 4))
  }

  /** Hands what has arrived and will arrive to a reader, instead of the one before. */
  readBy(reader: InboxReader | null): void {
    this.#reader = reader
    if (reader === null) return
    const goOn = reader.arrived()
    if (this.#end !== null) reader.ended(this.#end.error)
    else if (goOn) this.#stream.resume()
  }

  /**
   * The stream was destroyed: gives back what was kept for it, where the system reads only when it is asked to. On Windows it
   * may be in the middle of a read, and this is left to the collector.
   */
  release(): void {
    this.#reader = null
    if (process.platform !== 'win32') this.frames.release()
  }

  space(): Uint8Array {
    return this.frames.space()
  }

  filled(bytes: number): boolean {
    this.frames.advance(bytes)
    this.#receivedBytes += bytes
    // With nobody reading, one buffer is all that a peer gets to fill.
    return this.#reader?.arrived() ?? false
  }

  ended(error: SealiftError | null): void {
    this.#end = { error }
    this.#reader?.ended(error)
  }
}
