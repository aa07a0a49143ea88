/** Senders that push to a server in this process, over loopback. */

import fs from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, test } from 'vitest'
import { sendStream } from '../../../src/index.ts'
import { createIdentity } from '../../../src/library/create-identity.ts'
import { ended, type PushEnd, ServerPlace } from '../../rigs/server-place.ts'

async function withToken(settings: Record<string, string> = {}): Promise<ServerPlace> {
  const place = new ServerPlace(settings)
  await place.start()
  return place
}

/** A key of Ana's, and a list of authorised keys that has it. */
async function withKey(): Promise<{ ana: string; list: string }> {
  const place = new ServerPlace()
  const { privateKey, line } = await createIdentity({ outputDir: place.path('keys'), name: 'ana' })
  const list = place.path('authorized_keys')
  fs.writeFileSync(list, `${line}\n`)
  return { ana: privateKey, list }
}

describe('a server with a token', () => {
  test('takes a tree, and says so on both sides', async () => {
    const place = await withToken()
    place.plant('ana', 'tree/a.txt', 'one')
    place.plant('ana', 'tree/b/c.txt', 'two')
    const { result, events } = await place.pushed('ana', place.path('ana', 'tree'))
    expect(result).toMatchObject({ role: 'sender', files: 2, bytes: 6 })
    expect(events.map(({ event }) => event)).toEqual(expect.arrayContaining(['connected', 'progress', 'done']))
    expect([place.read('tree', 'a.txt'), place.read('tree', 'b', 'c.txt')]).toEqual(['one', 'two'])
    expect(await place.heard('done')).toMatchObject({ files: 2, bytes: 6 })
    expect(place.list()).toEqual(['tree'])
  })

  test.each([
    ['a wrong one', { token: 'wrong-words-all-four' }],
    ['none', { token: undefined }],
  ])('lets nobody in who has %s', async (_, given) => {
    const place = await withToken()
    const file = place.plant('ana', 'a.txt', 'one')
    const { error } = await place.pushed('ana', file, given)
    expect(error).toMatchObject({ code: 'auth_failed', exitCode: 4 })
    expect(place.list()).toEqual([])
    expect(await place.heard('refused')).toMatchObject({ peer: '127.0.0.1' })
  })

  test('asks once for the token that it wants, and is told it then', async () => {
    const place = await withToken()
    const file = place.plant('ana', 'a.txt', 'one')
    const asked: string[] = []
    const askSecret = (what: string): Promise<string> => {
      asked.push(what)
      return Promise.resolve(place.server.token?.toUpperCase().replaceAll('-', ' ') ?? '')
    }
    const { error } = await place.pushed('ana', file, { token: undefined, askSecret })
    expect([error, asked]).toEqual([null, ['token']])
  })

  test('is known at the second meeting, and its key must be the same then', async () => {
    const place = await withToken()
    const file = place.plant('ana', 'a.txt', 'one')
    const first = await place.pushed('ana', file)
    expect(first.events).toContainEqual(expect.objectContaining({ event: 'warning', code: 'server_new' }))
    const second = await place.pushed('ana', place.plant('ana', 'b.txt', 'two'))
    expect(second.error).toBeNull()
    expect(second.events.filter(({ event }) => event === 'warning')).toEqual([])
    await place.stop()
    fs.unlinkSync(place.path('server.key'))
    await place.start()
    const third = await place.pushed('ana', place.plant('ana', 'c.txt', 'three'))
    expect(third.error).toMatchObject({ code: 'key_changed', exitCode: 4 })
    expect(place.list()).toEqual(['a.txt', 'b.txt'])
  })

  test('is believed under the key that was named, and no other', async () => {
    const place = await withToken()
    const file = place.plant('ana', 'a.txt', 'one')
    const wrong = await place.pushed('ana', file, { serverKey: `SHA256:${'A'.repeat(43)}` })
    expect(wrong.error).toMatchObject({ code: 'key_changed' })
    expect((await place.pushed('ana', file, { serverKey: place.server.fingerprint })).error).toBeNull()
  })
})

describe('a server with a list of keys', () => {
  test('lets in who is on it and nobody else, and without a restart', async () => {
    const { ana, list } = await withKey()
    const keyed = new ServerPlace({ ST_AUTHORIZED_KEYS: list, ST_LAYOUT: 'by-sender' })
    await keyed.start()
    expect(keyed.server.token).toBeNull()
    const file = keyed.plant('ana', 'a.txt', 'one')
    expect((await keyed.pushed('ana', file, { identity: ana })).error).toBeNull()
    expect(keyed.read('ana', 'a.txt')).toBe('one')
    const stranger = await keyed.pushed('bob', keyed.plant('bob', 'b.txt', 'two'))
    expect(stranger.error).toMatchObject({ code: 'peer_refused', exitCode: 4 })
    fs.writeFileSync(list, '')
    const later = await keyed.pushed('ana', keyed.plant('ana', 'c.txt', 'three'), { identity: ana })
    expect(later.error).toMatchObject({ code: 'peer_refused' })
    expect(keyed.list('ana')).toEqual(['a.txt'])
  })
})

describe('other ways in', () => {
  test('a password, known to both and told inside the channel', async () => {
    const place = new ServerPlace({}, { password: 'correct horse battery' })
    await place.start()
    expect(place.server).toMatchObject({ token: null, others: 'password' })
    const file = place.plant('ana', 'a.txt', 'one')
    const wrong = await place.pushed('ana', file, { password: 'correct horse batter' })
    expect(wrong.error).toMatchObject({ code: 'auth_failed', exitCode: 4 })
    expect((await place.pushed('ana', file, { password: 'correct horse battery' })).error).toBeNull()
    expect(place.list()).toEqual(['a.txt'])
  })

  test('none at all, where the server is open; but a secret that is not asked for is not believed', async () => {
    const place = new ServerPlace({ ST_OPEN: 'yes' })
    await place.start()
    const file = place.plant('ana', 'a.txt', 'one')
    expect((await place.pushed('ana', file, { token: 'four-words-of-another' })).error).toMatchObject({
      code: 'auth_failed',
    })
    expect((await place.pushed('ana', file)).error).toBeNull()
  })
})

describe('where things go', () => {
  test('by date, below the folder of a key, at the rate of that key', async () => {
    const { ana: identity, list } = await withKey()
    fs.appendFileSync(list, '')
    fs.writeFileSync(list, fs.readFileSync(list, 'utf8').replace('\n', ' folder=team/ana rate=2MB\n'))
    const place = new ServerPlace({ ST_AUTHORIZED_KEYS: list, ST_LAYOUT: 'by-date' })
    await place.start()
    const transfer = place.push('ana', place.plant('ana', 'a.bin', Buffer.alloc(400_000)), { identity })
    let limit: number | null = null
    for await (const event of transfer) if (event.event === 'progress') limit = transfer.receiverLimit
    await transfer.done
    expect(limit).toBe(2_000_000)
    const [day = ''] = place.list('team', 'ana')
    expect(day).toMatch(/^\d{4}-\d\d-\d\d$/)
    expect(place.list('team', 'ana', day)).toEqual(['a.bin'])
  })

  test('a stream becomes one file, also over a connection that drops', async () => {
    const place = await withToken()
    const cut = async (): Promise<void> => {
      await place.heard('progress', ({ bytesDone }) => bytesDone > 0)
      await place.stop()
      await place.start({ token: 'four-words-as-before' })
    }
    async function* source(): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < 20; at++) {
        if (at === 10) await cut()
        yield Buffer.alloc(50_000, String(at % 10))
      }
    }
    const { error } = await ended(sendStream(source(), { ...place.pushOptions('ana'), fileName: 'all.txt' }))
    expect(error).toBeNull()
    expect(place.read('all.txt')).toHaveLength(1_000_000)
    expect(place.list()).toEqual(['all.txt'])
  })
})

describe('what is there', () => {
  test('is known to be the own of whoever sends it again, with a token too', async () => {
    const place = await withToken()
    const file = place.plant('ana', 'tree/a.txt', 'one')
    expect((await place.pushed('ana', place.path('ana', 'tree'))).error).toBeNull()
    const again = await place.pushed('ana', place.path('ana', 'tree'))
    expect(again.events).toContainEqual(expect.objectContaining({ event: 'file', status: 'skipped' }))
    fs.writeFileSync(file, 'another')
    expect((await place.pushed('ana', place.path('ana', 'tree'))).error).toBeNull()
    expect([place.list(), place.read('tree (1)', 'a.txt')]).toEqual([['tree', 'tree (1)'], 'another'])
  })

  test('is replaced with leave of the server, where it is the own', async () => {
    const place = await withToken({ ST_ALLOW_OVERWRITE: 'yes' })
    const file = place.plant('ana', 'tree/a.txt', 'one')
    place.plant('bob', 'tree/a.txt', 'of Bob')
    expect((await place.pushed('ana', place.path('ana', 'tree'))).error).toBeNull()
    fs.writeFileSync(file, 'another')
    const conflict = 'overwrite' as const
    expect((await place.pushed('ana', place.path('ana', 'tree'), { conflict })).error).toBeNull()
    expect([place.list(), place.read('tree', 'a.txt')]).toEqual([['tree'], 'another'])
    const bob = await place.pushed('bob', place.path('bob', 'tree'), { conflict })
    expect(bob.error).toMatchObject({ code: 'partial', exitCode: 8 })
    expect(place.read('tree', 'a.txt')).toBe('another')
  })

  test('of the same sender counts as unchanged; of another it is kept beside, and nothing is told of it', async () => {
    const { ana: identity, list } = await withKey()
    const place = new ServerPlace({ ST_AUTHORIZED_KEYS: list }, { token: 'four-words-for-others' })
    await place.start()
    const time = new Date(1_700_000_000_000)
    for (const sender of ['ana', 'bob']) fs.utimesSync(place.plant(sender, 'tree/a.txt', 'same'), time, time)
    const ana = { identity, token: undefined }
    expect((await place.pushed('ana', place.path('ana', 'tree'), ana)).error).toBeNull()
    expect((await place.pushed('ana', place.path('ana', 'tree'), ana)).result).toMatchObject({ files: 1 })
    expect(place.list()).toEqual(['tree'])
    const bob = await place.pushed('bob', place.path('bob', 'tree'))
    expect(bob.events).toContainEqual(expect.objectContaining({ event: 'file', status: 'ok' }))
    expect(place.list()).toEqual(['tree', 'tree (1)'])
  })

  test.each(['overwrite', 'update'] as const)(
    'is not replaced by --conflict %s, unless the server allows it',
    async (conflict) => {
      const place = await withToken()
      const file = place.plant('ana', 'a.txt', 'one')
      const { error } = await place.pushed('ana', file, { conflict })
      expect(error).toMatchObject({ code: 'policy_refused', exitCode: 3 })
      expect(place.list()).toEqual([])
    },
  )
})

test('many senders at once each get their own', async () => {
  const place = await withToken({ ST_MAX_CONCURRENT_PER_IP: '100' })
  const senders = Array.from({ length: 12 }, (_, index) => `sender-${String(index)}`)
  const ends = await Promise.all(
    senders.map((sender) => place.pushed(sender, place.plant(sender, `${sender}.txt`, sender.repeat(10_000)))),
  )
  expect(ends.map(({ error }) => error)).toEqual(senders.map(() => null))
  for (const sender of senders) expect(place.read(`${sender}.txt`)).toBe(sender.repeat(10_000))
  expect(place.list()).toEqual(senders.map((sender) => `${sender}.txt`).sort())
})

describe('coming back', () => {
  /** A push that is held up in the middle by its rate, to be cut there. */
  const SLOW = { bytesPerSecond: 4 << 20 }
  const BYTES = 3 << 20
  /** Several chunks of the size that the test below allows. */
  const SMALL_BYTES = 512 << 10

  test('a sender that was stopped goes on with what is missing, without the token', async () => {
    const place = await withToken()
    const file = place.plant('ana', 'big.bin', Buffer.alloc(BYTES, 'x'))
    const stop = new AbortController()
    const first = place.push('ana', file, { ...SLOW, signal: stop.signal })
    for await (const event of first) if (event.event === 'progress' && event.bytesDone > BYTES / 3) stop.abort()
    await expect(first.done).rejects.toMatchObject({ code: 'interrupted' })
    const { result, events } = await place.pushed('ana', file, { token: undefined })
    expect(result?.resumedBytes).toBeGreaterThan(BYTES / 4)
    expect(events).toContainEqual(expect.objectContaining({ event: 'connected', suite: 'resume+mlkem768' }))
    expect(fs.readFileSync(`${place.out}/big.bin`).equals(Buffer.alloc(BYTES, 'x'))).toBe(true)
    expect(place.list()).toEqual(['big.bin'])
  })

  test('a server that is started again goes on with all it had', async () => {
    const place = await withToken()
    const file = place.plant('ana', 'big.bin', Buffer.alloc(BYTES, 'x'))
    const transfer = place.push('ana', file, SLOW)
    let restarted: Promise<unknown> | null = null
    const events = []
    for await (const event of transfer) {
      events.push(event)
      if (event.event === 'progress' && event.bytesDone > BYTES / 3 && restarted === null)
        restarted = place.stop().then(() => place.start())
    }
    await restarted
    expect(await transfer.done).toMatchObject({ bytes: BYTES, resumedBytes: 0 })
    const suites = events.filter((event) => event.event === 'connected').map(({ suite }) => suite)
    expect(suites).toEqual(['noise-xx+mlkem768', 'resume+mlkem768'])
    expect(fs.readFileSync(`${place.out}/big.bin`).equals(Buffer.alloc(BYTES, 'x'))).toBe(true)
  })

  test('a server that is started again has all of many transfers that were cut', async () => {
    const count = 30
    const place = await withToken({
      ST_MAX_CONCURRENT_PER_IP: String(count),
      ST_LAYOUT: 'by-sender',
      ST_MAX_PAYLOAD_SIZE: '128KiB',
    })
    const senders = Array.from({ length: count }, (_, i) => {
      const content = Buffer.alloc(SMALL_BYTES, `sender ${i} `)
      return { name: `sender-${i}`, content, file: place.plant(`sender-${i}`, `${i}.bin`, content) }
    })
    const begun = new Set<string>()
    const cut = senders.map(async ({ name, file }) => {
      const transfer = place.push(name, file, { bytesPerSecond: SMALL_BYTES / 2 })
      for await (const event of transfer) {
        if (event.event !== 'progress' || event.bytesDone === 0) continue
        expect(event.bytesDone).toBeLessThan(SMALL_BYTES)
        begun.add(event.transferId)
        transfer.cancel()
      }
      await expect(transfer.done).rejects.toMatchObject({ code: 'interrupted' })
    })
    await Promise.all(cut)
    await place.stop()
    await place.start()
    const again = await Promise.all(senders.map(({ name, file }) => place.pushed(name, file)))
    expect(again.filter(({ error, result }) => error !== null || result?.resumedBytes === 0)).toEqual([])
    expect(new Set(again.map(({ result }) => result?.transferId))).toEqual(begun)
    const arrived = place.list().flatMap((folder) => place.list(folder).map((name) => `${folder}/${name}`))
    expect(arrived).toHaveLength(count)
    for (const path of arrived) {
      const sender = senders.find(({ file }) => file.endsWith(`/${path.split('/')[1] ?? ''}`))
      expect(place.read(path)).toBe(sender?.content.toString())
    }
  })
})

test('a sender that lost its resume key goes on by its own', async () => {
  const place = await withToken()
  const file = place.plant('ana', 'big.bin', Buffer.alloc(3 << 20, 'x'))
  const first = place.push('ana', file, { bytesPerSecond: 4 << 20 })
  for await (const event of first) if (event.event === 'progress' && event.bytesDone > 1 << 20) first.cancel()
  await first.done.catch(() => undefined)
  const ledger = new DatabaseSync(place.path('ana', 'ledger', 'l.db'))
  ledger.exec('DELETE FROM resume_keys')
  ledger.close()
  const again = await place.pushed('ana', file)
  expect(again.events).toContainEqual(expect.objectContaining({ event: 'connected', suite: 'noise-xx+mlkem768' }))
  expect(again.result?.resumedBytes).toBeGreaterThan(0)
  expect(place.list()).toEqual(['big.bin'])
})

describe('a transfer of another sender', () => {
  /** A push of Ana's that stopped in the middle, and Bob with a copy of her ledger, but for her keys. */
  async function stolen(): Promise<{ place: ServerPlace; file: string }> {
    const place = await withToken()
    const file = place.plant('ana', 'big.bin', Buffer.alloc(3 << 20, 'x'))
    const first = place.push('ana', file, { bytesPerSecond: 4 << 20 })
    for await (const event of first) if (event.event === 'progress' && event.bytesDone > 1 << 20) first.cancel()
    await first.done.catch(() => undefined)
    fs.cpSync(place.path('ana', 'ledger'), place.path('bob', 'ledger'), { recursive: true })
    const ledger = new DatabaseSync(place.path('bob', 'ledger', 'l.db'))
    ledger.exec('DELETE FROM resume_keys')
    ledger.close()
    return { place, file }
  }

  test('cannot be taken up, and stays as it is', async () => {
    const { place, file } = await stolen()
    const bob = await place.pushed('bob', file)
    expect(bob.error).toMatchObject({ code: 'policy_refused', exitCode: 3 })
    const ana = await place.pushed('ana', file)
    expect(ana.result?.resumedBytes).toBeGreaterThan(0)
    expect(place.list()).toEqual(['big.bin'])
  })

  test('is not replaced while it runs', async () => {
    const { place, file } = await stolen()
    const ana = place.push('ana', file, { bytesPerSecond: 2 << 20 })
    let bob: Promise<PushEnd> | null = null
    for await (const event of ana) if (event.event === 'progress') bob ??= place.pushed('bob', file)
    expect((await bob)?.error).toMatchObject({ code: 'policy_refused' })
    expect(await ana.done).toMatchObject({ files: 1 })
  })
})
