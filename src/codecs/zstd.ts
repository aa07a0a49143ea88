/**
 * Zstandard (RFC 8878) by node:zlib, on its thread pool. The codec that `auto` uses.
 */

import zlib from 'node:zlib'
import { promisify } from 'node:util'

import { SealiftError } from '../protocol/errors.ts'
import { checkLevel, checkRawBytes, CODEC_IDS, codecFailed } from './codec.ts'
import type { Codec } from './codec.ts'
import { packWhole } from './one-shot.ts'

type Unpack = (packed: Uint8Array, options: zlib.ZstdOptions) => Promise<Uint8Array>

/** Room beyond the expected length, so that the end is seen without a second buffer and a second trip to the pool. */
const SLACK_BYTES = 1024

/**
 * Windows up to 8 MiB, which RFC 8878 3.1.1.1.2 asks every decoder to take. A frame may declare 128 MiB and more,
 * and the decoder allocates it before the first byte is checked; chunks never need that.
 */
const MAX_WINDOW_LOG = 23

/** The two functions of node:zlib, absent before Node 22.15 and where Node was built without them. */
export type ZstdRuntime = Partial<Pick<typeof zlib, 'createZstdCompress' | 'zstdDecompress'>>

/** @param runtime node:zlib, or what a test puts in its place */
export function createZstd(runtime: ZstdRuntime): Codec {
  const { createZstdCompress, zstdDecompress } = runtime
  const unpack: Unpack = zstdDecompress === undefined ? absent : promisify(zstdDecompress)

  const codec: Codec = {
    name: 'zstd',
    id: CODEC_IDS.zstd,
    defaultLevel: 3,
    levels: { min: 1, max: 22 },

    async encode(raw, level) {
      checkLevel(codec, level)
      if (createZstdCompress === undefined) return absent()
      const stream = createZstdCompress({
        params: { [zlib.constants.ZSTD_c_compressionLevel]: level },
        // a known length lets zstd choose a window no larger than the chunk
        pledgedSrcSize: raw.length,
        flush: zlib.constants.ZSTD_e_end,
        chunkSize: raw.length + SLACK_BYTES,
      })
      return packWhole(stream, raw)
    },

    async decode(packed, rawBytes) {
      checkRawBytes(codec, rawBytes)
      let raw: Uint8Array
      try {
        raw = await unpack(packed, {
          params: { [zlib.constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG },
          // stops a bomb while it unpacks; zlib takes no 0 there, hence the length check below
          maxOutputLength: Math.max(rawBytes, 1),
          chunkSize: rawBytes + SLACK_BYTES,
        })
      } catch (error) {
        if (error instanceof SealiftError) throw error
        throw codecFailed(codec, 'does not decode to what it declares', error)
      }
      if (raw.length !== rawBytes) throw codecFailed(codec, 'is shorter or longer than it declares')
      return raw
    },
  }
  return codec
}

function absent(): Promise<never> {
  return Promise.reject(
    new SealiftError('settings_invalid', 'this Node has no zstd', {
      hint: 'use Node 24.7 or newer on both sides, or --compress gzip, or --compress none',
    }),
  )
}

/** Whether this Node has zstd at all. */
export const HAS_ZSTD: boolean = typeof (zlib as ZstdRuntime).createZstdCompress === 'function'

export const zstd: Codec = createZstd(zlib)
