/**
 * What is about to get its final name: committed before it happens, with the inode in staging, so that after a crash
 * that inode under the final name proves that it happened (protocol.md 3.5, 4.4).
 */

import type { Database } from './database.ts'

export type PublishState = 'publishing' | 'published'

export interface PublishIntent {
  /** Index of the entry in the manifest: a root, or any entry when merging. */
  readonly entry: number
  /** Final path, relative to the output folder. */
  readonly savedAs: string
  /** Device and inode of what is in staging. */
  readonly dev: bigint
  readonly ino: bigint
  readonly state: PublishState
}

/** Rows of one write at most: well under a millisecond. */
const ROWS_PER_WRITE = 256

export class PublishIntents {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /** Keeps the intents, durably; one that is there already is replaced. */
  async save(transfer: number, intents: readonly PublishIntent[]): Promise<void> {
    const writes: Promise<void>[] = []
    for (let at = 0; at < intents.length; at += ROWS_PER_WRITE) {
      const some = intents.slice(at, at + ROWS_PER_WRITE)
      writes.push(
        this.#database.write(
          (prepare) => {
            const insert = prepare(`INSERT OR REPLACE INTO publish_intents (transfer, entry, saved_as, dev, ino, state)
              VALUES (?, ?, ?, ?, ?, ?)`)
            for (const { entry, savedAs, dev, ino, state } of some) {
              insert.run(transfer, entry, savedAs, String(dev), String(ino), state)
            }
          },
          { durable: true },
        ),
      )
    }
    await Promise.all(writes)
  }

  /** To be called after the sync that followed publishing. Durable. */
  async markPublished(transfer: number, entries: readonly number[]): Promise<void> {
    const writes: Promise<void>[] = []
    for (let at = 0; at < entries.length; at += ROWS_PER_WRITE) {
      const some = entries.slice(at, at + ROWS_PER_WRITE)
      writes.push(
        this.#database.write(
          (prepare) => {
            const update = prepare(`UPDATE publish_intents SET state = 'published' WHERE transfer = ? AND entry = ?`)
            for (const entry of some) update.run(transfer, entry)
          },
          { durable: true },
        ),
      )
    }
    await Promise.all(writes)
  }

  /** All of a transfer, by entry. */
  async list(transfer: number): Promise<PublishIntent[]> {
    return this.#database.read((prepare) =>
      prepare('SELECT * FROM publish_intents WHERE transfer = ? ORDER BY entry')
        .all(transfer)
        .map((row) => ({
          entry: row['entry'] as number,
          savedAs: row['saved_as'] as string,
          dev: BigInt(row['dev'] as string),
          ino: BigInt(row['ino'] as string),
          state: row['state'] as PublishState,
        })),
    )
  }

  /** Takes back an intent that came to nothing. Durable. */
  async remove(transfer: number, entry: number): Promise<void> {
    await this.#database.write(
      (prepare) => void prepare('DELETE FROM publish_intents WHERE transfer = ? AND entry = ?').run(transfer, entry),
      { durable: true },
    )
  }
}
