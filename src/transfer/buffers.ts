/**
 * Gives the memory of large buffers back at once, instead of when garbage is collected.
 *
 * Every record makes a megabyte of ciphertext here and of plaintext there. Left to the collector, they pile up and each
 * new one faults its pages in anew: measured, a third of the time of sealing.
 */

/**
 * To be called once before large transfers: keeps the allocator from handing freed megabytes back to the system, only
 * to fault them in again for the next record. The C library raises its thresholds when it sees a large block freed;
 * this one is never touched, so it costs no memory. Elsewhere it does nothing.
 */
export function keepFreedMemory(): void {
  new ArrayBuffer(THRESHOLD_BYTES).transfer(0)
}

/** Just under the largest block that glibc learns from (32 MiB). */
const THRESHOLD_BYTES = 31 << 20

/** Frees what the bytes lie in, where they are all of it; a part of something shared is left alone. They are void afterwards. */
export function releaseBuffer(bytes: Uint8Array): void {
  const { buffer } = bytes
  if (buffer instanceof ArrayBuffer && bytes.byteLength === buffer.byteLength && bytes.byteLength >= MIN_RELEASED_BYTES)
    buffer.transfer(0)
}

/** Smaller ones cost less to collect than to give back. */
const MIN_RELEASED_BYTES = 32 << 10
