/** How a sender and its receiver come together: whoever is met is handed to the engine's {@link Sender} as a session. */

import type { Ledger } from '../ledger/ledger.ts'
import type { Sender } from '../transfer/sender.ts'
import type { Session } from '../transfer/session.ts'
import type { Waiting } from '../transfer/waiting.ts'
import type { SendOptions } from './options.ts'
import type { Emit } from './transfer.ts'

/** What a meeting is for. */
export interface MeetingContext {
  readonly options: SendOptions
  readonly emit: Emit
  readonly ledger: Ledger
  /** UUID and row of the transfer. */
  readonly id: string
  readonly key: number
  /** Row of the unfinished transfer that this one stands in for. */
  readonly replaced: number | null
  readonly files: number
  /** `null` while unknown. */
  readonly bytes: number | null
}

export interface SenderMeeting {
  /** How long the sender waits for a session before it gives up; `null` where this meeting sees to that itself. */
  readonly waitMs: number | null
  /** Key of the newest session; `null` before the first. */
  readonly resumeId: Uint8Array | null
  /** Why there is no session, where this meeting knows better than the sender. */
  readonly waiting: Waiting | null
  /** Who the peer is, where somebody vouches for it. */
  identityOf(peer: Session['peer']): string | null
  /** The receiver takes the transfer: further streams may be opened. */
  accepted(): void
  /** Something was acknowledged. */
  progressed(): void
  /**
   * Brings sessions to the sender until it has ended.
   * @throws SealiftError what the sender ended with, or why nobody can be met
   */
  run(sender: Sender, signal: AbortSignal): Promise<void>
  /** Lets go of all that it holds; once, after the sender was stopped or has ended. */
  close(): Promise<void>
}

/** Makes a meeting for a transfer. */
export type Meet = (context: MeetingContext) => SenderMeeting
