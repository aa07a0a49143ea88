/**
 * Decoder of Blosc 1 frames that hold LZ4 blocks, every index checked against the frame and the declared length.
 *
 * Knows the format only (Blosc 1 chunk format, version 2; LZ4 block format 1.6). It throws {@link FrameError} and
 * allocates nothing but the output and, for shuffled frames, one block: a hostile frame costs no more memory than
 * it declared, and no state outlives a call.
 */

export class FrameError extends Error {}

const FRAME_HEADER_BYTES = 16

const FORMAT_VERSION = 2
const LZ4_VERSION = 1
const FLAG_SHUFFLE = 0x01
const FLAG_STORED = 0x02
const FLAG_BIT_SHUFFLE = 0x04
const FLAG_RESERVED = 0x08
const FLAG_NO_SPLIT = 0x10
const CODEC_SHIFT = 5
const CODEC_LZ4 = 1
/** Blocks are split into one stream for each byte of a type up to this size … */
const MAX_SPLITS = 16
/** … where each stream holds at least so many bytes. */
const MIN_STREAM_BYTES = 128

interface FrameHeader {
  readonly stored: boolean
  readonly shuffled: boolean
  readonly split: boolean
  readonly typeBytes: number
  readonly blockBytes: number
}

/**
 * Checks the 16 header bytes: version, flags, type size, lengths, block size. All sizes in them are compared with
 * the two that the caller knows already, and none is believed.
 *
 * @param rawBytes declared length of the output
 * @throws FrameError
 */
export function readFrameHeader(frame: Uint8Array, rawBytes: number): FrameHeader {
  if (frame.length < FRAME_HEADER_BYTES) throw new FrameError('the header is cut')
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength)
  const flags = view.getUint8(2)
  const typeBytes = view.getUint8(3)
  const blockBytes = view.getUint32(8, true)
  if (view.getUint8(0) !== FORMAT_VERSION || view.getUint8(1) !== LZ4_VERSION) throw new FrameError('unknown version')
  if (flags >> CODEC_SHIFT !== CODEC_LZ4) throw new FrameError('not LZ4')
  if ((flags & (FLAG_BIT_SHUFFLE | FLAG_RESERVED)) !== 0) throw new FrameError('unknown flags')
  if (typeBytes === 0) throw new FrameError('type size 0')
  if (view.getUint32(4, true) !== rawBytes) throw new FrameError('another raw length than declared')
  if (view.getUint32(12, true) !== frame.length) throw new FrameError('another packed length than there is')
  if (blockBytes === 0 || blockBytes > Math.max(rawBytes, 1)) throw new FrameError('impossible block size')
  const stored = (flags & FLAG_STORED) !== 0
  if (stored && frame.length !== FRAME_HEADER_BYTES + rawBytes) throw new FrameError('stored bytes of another length')
  return {
    stored,
    shuffled: (flags & FLAG_SHUFFLE) !== 0 && typeBytes > 1,
    split: (flags & FLAG_NO_SPLIT) === 0,
    typeBytes,
    blockBytes,
  }
}

/**
 * @param frame borrowed
 * @param rawBytes declared length
 * @returns exactly `rawBytes` bytes, the caller's own
 * @throws FrameError
 */
export function decodeFrame(frame: Uint8Array, rawBytes: number): Uint8Array {
  const header = readFrameHeader(frame, rawBytes)
  // a copy: slice() of a Buffer would be a view of what is only borrowed
  if (header.stored) return new Uint8Array(frame.subarray(FRAME_HEADER_BYTES))
  const { blockBytes, typeBytes } = header
  const blocks = Math.ceil(rawBytes / blockBytes)
  if (FRAME_HEADER_BYTES + 4 * blocks > frame.length) throw new FrameError('more blocks than the frame can hold')

  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength)
  const raw = new Uint8Array(rawBytes)
  const shuffledBlock = header.shuffled ? new Uint8Array(blockBytes) : null
  for (let block = 0; block < blocks; block++) {
    const start = block * blockBytes
    const size = Math.min(blockBytes, rawBytes - start)
    const target = shuffledBlock ?? raw
    const targetStart = shuffledBlock === null ? start : 0
    // the last, shorter block is never split
    const split =
      header.split &&
      typeBytes <= MAX_SPLITS &&
      Math.floor(blockBytes / typeBytes) >= MIN_STREAM_BYTES &&
      size === blockBytes
    const streams = split ? typeBytes : 1
    const streamBytes = Math.floor(size / streams)
    // the format has no place for the bytes of such a rest, so no encoder makes such a block
    if (streamBytes * streams !== size) throw new FrameError('a block that does not split evenly')

    let at = view.getUint32(FRAME_HEADER_BYTES + 4 * block, true)
    for (let stream = 0; stream < streams; stream++) {
      if (at > frame.length - 4) throw new FrameError('a block lies outside the frame')
      const packedBytes = view.getUint32(at, true)
      at += 4
      if (packedBytes > frame.length - at) throw new FrameError('a block reaches out of the frame')
      const to = targetStart + stream * streamBytes
      if (packedBytes === streamBytes) target.set(frame.subarray(at, at + packedBytes), to)
      else decodeLz4(frame, at, at + packedBytes, target, to, to + streamBytes)
      at += packedBytes
    }
    if (shuffledBlock !== null) unshuffle(shuffledBlock, raw, start, size, typeBytes)
  }
  return raw
}

/** Puts byte j of every value back beside the others; a rest smaller than a value stays where it is. */
function unshuffle(source: Uint8Array, target: Uint8Array, start: number, size: number, typeBytes: number): void {
  const values = Math.floor(size / typeBytes)
  let from = 0
  for (let byte = 0; byte < typeBytes; byte++) {
    for (let value = 0, to = start + byte; value < values; value++, to += typeBytes)
      target[to] = source[from++] as number
  }
  target.set(source.subarray(from, size), start + from)
}

/** Up to so many bytes a loop in JavaScript is faster than a call into the engine's copy. */
const SHORT_COPY_BYTES = 32

/**
 * One LZ4 block from `source[from, to)` into exactly `target[at, end)`. A match reaches back no further than the
 * block's own start, as each stream was packed on its own.
 */
function decodeLz4(source: Uint8Array, from: number, to: number, target: Uint8Array, at: number, end: number): void {
  const start = at
  for (;;) {
    if (from >= to) throw new FrameError('a block is cut')
    const token = source[from++] as number

    let literals = token >> 4
    if (literals === 15) {
      let more: number
      do {
        if (from >= to) throw new FrameError('a block is cut')
        more = source[from++] as number
        literals += more
      } while (more === 255)
    }
    if (literals > to - from || literals > end - at) throw new FrameError('literals run over')
    if (literals <= SHORT_COPY_BYTES) {
      for (let left = literals; left > 0; left--) target[at++] = source[from++] as number
    } else {
      target.set(source.subarray(from, from + literals), at)
      from += literals
      at += literals
    }
    // only the last sequence has no match
    if (from === to) break

    if (to - from < 2) throw new FrameError('a block is cut')
    const offset = (source[from] as number) | ((source[from + 1] as number) << 8)
    from += 2
    let length = (token & 15) + 4
    if (length === 19) {
      let more: number
      do {
        if (from >= to) throw new FrameError('a block is cut')
        more = source[from++] as number
        length += more
      } while (more === 255)
    }
    if (offset === 0 || offset > at - start) throw new FrameError('a match reaches back too far')
    if (length > end - at) throw new FrameError('a match runs over')
    copyMatch(target, at, offset, length)
    at += length
  }
  if (at !== end) throw new FrameError('a block is too short')
}

/** A match may overlap itself (RLE): then its pattern, `offset` bytes long, is doubled until the length is reached. */
function copyMatch(target: Uint8Array, at: number, offset: number, length: number): void {
  let from = at - offset
  if (length <= SHORT_COPY_BYTES) {
    for (let left = length; left > 0; left--) target[at++] = target[from++] as number
    return
  }
  let copied = 0
  while (copied < length) {
    const step = Math.min(length - copied, offset + copied)
    target.copyWithin(at + copied, from, from + step)
    copied += step
  }
}
