/**
 * A line of the audit log: what it may say, how it is written, and how lines are chained (S-59).
 *
 *     {"seq":7,"time":"…","event":"refusal","peer":"192.0.2.7","owner":null,"transfer":null,"detail":{…},"prev":"…","hash":"…"}
 *
 * `hash` is the SHA-256, in hex, of the line's bytes in front of `,"hash":`; `prev` is that of the line before. So no byte of
 * a line can change, and no line can go, come or move, without the chain showing it from there on.
 *
 * Pure: knows neither files nor the ledger. Only the fields named here get into a line, and no secret is among them.
 */

import { createHash } from 'node:crypto'
import type { AuditRecord, ChainPoint } from '../ledger/audit.ts'
import { escapeForDisplay } from '../protocol/names.ts'

/** What a line is about. */
export type AuditSubject =
  'server' | 'connection' | 'handshake' | 'refusal' | 'ban' | 'transfer' | 'quota' | 'error' | 'audit'

/** What may stand in `detail`; each in the order of this table. */
const DETAIL_FIELDS = [
  'status',
  'code',
  'message',
  'port',
  'suite',
  'cipher',
  'identity',
  'name',
  'entries',
  'bytes',
  'bytesOnWire',
  'seconds',
  'until',
  'count',
  'file',
  'version',
] as const
export type AuditDetail = { readonly [Field in (typeof DETAIL_FIELDS)[number]]?: string | number | boolean | null }

export interface AuditEvent {
  readonly event: AuditSubject
  /** Address of the other side, without the port. */
  readonly peer?: string | null
  readonly owner?: string | null
  /** Id of the transfer. */
  readonly transfer?: string | null
  readonly detail?: AuditDetail
}

/** Longer texts from elsewhere are cut: a line stays a line. */
const MAX_TEXT_CHARACTERS = 512

/** The line of an event, behind the end of the chain. */
export function encodeLine(
  event: AuditEvent,
  timeMs: number,
  end: ChainPoint,
): { record: AuditRecord; end: ChainPoint } {
  const seq = end.seq + 1
  const peer = safe(event.peer ?? null)
  const owner = safe(event.owner ?? null)
  const transfer = safe(event.transfer ?? null)
  const said = DETAIL_FIELDS.map((field) => [field, safe(event.detail?.[field])] as const)
  const body = JSON.stringify({
    seq,
    time: new Date(timeMs).toISOString(),
    event: event.event,
    peer,
    owner,
    transfer,
    detail: Object.fromEntries(said.filter(([, value]) => value !== undefined)),
    prev: end.hash,
  }).slice(0, -1)
  const hash = hashOf(body)
  const line = `${body},"hash":"${hash}"}`
  return { record: { seq, timeMs, event: event.event, peer, owner, transfer, line }, end: { seq, hash } }
}

function safe<T>(value: T): T | string {
  return typeof value === 'string' ? escapeForDisplay(value.slice(0, MAX_TEXT_CHARACTERS)) : value
}

function hashOf(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex')
}

const LINE = /^(\{"seq":(\d{1,15}),"time":"([^"]*)".*,"prev":"([0-9a-f]{64})"),"hash":"([0-9a-f]{64})"\}$/s

interface ReadLine extends ChainPoint {
  readonly prev: string
  readonly isWhole: boolean
}

/** @returns `null` where the text has not the form of a line */
function readLine(line: string): ReadLine | null {
  const [, body = '', seq = '', , prev = '', hash = ''] = LINE.exec(line) ?? []
  return body === '' ? null : { seq: Number(seq), prev, hash, isWhole: hashOf(body) === hash }
}

/** The number that a line gives itself; `null` where it has none. */
export function seqOf(line: string): number | null {
  return readLine(line)?.seq ?? null
}

/** The place of a line in its chain; `null` where its own hash is not right. */
export function pointOf(line: string): ChainPoint | null {
  const read = readLine(line)
  return read?.isWhole === true ? { seq: read.seq, hash: read.hash } : null
}

export type ChainFaultKind = 'unreadable' | 'edited' | 'replaced' | 'misplaced' | 'missing'

export interface ChainFault {
  readonly kind: ChainFaultKind
  /** The line, or the first of those that are missing. */
  readonly seq: number
  /** The last of those that are missing; else `seq`. */
  readonly lastSeq: number
}

/** Goes along a chain, line by line, and says of each what is wrong with it or in front of it. */
export class ChainCheck {
  #seq: number
  /** `null` behind a line that cannot be believed: then the next one is. */
  #hash: string | null

  /** @param start what the first line names as the one before it */
  constructor(start: ChainPoint) {
    this.#seq = start.seq
    this.#hash = start.hash
  }

  /** The number of the last line. */
  get seq(): number {
    return this.#seq
  }

  add(line: string): ChainFault | null {
    const read = readLine(line)
    const expected = this.#seq + 1
    if (read === null) return this.#doubt('unreadable', expected)
    if (!read.isWhole) return this.#doubt('edited', expected)
    // Its number is behind us: it says nothing of the lines that come.
    if (read.seq < expected) return { kind: 'misplaced', seq: read.seq, lastSeq: read.seq }
    const follows = this.#hash === null || read.prev === this.#hash
    this.#seq = read.seq
    this.#hash = read.hash
    if (read.seq > expected) return { kind: 'missing', seq: expected, lastSeq: read.seq - 1 }
    return follows ? null : { kind: 'replaced', seq: read.seq - 1, lastSeq: read.seq - 1 }
  }

  #doubt(kind: ChainFaultKind, seq: number): ChainFault {
    this.#seq = seq
    this.#hash = null
    return { kind, seq, lastSeq: seq }
  }
}
