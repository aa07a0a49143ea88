/**
 * The rows of bans: which addresses a server turns away, and until when.
 *
 * A ban ends by the machine's uptime, which nobody sets: a wall clock that jumps neither lengthens nor lifts it (F-07).
 * After a restart of the machine only the wall clock is left, and is believed as far as it is plausible: a ban never
 * lasts longer than it was to last from the beginning.
 */

import type { Database } from './database.ts'

/** The clocks of a machine; each process of one run of it reads the same uptime. */
export interface BanClocks {
  /** Milliseconds since 1970; may jump. */
  readonly wallMs: () => number
  /** Whole milliseconds that only grow while the machine runs. */
  readonly uptimeMs: () => number
}

export interface NewBan {
  /** As `guard/peer-address.ts` makes it of an address. */
  readonly address: string
  /** Code of the error that led to it. */
  readonly reason: string
  readonly durationMs: number
}

export interface Ban {
  readonly address: string
  readonly reason: string
  readonly createdAtMs: number
  /** How long it lasts from now on; more than 0. */
  readonly remainingMs: number
}

/** Of more than so many bans those that end first are lifted: rows must not grow with the addresses of an attacker. */
const MAX_BANS = 10_000

export class Bans {
  readonly #database: Database
  readonly #bootId: string
  readonly #clocks: BanClocks

  constructor(database: Database, bootId: string, clocks: BanClocks) {
    this.#database = database
    this.#bootId = bootId
    this.#clocks = clocks
  }

  /** The ban of an address; `null` where there is none, or it is over. */
  async find(address: string): Promise<Ban | null> {
    return this.#database.read((prepare) => {
      const row = prepare('SELECT * FROM bans WHERE address = ?').get(address)
      return row === undefined ? null : this.#toBan(row)
    })
  }

  /** Bans an address from now on; a ban that it has is replaced. Durable. */
  async add(ban: NewBan): Promise<Ban> {
    const { address, reason, durationMs } = ban
    const now = this.#clocks.wallMs()
    const endsAt = this.#clocks.uptimeMs() + durationMs
    await this.#database.write(
      (prepare) => {
        prepare(`INSERT OR REPLACE INTO bans (address, reason, created_at, duration_ms, boot, ends_at_uptime)
          VALUES (?, ?, ?, ?, ?, ?)`).run(address, reason, now, durationMs, this.#bootId, endsAt)
        const { count } = prepare('SELECT count(*) AS count FROM bans').get() as { count: number }
        if (count <= MAX_BANS) return
        prepare(`DELETE FROM bans WHERE address IN (SELECT address FROM bans WHERE address <> ?
          ORDER BY ends_at_uptime LIMIT ?)`).run(address, count - MAX_BANS)
      },
      { durable: true },
    )
    return { address, reason, createdAtMs: now, remainingMs: durationMs }
  }

  /** Lifts a ban; a running server sees it at the next connection. Durable. @returns whether there was one */
  async remove(address: string): Promise<boolean> {
    return this.#database.write(
      (prepare) => {
        const row = prepare('SELECT * FROM bans WHERE address = ?').get(address)
        prepare('DELETE FROM bans WHERE address = ?').run(address)
        return row !== undefined && this.#toBan(row) !== null
      },
      { durable: true },
    )
  }

  /** Those that last still, the one that ends first in front. */
  async list(): Promise<Ban[]> {
    const rows = await this.#database.read((prepare) => prepare('SELECT * FROM bans').all())
    const bans = rows.map((row) => this.#toBan(row)).filter((ban) => ban !== null)
    return bans.sort((a, b) => a.remainingMs - b.remainingMs)
  }

  /**
   * Binds what an earlier run of the machine left to the uptime of this one, and drops what is over. To be called once, at
   * the start of a server. A ban from the future was made by a clock that was wrong: it begins anew, and that once.
   */
  async adopt(): Promise<void> {
    const [now, uptime] = [this.#clocks.wallMs(), this.#clocks.uptimeMs()]
    await this.#database.write((prepare) => {
      const bind = prepare('UPDATE bans SET boot = ?, created_at = ?, ends_at_uptime = ? WHERE address = ?')
      const drop = prepare('DELETE FROM bans WHERE address = ?')
      for (const row of prepare('SELECT * FROM bans').all()) {
        const ban = this.#toBan(row)
        const address = row['address'] as string
        if (ban === null) drop.run(address)
        else if (row['boot'] !== this.#bootId)
          bind.run(this.#bootId, Math.min(ban.createdAtMs, now), uptime + ban.remainingMs, address)
      }
    })
  }

  #toBan(row: Record<string, unknown>): Ban | null {
    const createdAtMs = row['created_at'] as number
    const durationMs = row['duration_ms'] as number
    const isOfThisRun = row['boot'] === this.#bootId
    const remainingMs = isOfThisRun
      ? (row['ends_at_uptime'] as number) - this.#clocks.uptimeMs()
      : durationMs - Math.max(0, this.#clocks.wallMs() - createdAtMs)
    if (remainingMs <= 0) return null
    return { address: row['address'] as string, reason: row['reason'] as string, createdAtMs, remainingMs }
  }
}
