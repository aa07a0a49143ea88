/**
 * One buffer into which a carrier writes and from which whole frames are taken where they lie: no copy of its own
 * between the socket and the cipher. A frame that would not fit behind the last one is moved to the front first.
 *
 * Small until keys are confirmed, so that strangers cost little memory; then it grows once, when room is asked for the
 * next time: a carrier may be filling what it was given before.
 */

import { releaseBuffer } from './bytes.ts'

export class FrameBuffer {
  #bytes: Uint8Array
  #start = 0
  #end = 0
  #capacity: number

  /** @param capacity bytes; at least the largest frame */
  constructor(capacity: number) {
    this.#bytes = new Uint8Array(capacity)
    this.#capacity = capacity
  }

  /** Bytes that wait to be taken. */
  get length(): number {
    return this.#end - this.#start
  }

  /** Makes the buffer larger and keeps what waits. */
  grow(capacity: number): void {
    this.#capacity = Math.max(this.#capacity, capacity)
  }

  /** Room behind what waits; views from `take` are void from here on. Empty only when a whole buffer of bytes waits. */
  space(): Uint8Array {
    if (this.#start === this.#end) {
      this.#start = 0
      this.#end = 0
    }
    if (this.#capacity > this.#bytes.length) this.#moveTo(new Uint8Array(this.#capacity))
    else if (this.#start > 0 && this.#bytes.length - this.#end < this.#bytes.length / 32) {
      this.#moveTo(this.#bytes)
    }
    return this.#bytes.subarray(this.#end)
  }

  /** Gives its memory back: nothing fills it any more, and nothing is taken. */
  release(): void {
    const bytes = this.#bytes
    this.#bytes = new Uint8Array()
    this.#capacity = 0
    this.#start = 0
    this.#end = 0
    releaseBuffer(bytes)
  }

  /** @param bytes those of before: to the front */
  #moveTo(bytes: Uint8Array): void {
    bytes.set(this.#bytes.subarray(this.#start, this.#end))
    this.#bytes = bytes
    this.#end -= this.#start
    this.#start = 0
  }

  /** So many bytes of the room were written. */
  advance(bytes: number): void {
    this.#end += bytes
  }

  /** The big-endian word in front, not taken; `null` where fewer than 4 bytes wait. */
  peekU32(): number | null {
    if (this.length < 4) return null
    const at = this.#start
    const bytes = this.#bytes
    return (
      (bytes[at] as number) * 0x100_0000 +
      (((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number))
    )
  }

  /** The first bytes without taking them; `null` where fewer wait. A view, valid until `space`. */
  peek(bytes: number): Uint8Array | null {
    return this.length < bytes ? null : this.#bytes.subarray(this.#start, this.#start + bytes)
  }

  /** Takes the first bytes; `null` where fewer wait. A view, valid until `space`. */
  take(bytes: number): Uint8Array | null {
    const view = this.peek(bytes)
    if (view !== null) this.#start += bytes
    return view
  }
}
