/**
 * What a transfer waits for while nothing moves: for a person who looks on. Nothing is decided by it.
 */

import { PING_INTERVAL_MS } from '../protocol/limits.ts'

export type WaitReason =
  /** Sender: the folders that are to be sent are looked through. */
  | 'files'
  /** Sender: nobody has come yet. */
  | 'receiver'
  /** Sender: the receiver left, and may come back. */
  | 'return'
  /** Sender: the receiver's user is asked. */
  | 'answer'
  /** Sender: others go first at the receiver. */
  | 'queue'
  /** Receiver: the connection is being made. */
  | 'connecting'
  /** Receiver: the connection was lost, and is made again in a moment. */
  | 'retry'
  /** Receiver: the list of files is on its way. */
  | 'offer'
  /** Nothing is heard from the other side. */
  | 'network'
  /** The other side is there, but is slow to read or to save. */
  | 'peer'
  /** This side is slow to read or to save. */
  | 'disk'
  /** Nothing comes through the pipe that is sent. */
  | 'input'
  /** Receiver: whoever reads the output is slow. */
  | 'output'

export interface Waiting {
  readonly reason: WaitReason
  /** For so long already, in milliseconds. */
  readonly forMs: number
  /** Milliseconds until it is given up, or for `retry` until it is tried; `null` where that is not known. */
  readonly remainingMs: number | null
  /** Of `queue`: the place in line; 1 is the next. */
  readonly place?: number
}

/** Standing still for less is how bytes move. */
export const LULL_MS = 3000

/** What a silence means where the sender may have nothing to send: only one that outlasts PINGs is the network's. */
export function lullOfPipe(lull: Waiting): Waiting {
  const isCertain = lull.forMs > PING_INTERVAL_MS + LULL_MS
  return lull.reason === 'network' && isCertain ? lull : { ...lull, reason: 'input' }
}
