/**
 * The contract of codecs: how the bytes of one chunk are made smaller before they are sealed.
 *
 * A codec knows bytes and lengths, nothing of chunks, records or files. What it is given to decode comes from the
 * other side and is hostile: the declared length bounds the memory, never a length inside the packed bytes.
 */

import { SealiftError } from '../protocol/errors.ts'

/** Wire numbers of the codecs, as in the header of a CHUNK; they never change once released. */
export const CODEC_IDS = { none: 0, zstd: 1, gzip: 2, 'blosc-lz4': 3 } as const

export type CodecName = keyof typeof CODEC_IDS

export interface Codec {
  readonly name: CodecName
  /** Number on the wire, see {@link CODEC_IDS}. */
  readonly id: number
  readonly defaultLevel: number
  /** Levels that `encode` takes, both ends included. */
  readonly levels: { readonly min: number; readonly max: number }
  /**
   * @param raw borrowed until the promise settles; may be empty
   * @returns packed bytes, the caller's own; they may be more than `raw`, see `encodeChunk`. Only the codec `none` answers with `raw` itself
   * @throws SealiftError `settings_invalid` where the level is out of range or this Node lacks the codec
   */
  encode(raw: Uint8Array, level: number): Promise<Uint8Array>
  /**
   * @param packed from the other side, borrowed until the promise settles
   * @param rawBytes the declared length, which the caller has checked against its own limit: no more is allocated for output
   * @returns exactly `rawBytes` bytes, the caller's own. Only the codec `none` answers with `packed` itself
   * @throws SealiftError `codec_failed` for everything else
   */
  decode(packed: Uint8Array, rawBytes: number): Promise<Uint8Array>
}

/** @throws SealiftError `settings_invalid` where the codec has no such level */
export function checkLevel(codec: Codec, level: number): void {
  const { min, max } = codec.levels
  if (Number.isInteger(level) && level >= min && level <= max) return
  throw new SealiftError('settings_invalid', `${codec.name} has no compression level ${level}`, {
    hint: min === max ? `leave --compression-level out` : `levels of ${codec.name} go from ${min} to ${max}`,
  })
}

/** @throws SealiftError `codec_failed` where the declared length is no length */
export function checkRawBytes(codec: Codec, rawBytes: number): void {
  if (!Number.isSafeInteger(rawBytes) || rawBytes < 0) throw codecFailed(codec, 'declares no valid length')
}

export function codecFailed(codec: Codec, what: string, cause?: unknown): SealiftError {
  return new SealiftError('codec_failed', `a ${codec.name} chunk ${what}`, cause === undefined ? {} : { cause })
}
