/** A ledger that has seen many transfers: copies of the rows that a real one left. The ledger must not be in use. */

import { randomUUID } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'

/** @param path of a ledger in which one transfer has ended */
export function fillLedger(path: string, transfers: number): void {
  const ledger = new DatabaseSync(path)
  const columns = ledger.prepare('PRAGMA table_info(transfers)').all()
  const copied = columns.map(({ name }) => String(name)).filter((name) => name !== 'key' && name !== 'id')
  const row = ledger.prepare(
    `INSERT INTO transfers (id, ${copied.join(', ')}) SELECT ?, ${copied.join(', ')} FROM transfers
      WHERE status = 'completed' ORDER BY key LIMIT 1`,
  )
  const root = ledger.prepare(
    'INSERT INTO owned_roots SELECT output_dir, name || ?, owner FROM owned_roots ORDER BY name LIMIT 1',
  )
  ledger.exec('BEGIN')
  for (let i = 0; i < transfers; i++) {
    row.run(randomUUID())
    root.run(`.${i}`)
  }
  ledger.exec('COMMIT')
  ledger.close()
}
