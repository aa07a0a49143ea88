/**
 * What works on this machine and what is in the way of transfers: the library's side of `sealift doctor`. Runs the
 * checks one after another, so that what one measures is not slowed down by another.
 *
 * Owns what is examined and in what order. How long a check may take is for {@link ./doctor/check-run.ts}.
 */

import { resolve } from 'node:path'
import { DEFAULT_PORT } from '../protocol/limits.ts'
import type { Finding } from './doctor/finding.ts'
import { runCheck } from './doctor/check-run.ts'
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
    for (const check of CHECKS) yield* runCheck(check, examination, signal)
  } finally {
    over.abort()
  }
}
