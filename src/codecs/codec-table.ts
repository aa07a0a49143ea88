/**
 * All codecs, by name and by wire number, and the choice among them for one chunk.
 *
 * Owns when compressing is worth it. Knows no records: where the codec number goes is the caller's business.
 */

import type { CompressSetting } from '../protocol/choices.ts'
import { SealiftError } from '../protocol/errors.ts'
import { bloscLz4 } from './blosc-lz4.ts'
import { checkLevel, type Codec, type CodecName } from './codec.ts'
import { gzip } from './gzip.ts'
import { none } from './none.ts'
import { HAS_ZSTD, zstd } from './zstd.ts'

const CODECS: Readonly<Record<CodecName, Codec>> = { none, zstd, gzip, 'blosc-lz4': bloscLz4 }
const CODEC_BY_ID: ReadonlyMap<number, Codec> = new Map(Object.values(CODECS).map((codec) => [codec.id, codec]))

/** Level of zstd under `auto`: on one core faster than most disks and lines; level 3 saves little more. */
export const AUTO_LEVEL = 1

export function codecByName(name: CodecName): Codec {
  return CODECS[name]
}

/** @throws SealiftError `protocol_violation` where no codec has the number */
export function codecById(id: number): Codec {
  const codec = CODEC_BY_ID.get(id)
  if (codec === undefined) throw new SealiftError('protocol_violation', `unknown codec number ${id}`)
  return codec
}

export interface CodecChoice {
  readonly codec: Codec
  readonly level: number
}

/**
 * The codec for one chunk.
 *
 * @param level `null`: the codec's default, under `auto` {@link AUTO_LEVEL}
 * @param raw the chunk; looked at under `auto` only
 */
export function pickCodec(setting: CompressSetting, level: number | null, raw: Uint8Array): CodecChoice {
  if (setting === 'auto') {
    if (!HAS_ZSTD || !worthCompressing(raw)) return { codec: none, level: none.defaultLevel }
    return { codec: zstd, level: level ?? AUTO_LEVEL }
  }
  const codec = CODECS[setting]
  // a level given beside `none` means nothing, and is no reason to fail in the middle of a transfer
  return { codec, level: codec === none ? none.defaultLevel : (level ?? codec.defaultLevel) }
}

/**
 * Whether a level fits a setting, asked before anything is sent.
 * @param level `null`: the codec's default
 * @throws SealiftError `settings_invalid`
 */
export function checkCompression(setting: CompressSetting, level: number | null): void {
  if (level === null || setting === 'none') return
  checkLevel(setting === 'auto' ? zstd : CODECS[setting], level)
}

export interface EncodedChunk {
  readonly codecId: number
  /** Never more than the raw bytes. With codec number 0 it is `raw` itself. */
  readonly bytes: Uint8Array
}

/**
 * Packs one chunk; codec `none` where packing does not make it smaller.
 *
 * @param raw borrowed until the promise settles, and for as long as `bytes` is used where the codec number is 0
 * @throws SealiftError `settings_invalid` where the codec lacks the level or this Node the codec
 */
export async function encodeChunk(codec: Codec, raw: Uint8Array, level: number): Promise<EncodedChunk> {
  if (codec === none) return { codecId: none.id, bytes: raw }
  const packed = await codec.encode(raw, level)
  return packed.length < raw.length ? { codecId: codec.id, bytes: packed } : { codecId: none.id, bytes: raw }
}

/**
 * Unpacks one chunk of the other side.
 *
 * @param rawBytes declared length, already checked against the limit of chunks
 * @returns exactly `rawBytes` bytes; with codec number 0 `packed` itself
 * @throws SealiftError `protocol_violation` for an unknown number, `codec_failed` for what does not decode
 */
export async function decodeChunk(codecId: number, packed: Uint8Array, rawBytes: number): Promise<Uint8Array> {
  return codecById(codecId).decode(packed, rawBytes)
}

/** Runs that are looked at, spread evenly; whole runs, because single bytes far apart cost a cache miss each. */
const SAMPLE_RUNS = 16
const SAMPLE_RUN_BYTES = 256
/** What a frame adds eats up what so few bytes could save. */
const MIN_WORTH_BYTES = 128
/** Above this, packing saves a twentieth at the most. Random and compressed bytes have 7.9 and more, text 4 to 5, programs 5 to 7. */
const MAX_ENTROPY_BITS = 7.6

const histogram = new Uint32Array(256)

/**
 * Whether packing is likely to save anything: the entropy of single bytes over at most 4 KiB of the sample. About
 * 10 µs, whatever the size. Blind to bytes that look random one by one and
 * repeat as a whole; of less than about 1,000 bytes it cannot tell, says yes, and trying costs little.
 */
export function worthCompressing(sample: Uint8Array): boolean {
  const size = sample.length
  if (size < MIN_WORTH_BYTES) return false
  histogram.fill(0)
  if (size <= SAMPLE_RUNS * SAMPLE_RUN_BYTES) {
    count(sample, 0, size)
    return entropyBits(size) < MAX_ENTROPY_BITS
  }
  for (let run = 0; run < SAMPLE_RUNS; run++) {
    const start = Math.floor((run * (size - SAMPLE_RUN_BYTES)) / (SAMPLE_RUNS - 1))
    count(sample, start, start + SAMPLE_RUN_BYTES)
  }
  return entropyBits(SAMPLE_RUNS * SAMPLE_RUN_BYTES) < MAX_ENTROPY_BITS
}

function count(sample: Uint8Array, from: number, to: number): void {
  for (let at = from; at < to; at++) {
    const value = sample[at] as number
    histogram[value] = (histogram[value] as number) + 1
  }
}

/** Of the bytes in the histogram, in bits each. */
function entropyBits(counted: number): number {
  let distinct = 0
  let sum = 0
  for (let value = 0; value < 256; value++) {
    const count = histogram[value] as number
    if (count === 0) continue
    distinct++
    sum += count * Math.log2(count)
  }
  // a small sample looks less random than its source: the correction of Miller and Madow
  return Math.log2(counted) - sum / counted + (distinct - 1) / (2 * counted * Math.LN2)
}
