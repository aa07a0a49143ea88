/** Reads content that is in memory already, as one file: a text. */

import type { ContentReader, ReadOutcome } from './content-reader.ts'

export class MemoryReader implements ContentReader {
  readonly #bytes: Uint8Array

  /** @param bytes borrowed until the reader is closed */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  read(start: number, end: number, into: Uint8Array): ReadOutcome {
    into.set(this.#bytes.subarray(start, end))
    return { bytes: end - start, failed: null }
  }

  readBack(_entry: number, fileOffset: number, into: Uint8Array): Promise<number> {
    const part = this.#bytes.subarray(fileOffset, fileOffset + into.length)
    into.set(part)
    return Promise.resolve(part.length)
  }

  close(): void {
    // Nothing is open.
  }
}
