import fs, {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { Database } from '../../../src/ledger/database.ts'
import { SCHEMA_VERSION } from '../../../src/ledger/schema.ts'
import { startChild } from './children.ts'
import { ID_A, ID_B, makeFolder, openTestLedger, receiverOf } from './place.ts'

const withCode = (code: string): unknown => expect.objectContaining({ code })

function openRaw(path: string): DatabaseSync {
  const db = new DatabaseSync(path)
  onTestFinished(() => {
    if (db.isOpen) db.close()
  })
  return db
}

describe('group commit', () => {
  test('all writes of one turn are one transaction, durable if one of them is', async () => {
    const ledger = await openTestLedger(makeFolder())
    const key = await ledger.transfers.create(receiverOf(ID_A))
    const exec = vi.spyOn(DatabaseSync.prototype, 'exec')
    onTestFinished(() => exec.mockRestore())
    const told = (): string[] => exec.mock.calls.map(([sql]) => sql).splice(0)

    await Promise.all(Array.from({ length: 20 }, (_, at) => ledger.transfers.update(key, { chunksCompleted: at })))
    expect(told()).toEqual(['BEGIN IMMEDIATE', 'COMMIT'])
    exec.mockClear()
    await Promise.all([
      ledger.transfers.update(key, { epoch: 1 }),
      ledger.transfers.update(key, { epoch: 2 }, { durable: true }),
    ])
    expect(told()).toEqual(['PRAGMA synchronous = FULL', 'BEGIN IMMEDIATE', 'COMMIT'])
    exec.mockClear()
    await ledger.transfers.update(key, { epoch: 3 })
    expect(told()).toEqual(['PRAGMA synchronous = NORMAL', 'BEGIN IMMEDIATE', 'COMMIT'])
    expect(await ledger.transfers.get(key)).toMatchObject({ chunksCompleted: 19, epoch: 3 })
  })

  test('long work is cut into several transactions', async () => {
    const path = join(makeFolder(), 'l.db')
    const database = await Database.open(path)
    const exec = vi.spyOn(DatabaseSync.prototype, 'exec')
    onTestFinished(() => exec.mockRestore())
    const order: number[] = []
    await Promise.all(
      Array.from({ length: 6 }, (_, at) =>
        database.write(() => {
          const endsAt = performance.now() + 2
          while (performance.now() < endsAt);
          order.push(at)
        }),
      ),
    )
    expect(order).toEqual([0, 1, 2, 3, 4, 5])
    expect(exec.mock.calls.filter(([sql]) => sql === 'COMMIT').length).toBeGreaterThanOrEqual(3)
    await database.close()
  })

  test('a write that fails takes no other with it', async () => {
    const ledger = await openTestLedger(makeFolder())
    await ledger.transfers.create(receiverOf(ID_A))
    const results = await Promise.allSettled([
      ledger.transfers.create(receiverOf(ID_B)),
      ledger.transfers.create(receiverOf(ID_A)),
      ledger.transfers.create(receiverOf(ID_A, { role: 'sender' })),
    ])
    expect(results.map((result) => result.status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(results[1]).toMatchObject({ reason: { code: 'internal' } })
    expect(await ledger.transfers.list()).toHaveLength(3)
  })

  test('close commits what is queued; later calls fail', async () => {
    const folder = makeFolder()
    const ledger = await openTestLedger(folder)
    const created = ledger.transfers.create(receiverOf(ID_A))
    await ledger.close()
    await created
    await expect(ledger.transfers.create(receiverOf(ID_B))).rejects.toEqual(withCode('ledger_unavailable'))
    await expect(ledger.transfers.list()).rejects.toEqual(withCode('ledger_unavailable'))
    expect(await (await openTestLedger(folder)).transfers.find(ID_A, 'receiver')).not.toBeNull()
  })
})

describe('a ledger that another process has locked', () => {
  test('is waited for while the event loop goes on, and then written', async () => {
    const ledger = await openTestLedger(makeFolder())
    const other = openRaw(ledger.path)
    other.exec('BEGIN IMMEDIATE')
    let settled = false
    const created = ledger.transfers.create(receiverOf(ID_A)).finally(() => (settled = true))
    let turns = 0
    for (const startedAt = performance.now(); performance.now() - startedAt < 60; turns++) {
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(settled).toBe(false)
    expect(turns).toBeGreaterThan(20)
    other.exec('COMMIT')
    expect(await created).toBe(1)
  })

  test('is given up after the deadline, and can be used when it is free again', async () => {
    const ledger = await openTestLedger(makeFolder(), { busyTimeoutMs: 80 })
    const other = openRaw(ledger.path)
    other.exec('BEGIN IMMEDIATE')
    const refused = await Promise.allSettled([ledger.transfers.create(receiverOf(ID_A)), ledger.resumeKeys.prune()])
    expect(refused).toMatchObject([
      { reason: { code: 'ledger_unavailable' } },
      { reason: { code: 'ledger_unavailable' } },
    ])
    other.exec('COMMIT')
    await ledger.transfers.create(receiverOf(ID_A))
    expect(await ledger.transfers.list()).toHaveLength(1)
  })

  test('cannot be opened while it is locked whole', async () => {
    const folder = makeFolder()
    const ledger = await openTestLedger(folder)
    await ledger.close()
    const other = openRaw(ledger.path)
    other.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT')
    await expect(openTestLedger(folder, { busyTimeoutMs: 50 })).rejects.toEqual(withCode('ledger_unavailable'))
  })

  test('two processes write at once and nothing is lost', async () => {
    const folder = makeFolder()
    const ledger = await openTestLedger(folder)
    const source = `
      import { openLedger } from 'LEDGER_FOLDER/ledger.ts'
      const [path, mark] = process.argv.slice(1)
      const ledger = await openLedger({ path })
      console.log('ready')
      await new Promise((resolve) => process.stdin.once('data', resolve))
      for (let at = 0; at < 150; at++) {
        const id = mark.repeat(8) + '-0000-4000-8000-' + String(at).padStart(12, '0')
        await ledger.transfers.create({ id, role: 'receiver', transferType: 'download', filename: mark }, { durable: at % 10 === 0 })
      }
      await ledger.close()
      process.exit(0)`
    const children = ['c', 'd'].map((mark) => startChild(source, [ledger.path, mark]))
    for (const child of children) expect(await child.nextLine()).toBe('ready')
    for (const child of children) child.process.stdin.write('go\n')
    for (let at = 0; at < 50; at++) {
      await ledger.transfers.create(receiverOf(`eeeeeeee-0000-4000-8000-${String(at).padStart(12, '0')}`))
    }
    expect(await Promise.all(children.map((child) => child.ended))).toEqual([0, 0])
    const rows = await ledger.transfers.list()
    for (const mark of ['c', 'd']) expect(rows.filter((row) => row.filename === mark)).toHaveLength(150)
    expect(rows).toHaveLength(350)
  })

  test('many processes make a new ledger at once', async () => {
    const path = join(makeFolder(), 'data', 'ledger.db')
    const databases = await Promise.all(Array.from({ length: 4 }, () => Database.open(path)))
    const source = `
      import { openLedger } from 'LEDGER_FOLDER/ledger.ts'
      await (await openLedger({ path: process.argv[1] })).close()`
    const other = join(dirname(path), 'other.db')
    expect(await Promise.all(Array.from({ length: 3 }, () => startChild(source, [other]).ended))).toEqual([0, 0, 0])
    for (const database of databases) await database.close()
  })
})

describe('file modes', () => {
  test('folder 0700, file and its companions 0600', async () => {
    const before = process.umask(0)
    onTestFinished(() => void process.umask(before))
    const ledger = await openTestLedger(makeFolder())
    await ledger.transfers.create(receiverOf(ID_A))
    expect(statSync(dirname(ledger.path)).mode & 0o777).toBe(0o700)
    for (const end of ['', '-wal', '-shm']) expect(statSync(ledger.path + end).mode & 0o777).toBe(0o600)
  })

  test.each([
    ['readable by others', (path: string) => chmodSync(path, 0o640)],
    ['writable by others', (path: string) => chmodSync(path, 0o602)],
    ['with a companion open to others', (path: string) => writeFileSync(`${path}-wal`, '', { mode: 0o644 })],
    ['with a second name', (path: string) => linkSync(path, `${path}.second`)],
    ['in a folder that others may write', (path: string) => chmodSync(dirname(path), 0o777)],
    [
      'a symlink',
      (path: string) => {
        renameSync(path, `${path}.real`)
        symlinkSync(`${path}.real`, path)
      },
    ],
    [
      'a folder',
      (path: string) => {
        rmSync(path)
        mkdirSync(path)
      },
    ],
  ])('%s: refused', async (_what, change) => {
    const folder = makeFolder()
    const ledger = await openTestLedger(folder)
    await ledger.close()
    change(ledger.path)
    await expect(openTestLedger(folder)).rejects.toEqual(withCode('ledger_unavailable'))
  })

  test("another user's: refused", async (context) => {
    if (process.getuid?.() !== 0) return context.skip('only root can make a file of another user')
    const folder = makeFolder()
    chmodSync(folder, 0o755)
    const ledger = await openTestLedger(folder)
    await ledger.close()
    chownSync(ledger.path, 65534, 65534)
    await expect(openTestLedger(folder)).rejects.toEqual(withCode('ledger_unavailable'))
  })
})

describe('what cannot be used', () => {
  test('a folder where none can be made: said at once', async () => {
    const folder = makeFolder()
    const mkdirSync = vi.spyOn(fs, 'mkdirSync').mockImplementation(() => {
      throw Object.assign(new Error('ENOENT'), { code: 'ENOENT' })
    })
    onTestFinished(() => mkdirSync.mockRestore())
    await expect(Database.open(join(folder, 'no such', 'folder', 'l.db'))).rejects.toEqual(
      withCode('ledger_unavailable'),
    )
    expect(mkdirSync).toHaveBeenCalledTimes(1)
  })

  test('a newer ledger: said, and left as it is', async () => {
    const folder = makeFolder()
    const ledger = await openTestLedger(folder)
    await ledger.close()
    const raw = openRaw(ledger.path)
    raw.exec(`PRAGMA user_version = ${SCHEMA_VERSION + 1}`)
    raw.close()
    const before = readFileSync(ledger.path)
    await expect(openTestLedger(folder)).rejects.toMatchObject({
      code: 'ledger_newer',
      exitCode: 2,
      hint: expect.any(String),
    })
    expect(readFileSync(ledger.path).equals(before)).toBe(true)
  })

  test('the database of another program: left as it is', async () => {
    const folder = makeFolder()
    const path = join(folder, 'l.db')
    writeFileSync(path, '', { mode: 0o600 })
    const raw = openRaw(path)
    raw.exec('CREATE TABLE theirs (x)')
    raw.close()
    const before = readFileSync(path)
    await expect(Database.open(path)).rejects.toMatchObject({
      code: 'ledger_unavailable',
      message: expect.stringContaining('another program'),
    })
    expect(readFileSync(path).equals(before)).toBe(true)
  })

  test('no database at all, and a damaged one: said with what to do, never deleted', async () => {
    const folder = makeFolder()
    const path = join(folder, 'l.db')
    writeFileSync(path, 'this is a text\n'.repeat(1000), { mode: 0o600 })
    await expect(Database.open(path)).rejects.toMatchObject({
      code: 'ledger_corrupt',
      hint: expect.stringContaining(`mv '${path}'`),
    })
    expect(readFileSync(path, 'latin1')).toContain('this is a text')
  })

  test('a damaged page: found when it is read', async () => {
    const folder = makeFolder()
    const ledger = await openTestLedger(folder)
    await Promise.all(
      Array.from({ length: 200 }, (_, at) =>
        ledger.transfers.create(
          receiverOf(`aaaaaaaa-0000-4000-8000-${String(at).padStart(12, '0')}`, { filename: 'x'.repeat(200) }),
        ),
      ),
    )
    await ledger.close()
    const bytes = readFileSync(ledger.path)
    // The pages of the schema stand in front: without them it could not even be opened.
    bytes.fill(0xee, bytes.length - 8 * 4096)
    writeFileSync(ledger.path, bytes)
    const damaged = await openTestLedger(folder)
    await expect(damaged.transfers.list()).rejects.toEqual(withCode('ledger_corrupt'))
    await expect(damaged.transfers.create(receiverOf(ID_A))).rejects.toEqual(withCode('ledger_corrupt'))
    expect(existsSync(ledger.path)).toBe(true)
  })

  test('a cut file', async () => {
    const folder = makeFolder()
    const ledger = await openTestLedger(folder)
    await ledger.close()
    truncateSync(ledger.path, 5000)
    const opened = openTestLedger(folder).then((cut) => cut.transfers.list())
    await expect(opened).rejects.toEqual(withCode('ledger_corrupt'))
  })

  test('removed while in use: said at the next write', async () => {
    const ledger = await openTestLedger(makeFolder())
    renameSync(ledger.path, `${ledger.path}.away`)
    await expect(ledger.transfers.create(receiverOf(ID_A))).rejects.toEqual(withCode('ledger_unavailable'))
    renameSync(`${ledger.path}.away`, ledger.path)
    expect(await ledger.transfers.create(receiverOf(ID_A))).toBe(1)
  })

  test('a folder that is a file', async () => {
    const folder = makeFolder()
    writeFileSync(join(folder, 'file'), '')
    await expect(Database.open(join(folder, 'file', 'l.db'))).rejects.toEqual(withCode('ledger_unavailable'))
  })

  test('a folder or a file that may only be read', async (context) => {
    const folder = makeFolder()
    const source = `
      import { chmodSync, mkdirSync } from 'node:fs'
      import { openLedger } from 'LEDGER_FOLDER/ledger.ts'
      const folder = process.argv[1] + '/own'
      const attempt = async (path) => openLedger({ path }).then((ledger) => ledger.resumeKeys.prune()).then(() => 'written', (error) => error.code)
      mkdirSync(folder, { mode: 0o500 })
      console.log(await attempt(folder + '/l.db'))
      chmodSync(folder, 0o700)
      await (await openLedger({ path: folder + '/l.db' })).close()
      chmodSync(folder + '/l.db', 0o400)
      console.log(await attempt(folder + '/l.db'))
      chmodSync(folder + '/l.db', 0o600)
      chmodSync(folder, 0o500)
      console.log(await attempt(folder + '/l.db'))
      process.exit(0)`
    // Root may write everywhere, so that a user without rights stands in.
    const isRoot = process.getuid?.() === 0
    if (isRoot) chmodSync(folder, 0o777)
    const child = startChild(source, [folder], isRoot ? 65534 : undefined)
    const first = await child.nextLine()
    if (first === null && isRoot) return context.skip('the user "nobody" cannot read the project here')
    expect([first, await child.nextLine(), await child.nextLine()]).toEqual(Array(3).fill('ledger_unavailable'))
  })
})
