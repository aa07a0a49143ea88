/** What gives the bytes of a transfer's content: files on a disk, a stream that can be read only once, memory. */

import type { SourceFault } from './source-fault.ts'

/** What became of one read. */
export interface ReadOutcome {
  /** Content bytes read from `start` on; all of them, or those before the first file that failed. */
  readonly bytes: number
  /** The file that stopped the reading; the content goes on behind it. */
  readonly failed: (SourceFault & { readonly entry: number }) | null
}

export interface ContentReader {
  /**
   * Reads the content's bytes `[start, end)`.
   *
   * Several reads may be under way. Where nothing is to be waited for, the outcome is there at once.
   * @param into room for `end - start` bytes, borrowed until the outcome is there; behind `bytes` it holds anything
   */
  read(start: number, end: number, into: Uint8Array): ReadOutcome | Promise<ReadOutcome>
  /**
   * Reads one file again, for its digest.
   * @returns how many bytes of `into` were filled: all, or fewer where the file ends
   * @throws SealiftError `source_changed`, `source_vanished`, `source_unreadable`
   */
  readBack(entry: number, fileOffset: number, into: Uint8Array): Promise<number>
  /** Ends reading; what is under way ends well. */
  close(): void
}
