/**
 * A stream carrier inside one process: two streams that are each other's peer, and a network of them.
 *
 * First-class like the others: the order, the back-pressure, the half-close and the faults are those of TCP, without a
 * socket and without a clock, so that whatever runs over a stream can be tested here first. Bytes are always
 * delivered in a later turn of the event loop, never within the writer's own call.
 */

// by import, not the global: tests that replace the global timers must not stop the bytes
import { setImmediate } from 'node:timers'

import { SealiftError } from '../protocol/errors.ts'
import type { ByteSink, ByteStream, StreamListener } from './carrier.ts'
import { Delivery } from './socket-delivery.ts'

const DEFAULT_WINDOW_BYTES = 256 << 10

export interface MemoryPipeOptions {
  /** Delivers pieces of at most so many bytes, wherever the writes began and ended. Default: no limit. */
  readonly sliceBytes?: number
  /** Bytes that one direction holds between writer and reader; writes resolve when their last byte found a place there. Default 256 KiB. */
  readonly windowBytes?: number
}

/**
 * Two connected streams. What is written to one arrives at the other.
 *
 * @example
 * ```ts
 * const [left, right] = memoryPipe({ sliceBytes: 1 })
 * right.start(sink)
 * await left.write([header, body])
 * ```
 */
export function memoryPipe(options: MemoryPipeOptions = {}): [ByteStream, ByteStream] {
  return connect(options, { address: 'memory', port: 1 }, { address: 'memory', port: 2 })
}

export interface MemoryNetwork {
  /** Takes connections, one listener after another on port 1. @throws SealiftError `port_in_use` */
  listen(onStream: (stream: ByteStream) => void): StreamListener
  /** @throws SealiftError `connect_failed` where nobody listens */
  dial(): Promise<ByteStream>
}

/** A place to listen and to dial, for code that wants both. */
export function memoryNetwork(options: MemoryPipeOptions = {}): MemoryNetwork {
  let accept: ((stream: ByteStream) => void) | null = null
  let dialled = 1
  return {
    listen(onStream) {
      if (accept !== null) throw new SealiftError('port_in_use', 'something listens on this memory network already')
      accept = onStream
      return {
        address: 'memory',
        port: 1,
        close() {
          if (accept === onStream) accept = null
          return Promise.resolve()
        },
      }
    },

    async dial() {
      await new Promise((later) => setImmediate(later))
      if (accept === null) throw new SealiftError('connect_failed', 'nobody listens on this memory network')
      dialled++
      const [near, far] = connect(options, { address: 'memory', port: dialled }, { address: 'memory', port: 1 })
      accept(far)
      return near
    },
  }
}

type Place = ByteStream['peer']

/** @returns the stream at `near`, whose peer is `far`, and the other one */
function connect(options: MemoryPipeOptions, near: Place, far: Place): [ByteStream, ByteStream] {
  const { sliceBytes = Number.MAX_SAFE_INTEGER, windowBytes = DEFAULT_WINDOW_BYTES } = options
  if (!(sliceBytes >= 1) || !(windowBytes >= 1)) {
    throw new SealiftError('settings_invalid', 'a memory pipe needs a slice and a window of at least one byte')
  }
  const there = new Direction(sliceBytes, windowBytes)
  const back = new Direction(sliceBytes, windowBytes)
  return [new MemoryStream(far, there, back), new MemoryStream(near, back, there)]
}

interface WaitingWrite {
  readonly parts: readonly Uint8Array[]
  part: number
  offset: number
  readonly resolve: () => void
  readonly reject: (error: SealiftError) => void
}

/** One direction: writes that wait, then bytes in the window, then the sink. */
class Direction {
  readonly delivery: Delivery = new Delivery()
  readonly #sliceBytes: number
  readonly #windowBytes: number
  #waiting: WaitingWrite[] = []
  #window: Uint8Array[] = []
  #windowUsed = 0
  #scheduled = false
  #ended = false
  /** No more writes: an end dropped the pipe. */
  #severed = false

  constructor(sliceBytes: number, windowBytes: number) {
    this.#sliceBytes = sliceBytes
    this.#windowBytes = windowBytes
  }

  write(parts: readonly Uint8Array[]): Promise<void> {
    if (this.#severed || this.#ended) return Promise.reject(lost())
    return new Promise((resolve, reject) => {
      this.#waiting.push({ parts, part: 0, offset: 0, resolve, reject })
      this.#admit()
      this.wake()
    })
  }

  /** Resolves when all writes before it found a place. */
  async end(): Promise<void> {
    if (this.#severed || this.#ended) return
    const before = this.write([])
    this.#ended = true
    // a break is told to the writes and to the sink
    await before.catch(() => undefined)
    this.wake()
  }

  /** Delivers in a later turn. */
  wake(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#deliver()
    })
  }

  /**
   * No more writes. Those that wait fail, and then what they began is dropped. Where none waits, all that was written still
   * arrives, as the kernel does it for TCP; in both cases the reader hears of the loss in a later turn.
   */
  sever(): void {
    if (this.#severed) return
    this.#severed = true
    if (this.#waiting.length === 0) {
      this.wake()
      return
    }
    this.#window = []
    for (const { reject } of this.#waiting.splice(0)) reject(lost())
    setImmediate(() => {
      this.delivery.end(lost())
    })
  }

  /** Copies of waiting writes into the window what has room there. */
  #admit(): void {
    for (let write = this.#waiting[0]; write !== undefined; write = this.#waiting[0]) {
      const part = write.parts[write.part]
      if (part === undefined) {
        this.#waiting.shift()
        write.resolve()
        continue
      }
      if (write.offset === part.length) {
        write.part++
        write.offset = 0
        continue
      }
      const bytes = Math.min(part.length - write.offset, this.#windowBytes - this.#windowUsed, this.#sliceBytes)
      if (bytes === 0) return
      // not part.slice(): of a Buffer that is a view, and the bytes are only borrowed
      this.#window.push(new Uint8Array(part.subarray(write.offset, write.offset + bytes)))
      this.#windowUsed += bytes
      write.offset += bytes
    }
  }

  /** One window at most in a turn, so that a busy pipe leaves the event loop to others. */
  #deliver(): void {
    const pieces = this.#window
    let delivered = 0
    while (delivered < pieces.length && this.delivery.flowing) {
      const piece = pieces[delivered++] as Uint8Array
      this.#windowUsed -= piece.length
      this.delivery.push(piece)
    }
    pieces.splice(0, delivered)
    this.#admit()
    if (!this.delivery.flowing) return
    if (this.#window.length > 0) this.wake()
    else if (this.#severed && !this.#ended) this.delivery.end(lost())
    else if (this.#ended) this.delivery.end(null)
  }
}

class MemoryStream implements ByteStream {
  readonly peer: Place
  readonly seal = undefined
  readonly #out: Direction
  readonly #in: Direction
  #resuming = false

  constructor(peer: Place, out: Direction, incoming: Direction) {
    this.peer = peer
    this.#out = out
    this.#in = incoming
  }

  start(sink: ByteSink): void {
    this.#in.delivery.start(sink)
    this.#in.wake()
  }

  resume(): void {
    if (this.#resuming || this.#in.delivery.flowing) return
    this.#resuming = true
    queueMicrotask(() => {
      this.#resuming = false
      if (this.#in.delivery.resume()) this.#in.wake()
    })
  }

  write(parts: readonly Uint8Array[]): Promise<void> {
    return this.#out.write(parts)
  }

  end(): Promise<void> {
    return this.#out.end()
  }

  destroy(): void {
    this.#in.delivery.close()
    this.#in.sever()
    this.#out.sever()
  }
}

function lost(): SealiftError {
  return new SealiftError('connection_lost', 'the memory pipe was cut')
}
