/**
 * Reading and writing of big-endian fields. Every codec of the protocol goes through here, so a length is
 * compared with what is left before anything is sliced or allocated.
 */

import { SealiftError } from './errors.ts'

const encoder = new TextEncoder()
const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export function encodeUtf8(text: string): Uint8Array {
  return encoder.encode(text)
}

/** @returns the text, or `null` where the bytes are not valid UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string | null {
  let ascii = ''
  if (bytes.length <= 64) {
    let at = 0
    for (; at < bytes.length; at++) {
      const code = bytes[at] as number
      if (code > 0x7f) break
      ascii += String.fromCharCode(code)
    }
    if (at === bytes.length) return ascii
  }
  try {
    return strictDecoder.decode(bytes)
  } catch {
    return null
  }
}

/** Order of two byte strings, as `memcmp`: negative, zero or positive. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length)
  for (let at = 0; at < shared; at++) {
    const difference = (a[at] as number) - (b[at] as number)
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const part of parts) length += part.length
  const whole = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

export function toHex(bytes: Uint8Array): string {
  let hex = ''
  for (const byte of bytes) hex += HEX[byte] as string
  return hex
}

/** @throws SealiftError `protocol_violation` where the text is not pairs of hex digits. */
export function fromHex(hex: string): Uint8Array {
  if (hex.length % 2 !== 0 || !/^[0-9a-f]*$/i.test(hex)) throw new SealiftError('protocol_violation', 'malformed hex')
  const bytes = new Uint8Array(hex.length / 2)
  for (let at = 0; at < bytes.length; at++) bytes[at] = Number.parseInt(hex.slice(at * 2, at * 2 + 2), 16)
  return bytes
}

/** The 16 bytes of a UUID. @throws SealiftError `protocol_violation` where it is not 36 characters of the usual form. */
export function uuidToBytes(uuid: string): Uint8Array {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(uuid))
    throw new SealiftError('protocol_violation', 'malformed transfer id')
  return fromHex(uuid.replaceAll('-', ''))
}

const TWO_32 = 0x1_0000_0000

/** Writes fields one after another into a buffer that grows. */
export class ByteWriter {
  #bytes: Uint8Array
  #view: DataView
  #length = 0

  constructor(initialBytes = 256) {
    this.#bytes = new Uint8Array(initialBytes)
    this.#view = new DataView(this.#bytes.buffer)
  }

  get length(): number {
    return this.#length
  }

  #reserve(bytes: number): number {
    const at = this.#length
    const needed = at + bytes
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2))
      grown.set(this.#bytes.subarray(0, at))
      this.#bytes = grown
      this.#view = new DataView(grown.buffer)
    }
    this.#length = needed
    return at
  }

  u8(value: number): this {
    const at = this.#reserve(1)
    this.#bytes[at] = value
    return this
  }

  u16(value: number): this {
    const at = this.#reserve(2)
    this.#view.setUint16(at, value)
    return this
  }

  u32(value: number): this {
    const at = this.#reserve(4)
    this.#view.setUint32(at, value)
    return this
  }

  /** A safe integer as 8 bytes. */
  u64(value: number): this {
    const at = this.#reserve(8)
    this.#view.setUint32(at, Math.floor(value / TWO_32))
    this.#view.setUint32(at + 4, value % TWO_32)
    return this
  }

  i64(value: bigint): this {
    const at = this.#reserve(8)
    this.#view.setBigInt64(at, value)
    return this
  }

  bytes(value: Uint8Array): this {
    const at = this.#reserve(value.length)
    this.#bytes.set(value, at)
    return this
  }

  /** What was written so far; a copy, the caller's own. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length)
  }

  /** Starts again at nothing and keeps the buffer. */
  reset(): void {
    this.#length = 0
  }
}

/**
 * Reads fields one after another. Slices are views of the input, not copies.
 *
 * Every read @throws SealiftError `protocol_violation` where fewer bytes are left than the field needs.
 */
export class ByteReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  #take(bytes: number): number {
    if (bytes > this.left) throw new SealiftError('protocol_violation', 'a message ends too early')
    const at = this.#at
    this.#at += bytes
    return at
  }

  u8(): number {
    return this.#bytes[this.#take(1)] as number
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2))
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4))
  }

  /** 8 bytes as a number. @throws SealiftError `protocol_violation` where it is no safe integer. */
  u64(): number {
    const at = this.#take(8)
    const value = this.#view.getUint32(at) * TWO_32 + this.#view.getUint32(at + 4)
    if (!Number.isSafeInteger(value)) throw new SealiftError('protocol_violation', 'a number is too large')
    return value
  }

  i64(): bigint {
    return this.#view.getBigInt64(this.#take(8))
  }

  bytes(length: number): Uint8Array {
    const at = this.#take(length)
    return this.#bytes.subarray(at, at + length)
  }

  /** @throws SealiftError `protocol_violation` where bytes are left over. */
  end(): void {
    if (this.left !== 0) throw new SealiftError('protocol_violation', 'a message has bytes too many')
  }
}

/**
 * Frees at once what the bytes lie in, where they are all of it; a part of something shared is left alone. They are void
 * afterwards. Left to the collector, a megabyte for every record would pile up.
 */
export function releaseBuffer(bytes: Uint8Array): void {
  const { buffer } = bytes
  if (buffer instanceof ArrayBuffer && bytes.byteLength === buffer.byteLength && bytes.byteLength >= MIN_RELEASED_BYTES)
    buffer.transfer(0)
}

/** Smaller ones cost less to collect than to give back. */
const MIN_RELEASED_BYTES = 32 << 10
