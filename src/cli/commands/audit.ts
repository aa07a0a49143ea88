/** `sealift audit`: what a receiving server wrote down, and whether that is still what it wrote. */

import { formatCount } from '../../config/sizes.ts'
import type { AuditRecord } from '../../ledger/audit.ts'
import { readAuditLog, verifyAuditLog } from '../../library/server-ledger.ts'
import { SealiftError } from '../../protocol/errors.ts'
import { escapeControls } from '../../protocol/names.ts'
import type { AuditFault, AuditReport } from '../../server/audit-verification.ts'
import { Output, type OutputOptions, shown } from '../output.ts'

export interface AuditOptions extends OutputOptions {
  readonly verify?: boolean
  readonly since?: string
  readonly peer?: string
}

/** @throws SealiftError `audit_broken`; `usage` and `settings_invalid`; those of the ledger */
export async function audit(options: AuditOptions): Promise<void> {
  const output = new Output(options)
  const { since, peer } = options
  if (options.verify === true) {
    if (since !== undefined || peer !== undefined)
      throw new SealiftError('usage', '--verify looks at all lines', { hint: 'leave out --since and --peer' })
    report(await verifyAuditLog(), output)
    return
  }
  let count = 0
  for await (const record of readAuditLog({ sinceMs: readSince(since), peer })) {
    count++
    show(record, output)
  }
  if (count === 0) output.say('Nothing was written down.')
}

/** A day, or a moment; without a zone that of this machine. @throws SealiftError `settings_invalid` */
function readSince(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const given = text.trim().replace(' ', 'T')
  const isTime = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?$/i.test(given)
  const sinceMs = isTime ? Date.parse(given.length === 10 ? `${given}T00:00` : given.toUpperCase()) : Number.NaN
  if (Number.isNaN(sinceMs))
    throw new SealiftError('settings_invalid', `--since is no time: ${JSON.stringify(text)}`, {
      hint: 'a time looks like 2026-11-25, 2026-11-25T13:30 or 2026-11-25T13:30:00Z',
    })
  return sinceMs
}

function show(record: AuditRecord, output: Output): void {
  // Bytes of a damaged ledger may be anything; whether the line is whole says --verify.
  const { time, detail, prev, hash } = parse(record.line)
  const { seq, event: subject, peer, owner, transfer } = record
  output.event({ event: 'audit', seq, time, subject, peer, owner, transfer, detail, prev, hash })
  const details = typeof detail === 'object' && detail !== null ? Object.entries(detail) : []
  const words = [...(owner === null ? [] : [owner]), ...(transfer === null ? [] : [transfer])]
  for (const [name, value] of details) words.push(`${name}=${String(value)}`)
  // What came from elsewhere is escaped in the line already, unless somebody wrote into the ledger.
  output.say(
    `${escapeControls(String(time))}  ${escapeControls(subject).padEnd(10)}  ${[peer ?? '-', ...words].map(escapeControls).join('  ')}`,
  )
}

function parse(line: string): Record<string, unknown> {
  try {
    return JSON.parse(line) as Record<string, unknown>
  } catch {
    return {}
  }
}

function report(found: AuditReport, output: Output): void {
  const { isWhole, firstSeq, last, folder, files, unfiled, faults } = found
  output.event({
    event: 'verified',
    whole: isWhole,
    firstSeq,
    lastSeq: last.seq,
    hash: last.hash,
    folder,
    files,
    unfiled,
    faults,
  })
  if (!isWhole) {
    for (const fault of faults) output.say(`${inWords(fault)} (${shown(fault.where)})`)
    const isTornOnly = faults.every(({ kind }) => kind === 'torn' || kind === 'cut') && faults[0]?.kind === 'torn'
    throw new SealiftError('audit_broken', `the audit log is not as it was written: ${countOf(faults)}`, {
      ...(isTornOnly ? { hint: 'a server that was killed may leave this; its next start writes the line again' } : {}),
    })
  }
  if (last.seq === 0) output.say('Nothing was written down.')
  else {
    const lines = `lines ${formatCount(firstSeq)} to ${formatCount(last.seq)}`
    output.say(`The audit log is whole: ${lines}, ${files} ${files === 1 ? 'file' : 'files'}`)
    if (folder !== null) output.say(`  in      ${shown(folder)}`)
    output.say(`  ends in ${last.hash}`)
    if (unfiled > 0) output.say(`Lines that the server will write into its files yet: ${formatCount(unfiled)}`)
  }
}

function countOf(faults: readonly AuditFault[]): string {
  return faults.length === 1 ? '1 fault' : `${faults.length} faults`
}

function inWords({ kind, seq, lastSeq }: AuditFault): string {
  const lines = seq === lastSeq ? `line ${formatCount(seq)}` : `lines ${formatCount(seq)} to ${formatCount(lastSeq)}`
  const are = seq === lastSeq ? 'is' : 'are'
  switch (kind) {
    case 'edited':
      return `${lines} was changed`
    case 'replaced':
      return `${lines} ${are} not what was written`
    case 'missing':
      return `${lines} ${are} missing in front of this`
    case 'misplaced':
      return `${lines} stands in another place`
    case 'unreadable':
      return `what stands for ${lines} is none`
    case 'torn':
      return `${lines} is torn`
    case 'cut':
      return `${lines} ${are} missing at the end`
    case 'foreign':
      return `${lines} was never written by a server of this ledger`
  }
}
