/**
 * Packs the chunks of one lane, and under `auto` learns from what packing brought.
 *
 * Owns what packing in vain may cost. A sample of a chunk is cheap and can be wrong: after chunks that did not shrink the
 * next ones go as they are, more of them each time, until one shrinks again. Knows no lane and no record.
 */

import type { CompressSetting } from '../protocol/choices.ts'
import { encodeChunk, type EncodedChunk, pickCodec } from './codec-table.ts'

/** Packing that saves less than a twentieth counts as a failure. */
const LEAST_SAVING = 0.05
/** So few bytes say nothing of those behind them. */
const MIN_TELLING_BYTES = 4096
/** Chunks that go as they are after many failures: one in so many is packed in vain then. */
const MAX_SKIPPED = 64

export class ChunkPacker {
  readonly #setting: CompressSetting
  readonly #level: number | null
  /** So many chunks are not even tried. */
  #skip = 0
  /** How many that was the last time; 0 after a chunk that shrank. */
  #lastSkip = 0

  /** @param level `null`: the codec's default */
  constructor(setting: CompressSetting, level: number | null) {
    this.#setting = setting
    this.#level = level
  }

  /**
   * Packs one chunk, on the thread pool where the codec can; several may be under way.
   *
   * @param raw borrowed until the promise settles, and for as long as the bytes are used where the codec number is 0
   * @returns `null` at once where the chunk is to go as it is
   * @throws SealiftError `settings_invalid` where this Node lacks the codec; `codec_failed`
   */
  pack(raw: Uint8Array): Promise<EncodedChunk> | null {
    if (this.#skip > 0) {
      this.#skip--
      return null
    }
    const { codec, level } = pickCodec(this.#setting, this.#level, raw)
    if (codec.name === 'none') return null
    const packing = encodeChunk(codec, raw, level)
    return this.#setting === 'auto' ? packing.then((packed) => this.#learn(raw.length, packed)) : packing
  }

  #learn(rawBytes: number, packed: EncodedChunk): EncodedChunk {
    if (rawBytes < MIN_TELLING_BYTES) return packed
    if (packed.bytes.length <= rawBytes * (1 - LEAST_SAVING)) this.#skip = this.#lastSkip = 0
    // Others that were under way with it say the same again.
    else if (this.#skip === 0) this.#skip = this.#lastSkip = Math.min(MAX_SKIPPED, Math.max(1, this.#lastSkip * 2))
    return packed
  }
}
