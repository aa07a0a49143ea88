/**
 * What a receiving server leaves in the ledger for whoever runs it: audit log, bans, quotas. A server that runs meanwhile
 * sees what is changed here at once, and what is changed is in the audit log too.
 */

import type { AuditRecord, AuditSearch } from '../ledger/audit.ts'
import type { Ban } from '../ledger/bans.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { ALL_OWNERS, type Usage } from '../ledger/quotas.ts'
import { parseSource } from '../guard/peer-address.ts'
import { SealiftError } from '../protocol/errors.ts'
import { escapeForDisplay } from '../protocol/names.ts'
import { appendEvents } from '../server/audit-append.ts'
import type { AuditEvent } from '../server/audit-chain.ts'
import { type AuditReport, verifyAudit } from '../server/audit-verification.ts'
import { openUserLedger } from './user-ledger.ts'

/** Lines of the audit log, the oldest first. @throws SealiftError that of the ledger */
export async function* readAuditLog(search: AuditSearch): AsyncGenerator<AuditRecord> {
  const ledger = await openUserLedger(undefined)
  try {
    yield* ledger.audit.search(search)
  } finally {
    await ledger.close()
  }
}

/** Whether the audit log is whole. @throws SealiftError that of the ledger */
export async function verifyAuditLog(): Promise<AuditReport> {
  return withLedger((ledger) => verifyAudit(ledger.audit))
}

/** Addresses that are banned now, the one whose ban ends first in front. @throws SealiftError that of the ledger */
export async function listBans(): Promise<Ban[]> {
  return withLedger((ledger) => ledger.bans.list())
}

/**
 * Lifts the ban of an address, or of the network that it is in.
 * @returns the address as it was banned
 * @throws SealiftError `usage` where it is no address, or is not banned; that of the ledger
 */
export async function removeBan(address: string): Promise<string> {
  const source = parseSource(address)
  return withLedger(async (ledger) => {
    if (!(await ledger.bans.remove(source)))
      throw new SealiftError('usage', `${escapeForDisplay(source)} is not banned`, {
        hint: 'sealift ban list shows those that are',
      })
    await record(ledger, { event: 'ban', peer: source, detail: { status: 'lifted' } })
    return source
  })
}

/** What each owner has sent and may send, all of them together first. @throws SealiftError that of the ledger */
export async function listUsage(): Promise<Usage[]> {
  return withLedger((ledger) => ledger.quotas.list())
}

/**
 * Sets the quota of an owner, or with `null` takes away the one that was set.
 * @returns what the owner has then
 * @throws SealiftError `usage` where that is no owner, or has no quota of its own; that of the ledger
 */
export async function setQuota(text: string, limitBytes: number | null): Promise<Usage> {
  const owner = parseOwner(text)
  return withLedger(async (ledger) => {
    const hasChanged = await ledger.quotas.setLimit(owner, limitBytes)
    if (!hasChanged && limitBytes === null)
      throw new SealiftError('usage', `${owner} has no quota of its own`, {
        hint: 'sealift quota list shows those that have',
      })
    const detail = limitBytes === null ? { status: 'removed' } : { status: 'set', bytes: limitBytes }
    if (hasChanged) await record(ledger, { event: 'quota', owner, detail })
    const usage = (await ledger.quotas.list()).find((row) => row.owner === owner)
    return usage ?? { owner, limitBytes: null, publishedBytes: 0, reservedBytes: 0 }
  })
}

/** @throws SealiftError `usage` */
function parseOwner(text: string): string {
  const owner = text.trim()
  if (/^SHA256:[A-Za-z0-9+/]{43}$/.test(owner)) return owner
  throw new SealiftError('usage', `this is no owner: ${escapeForDisplay(text)}`, {
    hint:
      owner === ALL_OWNERS
        ? 'the quota of all together is a setting of the server, ST_QUOTA'
        : 'an owner is the fingerprint of a key, as sealift quota list shows it',
  })
}

async function record(ledger: Ledger, event: AuditEvent): Promise<void> {
  await appendEvents(ledger.audit, [{ event, timeMs: Date.now() }])
}

async function withLedger<T>(work: (ledger: Ledger) => Promise<T>): Promise<T> {
  const ledger = await openUserLedger(undefined)
  try {
    return await work(ledger)
  } finally {
    await ledger.close()
  }
}
