/** A ledger of each former version, with rows in it, is brought to the present one and loses nothing. */

import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { MIGRATIONS, SCHEMA_VERSION } from '../../../src/ledger/schema.ts'
import { ID_A, ID_B, makeFolder, openTestLedger } from './place.ts'

/** Makes a ledger as version 1 left it. @returns its path, as `openTestLedger` would name it */
function versionOne(folder: string): string {
  const path = join(folder, 'l.db')
  writeFileSync(path, '', { mode: 0o600 })
  const db = new DatabaseSync(path)
  db.exec(MIGRATIONS[0] as string)
  db.exec('PRAGMA application_id = 1397507668; PRAGMA user_version = 1')
  const insert =
    db.prepare(`INSERT INTO transfers (id, role, filename, transfer_type, status, chunks_completed, priority,
    created_at, updated_at, roots, options, epoch, told, bytes_done) VALUES (?, ?, ?, 'download', ?, 0, 5, 1, 2, '[]', '{}', 3, 0, ?)`)
  insert.run(ID_A, 'receiver', 'ä.txt', 'in_progress', null)
  insert.run(ID_B, 'sender', 'b', 'completed', 77)
  db.exec('INSERT INTO ranges (transfer, "start", "end") VALUES (1, 0, 40)')
  db.prepare(
    'INSERT INTO resume_keys (resume_id, resume_key, role, transfer, confirmed, created_at) VALUES (?, ?, ?, 1, 1, 5)',
  ).run(new Uint8Array(16).fill(1), new Uint8Array(32).fill(2), 'receiver')
  db.close()
  chmodSync(path, 0o600)
  return path
}

test('version 1: transfers, ranges and keys stay; what is new is empty and can be used', async () => {
  const path = versionOne(makeFolder())
  const ledger = await openTestLedger('', { path })
  expect(await ledger.transfers.list({ all: true })).toMatchObject([
    { id: ID_B, status: 'completed', bytesDone: 77, userId: null },
    { id: ID_A, status: 'in_progress', filename: 'ä.txt', bytesDone: 40, epoch: 3, userId: null },
  ])
  expect(await ledger.resumeKeys.findByTransfer(1)).toMatchObject({ confirmed: true, createdAtMs: 5 })
  expect([await ledger.bans.list(), (await ledger.audit.head()).last.seq]).toEqual([[], 0])
  expect(await ledger.quotas.list()).toEqual([
    { owner: 'total', limitBytes: null, publishedBytes: 0, reservedBytes: 0 },
  ])
  await ledger.transfers.update(1, { userId: 'SHA256:00' })
  await ledger.bans.add({ address: '192.0.2.7', reason: 'auth_failed', durationMs: 1 })
  await ledger.close()
  const db = new DatabaseSync(path, { readOnly: true })
  expect(db.prepare('PRAGMA user_version').get()).toEqual({ user_version: SCHEMA_VERSION })
  db.close()
})
