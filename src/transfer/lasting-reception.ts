/** A reception as whoever runs it has it: for one transfer, over as many sessions as it takes. */

import type { SealiftError } from '../protocol/errors.ts'
import type { Manifest } from '../protocol/manifest.ts'
import type { Done } from '../protocol/messages.ts'
import type { Reception } from './receiver-session.ts'

/** What is known of a transfer once it is accepted. */
export interface StartedTransfer {
  readonly id: string
  readonly manifest: Manifest
  readonly files: number
  /** Content that is safe, and files that came to an end, as the first session begins. */
  readonly safeBytes: number
  readonly skippedBytes: number
  readonly endedFiles: number
}

export interface LastingReception extends Reception {
  /** `null` before a transfer is accepted. */
  readonly transferId: string | null
  /** How the transfer ended; `null` before that. */
  readonly finished: Done | null
  /** SHA-256 of a file that is verified, borrowed; `null` where it is not. */
  sha256(entry: number): Uint8Array | null
  /** Why an entry failed; `null` where it did not. */
  failure(entry: number): SealiftError | null
  /** A session was confirmed under this key: the transfer it is for may be known from before. */
  joined(resumeId: Uint8Array): Promise<void>
  /** The sender knows that all is done: nothing needs to be kept for coming back. */
  told(): Promise<void>
  /** Ends the transfer for good, where it cannot go on: what is kept of it is removed. */
  giveUp(error: SealiftError): Promise<void>
  /** Lets go of everything; what is safe stays for the next process. */
  close(): Promise<void>
}
