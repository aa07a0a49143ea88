/** How long a receiver's user may think about an offer, and what ends the wait: an answer, the session, or the time. */

import { SealiftError } from '../protocol/errors.ts'
import { CONSENT_TIMEOUT_MS } from '../protocol/limits.ts'
import { type Clock, orAborted } from './clock.ts'

/**
 * @param ask gets the signal that says when no answer is wanted any more; need not listen to it
 * @throws SealiftError `unanswered` after ten minutes (PROTOCOL 2.7); the signal's reason; what `ask` throws
 */
export async function awaitConsent<T>(
  clock: Clock,
  signal: AbortSignal,
  ask: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const patience = new AbortController()
  const cancel = clock.after(CONSENT_TIMEOUT_MS, () =>
    patience.abort(new SealiftError('unanswered', 'nobody answered within 10 minutes; nothing was received')),
  )
  const stop = AbortSignal.any([signal, patience.signal])
  return orAborted(ask(stop), stop).finally(cancel)
}
