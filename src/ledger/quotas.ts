/**
 * What owners have sent and may send: bytes that were published, bytes that unfinished transfers hold or have reserved, and
 * the limits that were set by `sealift quota`.
 *
 * Owns the arithmetic in one transaction, so that fifty offers at once cannot take the same room. Which limits hold besides
 * is said by its caller. What a transfer publishes is counted where it ends (`transfers.ts`).
 */

import type { Database, Prepare } from './database.ts'

/** The row that counts for all owners together. */
export const ALL_OWNERS = 'total'

/** One owner of the list, or {@link ALL_OWNERS}. */
export interface Usage {
  readonly owner: string
  /** As it was set; `null`: none of its own. */
  readonly limitBytes: number | null
  readonly publishedBytes: number
  /** Of unfinished transfers: on the disk already, or promised to them. */
  readonly reservedBytes: number
}

export interface Reservation {
  /** Key of the transfer's row, which has an owner. */
  readonly transfer: number
  readonly owner: string
  /** Content of the whole transfer, with what is safe already; or of a stream, as much as is wanted so far. */
  readonly bytes: number
}

/** What holds for a reservation; `null`: no limit. A limit that was set by hand goes before `ownerBytes`. */
export interface QuotaLimits {
  readonly totalBytes: number | null
  readonly ownerBytes: number | null
  /** Free bytes of the disk that transfers may fill. */
  readonly diskBytes: number
}

export type QuotaKind = 'total' | 'owner' | 'disk'

/** Whether it was reserved; if not, which limit is in the way and how many bytes would fit. */
export type ReservationVerdict =
  { readonly fits: true } | { readonly fits: false; readonly kind: QuotaKind; readonly fitsBytes: number }

const PUBLISHED = 'SELECT coalesce(sum(published_bytes), 0) AS bytes FROM quotas WHERE owner = ?'
const SAFE = `coalesce((SELECT sum("end" - "start") FROM ranges WHERE transfer = t.key), 0)`
const RESERVED = `SELECT coalesce(sum(t.reserved_bytes), 0) AS bytes FROM transfers t
  WHERE t.reserved_bytes IS NOT NULL AND t.key <> ?1`
/** Reserved by others and not on the disk yet. */
const OUTSTANDING = `SELECT coalesce(sum(max(0, t.reserved_bytes - ${SAFE})), 0) AS bytes FROM transfers t
  WHERE t.reserved_bytes IS NOT NULL AND t.key <> ?1`

export class QuotaRecords {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /** Reserves room for a transfer, in place of what it had; where it does not fit, that stays as it was. */
  async reserve(reservation: Reservation, limits: QuotaLimits): Promise<ReservationVerdict> {
    const { transfer, owner, bytes } = reservation
    return this.#database.write((prepare) => {
      const of = (sql: string, ...values: (string | number)[]): number =>
        Number(prepare(sql).get(...values)?.['bytes'] ?? 0)
      const set = prepare('SELECT limit_bytes FROM quotas WHERE owner = ?').get(owner)?.['limit_bytes']
      const ownerLimit = typeof set === 'number' ? set : limits.ownerBytes
      const room = new Map<QuotaKind, number>()
      if (limits.totalBytes !== null)
        room.set('total', limits.totalBytes - of(PUBLISHED, ALL_OWNERS) - of(RESERVED, transfer))
      if (ownerLimit !== null)
        room.set('owner', ownerLimit - of(PUBLISHED, owner) - of(`${RESERVED} AND t.user_id = ?2`, transfer, owner))
      const safe = of(`SELECT ${SAFE} AS bytes FROM transfers t WHERE t.key = ?`, transfer)
      room.set('disk', limits.diskBytes + safe - of(OUTSTANDING, transfer))
      const [tightest] = [...room].sort(([, a], [, b]) => a - b)
      if (tightest !== undefined && tightest[1] < bytes)
        return { fits: false, kind: tightest[0], fitsBytes: Math.max(0, tightest[1]) }
      prepare('UPDATE transfers SET reserved_bytes = ?, user_id = ? WHERE key = ?').run(bytes, owner, transfer)
      return { fits: true }
    })
  }

  /** Nobody brings bytes of this transfer now: it keeps what is safe of it, and no more. */
  async release(transfer: number): Promise<void> {
    await this.#database.write((prepare) => void prepare(`${RELEASE} AND t.key = ?`).run(transfer))
  }

  /** The same for all unfinished ones; for the start of a server, when nobody is connected. */
  async releaseAll(): Promise<void> {
    await this.#database.write((prepare) => void prepare(RELEASE).run())
  }

  /** Sets the limit of an owner, or with `null` takes it away. Durable. @returns whether that changed anything */
  async setLimit(owner: string, limitBytes: number | null): Promise<boolean> {
    return this.#database.write(
      (prepare) => {
        const before = prepare('SELECT limit_bytes FROM quotas WHERE owner = ?').get(owner)?.['limit_bytes'] ?? null
        if (before === limitBytes) return false
        prepare(`INSERT INTO quotas (owner, limit_bytes) VALUES (?1, ?2)
          ON CONFLICT (owner) DO UPDATE SET limit_bytes = ?2`).run(owner, limitBytes)
        prepare('DELETE FROM quotas WHERE owner = ? AND limit_bytes IS NULL AND published_bytes = 0').run(owner)
        return true
      },
      { durable: true },
    )
  }

  /** All together first, then each owner that has sent, is sending, or has a limit. */
  async list(): Promise<Usage[]> {
    return this.#database.read((prepare) => {
      const found = new Map<string, Usage>()
      const add = (owner: string, fields: Partial<Usage>): void => {
        const before = found.get(owner) ?? { owner, limitBytes: null, publishedBytes: 0, reservedBytes: 0 }
        found.set(owner, { ...before, ...fields })
      }
      add(ALL_OWNERS, { reservedBytes: reservedBy(prepare, null) })
      for (const row of prepare('SELECT * FROM quotas ORDER BY owner').all())
        add(row['owner'] as string, {
          limitBytes: row['limit_bytes'] as number | null,
          publishedBytes: row['published_bytes'] as number,
        })
      const owners = prepare('SELECT DISTINCT user_id FROM transfers WHERE reserved_bytes IS NOT NULL ORDER BY user_id')
      for (const row of owners.all())
        if (typeof row['user_id'] === 'string')
          add(row['user_id'], { reservedBytes: reservedBy(prepare, row['user_id']) })
      return [...found.values()]
    })
  }
}

const RELEASE = `UPDATE transfers AS t SET reserved_bytes = min(t.reserved_bytes, ${SAFE}) WHERE t.reserved_bytes IS NOT NULL`

function reservedBy(prepare: Prepare, owner: string | null): number {
  const row = owner === null ? prepare(RESERVED).get(-1) : prepare(`${RESERVED} AND t.user_id = ?2`).get(-1, owner)
  return Number(row?.['bytes'] ?? 0)
}

/**
 * Counts what a transfer has published as its owner's, and takes its reservation away; a part of the transaction that ends
 * it.
 */
export function settleReservation(prepare: Prepare, transfer: number): void {
  const row = prepare(`SELECT user_id, status, bytes_done FROM transfers
    WHERE key = ? AND user_id IS NOT NULL AND reserved_bytes IS NOT NULL`).get(transfer)
  if (row === undefined) return
  prepare('UPDATE transfers SET reserved_bytes = NULL WHERE key = ?').run(transfer)
  if (row['status'] !== 'completed') return
  for (const counted of [ALL_OWNERS, row['user_id'] as string])
    prepare(`INSERT INTO quotas (owner, published_bytes) VALUES (?1, ?2)
      ON CONFLICT (owner) DO UPDATE SET published_bytes = published_bytes + ?2`).run(
      counted,
      row['bytes_done'] as number,
    )
}
