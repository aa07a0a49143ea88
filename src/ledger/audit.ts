/**
 * The audit log's lines in the ledger, and what is known of its files: up to where they have been written, and where they
 * begin since the oldest were removed. The ledger is the truth of the audit log; its files repeat it.
 *
 * Keeps lines and the head of their chain in one transaction, so that several processes add to one chain. How a line looks
 * and is hashed is its caller's business.
 */

import type { SQLInputValue } from 'node:sqlite'
import type { Database } from './database.ts'

/** A place in the chain: a line's number and hash, in hex. */
export interface ChainPoint {
  readonly seq: number
  readonly hash: string
}

/** Before the first line. */
export const CHAIN_START: ChainPoint = { seq: 0, hash: '0'.repeat(64) }

export interface AuditHead {
  /** The last line. */
  readonly last: ChainPoint
  /** The last line that was removed for its age; the oldest that is there names it. */
  readonly anchor: ChainPoint
  /** Up to here the files have been written for sure. */
  readonly filedSeq: number
  /** Absolute path of the folder of the files; `null` where no server has run yet. */
  readonly folder: string | null
}

/** One line as it is kept: the text, and by what it is searched for. */
export interface AuditRecord {
  readonly seq: number
  readonly timeMs: number
  readonly event: string
  /** Address, without the port. */
  readonly peer: string | null
  readonly owner: string | null
  /** Id of the transfer. */
  readonly transfer: string | null
  /** The line of the file, without its end. */
  readonly line: string
}

export interface AuditSearch {
  /** Only lines behind this one. */
  readonly afterSeq?: number | undefined
  readonly sinceMs?: number | undefined
  /** An address or an owner. */
  readonly peer?: string | undefined
}

/** Rows of one read or delete: a millisecond or so. */
const ROWS_PER_CALL = 500

export class AuditRecords {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  async head(): Promise<AuditHead> {
    const row = await this.#database.read((prepare) => prepare('SELECT * FROM audit_head').get())
    return row === undefined ? { last: CHAIN_START, anchor: CHAIN_START, filedSeq: 0, folder: null } : toHead(row)
  }

  /**
   * Adds lines to the end of the chain. Durable.
   * @param make gets the end, gives the lines behind it and the new end; may be called again
   */
  async append(
    make: (end: ChainPoint) => { readonly records: readonly AuditRecord[]; readonly end: ChainPoint },
  ): Promise<void> {
    await this.#database.write(
      (prepare) => {
        const row = prepare('SELECT seq, hash FROM audit_head').get()
        const last = row === undefined ? CHAIN_START : { seq: row['seq'] as number, hash: row['hash'] as string }
        const { records, end } = make(last)
        const insert = prepare(`INSERT INTO audit (seq, time, event, peer, owner, transfer, line)
          VALUES (?, ?, ?, ?, ?, ?, ?)`)
        for (const { seq, timeMs, event, peer, owner, transfer, line } of records)
          insert.run(seq, timeMs, event, peer, owner, transfer, line)
        prepare(`INSERT INTO audit_head (only, seq, hash, filed_seq, anchor_seq, anchor_hash) VALUES (1, ?1, ?2, 0, ?3, ?4)
          ON CONFLICT (only) DO UPDATE SET seq = ?1, hash = ?2`).run(
          end.seq,
          end.hash,
          CHAIN_START.seq,
          CHAIN_START.hash,
        )
      },
      { durable: true },
    )
  }

  /** Lines behind this one, in order, as many as one read gives. */
  async linesAfter(seq: number): Promise<AuditRecord[]> {
    return this.#all('SELECT * FROM audit WHERE seq > ? ORDER BY seq LIMIT ?', seq, ROWS_PER_CALL)
  }

  async find(seq: number): Promise<AuditRecord | null> {
    return (await this.#all('SELECT * FROM audit WHERE seq = ?', seq))[0] ?? null
  }

  /** What is found, the oldest first, page by page. */
  async *search({ afterSeq = 0, sinceMs, peer }: AuditSearch): AsyncGenerator<AuditRecord> {
    const wanted = ['seq > ?1', ...(sinceMs === undefined ? [] : ['time >= ?3'])]
    if (peer !== undefined) wanted.push('(peer = ?4 OR owner = ?4)')
    const sql = `SELECT * FROM audit WHERE ${wanted.join(' AND ')} ORDER BY seq LIMIT ?2`
    for (let after = afterSeq; ;) {
      const values: Record<string, SQLInputValue> = { '1': after, '2': ROWS_PER_CALL }
      if (sinceMs !== undefined) values['3'] = sinceMs
      if (peer !== undefined) values['4'] = peer
      const found = await this.#database.read((prepare) => prepare(sql).all(values).map(toRecord))
      yield* found
      const last = found.at(-1)
      if (last === undefined || found.length < ROWS_PER_CALL) return
      after = last.seq
    }
  }

  /** The files of this folder have all lines up to this one. */
  async markFiled(seq: number, folder: string): Promise<void> {
    await this.#database.write((prepare) => {
      prepare('UPDATE audit_head SET filed_seq = ?, folder = ?').run(seq, folder)
    })
  }

  /**
   * Removes the lines up to this one, whose file is about to be removed too; what is left begins behind it. Durable before
   * a line is gone.
   */
  async anchor(point: ChainPoint): Promise<void> {
    await this.#database.write(
      (prepare) => void prepare('UPDATE audit_head SET anchor_seq = ?, anchor_hash = ?').run(point.seq, point.hash),
      { durable: true },
    )
    let deleted: number
    do {
      deleted = await this.#database.write((prepare) =>
        Number(
          prepare('DELETE FROM audit WHERE seq IN (SELECT seq FROM audit WHERE seq <= ? LIMIT ?)').run(
            point.seq,
            ROWS_PER_CALL,
          ).changes,
        ),
      )
    } while (deleted === ROWS_PER_CALL)
  }

  async #all(sql: string, ...values: SQLInputValue[]): Promise<AuditRecord[]> {
    return this.#database.read((prepare) =>
      prepare(sql)
        .all(...values)
        .map(toRecord),
    )
  }
}

function toHead(row: Record<string, unknown>): AuditHead {
  return {
    last: { seq: row['seq'] as number, hash: row['hash'] as string },
    anchor: { seq: row['anchor_seq'] as number, hash: row['anchor_hash'] as string },
    filedSeq: row['filed_seq'] as number,
    folder: row['folder'] as string | null,
  }
}

function toRecord(row: Record<string, unknown>): AuditRecord {
  return {
    seq: row['seq'] as number,
    timeMs: row['time'] as number,
    event: row['event'] as string,
    peer: row['peer'] as string | null,
    owner: row['owner'] as string | null,
    transfer: row['transfer'] as string | null,
    line: row['line'] as string,
  }
}
