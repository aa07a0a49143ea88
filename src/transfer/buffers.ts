/**
 * Gives the memory of large buffers back at once, instead of when garbage is collected.
 *
 * Every record makes a megabyte of ciphertext here and of plaintext there. Left to the collector, they pile up and each
 * new one faults its pages in anew: measured, a third of the time of sealing.
 */

/**
 * To be called before large transfers: keeps the allocator from handing freed megabytes back to the system, only
 * to fault them in again for the next record. The C library raises its thresholds when it sees a large block freed;
 * this one is never touched, so it costs no memory. Once a process: the next would be cut from what is kept, and wiped
 * first. Elsewhere it does nothing.
 */
export function keepFreedMemory(): void {
  if (keepsFreedMemory) return
  keepsFreedMemory = true
  new ArrayBuffer(THRESHOLD_BYTES).transfer(0)
}

let keepsFreedMemory = false

/** Just under the largest block that glibc learns from (32 MiB). */
const THRESHOLD_BYTES = 31 << 20

/** As `releaseBuffer`, for bytes of a codec, which begin a buffer of their own and need not fill it. */
export function releasePacked(bytes: Uint8Array): void {
  const { buffer } = bytes
  if (buffer instanceof ArrayBuffer && bytes.byteOffset === 0 && buffer.byteLength >= MIN_OWN_BYTES) buffer.transfer(0)
}

/** Smaller ones may lie in the pool of `Buffer`, which belongs to everybody. */
const MIN_OWN_BYTES = 128 << 10

/** A few buffers that go round: each is filled, sent, and filled again. They are made when they are first needed. */
export class BufferRing {
  readonly #sizeBytes: number
  readonly #most: number
  readonly #free: Uint8Array[] = []
  #made = 0
  #wake: (() => void) | null = null

  /** @param most so many buffers of `sizeBytes` each */
  constructor(sizeBytes: number, most: number) {
    this.#sizeBytes = sizeBytes
    this.#most = most
  }

  get hasSpare(): boolean {
    return this.#free.length > 0 || this.#made < this.#most
  }

  /** Resolves when there is a buffer to take. For one who waits. @throws the signal's reason when it is aborted first */
  async spare(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (this.hasSpare) return
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        signal.removeEventListener('abort', wake)
        this.#wake = null
        resolve()
      }
      this.#wake = wake
      signal.addEventListener('abort', wake, { once: true })
    })
    signal.throwIfAborted()
  }

  /** To be called only where there is one. */
  take(): Uint8Array {
    const free = this.#free.pop()
    if (free !== undefined) return free
    this.#made++
    return new Uint8Array(this.#sizeBytes)
  }

  give(buffer: Uint8Array): void {
    this.#free.push(buffer)
    this.#wake?.()
  }
}
