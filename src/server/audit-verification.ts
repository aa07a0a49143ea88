/**
 * Whether the audit log is whole: its files against their own chain, the ledger against its own, and both against each
 * other. Changes nothing; a server may go on writing meanwhile.
 *
 * What it cannot find is the work of somebody who may write both the files and the ledger, and makes both anew; against that
 * the last line's hash helps that was noted elsewhere (docs/audit.md).
 */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { AuditHead, AuditRecord, AuditRecords, ChainPoint } from '../ledger/audit.ts'
import { SealiftError } from '../protocol/errors.ts'
import { escapeForDisplay } from '../protocol/names.ts'
import { ChainCheck, type ChainFault, pointOf, seqOf } from './audit-chain.ts'
import { CURRENT_FILE, listRotated, readLines } from './audit-files.ts'

export interface AuditFault {
  readonly kind: ChainFault['kind'] | 'torn' | 'cut' | 'foreign'
  /** The first line that it is about. */
  readonly seq: number
  readonly lastSeq: number
  /** Name of the file and number of the line in it, or `the ledger`. */
  readonly where: string
}

export interface AuditReport {
  readonly isWhole: boolean
  /** The chain's first line that is kept, and its end. */
  readonly firstSeq: number
  readonly last: ChainPoint
  /** Folder of the files; `null` where no server has written any. */
  readonly folder: string | null
  readonly files: number
  /** Lines of the ledger that are not in the files yet, and need not be. */
  readonly unfiled: number
  /** The first of them, in the order in which they stand. */
  readonly faults: readonly AuditFault[]
}

/** More are not told. */
const MAX_FAULTS = 100
/** A server that writes or removes a file meanwhile makes it look broken: looked at again, so often. */
const TRIES = 5

/** @throws SealiftError `disk_fault` where a file cannot be read; that of the ledger */
export async function verifyAudit(records: AuditRecords): Promise<AuditReport> {
  for (let attempt = 1; ; attempt++) {
    const head = await records.head()
    const report = await examine(records, head).catch((error: unknown) => {
      throw toReadError(head.folder, error)
    })
    const now = await records.head()
    const isStill =
      now.last.seq === head.last.seq && now.anchor.seq === head.anchor.seq && now.filedSeq === head.filedSeq
    if (report.isWhole || isStill || attempt === TRIES) return report
  }
}

function toReadError(folder: string | null, error: unknown): SealiftError {
  if (error instanceof SealiftError) return error
  const reason = error instanceof Error && 'code' in error ? String(error.code) : 'no line can be read'
  return new SealiftError(
    'disk_fault',
    `the audit log cannot be read in ${escapeForDisplay(folder ?? '')}: ${reason}`,
    {
      cause: error,
      hint: 'Run this as the user that the server runs as.',
    },
  )
}

async function examine(records: AuditRecords, head: AuditHead): Promise<AuditReport> {
  const { anchor, last, folder, filedSeq } = head
  const faults: AuditFault[] = []
  const tell = (fault: AuditFault): void => {
    if (faults.length < MAX_FAULTS) faults.push(fault)
  }
  const chain = new ChainCheck(anchor)
  const files = new ChainCheck(anchor)
  const cursor = new Cursor(records, head)
  let count = 0
  for (const { text, hasEnd, where } of folder === null ? [] : linesOf(folder, anchor.seq, () => count++)) {
    if (!hasEnd) {
      const seq = files.seq + 1
      tell({ kind: 'torn', seq, lastSeq: seq, where })
      continue
    }
    const fault = files.add(text)
    if (fault !== null) tell({ ...fault, where })
    const seq = seqOf(text)
    if (fault?.kind === 'misplaced' || seq === null) continue
    if (seq > last.seq) {
      tell({ kind: 'foreign', seq, lastSeq: seq, where })
      continue
    }
    const known = await cursor.goTo(seq, (record) => checkRecord(record, chain, tell))
    const isOther = known !== null && known.line !== text && pointOf(known.line) !== null
    if (fault === null && isOther) tell({ kind: 'replaced', seq, lastSeq: seq, where })
  }
  await cursor.goTo(last.seq, (record) => checkRecord(record, chain, tell))
  if (files.seq < filedSeq) tell({ kind: 'cut', seq: files.seq + 1, lastSeq: filedSeq, where: CURRENT_FILE })
  if (chain.seq < last.seq) tell({ kind: 'cut', seq: chain.seq + 1, lastSeq: last.seq, where: LEDGER })
  const end = await records.find(last.seq)
  if (end !== null && !end.line.endsWith(`"hash":"${last.hash}"}`))
    tell({ kind: 'replaced', seq: last.seq, lastSeq: last.seq, where: LEDGER })
  const unfiled = Math.max(0, last.seq - Math.max(files.seq, filedSeq))
  return { isWhole: faults.length === 0, firstSeq: anchor.seq + 1, last, folder, files: count, unfiled, faults }
}

const LEDGER = 'the ledger'

/** A line of the ledger behind those before it, and what it is searched by as its text says it. */
function checkRecord(record: AuditRecord, chain: ChainCheck, tell: (fault: AuditFault) => void): void {
  const fault = chain.add(record.line)
  if (fault !== null) {
    tell({ ...fault, where: LEDGER })
    return
  }
  const said = parse(record.line)
  const isAsSaid =
    said['seq'] === record.seq &&
    said['time'] === new Date(record.timeMs).toISOString() &&
    (['event', 'peer', 'owner', 'transfer'] as const).every((field) => said[field] === record[field])
  if (!isAsSaid) tell({ kind: 'edited', seq: record.seq, lastSeq: record.seq, where: LEDGER })
}

/** Somebody may have made a line with a right hash that says nothing. */
function parse(line: string): Record<string, unknown> {
  try {
    return JSON.parse(line) as Record<string, unknown>
  } catch {
    return {}
  }
}

/** Goes along the ledger's lines beside the files, each line once. */
class Cursor {
  readonly #lines: AsyncGenerator<AuditRecord>
  readonly #lastSeq: number
  #at: AuditRecord | null = null

  constructor(records: AuditRecords, { anchor, last }: AuditHead) {
    this.#lines = records.search({ afterSeq: anchor.seq })
    this.#lastSeq = last.seq
  }

  /** @param pass gets every line on the way, the last included @returns the ledger's line of that number */
  async goTo(seq: number, pass: (record: AuditRecord) => void): Promise<AuditRecord | null> {
    while ((this.#at?.seq ?? 0) < seq) {
      const next = await this.#lines.next()
      if (next.done === true) return null
      if (next.value.seq > this.#lastSeq) return null
      this.#at = next.value
      pass(next.value)
    }
    return this.#at?.seq === seq ? this.#at : null
  }
}

/** Lines of all files in order. Those that were about to be removed for their age are passed over. */
function* linesOf(
  folder: string,
  anchorSeq: number,
  onFile: () => void,
): Generator<{ text: string; hasEnd: boolean; where: string }> {
  if (!existsSync(folder)) return
  const names = listRotated(folder).flatMap(({ name, lastSeq }) => (lastSeq > anchorSeq ? [name] : []))
  for (const name of [...names, CURRENT_FILE]) {
    if (!existsSync(join(folder, name))) continue
    onFile()
    let number = 0
    for (const { text, hasEnd } of readLines(join(folder, name)))
      yield { text, hasEnd, where: `${name}:${String(++number)}` }
  }
}
