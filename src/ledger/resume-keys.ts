/**
 * Keys for coming back (protocol.md 1.6, 1.7): the one kind of key that rests. A receiver keeps it before it sends
 * its confirmation, a sender while it burns the token; both keep it until the transfer ends.
 */

import type { Database, Prepare } from './database.ts'
import type { Role } from './transfer-row.ts'

/** Keys that no transfer wants any more, and those of transfers that nobody took up, go after 30 days. */
export const RESUME_KEY_LIFETIME_MS = 30 * 24 * 3600 * 1000

export interface NewResumeKey {
  /** 16 bytes, public. */
  readonly resumeId: Uint8Array
  /** 32 bytes, secret; copied into the ledger, the buffer stays the caller's to zero. */
  readonly resumeKey: Uint8Array
  readonly role: Role
  /** Who the other side is, for people. */
  readonly peer?: string | null
  /** Receiver: host that was dialled, without the port. */
  readonly host?: string | null
  /** Receiver: absolute path of the output folder. */
  readonly outputDir?: string | null
  /** Key of the transfer, once it is known. */
  readonly transfer?: number | null
  readonly confirmed?: boolean
  /** Server: whether an authorised key let this sender in, or something else. */
  readonly wayIn?: WayIn
}

export type WayIn = 'key' | 'other'

export interface ResumeKey {
  /** 16 bytes; the caller's own, as all buffers here. */
  readonly resumeId: Uint8Array
  /** 32 bytes, to be zeroed after use. */
  readonly resumeKey: Uint8Array
  readonly role: Role
  readonly peer: string | null
  readonly host: string | null
  readonly outputDir: string | null
  readonly transfer: number | null
  readonly confirmed: boolean
  readonly wayIn: WayIn | null
  readonly createdAtMs: number
}

export class ResumeKeys {
  readonly #database: Database
  readonly #nowMs: () => number

  constructor(database: Database, nowMs: () => number) {
    this.#database = database
    this.#nowMs = nowMs
  }

  /** Keeps a key, durably; the same id and role again replaces it. */
  async save(key: NewResumeKey): Promise<void> {
    const values = [
      key.resumeId,
      key.resumeKey,
      key.role,
      key.peer ?? null,
      key.host ?? null,
      key.outputDir ?? null,
      key.transfer ?? null,
      key.confirmed === true ? 1 : 0,
      key.wayIn ?? null,
      this.#nowMs(),
    ]
    await this.#durably((prepare) => {
      prepare(`INSERT OR REPLACE INTO resume_keys
        (resume_id, resume_key, role, peer, host, output_dir, transfer, confirmed, way_in, created_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`).run(...values)
    })
  }

  /** The handshake that made it is confirmed on both sides. Durable. */
  async confirm(resumeId: Uint8Array, role: Role): Promise<void> {
    await this.#durably((prepare) => {
      prepare('UPDATE resume_keys SET confirmed = 1 WHERE resume_id = ? AND role = ?').run(resumeId, role)
    })
  }

  /**
   * Says which transfer the key is for, and drops the older keys of that transfer, which it stands in for: a session
   * that came by the token voids what an earlier meeting left. Durable.
   */
  async attach(resumeId: Uint8Array, role: Role, transfer: number): Promise<void> {
    await this.#durably((prepare) => {
      prepare('UPDATE resume_keys SET transfer = ? WHERE resume_id = ? AND role = ?').run(transfer, resumeId, role)
      prepare('DELETE FROM resume_keys WHERE transfer = ? AND role = ? AND resume_id <> ?').run(
        transfer,
        role,
        resumeId,
      )
    })
  }

  async findById(resumeId: Uint8Array, role: Role): Promise<ResumeKey | null> {
    const found = await this.#all('SELECT * FROM resume_keys WHERE resume_id = ? AND role = ?', resumeId, role)
    return found[0] ?? null
  }

  async findByTransfer(transfer: number): Promise<ResumeKey | null> {
    const found = await this.#all(
      'SELECT * FROM resume_keys WHERE transfer = ? ORDER BY created_at DESC, rowid DESC LIMIT 1',
      transfer,
    )
    return found[0] ?? null
  }

  /**
   * A receiver's keys to offer to a host: of transfers into this folder that are unfinished or whose sender has not been
   * told of the end, and those whose transfer is not known yet, confirmed or not (a lost CONFIRM_R splits nobody). The
   * newest first, and before all others those of transfers from this port.
   */
  async newestForHost(host: string, port: number, outputDir: string, limit: number): Promise<ResumeKey[]> {
    return this.#all(
      `SELECT k.* FROM resume_keys k LEFT JOIN transfers t ON t.key = k.transfer
        WHERE k.role = 'receiver' AND k.host = ? AND k.output_dir = ?
          AND (t.key IS NULL OR t.status IN ('pending', 'in_progress') OR (t.status = 'completed' AND t.told = 0))
        ORDER BY coalesce(json_extract(t.options, '$.port') = ?, 0) DESC, k.confirmed DESC, coalesce(t.updated_at, k.created_at) DESC, k.rowid DESC LIMIT ?`,
      host,
      outputDir,
      port,
      limit,
    )
  }

  /** A server's keys: those of transfers that have an owner and that a sender may still come back for. */
  async listOwned(): Promise<ResumeKey[]> {
    return this.#all(
      `SELECT k.* FROM resume_keys k JOIN transfers t ON t.key = k.transfer
        WHERE k.role = 'receiver' AND t.user_id IS NOT NULL
          AND (t.status IN ('pending', 'in_progress') OR (t.status = 'completed' AND t.told = 0))`,
    )
  }

  /** Drops all keys of a transfer. Durable. */
  async dropOf(transfer: number): Promise<void> {
    await this.#durably((prepare) => void prepare('DELETE FROM resume_keys WHERE transfer = ?').run(transfer))
  }

  /** Drops one key. Durable. */
  async drop(resumeId: Uint8Array, role: Role): Promise<void> {
    await this.#durably((prepare) => {
      prepare('DELETE FROM resume_keys WHERE resume_id = ? AND role = ?').run(resumeId, role)
    })
  }

  /** Drops keys older than {@link RESUME_KEY_LIFETIME_MS} whose transfer was not touched since. @returns how many */
  async prune(): Promise<number> {
    const before = this.#nowMs() - RESUME_KEY_LIFETIME_MS
    return this.#database.write((prepare) => {
      const result = prepare(`DELETE FROM resume_keys WHERE created_at < ?1
        AND NOT EXISTS (SELECT 1 FROM transfers t WHERE t.key = resume_keys.transfer AND t.updated_at >= ?1)`).run(
        before,
      )
      return Number(result.changes)
    })
  }

  async #durably(work: (prepare: Prepare) => void): Promise<void> {
    await this.#database.write(work, { durable: true })
  }

  async #all(sql: string, ...values: (Uint8Array | string | number)[]): Promise<ResumeKey[]> {
    return this.#database.read((prepare) =>
      prepare(sql)
        .all(...values)
        .map(toResumeKey),
    )
  }
}

function toResumeKey(row: Record<string, unknown>): ResumeKey {
  return {
    resumeId: row['resume_id'] as Uint8Array,
    resumeKey: row['resume_key'] as Uint8Array,
    role: row['role'] as Role,
    peer: row['peer'] as string | null,
    host: row['host'] as string | null,
    outputDir: row['output_dir'] as string | null,
    transfer: row['transfer'] as number | null,
    confirmed: row['confirmed'] === 1,
    wayIn: row['way_in'] as WayIn | null,
    createdAtMs: row['created_at'] as number,
  }
}
