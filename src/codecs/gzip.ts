/**
 * gzip (RFC 1952) by node:zlib, on its thread pool. There because everything everywhere reads it.
 */

import zlib from 'node:zlib'
import { promisify } from 'node:util'

import { checkLevel, checkRawBytes, CODEC_IDS, codecFailed } from './codec.ts'
import type { Codec } from './codec.ts'
import { packWhole } from './one-shot.ts'

const unpack = promisify<Uint8Array, zlib.ZlibOptions, Uint8Array>(zlib.gunzip)

/** Room beyond the expected length, so that the end is seen without a second buffer and a second trip to the pool. */
const SLACK_BYTES = 1024

export const gzip: Codec = {
  name: 'gzip',
  id: CODEC_IDS.gzip,
  defaultLevel: 6,
  levels: { min: 1, max: 9 },

  async encode(raw, level) {
    checkLevel(gzip, level)
    return packWhole(
      zlib.createGzip({ level, flush: zlib.constants.Z_FINISH, chunkSize: raw.length + SLACK_BYTES }),
      raw,
    )
  },

  async decode(packed, rawBytes) {
    checkRawBytes(gzip, rawBytes)
    let raw: Uint8Array
    try {
      // maxOutputLength stops a bomb while it unpacks; zlib takes no 0 there, hence the length check below
      raw = await unpack(packed, { maxOutputLength: Math.max(rawBytes, 1), chunkSize: rawBytes + SLACK_BYTES })
    } catch (error) {
      throw codecFailed(gzip, 'does not decode to what it declares', error)
    }
    if (raw.length !== rawBytes) throw codecFailed(gzip, 'is shorter or longer than it declares')
    return raw
  },
}
