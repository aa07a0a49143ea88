/**
 * Runs one check of the doctor within bounds: one that fails or hangs is a finding, one that is stopped ends at once.
 *
 * Knows no check.
 */

import { SealiftError, toSealiftError } from '../../protocol/errors.ts'
import type { Check, Examination } from './checks.ts'
import { type Finding, finding } from './finding.ts'

/** Each finding is waited for so long; then the next check is begun. */
const FINDING_TIMEOUT_MS = 2000

/**
 * Findings of one check, and one more where it fails or does not answer.
 * @throws SealiftError where the signal stopped it
 */
export async function* runCheck(
  check: Check,
  examination: Examination,
  signal: AbortSignal,
  timeoutMs: number = FINDING_TIMEOUT_MS,
): AsyncGenerator<Finding, undefined> {
  const stop = new AbortController()
  const findings = check.run(examination, AbortSignal.any([signal, stop.signal]))
  try {
    for (;;) {
      if (signal.aborted) throw stopReason(signal)
      const next = await within(findings.next(), timeoutMs, signal)
      if (next === 'late') {
        yield finding(
          check.name,
          'warning',
          `no answer within ${timeoutMs / 1000} s`,
          'Whatever was asked is very slow or does not answer at all.',
        )
        return
      }
      if (next.done === true) return
      yield next.value
    }
  } catch (error) {
    if (signal.aborted) throw stopReason(signal)
    yield finding(
      check.name,
      'warning',
      `could not be checked: ${toSealiftError(error).message}`,
      'Nothing is known about it; the other checks go on.',
    )
  } finally {
    stop.abort()
    // A check that waits for something ends by itself once it comes, or never; nobody waits for that.
    void findings.return(undefined).catch(() => undefined)
  }
}

/** @param signal not aborted yet @throws what the work throws; the reason of the signal */
async function within<T>(work: Promise<T>, timeoutMs: number, signal: AbortSignal): Promise<T | 'late'> {
  let release = (): void => undefined
  const end = new Promise<'late'>((resolve, reject) => {
    const abort = (): void => reject(stopReason(signal))
    const timer = setTimeout(() => resolve('late'), timeoutMs)
    signal.addEventListener('abort', abort)
    release = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
    }
  })
  try {
    return await Promise.race([work, end])
  } finally {
    release()
  }
}

function stopReason(signal: AbortSignal): SealiftError {
  const { reason } = signal as { reason: unknown }
  return reason instanceof SealiftError ? reason : new SealiftError('interrupted', 'stopped', { cause: reason })
}
