/** The clock of this machine and that of its disk. Durations never depend on it; times of files and ages do. */

import { execFile } from 'node:child_process'
import { type Finding, finding } from './finding.ts'

/** No clock of this Sealift can be before this: it was not there yet. */
export const NOT_BEFORE_MS = Date.UTC(2026, 0, 1)
/** Nor after this, most likely. */
const NOT_AFTER_MS = Date.UTC(2060, 0, 1)
/** What two clocks may differ and nobody notice; coarse ones tick every 2 s. */
const NEAR_MS = 3000
/** How long systemd may take to answer. */
const ASK_TIMEOUT_MS = 1000

export interface ClockFacts {
  readonly nowMs: number
  /** Whether the system keeps it right from the network; `null` where it does not say. */
  readonly isSynchronized: boolean | null
}

export async function readClock(signal: AbortSignal): Promise<ClockFacts> {
  return { nowMs: Date.now(), isSynchronized: await readSynchronized(signal) }
}

/** Asks systemd, which is what most Linux machines have. */
function readSynchronized(signal: AbortSignal): Promise<boolean | null> {
  if (process.platform !== 'linux' || signal.aborted) return Promise.resolve(null)
  return new Promise((resolve) => {
    const args = ['show', '-p', 'NTPSynchronized', '--value']
    execFile('timedatectl', args, { timeout: ASK_TIMEOUT_MS, signal }, (error, output) => {
      const answer = output.trim()
      resolve(error !== null || !['yes', 'no'].includes(answer) ? null : answer === 'yes')
    })
  })
}

export function judgeClock({ nowMs, isSynchronized }: ClockFacts): Finding[] {
  const shown = new Date(nowMs).toISOString().replace(/\.\d+Z$/, 'Z')
  const details = { now: shown, synchronized: isSynchronized }
  const advice = 'set it right; on most Linux machines:\n  sudo timedatectl set-ntp true'
  if (nowMs < NOT_BEFORE_MS || nowMs > NOT_AFTER_MS)
    return [
      finding(
        'clock',
        'warning',
        `the clock says ${shown}, which cannot be`,
        'Times of transfers, ages of what was left behind and bans come out wrong, and certificates may not be accepted.',
        { advice, details },
      ),
    ]
  if (isSynchronized === false)
    return [
      finding(
        'clock',
        'note',
        `${shown}, not kept right by the network`,
        '--conflict update compares times of files that two machines wrote: a clock that is off lets the older one win.',
        { advice, details },
      ),
    ]
  const meaning =
    isSynchronized === true
      ? 'It is kept right by the network.'
      : 'Plausible; whether it is exact cannot be seen from here.'
  return [finding('clock', 'ok', shown, meaning, { details })]
}

/** @param aheadMs how far the clock of the output folder's disk is ahead of the system's */
export function judgeDiskClock(aheadMs: number): Finding[] {
  if (Math.abs(aheadMs) < NEAR_MS) return []
  const seconds = Math.round(Math.abs(aheadMs) / 1000)
  return [
    finding(
      'clock',
      'warning',
      `the clock of the disk is ${seconds} s ${aheadMs > 0 ? 'ahead' : 'behind'}`,
      'The disk belongs to another machine. Staging folders look older or newer than they are; times of files arrive as sent.',
      { advice: 'set the clocks of both machines by the network', details: { diskAheadMs: Math.round(aheadMs) } },
    ),
  ]
}
