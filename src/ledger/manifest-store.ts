/**
 * The encoded manifest of a transfer, page by page as it is sent. Does not look into the pages; whoever reads them
 * decodes them again under all rules.
 */

import { SealiftError } from '../protocol/errors.ts'
import type { Database, WriteOptions } from './database.ts'

/** Pages (of up to 256 KiB) given to the database before it is waited for: bounds memory. */
const PAGES_AT_ONCE = 4

export class ManifestStore {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /**
   * Keeps the pages, in place of any that were there. A manifest counts as kept with its last page only.
   * @param pages borrowed until the promise resolves
   */
  async save(transfer: number, pages: Iterable<Uint8Array>, options: WriteOptions = {}): Promise<void> {
    let count = 0
    let queued: Promise<unknown>[] = [this.#setCount(transfer, null, {})]
    for (const bytes of pages) {
      const page = count++
      queued.push(
        this.#database.write((prepare) => {
          prepare('INSERT OR REPLACE INTO manifest_pages (transfer, page, bytes) VALUES (?, ?, ?)').run(
            transfer,
            page,
            bytes,
          )
        }),
      )
      if (queued.length < PAGES_AT_ONCE) continue
      await Promise.all(queued)
      queued = []
    }
    await Promise.all([...queued, this.#setCount(transfer, count, options)])
  }

  /**
   * The pages in order, one in memory at a time; each is the caller's own.
   * @throws SealiftError `ledger_corrupt` where the manifest was not kept, or not to its end
   */
  async *read(transfer: number): AsyncGenerator<Uint8Array> {
    const count = await this.#database.read((prepare) => {
      return prepare('SELECT manifest_pages FROM transfers WHERE key = ?').get(transfer)?.['manifest_pages']
    })
    if (typeof count !== 'number') throw missing()
    for (let page = 0; page < count; page++) {
      const bytes = await this.#database.read((prepare) => {
        return prepare('SELECT bytes FROM manifest_pages WHERE transfer = ? AND page = ?').get(transfer, page)?.[
          'bytes'
        ]
      })
      if (!(bytes instanceof Uint8Array)) throw missing()
      yield bytes
    }
  }

  /** Whether all pages are there. */
  async has(transfer: number): Promise<boolean> {
    return this.#database.read((prepare) => {
      return prepare('SELECT 1 FROM transfers WHERE key = ? AND manifest_pages IS NOT NULL').get(transfer) !== undefined
    })
  }

  async #setCount(transfer: number, count: number | null, options: WriteOptions): Promise<void> {
    await this.#database.write((prepare) => {
      prepare('UPDATE transfers SET manifest_pages = ? WHERE key = ?').run(count, transfer)
    }, options)
  }
}

function missing(): SealiftError {
  return new SealiftError('ledger_corrupt', 'the ledger has no whole list of files for this transfer', {
    hint: 'The transfer cannot be taken up again; start it anew.',
  })
}
