/**
 * The files of the audit log: `audit.jsonl`, and those before it, `audit-FIRST-LAST.jsonl`, named by the numbers of their
 * lines.
 *
 * Owns names, modes, writing without torn lines, and rotation. What the lines say, and which are true, is not its business.
 */

import { isUtf8 } from 'node:buffer'
import fs from 'node:fs'
import { join } from 'node:path'
import { makeFolders } from '../files/folder-making.ts'
import type { AuditRecord } from '../ledger/audit.ts'
import { SealiftError } from '../protocol/errors.ts'
import { escapeForDisplay } from '../protocol/names.ts'

export const CURRENT_FILE = 'audit.jsonl'
const ROTATED = /^audit-(\d{12})-(\d{12})\.jsonl$/

/** A file whose lines are complete. */
export interface RotatedFile {
  readonly name: string
  readonly firstSeq: number
  readonly lastSeq: number
}

/** The files before the present one, the oldest first. @throws the system's error where the folder cannot be read */
export function listRotated(folder: string): RotatedFile[] {
  const files = fs.readdirSync(folder).flatMap((name) => {
    const [, first, last] = ROTATED.exec(name) ?? []
    return first === undefined ? [] : [{ name, firstSeq: Number(first), lastSeq: Number(last) }]
  })
  return files.sort((a, b) => a.firstSeq - b.firstSeq)
}

/** Makes the folder where it is missing. @throws SealiftError `settings_invalid` where nothing can be written there */
export function prepareAuditFolder(folder: string): void {
  try {
    makeFolders(folder, 0o700, fs)
    const { mode } = fs.statSync(folder)
    if (process.platform !== 'win32' && (mode & 0o022) !== 0 && (mode & 0o1000) === 0)
      throw unusable(folder, 'others may write in it')
    fs.closeSync(openAppending(join(folder, CURRENT_FILE)))
  } catch (error) {
    throw toFolderError(folder, error)
  }
}

/** Any error of work on the folder at the start as Sealift's: `settings_invalid` where it is the system's. */
export function toFolderError(folder: string, error: unknown): SealiftError {
  return error instanceof SealiftError ? error : unusable(folder, reasonOf(error), error)
}

function unusable(folder: string, why: string, cause?: unknown): SealiftError {
  return new SealiftError('settings_invalid', `the audit log cannot be kept in ${escapeForDisplay(folder)}: ${why}`, {
    cause,
    hint: 'Let ST_LOG_PATH name a folder of its own for the server, in which it alone may write.',
  })
}

/** Why a place for a log cannot be used: what the system says, or this program. */
export function reasonOf(error: unknown): string {
  if (error instanceof SealiftError) return error.message
  return error instanceof Error && 'code' in error ? String(error.code) : 'it cannot be written'
}

/** A link is not followed, and nobody but this user reads what is made. */
function openAppending(path: string): number {
  const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW } = fs.constants
  const fd = fs.openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0o600)
  if (fs.fstatSync(fd).isFile()) return fd
  fs.closeSync(fd)
  throw new Error('it is no regular file')
}

export interface RotationRules {
  /** A new file is begun before one gets larger. */
  readonly rotationBytes: number
  /** And where the first line is older than this, so that old lines can go. */
  readonly retentionMs: number
}

/** The file that is being written. */
export class AuditFile {
  readonly #folder: string
  readonly #rules: RotationRules
  #fd: number
  #sizeBytes: number
  #first: Pick<AuditRecord, 'seq' | 'timeMs'> | null
  #lastSeq: number

  /**
   * Opens the present file, which has whole lines only.
   * @param first its first line; `null` where it is empty
   * @param lastSeq the last line that it has, or the files before it
   * @throws the system's error
   */
  constructor(folder: string, rules: RotationRules, first: AuditFile['firstLine'], lastSeq: number) {
    this.#folder = folder
    this.#rules = rules
    this.#fd = openAppending(join(folder, CURRENT_FILE))
    this.#sizeBytes = fs.fstatSync(this.#fd).size
    this.#first = first
    this.#lastSeq = lastSeq
  }

  get firstLine(): Pick<AuditRecord, 'seq' | 'timeMs'> | null {
    return this.#first
  }

  get lastSeq(): number {
    return this.#lastSeq
  }

  /** Writes lines that follow those it has. @throws the system's error; the file then has whole lines only, as before */
  append(records: readonly AuditRecord[]): void {
    let waiting: AuditRecord[] = []
    let waitingBytes = 0
    for (const record of records) {
      const bytes = Buffer.byteLength(record.line) + 1
      const first = this.#first ?? waiting[0]
      const isFull = this.#sizeBytes + waitingBytes + bytes > this.#rules.rotationBytes
      const isOld = first !== undefined && record.timeMs - first.timeMs > this.#rules.retentionMs
      if (first !== undefined && (isFull || isOld)) {
        this.#write(waiting)
        this.#rotate()
        waiting = []
        waitingBytes = 0
      }
      waiting.push(record)
      waitingBytes += bytes
    }
    this.#write(waiting)
  }

  #write(records: readonly AuditRecord[]): void {
    const last = records.at(-1)
    if (last === undefined) return
    const bytes = Buffer.from(records.map(({ line }) => `${line}\n`).join(''))
    try {
      for (let at = 0; at < bytes.length;) at += fs.writeSync(this.#fd, bytes, at)
    } catch (error) {
      fs.ftruncateSync(this.#fd, this.#sizeBytes)
      throw error
    }
    this.#sizeBytes += bytes.length
    this.#first ??= records[0] ?? null
    this.#lastSeq = last.seq
  }

  /** @throws the system's error; then it is tried again before the next line */
  #rotate(): void {
    if (this.#first === null) return
    const [from, to] = [this.#first.seq, this.#lastSeq].map((seq) => String(seq).padStart(12, '0'))
    const current = join(this.#folder, CURRENT_FILE)
    fs.fsyncSync(this.#fd)
    // It has its new name already where the next file could not be opened the last time.
    if (fs.existsSync(current)) fs.renameSync(current, join(this.#folder, `audit-${from ?? ''}-${to ?? ''}.jsonl`))
    const before = this.#fd
    this.#fd = openAppending(current)
    fs.closeSync(before)
    this.#sizeBytes = 0
    this.#first = null
  }

  close(): void {
    fs.fsyncSync(this.#fd)
    fs.closeSync(this.#fd)
  }
}

/** One line as it stands in a file, which may be torn: only the last one can have no end. */
export interface FileLine {
  readonly text: string
  /** With its end. */
  readonly sizeBytes: number
  readonly hasEnd: boolean
}

const READ_BYTES = 256 << 10
/** No line is so long: what has no end for longer is none. */
const MAX_LINE_BYTES = 64 << 10

/** Lines of a file, one after another, in little memory. @throws the system's error */
export function* readLines(path: string): Generator<FileLine> {
  const fd = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW)
  try {
    const piece = Buffer.alloc(READ_BYTES)
    let rest: Buffer = Buffer.alloc(0)
    for (;;) {
      const bytes = fs.readSync(fd, piece)
      if (bytes === 0) break
      const all = Buffer.concat([rest, piece.subarray(0, bytes)])
      let start = 0
      for (let end = all.indexOf(0x0a); end >= 0; end = all.indexOf(0x0a, start)) {
        yield { text: decode(all.subarray(start, end)), sizeBytes: end + 1 - start, hasEnd: true }
        start = end + 1
      }
      rest = all.subarray(start)
      if (rest.length > MAX_LINE_BYTES) {
        yield { text: decode(rest.subarray(0, MAX_LINE_BYTES)), sizeBytes: rest.length, hasEnd: false }
        return
      }
    }
    if (rest.length > 0) yield { text: decode(rest), sizeBytes: rest.length, hasEnd: false }
  } finally {
    fs.closeSync(fd)
  }
}

/** Bytes that are no UTF-8 become a text that no line has, and not the one that a decoder would make of them. */
function decode(bytes: Buffer): string {
  return bytes.toString(isUtf8(bytes) ? 'utf8' : 'latin1')
}
