/** The handle that `sendFiles` and `receiveFiles` give back at once: events to iterate, an end to await, a way to stop. */

import { SealiftError, toSealiftError } from '../protocol/errors.ts'
import { EventQueue, type EventRun } from '../transfer/event-queue.ts'
import type { DoneEvent, TransferEvent } from '../transfer/events.ts'
import type { Waiting } from '../transfer/waiting.ts'
import type { StopSignal } from './stop-signal.ts'

/** How a transfer ended well. */
export interface TransferResult extends Omit<DoneEvent, 'event'> {
  /** Which side this was. */
  readonly role: 'sender' | 'receiver'
  /** Where files were saved (receiver), absolute, one a root. */
  readonly savedTo: readonly string[]
  /** Files of the receiver whose place was taken (receiver): how many, and the paths of the first, as in the manifest. */
  readonly replaced: { readonly files: number; readonly first: readonly string[] }
}

/**
 * A transfer that is under way.
 *
 * Iterating gives its events until it ends, and never throws. It goes on whether or not anybody iterates: a loop that is left
 * early stops nothing, and may be begun again. While nobody iterates, only the newest events are kept (1,000, and
 * `listening`).
 */
export interface Transfer extends AsyncIterable<TransferEvent> {
  /**
   * Resolves when all is done. Rejects with a `SealiftError`; with `partial` when some files failed and all others are
   * safe. Then nothing of the transfer is left in this process: no port, no connection, no timer, no open file. Never counts
   * as an unhandled rejection.
   */
  readonly done: Promise<TransferResult>
  /** Aborted when the transfer is being stopped; stop it by the `signal` that was passed in, or by {@link Transfer.cancel}. */
  readonly signal: StopSignal
  /**
   * Stops the transfer, as the signal that was passed in does: what is safe stays, the peer is told. Await
   * {@link Transfer.done} to know when it has. Does nothing once that is settled.
   * @param reason becomes the error of `done`: a `SealiftError` as it is, anything else as `interrupted`
   */
  cancel(reason?: unknown): void
  /** What it waits for just now, to show beside its progress; `null` while something happens. Of the moment: look again. */
  readonly waiting: Waiting | null
  /** Bytes a second to which the receiver holds this sender, as a server does; `null` where it said none. */
  readonly receiverLimit: number | null
}

/** @internal Says an event to whoever reads them. */
export type Emit = (event: TransferEvent | EventRun) => void

/** @internal Takes what tells, whenever it is asked, what the transfer waits for and to what rate it is held. */
export type Watch = (look: () => Waiting | null, limit?: () => number | null) => void

/** @internal The work of a transfer: says `done` itself; is told to stop by the signal, whose reason becomes its error. */
export type Run = (emit: Emit, signal: AbortSignal, watch: Watch) => Promise<TransferResult>

/** @internal Runs a transfer behind a handle. */
export function startTransfer(outer: StopSignal | undefined, run: Run): Transfer {
  const events = new EventQueue()
  const { stop, letGo } = stopWith(outer)
  let findWaiting: () => Waiting | null = () => null
  let findLimit: () => number | null = () => null
  let over = false

  const work = async (): Promise<TransferResult> => {
    try {
      return await run(
        (event) => events.push(event),
        stop.signal,
        (look, limit = () => null) => ([findWaiting, findLimit] = [look, limit]),
      )
    } catch (error) {
      throw toSealiftError(error)
    } finally {
      over = true
      letGo()
      events.end()
    }
  }
  const done = work()
  done.catch(() => undefined)
  return {
    done,
    signal: stop.signal,
    cancel(reason) {
      if (!over) stop.abort(stopReason(reason))
    },
    get waiting() {
      return findWaiting()
    },
    get receiverLimit() {
      return findLimit()
    },
    [Symbol.asyncIterator]: () => events[Symbol.asyncIterator](),
  }
}

/**
 * @internal A stop of Sealift's own that comes with that of the caller: its reason is always a `SealiftError`.
 * @returns with `letGo`, which has to be called in the end, so that a long-lived signal gathers no listeners
 */
export function stopWith(outer: StopSignal | undefined): {
  readonly stop: AbortController
  readonly letGo: () => void
} {
  const stop = new AbortController()
  const forward = (): void => stop.abort(stopReason(outer?.reason))
  if (outer?.aborted === true) forward()
  else outer?.addEventListener('abort', forward, { once: true })
  return { stop, letGo: () => outer?.removeEventListener('abort', forward) }
}

/** Why a transfer is stopped: a `SealiftError` as it is, anything else as the interruption that it is. */
function stopReason(reason: unknown): SealiftError {
  if (reason instanceof SealiftError) return reason
  return new SealiftError('interrupted', inWords(reason), { cause: reason })
}

function inWords(reason: unknown): string {
  if (typeof reason === 'string' && reason !== '') return reason
  if (!(reason instanceof Error) || reason.name === 'AbortError') return 'stopped'
  // Of `AbortSignal.timeout`, in whose own words it is the operation that was aborted.
  return reason.name === 'TimeoutError' ? 'stopped: the time it was given is over' : reason.message
}
