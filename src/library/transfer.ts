/** The handle that `sendFiles` and `receiveFiles` give back at once: events to iterate, an end to await, a way to stop. */

import { SealiftError, toSealiftError } from '../protocol/errors.ts'
import { type DoneEvent, EventQueue, type TransferEvent } from '../transfer/events.ts'

/** How a transfer ended well. */
export interface TransferResult extends Omit<DoneEvent, 'event'> {
  /** Where files were saved (receiver), absolute, one a root. */
  readonly savedTo: readonly string[]
}

/** A transfer that is under way. */
export interface Transfer extends AsyncIterable<TransferEvent> {
  /**
   * Resolves when all is done. Rejects with a `SealiftError`; with `partial` when some files failed and all others are
   * safe. Never counts as an unhandled rejection.
   */
  readonly done: Promise<TransferResult>
  /** Aborted when the transfer is being stopped; stop it by the `signal` that was passed in, or by {@link Transfer.cancel}. */
  readonly signal: AbortSignal
  /** Stops the transfer, as the signal that was passed in does: what is safe stays, the peer is told. Await {@link Transfer.done} to know when it has. */
  cancel(reason?: unknown): void
}

/**
 * Runs a transfer behind a handle.
 * @param run does the work, and says `done` itself; is told to stop by the signal, whose reason becomes its error
 */
export function startTransfer(
  outer: AbortSignal | undefined,
  run: (emit: (event: TransferEvent) => void, signal: AbortSignal) => Promise<TransferResult>,
): Transfer {
  const events = new EventQueue()
  const stop = new AbortController()
  const forward = (): void => stop.abort(stopReason(outer?.reason))
  if (outer?.aborted === true) forward()
  else outer?.addEventListener('abort', forward, { once: true })

  const work = async (): Promise<TransferResult> => {
    try {
      return await run((event) => events.push(event), stop.signal)
    } catch (error) {
      throw toSealiftError(error)
    } finally {
      outer?.removeEventListener('abort', forward)
      events.end()
    }
  }
  const done = work()
  done.catch(() => undefined)
  return {
    done,
    signal: stop.signal,
    cancel: (reason) => stop.abort(stopReason(reason)),
    [Symbol.asyncIterator]: () => events[Symbol.asyncIterator](),
  }
}

/** Why a transfer is stopped: a `SealiftError` as it is, anything else as the interruption that it is. */
function stopReason(reason: unknown): SealiftError {
  if (reason instanceof SealiftError) return reason
  const isBare = !(reason instanceof Error) || reason.name === 'AbortError'
  return new SealiftError('interrupted', isBare ? 'stopped' : reason.message, { cause: reason })
}
