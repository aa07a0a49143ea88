/**
 * The codec that changes nothing. It copies nothing either: bytes go through by reference.
 */

import { checkLevel, checkRawBytes, CODEC_IDS, codecFailed } from './codec.ts'
import type { Codec } from './codec.ts'

export const none: Codec = {
  name: 'none',
  id: CODEC_IDS.none,
  defaultLevel: 0,
  levels: { min: 0, max: 0 },

  encode(raw, level) {
    return Promise.try(() => {
      checkLevel(none, level)
      return raw
    })
  },

  decode(packed, rawBytes) {
    return Promise.try(() => {
      checkRawBytes(none, rawBytes)
      if (packed.length !== rawBytes) throw codecFailed(none, 'has another length than it declares')
      return packed
    })
  },
}
