/**
 * What is done to the files of the audit log at the start of a server, when they are not as the ledger says: after SIGKILL a
 * line may be torn or not written yet, and somebody may have cut or changed them.
 *
 * The ledger is believed. A file that says something else is set aside, whole, never deleted; what is missing at the end is
 * written again. Lines in the middle are not looked at here: `audit-verification.ts` does that.
 */

import fs from 'node:fs'
import { join } from 'node:path'
import type { AuditRecord, AuditRecords } from '../ledger/audit.ts'
import { pointOf } from './audit-chain.ts'
import { CURRENT_FILE, listRotated, readLines } from './audit-files.ts'

export interface RepairedFiles {
  /** First line of the present file; `null` where it is empty. */
  readonly first: Pick<AuditRecord, 'seq' | 'timeMs'> | null
  /** The last line that the files have and the ledger knows. */
  readonly lastSeq: number
  /** Names of files that were set aside. */
  readonly aside: readonly string[]
  /** Whether a line was torn. */
  readonly wasTorn: boolean
  /** Lines that had been written, and have to be again. */
  readonly lost: number
}

/** @throws the system's error; that of the ledger */
export async function repairFiles(folder: string, records: AuditRecords, wallMs: number): Promise<RepairedFiles> {
  const { last, anchor, filedSeq, folder: before } = await records.head()
  const aside: string[] = []
  const setAside = (name: string): void => {
    const other = `${name.replace(/\.jsonl$/, '')}.aside-${wallMs}.jsonl`
    fs.renameSync(join(folder, name), join(folder, other))
    aside.push(other)
  }
  // Files of another ledger: this one never had such lines.
  for (const { name, lastSeq } of listRotated(folder)) if (lastSeq > last.seq) setAside(name)
  const startSeq = Math.max(anchor.seq, listRotated(folder).at(-1)?.lastSeq ?? 0)

  const tail = await readTail(join(folder, CURRENT_FILE), records)
  const isOurs = tail.isKnown && (tail.first === null || tail.first.seq > startSeq)
  if (!isOurs) setAside(CURRENT_FILE)
  else if (tail.isTorn) fs.truncateSync(join(folder, CURRENT_FILE), tail.wholeBytes)
  const first = isOurs ? tail.first : null
  const lastSeq = first === null ? startSeq : tail.lastSeq
  // In another folder nothing has been lost: it begins with what the ledger has.
  const lost = before === folder ? Math.max(0, filedSeq - lastSeq) : 0
  return { first, lastSeq, aside, wasTorn: tail.isTorn, lost }
}

interface Tail {
  readonly first: Pick<AuditRecord, 'seq' | 'timeMs'> | null
  readonly lastSeq: number
  /** Bytes of its whole lines. */
  readonly wholeBytes: number
  readonly isTorn: boolean
  /** Whether its first and last whole lines are those of the ledger. */
  readonly isKnown: boolean
}

async function readTail(path: string, records: AuditRecords): Promise<Tail> {
  let firstLine = ''
  let lastLine = ''
  let wholeBytes = 0
  let isTorn = false
  for (const { text, sizeBytes, hasEnd } of fs.existsSync(path) ? readLines(path) : []) {
    isTorn = !hasEnd
    if (isTorn) break
    if (wholeBytes === 0) firstLine = text
    lastLine = text
    wholeBytes += sizeBytes
  }
  if (wholeBytes === 0) return { first: null, lastSeq: 0, wholeBytes, isTorn, isKnown: true }
  const [first, last] = [await knownAs(firstLine, records), await knownAs(lastLine, records)]
  return { first, lastSeq: last?.seq ?? 0, wholeBytes, isTorn, isKnown: first !== null && last !== null }
}

/** The ledger's record of exactly this line. */
async function knownAs(line: string, records: AuditRecords): Promise<AuditRecord | null> {
  const point = pointOf(line)
  const record = point === null ? null : await records.find(point.seq)
  return record?.line === line ? record : null
}
