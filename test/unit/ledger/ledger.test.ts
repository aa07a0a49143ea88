import { DatabaseSync } from 'node:sqlite'
import { describe, expect, test } from 'vitest'
import type { Ledger } from '../../../src/ledger/ledger.ts'
import { RESUME_KEY_LIFETIME_MS } from '../../../src/ledger/resume-keys.ts'
import { ID_A, ID_B, makeFolder, openTestLedger, receiverOf } from './place.ts'

function countRows(ledger: Ledger, table: string): number {
  const db = new DatabaseSync(ledger.path, { readOnly: true })
  try {
    return Number(db.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.['n'])
  } finally {
    db.close()
  }
}

async function pagesOf(ledger: Ledger, key: number): Promise<Uint8Array[]> {
  const pages: Uint8Array[] = []
  for await (const page of ledger.manifests.read(key)) pages.push(page)
  return pages
}

describe('transfers', () => {
  test('a row comes back as it was given, with what was not given empty', async () => {
    const now = new Date('2026-01-02T03:04:05.678Z')
    const ledger = await openTestLedger(makeFolder(), { now: () => now })
    const key = await ledger.transfers.create({
      id: ID_A,
      role: 'sender',
      transferType: 'upload',
      filename: 'ä\n.txt',
      fileSize: Number.MAX_SAFE_INTEGER,
      fileType: 'text/plain',
      checksum: 'ab'.repeat(32),
      roots: ['/a/b', '/c'],
      options: { z: 1, a: { y: 2, x: [3] } },
      plan: { names: ['x'] },
      peer: 'host',
      userId: 'SHA256:abc',
      host: '100.64.0.1',
      epoch: 3,
      entryCount: 5,
      priority: 2,
    })
    expect(await ledger.transfers.find(ID_A, 'sender')).toEqual({
      key,
      id: ID_A,
      role: 'sender',
      transferType: 'upload',
      status: 'pending',
      userId: 'SHA256:abc',
      filename: 'ä\n.txt',
      fileSize: Number.MAX_SAFE_INTEGER,
      fileType: 'text/plain',
      checksum: 'ab'.repeat(32),
      transportUsed: null,
      chunksTotal: null,
      chunksCompleted: 0,
      priority: 2,
      peer: 'host',
      host: '100.64.0.1',
      roots: ['/a/b', '/c'],
      options: { z: 1, a: { y: 2, x: [3] } },
      outputDir: null,
      plan: { names: ['x'] },
      epoch: 3,
      replaces: null,
      entryCount: 5,
      createdAtMs: now.getTime(),
      updatedAtMs: now.getTime(),
      completedAtMs: null,
      error: null,
      told: false,
      bytesDone: 0,
    })
    expect(await ledger.transfers.find(ID_A, 'receiver')).toBeNull()
    expect(await ledger.transfers.get(key + 1)).toBeNull()
  })

  test('sender and receiver of one transfer share a ledger; one role has it once', async () => {
    const ledger = await openTestLedger(makeFolder())
    await ledger.transfers.create(receiverOf(ID_A))
    await ledger.transfers.create(receiverOf(ID_A, { role: 'sender', transferType: 'upload' }))
    await expect(ledger.transfers.create(receiverOf(ID_A))).rejects.toMatchObject({ code: 'internal' })
  })

  test('update changes what is given only', async () => {
    let nowMs = 1000
    const ledger = await openTestLedger(makeFolder(), { now: () => new Date(nowMs) })
    const key = await ledger.transfers.create(receiverOf(ID_A, { plan: { keep: true }, peer: 'p', checksum: 'c' }))
    nowMs = 2000
    await ledger.transfers.update(key, { status: 'in_progress', peer: null, fileSize: null, outputDir: '/o' })
    expect(await ledger.transfers.get(key)).toMatchObject({
      status: 'in_progress',
      peer: null,
      fileSize: null,
      outputDir: '/o',
      checksum: 'c',
      plan: { keep: true },
      createdAtMs: 1000,
      updatedAtMs: 2000,
    })
  })

  test('lists the unfinished ones of a role, and all of both with the newest first', async () => {
    const ledger = await openTestLedger(makeFolder())
    const a = await ledger.transfers.create(receiverOf(ID_A))
    const b = await ledger.transfers.create(receiverOf(ID_B, { status: 'in_progress' }))
    const c = await ledger.transfers.create(receiverOf(ID_A, { role: 'sender', transferType: 'upload' }))
    expect((await ledger.transfers.listUnfinished('receiver')).map((row) => row.key)).toEqual([b, a])
    await ledger.transfers.finish(a, 'failed', { code: 'disk_full', message: 'no room' })
    expect((await ledger.transfers.list()).map((row) => row.key)).toEqual([c, b])
    const all = await ledger.transfers.list({ all: true })
    expect(all.map((row) => row.key)).toEqual([c, b, a])
    expect(all[2]).toMatchObject({ status: 'failed', error: { code: 'disk_full', message: 'no room' } })
  })

  test('a sender finds its unfinished transfer by roots, options and manifest, in whatever order options are named', async () => {
    const ledger = await openTestLedger(makeFolder())
    const wanted = { roots: ['/a', '/b'], options: { all: true, exclude: ['x'] }, checksum: 'c' }
    const sender = { role: 'sender', transferType: 'upload', ...wanted } as const
    const first = await ledger.transfers.create(receiverOf(ID_A, sender))
    await ledger.transfers.create(receiverOf(ID_B, wanted))
    const find = async (what: typeof wanted): Promise<number[]> =>
      (await ledger.transfers.listResumableSenders(what)).map(({ key }) => key)
    const replaceable = async (): Promise<number[]> =>
      (await ledger.transfers.listReplaceableSenders(wanted.roots)).map(({ key }) => key)
    expect(await find({ ...wanted, options: { exclude: ['x'], all: true } })).toEqual([first])
    expect(await find({ ...wanted, roots: ['/b', '/a'] })).toEqual([])
    expect(await find({ ...wanted, options: { all: false, exclude: ['x'] } })).toEqual([])
    expect(await find({ ...wanted, checksum: 'd' })).toEqual([])
    expect(await replaceable()).toEqual([first])
    const second = await ledger.transfers.create(
      receiverOf('0c0c0c0c-0000-4000-8000-00000000000c', { ...sender, checksum: 'd' }),
    )
    expect(await find(wanted)).toEqual([first])
    expect(await replaceable()).toEqual([second, first])
    await ledger.transfers.finish(first, 'completed')
    expect(await find(wanted)).toEqual([])
    expect(await replaceable()).toEqual([second])
  })

  test('of a completed sender all bytes are done, and of one that failed none', async () => {
    const ledger = await openTestLedger(makeFolder())
    const ends = [
      [ID_A, 'completed', 3000],
      [ID_B, 'failed', 0],
    ] as const
    for (const [id, status, bytesDone] of ends) {
      const key = await ledger.transfers.create({ ...receiverOf(id, { fileSize: 3000 }), role: 'sender' })
      await ledger.transfers.finish(key, status)
      expect(await ledger.transfers.get(key)).toMatchObject({ bytesDone })
    }
  })

  test('the end leaves the row and takes what was only needed to go on, of this transfer alone', async () => {
    const ledger = await openTestLedger(makeFolder())
    for (const id of [ID_A, ID_B]) {
      const key = await ledger.transfers.create(receiverOf(id, { fileSize: 3000 }))
      await ledger.manifests.save(
        key,
        Array.from({ length: 10 }, () => new Uint8Array(5000)),
      )
      const progress = await ledger.openProgress(key, 3)
      for (let at = 0; at < 1500; at++) progress.ranges.add(at * 2, at * 2 + 1)
      progress.states.set(0, 4)
      await progress.checkpoint()
      await ledger.publishIntents.save(key, [{ entry: 0, savedAs: 'x', dev: 1n, ino: 2n, state: 'publishing' }])
    }
    const a = await ledger.transfers.find(ID_A, 'receiver')
    await ledger.transfers.finish(a?.key ?? 0, 'completed')
    expect(await ledger.transfers.find(ID_A, 'receiver')).toMatchObject({
      status: 'completed',
      bytesDone: 1500,
      error: null,
    })
    expect((await ledger.transfers.find(ID_A, 'receiver'))?.completedAtMs).toBeGreaterThan(0)
    const left = ['manifest_pages', 'ranges', 'entries', 'publish_intents'].map((table) => countRows(ledger, table))
    expect(left).toEqual([10, 1500, 1, 1])
    expect(await ledger.manifests.has(a?.key ?? 0)).toBe(false)
  })
})

describe('manifests', () => {
  test('pages come back as they were, also an empty list and a shorter one in place of a longer', async () => {
    const ledger = await openTestLedger(makeFolder())
    const key = await ledger.transfers.create(receiverOf(ID_A))
    expect(await ledger.manifests.has(key)).toBe(false)
    await expect(pagesOf(ledger, key)).rejects.toMatchObject({ code: 'ledger_corrupt' })
    const pages = Array.from({ length: 21 }, (_, at) => new Uint8Array(at === 3 ? 262_144 : 3000 - at).fill(at))
    await ledger.manifests.save(key, pages)
    expect(await pagesOf(ledger, key)).toEqual(pages)
    await ledger.manifests.save(key, pages.slice(20))
    expect(await pagesOf(ledger, key)).toEqual(pages.slice(20))
    await ledger.manifests.save(key, [])
    expect(await pagesOf(ledger, key)).toEqual([])
    expect(await ledger.manifests.has(key)).toBe(true)
  })

  test('one that was cut off while it was written does not count', async () => {
    const ledger = await openTestLedger(makeFolder())
    const key = await ledger.transfers.create(receiverOf(ID_A))
    function* cut(): Generator<Uint8Array> {
      for (let at = 0; at < 9; at++) yield new Uint8Array(10)
      throw new Error('the sender went away')
    }
    await expect(ledger.manifests.save(key, cut())).rejects.toThrow('went away')
    expect(await ledger.manifests.has(key)).toBe(false)
  })
})

describe('resume keys', () => {
  const id = (byte: number): Uint8Array => new Uint8Array(16).fill(byte)
  const receiverKey = (byte: number, fields: object = {}): Parameters<Ledger['resumeKeys']['save']>[0] => ({
    resumeId: id(byte),
    resumeKey: new Uint8Array(32).fill(byte),
    role: 'receiver',
    host: 'h',
    outputDir: '/o',
    ...fields,
  })

  test('both sides of one meeting in one ledger; confirmed, attached, dropped at the end', async () => {
    const ledger = await openTestLedger(makeFolder())
    const key = await ledger.transfers.create(receiverOf(ID_A, { role: 'sender', transferType: 'upload' }))
    await ledger.resumeKeys.save(receiverKey(1))
    await ledger.resumeKeys.save(receiverKey(1, { role: 'sender', confirmed: true }))
    expect(await ledger.resumeKeys.findById(id(1), 'receiver')).toMatchObject({
      confirmed: false,
      transfer: null,
      resumeKey: new Uint8Array(32).fill(1),
    })
    await ledger.resumeKeys.confirm(id(1), 'receiver')
    expect(await ledger.resumeKeys.findById(id(1), 'receiver')).toMatchObject({ confirmed: true })
    await ledger.resumeKeys.attach(id(1), 'sender', key)
    expect(await ledger.resumeKeys.findByTransfer(key)).toMatchObject({ role: 'sender', transfer: key })
    await ledger.transfers.finish(key, 'completed')
    expect(await ledger.resumeKeys.findById(id(1), 'sender')).toBeNull()
    expect(await ledger.resumeKeys.findById(id(1), 'receiver')).not.toBeNull()
    expect(await ledger.resumeKeys.findById(id(2), 'receiver')).toBeNull()
  })

  test('a new meeting for the same transfer drops the old key', async () => {
    const ledger = await openTestLedger(makeFolder())
    const key = await ledger.transfers.create(receiverOf(ID_A))
    for (const byte of [1, 2]) {
      await ledger.resumeKeys.save(receiverKey(byte))
      await ledger.resumeKeys.attach(id(byte), 'receiver', key)
    }
    expect(await ledger.resumeKeys.findById(id(1), 'receiver')).toBeNull()
    expect(await ledger.resumeKeys.findById(id(2), 'receiver')).toMatchObject({ transfer: key })
  })

  test('a completed receiver keeps its key until the sender has been told', async () => {
    const ledger = await openTestLedger(makeFolder())
    const key = await ledger.transfers.create(receiverOf(ID_A))
    await ledger.resumeKeys.save(receiverKey(1, { transfer: key }))
    await ledger.transfers.finish(key, 'completed')
    expect(await ledger.resumeKeys.newestForHost('h', 1, '/o', 8)).toHaveLength(1)
    await ledger.transfers.markTold(key)
    expect(await ledger.resumeKeys.findById(id(1), 'receiver')).toBeNull()
    expect(await ledger.transfers.get(key)).toMatchObject({ told: true })
  })

  test('offers to a host its newest keys into this folder only', async () => {
    let nowMs = 1000
    const ledger = await openTestLedger(makeFolder(), { now: () => new Date(nowMs) })
    for (let byte = 1; byte <= 10; byte++) {
      nowMs += 10
      await ledger.resumeKeys.save(receiverKey(byte))
    }
    await ledger.resumeKeys.save(receiverKey(20, { host: 'other' }))
    await ledger.resumeKeys.save(receiverKey(21, { outputDir: '/elsewhere' }))
    await ledger.resumeKeys.save(receiverKey(22, { role: 'sender' }))
    const failed = await ledger.transfers.create(receiverOf(ID_B))
    await ledger.resumeKeys.attach(id(9), 'receiver', failed)
    await ledger.transfers.finish(failed, 'failed')
    const touched = await ledger.transfers.create(receiverOf(ID_A))
    await ledger.resumeKeys.attach(id(2), 'receiver', touched)
    nowMs += 1000
    await ledger.transfers.update(touched, { epoch: 1 })
    const offered = await ledger.resumeKeys.newestForHost('h', 1, '/o', 8)
    expect(offered.map((key) => key.resumeId[0])).toEqual([2, 10, 8, 7, 6, 5, 4, 3])
  })

  test('old ones go, unless their transfer was worked on since', async () => {
    let nowMs = 1_000_000
    const ledger = await openTestLedger(makeFolder(), { now: () => new Date(nowMs) })
    const key = await ledger.transfers.create(receiverOf(ID_A))
    await ledger.resumeKeys.save(receiverKey(1))
    await ledger.resumeKeys.save(receiverKey(2, { transfer: key }))
    nowMs += RESUME_KEY_LIFETIME_MS
    await ledger.resumeKeys.save(receiverKey(3))
    expect(await ledger.resumeKeys.prune()).toBe(0)
    nowMs += 1
    await ledger.transfers.update(key, { epoch: 1 })
    expect(await ledger.resumeKeys.prune()).toBe(1)
    expect(await ledger.resumeKeys.findById(id(1), 'receiver')).toBeNull()
    expect(await ledger.resumeKeys.findById(id(2), 'receiver')).not.toBeNull()
  })
})

describe('publish intents', () => {
  test('are kept with 64-bit inodes, marked and taken back', async () => {
    const ledger = await openTestLedger(makeFolder())
    const key = await ledger.transfers.create(receiverOf(ID_A))
    const intents = Array.from({ length: 600 }, (_, entry) => ({
      entry,
      savedAs: `tree/${entry}`,
      dev: 2n ** 63n + 5n,
      ino: 2n ** 64n - 1n - BigInt(entry),
      state: 'publishing' as const,
    }))
    await ledger.publishIntents.save(key, intents)
    expect(await ledger.publishIntents.list(key)).toEqual(intents)
    await ledger.publishIntents.markPublished(
      key,
      intents.slice(1).map(({ entry }) => entry),
    )
    await ledger.publishIntents.remove(key, 599)
    const left = await ledger.publishIntents.list(key)
    expect([left.length, left[0]?.state, left[1]?.state, left.at(-1)?.entry]).toEqual([
      599,
      'publishing',
      'published',
      598,
    ])
  })
})
