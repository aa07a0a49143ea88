/** Looking at a ledger from outside: everything that can be wrong with it, and that the look changes nothing. */

import fs from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, test } from 'vitest'
import { SCHEMA_VERSION } from '../../../src/ledger/schema.ts'
import { inspectLedger } from '../../../src/ledger/inspection.ts'
import { ID_A, ID_B, makeFolder, openTestLedger, receiverOf } from './place.ts'

/** A ledger that nobody has open. */
async function closedLedger(): Promise<string> {
  const ledger = await openTestLedger(makeFolder())
  await ledger.transfers.create(receiverOf(ID_A))
  await ledger.transfers.finish(await ledger.transfers.create(receiverOf(ID_B)), 'completed')
  await ledger.close()
  return ledger.path
}

/** Names, sizes, modes and times of all that is in the ledger's folder. */
const stateOf = (path: string): unknown =>
  fs
    .readdirSync(dirname(path))
    .sort()
    .map((name) => {
      const { size, mode, mtimeMs } = fs.statSync(join(dirname(path), name))
      return { name, size, mode, mtimeMs }
    })

describe('a ledger', () => {
  test('that is whole; it stays as it is', async () => {
    const path = await closedLedger()
    const before = stateOf(path)
    expect(inspectLedger(path)).toMatchObject({
      exists: true,
      folder: dirname(path),
      folderMode: 0o700,
      schemaVersion: SCHEMA_VERSION,
      knownVersion: SCHEMA_VERSION,
      checked: true,
      unfinished: [ID_A],
      running: [],
    })
    expect(stateOf(path)).toEqual(before)
  })

  test('in use by another', async () => {
    const ledger = await openTestLedger(makeFolder())
    await ledger.transfers.create(receiverOf(ID_A))
    const lock = await ledger.lock(ID_A, 'receiver')
    expect(inspectLedger(ledger.path)).toMatchObject({
      unfinished: [ID_A],
      running: [{ id: ID_A, role: 'receiver', pid: process.pid }],
    })
    lock.release()
    expect(inspectLedger(ledger.path).running).toEqual([])
    // Its owner can go on.
    await ledger.transfers.create(receiverOf(ID_B))
    expect(inspectLedger(ledger.path).unfinished).toHaveLength(2)
  })

  test('that is not there is not made', () => {
    const folder = makeFolder()
    expect(inspectLedger(join(folder, 'a', 'b', 'ledger.db'))).toMatchObject({
      exists: false,
      folder,
      folderMode: null,
    })
    expect(inspectLedger(join(folder, 'ledger.db'))).toMatchObject({ exists: false, folder, folderMode: 0o700 })
    expect(fs.readdirSync(folder)).toEqual([])
  })

  test('that is empty is no fault: it is filled by the first transfer', async () => {
    const path = join(makeFolder(), 'ledger.db')
    fs.writeFileSync(path, '', { mode: 0o600 })
    expect(inspectLedger(path)).toMatchObject({ exists: true, schemaVersion: 0, unfinished: [] })
    expect(fs.readdirSync(dirname(path))).toEqual(['ledger.db'])
  })
})

describe('a ledger that cannot be used', () => {
  const expectFault = (path: string, code: string, says: RegExp): void => {
    const before = stateOf(path)
    expect(() => inspectLedger(path)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(says), hint: expect.any(String) }),
    )
    expect(stateOf(path)).toEqual(before)
  }

  test('damaged in its head, and in the middle', async () => {
    const head = await closedLedger()
    fs.writeFileSync(head, 'this is no database, but long enough to be taken for one'.repeat(20))
    expectFault(head, 'ledger_corrupt', /damaged/)

    const middle = await closedLedger()
    const bytes = fs.readFileSync(middle)
    bytes.fill(0xee, bytes.length - 8192)
    fs.writeFileSync(middle, bytes)
    expectFault(middle, 'ledger_corrupt', /damaged/)
  })

  test('newer, and of another program', async () => {
    const newer = await closedLedger()
    const db = new DatabaseSync(newer)
    db.exec('PRAGMA user_version = 99')
    db.close()
    expectFault(newer, 'ledger_newer', /version 99/)

    const other = join(makeFolder(), 'ledger.db')
    const foreign = new DatabaseSync(other)
    foreign.exec('CREATE TABLE recipes (name TEXT)')
    foreign.close()
    fs.chmodSync(other, 0o600)
    expectFault(other, 'ledger_unavailable', /another program/)
  })

  test('open to others, in a folder where others may write, or no file', async () => {
    const path = await closedLedger()
    fs.chmodSync(path, 0o644)
    expectFault(path, 'ledger_unavailable', /others may read/)
    fs.chmodSync(path, 0o600)
    fs.chmodSync(dirname(path), 0o777)
    expectFault(path, 'ledger_unavailable', /others may write in the folder/)
    fs.chmodSync(dirname(path), 0o700)
    fs.rmSync(path)
    fs.chmodSync(dirname(path), 0o777)
    expectFault(path, 'ledger_unavailable', /others may write in the folder/)
    fs.chmodSync(dirname(path), 0o700)
    fs.symlinkSync('elsewhere', path)
    expect(() => inspectLedger(path)).toThrow(expect.objectContaining({ code: 'ledger_unavailable' }))
  })

  test('locked by a process that does not let go', async () => {
    const path = await closedLedger()
    const db = new DatabaseSync(path)
    db.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; UPDATE transfers SET told = 0')
    try {
      expect(() => inspectLedger(path)).toThrow(
        expect.objectContaining({ code: 'ledger_unavailable', message: expect.stringMatching(/locked/) }),
      )
    } finally {
      db.close()
    }
  })

  test('in a place where nothing can be written', async (context) => {
    if (process.getuid?.() === 0)
      return context.skip('root may write everywhere; test/cli/doctor.test.ts has a disk that may not')
    const path = await closedLedger()
    fs.chmodSync(path, 0o400)
    expectFault(path, 'ledger_unavailable', /cannot be written/)
    fs.rmSync(path)
    fs.chmodSync(dirname(path), 0o500)
    expectFault(path, 'ledger_unavailable', /cannot be made/)
    fs.chmodSync(dirname(path), 0o700)
  })
})
