/**
 * Packs one buffer with a stream of node:zlib: in one trip to the thread pool, into one buffer.
 *
 * The functions of node:zlib for whole buffers make two trips, copy what came of both together, and leave a buffer of a
 * megabyte to the collector each time. Knows no format.
 */

import type { Gzip, ZstdCompress } from 'node:zlib'

/** Streams of node:zlib; their `flush` option must end the frame or member with each write. */
export type PackingStream = Gzip | ZstdCompress

/**
 * @param stream new; used up
 * @param raw borrowed until the promise settles
 * @returns the packed bytes; the buffer that they lie in is the caller's, where it is larger than the pool of `Buffer`
 */
export function packWhole(stream: PackingStream, raw: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = []
    stream.on('data', (part: Buffer) => parts.push(part))
    stream.once('error', reject)
    stream.write(raw, (error) => {
      // not ended: that would make one more, empty frame
      stream.destroy()
      const [first] = parts
      if (error !== null && error !== undefined) reject(error)
      else resolve(parts.length === 1 && first !== undefined ? first : Buffer.concat(parts))
    })
  })
}
