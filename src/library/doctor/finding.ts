/** What a check found: for people as sentences, for programs as a status and details. Knows no check. */

import type { ErrorCode, SealiftError } from '../../protocol/errors.ts'

export type CheckName =
  'runtime' | 'processor' | 'tailscale' | 'address' | 'port' | 'ledger' | 'disk' | 'clock' | 'terminal'

/**
 * `ok`: as it should be. `note`: good to know. `warning`: something works worse than it could. `problem`: transfers fail
 * until it is mended.
 */
export type FindingStatus = 'ok' | 'note' | 'warning' | 'problem'

export type FindingDetail = string | number | boolean | null | readonly string[]

/** Text may hold names from elsewhere: escape it where it is shown. */
export interface Finding {
  readonly check: CheckName
  readonly status: FindingStatus
  /** What is the case, in one line without a full stop. */
  readonly what: string
  /** What that means for transfers, in sentences. */
  readonly meaning: string
  /** What to do about it, lines separated by `\n`; `null` where nothing is to be done. */
  readonly advice: string | null
  /** For a problem, the error that transfers end with because of it; else `null`. */
  readonly code: ErrorCode | null
  /** What was found, for programs. Names end in their unit; more may be added. */
  readonly details: Readonly<Record<string, FindingDetail>>
}

interface FindingExtras {
  readonly advice?: string | null | undefined
  readonly details?: Finding['details']
}

/** A finding that keeps nothing from working. */
export function finding(
  check: CheckName,
  status: Exclude<FindingStatus, 'problem'>,
  what: string,
  meaning: string,
  extras: FindingExtras = {},
): Finding {
  const { advice = null, details = {} } = extras
  return { check, status, what, meaning, advice, code: null, details }
}

/** @param code the error that transfers end with because of it */
export function problem(
  check: CheckName,
  code: ErrorCode,
  what: string,
  meaning: string,
  extras: FindingExtras = {},
): Finding {
  const { advice = null, details = {} } = extras
  return { check, status: 'problem', what, meaning, advice, code, details }
}

/** An error that transfers will end with too. */
export function problemOf(
  check: CheckName,
  error: SealiftError,
  meaning: string,
  details?: Finding['details'],
): Finding {
  const extras = { advice: error.hint, ...(details === undefined ? {} : { details }) }
  return problem(check, error.code, error.message, meaning, extras)
}
