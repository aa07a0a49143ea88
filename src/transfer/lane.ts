/**
 * The contract between the scheduler and everything that moves bytes: small enough to stay true for a TCP session,
 * a chat with rate limits, and a service where the two sides are never present together.
 *
 * `test/conformance/lane.ts` is this page as a test suite.
 */

import type { SealiftError } from '../protocol/errors.ts'
import type { Range } from '../protocol/ranges.ts'

/** A range together with its bytes. */
export interface Chunk extends Range {
  /** `end - start` bytes. */
  readonly bytes: Uint8Array
}

/** What a lane says of chunks that it took. */
export type Receipt = { readonly safe: readonly Range[] } | { readonly lost: readonly Range[] }

/** Why a lane takes no more. */
export interface LaneEnd {
  /** Whether a new lane of the same kind may go on. */
  readonly retryable: boolean
  /** Not before so many milliseconds from now, where the carrier said so. */
  readonly notBeforeMs?: number
  readonly error?: SealiftError
}

export interface Lane {
  readonly limits: {
    /** Raw bytes of one chunk, at most. */
    readonly maxChunkBytes: number
    /** Bytes sent and not yet receipted, at most. */
    readonly windowBytes: number
  }
  /**
   * Resolves with how many bytes the next chunk may have, at least 1, when one may be given.
   * Never resolves on a lane that has ended; rejects with the signal's reason when it is aborted.
   */
  capacity(signal: AbortSignal): Promise<number>
  /**
   * Takes a chunk no larger than the capacity said. Its bytes are the caller's again when this resolves.
   * A chunk is receipted as safe or lost, or the lane ends: until then its fate is open.
   */
  send(chunk: Chunk, signal: AbortSignal): Promise<void>
  /** Receipts, once and in any order; ends with the lane. For one reader. */
  readonly receipts: AsyncIterable<Receipt>
  /** Resolves once, never rejects; chunks without a receipt are to be sent again elsewhere. */
  readonly closed: Promise<LaneEnd>
}
