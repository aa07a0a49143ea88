/**
 * Which roots in the folders of a server were published for whom (protocol.md 4.6): a sender may count, merge into or
 * replace only what is its own. What lies below a root belongs to whoever the root does.
 */

import type { Database } from './database.ts'

/** Names asked about in one statement; SQLite takes 32,766 values. */
const NAMES_PER_QUERY = 500

export class OwnedRoots {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /** Says, durably, that these names in that folder are this owner's now. */
  async claim(owner: string, outputDir: string, names: readonly string[]): Promise<void> {
    const sql = 'INSERT OR REPLACE INTO owned_roots (output_dir, name, owner) VALUES (?, ?, ?)'
    for (let at = 0; at < names.length; at += NAMES_PER_QUERY) {
      const some = names.slice(at, at + NAMES_PER_QUERY)
      await this.#database.write(
        (prepare) => {
          for (const name of some) prepare(sql).run(outputDir, name, owner)
        },
        { durable: true },
      )
    }
  }

  /** Which of these names are this owner's there. */
  async find(owner: string, outputDir: string, names: readonly string[]): Promise<ReadonlySet<string>> {
    const sql = 'SELECT 1 FROM owned_roots WHERE output_dir = ? AND name = ? AND owner = ?'
    return this.#database.read((prepare) => {
      const statement = prepare(sql)
      return new Set(names.filter((name) => statement.get(outputDir, name, owner) !== undefined))
    })
  }
}
