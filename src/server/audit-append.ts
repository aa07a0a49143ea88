/** Events become lines of the audit log in the ledger; its files follow when a server writes them. */

import type { AuditRecord, AuditRecords } from '../ledger/audit.ts'
import { type AuditEvent, encodeLine } from './audit-chain.ts'

export interface TimedEvent {
  readonly event: AuditEvent
  /** Milliseconds since 1970. */
  readonly timeMs: number
}

/** @throws SealiftError `ledger_unavailable`, `ledger_corrupt`; then none of them is there */
export async function appendEvents(records: AuditRecords, events: readonly TimedEvent[]): Promise<void> {
  await records.append((start) => {
    const lines: AuditRecord[] = []
    let end = start
    for (const { event, timeMs } of events) {
      const made = encodeLine(event, timeMs, end)
      lines.push(made.record)
      end = made.end
    }
    return { records: lines, end }
  })
}
