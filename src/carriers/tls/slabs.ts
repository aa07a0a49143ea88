/**
 * Memory of what Node hands over of TLS. It comes in pieces cut from slabs of 64 KiB, which the collector would give back
 * late, and begin full collections over (docs/performance.md, "TLS").
 */

/**
 * Gives a slab back at once when every byte of it was in one of the pieces: then nobody else has a part of it.
 * @returns to be called with each piece, in the order in which they came, once it was copied
 */
export function slabReleaser(): (piece: Uint8Array) => void {
  let slab: ArrayBufferLike | null = null
  let coveredBytes = 0
  return ({ buffer, byteOffset, byteLength }) => {
    if (buffer !== slab) {
      slab = buffer
      coveredBytes = 0
    }
    // A gap is somebody else's, or a piece that was put together with another one.
    if (byteOffset !== coveredBytes) return
    coveredBytes += byteLength
    if (coveredBytes !== buffer.byteLength || !(buffer instanceof ArrayBuffer)) return
    slab = null
    buffer.transfer(0)
  }
}
