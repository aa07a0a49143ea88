/**
 * What works on this machine and what is in the way of transfers: the library's side of `sealift doctor`. Runs the
 * checks one after another, so that what one measures is not slowed down by another.
 *
 * Owns the order and the bounds: no check stops the others, none is waited for long.
 */

import { resolve } from 'node:path'
import { SealiftError, toSealiftError } from '../protocol/errors.ts'
import { DEFAULT_PORT } from '../protocol/limits.ts'
import type { Check, Examination } from './doctor/checks.ts'
import { type Finding, finding } from './doctor/finding.ts'
import type { StopSignal } from './stop-signal.ts'

export type { CheckName, Finding, FindingDetail, FindingStatus } from './doctor/finding.ts'

export interface DiagnoseOptions {
  /** Stops it; what was made to try things out is removed. */
  readonly signal?: StopSignal | undefined
  /** The folder whose disk is examined; default the current folder; need not be there. */
  readonly outputDir?: string | undefined
  /** The port that a sender would take; default 15820. */
  readonly port?: number | undefined
  /** File of the ledger; default `DB_PATH`, else in the user's data folder. */
  readonly ledgerPath?: string | undefined
}

/** Each finding is waited for so long; then the next check is begun. */
const FINDING_TIMEOUT_MS = 2000

/**
 * Examines this machine. Changes nothing and leaves nothing behind: a ledger is not made where there is none, what is
 * written to try out the disk is removed.
 *
 * @returns findings, each as soon as it is known
 * @throws SealiftError `interrupted` (or the signal's reason, where that is a `SealiftError`) when it was stopped
 * @example
 * ```ts
 * for await (const { status, what, advice } of diagnose({ outputDir: 'downloads' })) {
 *   if (status === 'problem') console.log(what, advice)
 * }
 * ```
 */
export async function* diagnose(options: DiagnoseOptions = {}): AsyncGenerator<Finding, undefined> {
  const { signal = new AbortController().signal, ledgerPath } = options
  const { CHECKS, Examination } = await import('./doctor/checks.ts')
  const over = new AbortController()
  const examination = new Examination(
    {
      outputDir: resolve(options.outputDir ?? '.'),
      port: options.port ?? DEFAULT_PORT,
      env: ledgerPath === undefined ? process.env : { ...process.env, DB_PATH: ledgerPath },
    },
    AbortSignal.any([signal, over.signal]),
  )
  try {
    for (const check of CHECKS) yield* runCheck(check, examination, signal, FINDING_TIMEOUT_MS)
  } finally {
    over.abort()
  }
}

/**
 * Findings of one check, and one more where it fails or does not answer.
 * @throws SealiftError where the signal stopped it
 */
export async function* runCheck(
  check: Check,
  examination: Examination,
  signal: AbortSignal,
  timeoutMs: number,
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
