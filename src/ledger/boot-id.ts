/**
 * Names the present run of the machine. Bytes written without a sync survive the death of a process but not that of
 * the machine, so ranges that were not synced are stamped with this and count only while it stays the same.
 */

import { readFileSync } from 'node:fs'
import { uptime } from 'node:os'

const KERNEL_BOOT_ID = '/proc/sys/kernel/random/boot_id'
/** The start, computed from clock and uptime, wavers by parts of a second. */
const ROUND_TO_MS = 10_000

/** The kernel's boot id; where there is none, the moment at which the machine started, rounded. */
export function readBootId(file: string = KERNEL_BOOT_ID): string {
  try {
    const id = readFileSync(file, 'latin1').trim()
    if (id !== '') return id
  } catch {
    // Not Linux, or no /proc.
  }
  return bootIdFromUptime(Date.now(), uptime())
}

/**
 * A clock that is set meanwhile gives another id, which costs at most the bytes since the last sync: the safe side.
 * @param uptimeSeconds how long the machine has been running
 */
export function bootIdFromUptime(nowMs: number, uptimeSeconds: number): string {
  return `since-${Math.round((nowMs - uptimeSeconds * 1000) / ROUND_TO_MS) * ROUND_TO_MS}`
}
