/**
 * Blosc 1 with LZ4. There because users of the seed know it; `auto` never takes it, as zstd is faster and smaller.
 *
 * Packing is done by the WASM of `numcodecs`, loaded at the first use. Unpacking is not: that library ignores the result of
 * the C function, so a damaged frame comes back as whatever lay in its heap, and it keeps its one instance in a
 * variable of its module, where nobody can replace it after a trap. So bytes of the other side never reach
 * the WASM; `blosc-frame.ts` decodes them with every index checked, and there is no instance to throw away.
 */

import { checkLevel, checkRawBytes, CODEC_IDS, codecFailed } from './codec.ts'
import type { Codec } from './codec.ts'
import { decodeFrame, FrameError, readFrameHeader } from './blosc-frame.ts'

interface BloscEncoder {
  encode(raw: Uint8Array): Uint8Array | Promise<Uint8Array>
}

/** What is used of the library; its own declarations cannot be resolved under `nodenext`. */
interface BloscModule {
  readonly default: {
    fromConfig(config: { id: 'blosc'; cname: 'lz4'; clevel: number; shuffle: number; blocksize: number }): BloscEncoder
  }
}

const NO_SHUFFLE = 0

async function encoderFor(level: number): Promise<BloscEncoder> {
  const { default: blosc } = (await import('numcodecs/blosc')) as unknown as BloscModule
  // files are bytes, not arrays of numbers: shuffling makes text larger. Block size 0: the library chooses
  return blosc.fromConfig({ id: 'blosc', cname: 'lz4', clevel: level, shuffle: NO_SHUFFLE, blocksize: 0 })
}

export const bloscLz4: Codec = {
  name: 'blosc-lz4',
  id: CODEC_IDS['blosc-lz4'],
  defaultLevel: 5,
  levels: { min: 1, max: 9 },

  async encode(raw, level) {
    checkLevel(bloscLz4, level)
    const encoder = await encoderFor(level)
    try {
      const frame = await encoder.encode(raw)
      // the library hides a failure of the C function: a frame that is none would only be found at the other side
      readFrameHeader(frame, raw.length)
      return frame
    } catch (error) {
      throw codecFailed(bloscLz4, 'could not be made', error)
    }
  },

  decode(packed, rawBytes) {
    return Promise.try(() => {
      checkRawBytes(bloscLz4, rawBytes)
      try {
        return decodeFrame(packed, rawBytes)
      } catch (error) {
        if (error instanceof FrameError) throw codecFailed(bloscLz4, `is malformed: ${error.message}`, error)
        throw codecFailed(bloscLz4, 'cannot be decoded', error)
      }
    })
  },
}
