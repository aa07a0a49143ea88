/**
 * What a transfer waits for while nothing moves: for a person who looks on. Nothing is decided by it.
 */

export type WaitReason =
  /** Sender: nobody has come yet. */
  | 'receiver'
  /** Sender: the receiver left, and may come back. */
  | 'return'
  /** Sender: the receiver's user is asked. */
  | 'answer'
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

export interface Waiting {
  readonly reason: WaitReason
  /** For so long already, in milliseconds. */
  readonly forMs: number
  /** Milliseconds until it is given up, or for `retry` until it is tried; `null` where that is not known. */
  readonly remainingMs: number | null
}

/** Standing still for less is how bytes move. */
export const LULL_MS = 3000
