/** What a server allows: rates, sizes, quotas, transfers at a time; and what it writes down. */

import fs from 'node:fs'
import { describe, expect, test } from 'vitest'
import { type SealiftError, sendStream } from '../../../src/index.ts'
import { openLedger } from '../../../src/ledger/ledger.ts'
import { createIdentity } from '../../../src/library/create-identity.ts'
import { verifyAudit } from '../../../src/server/audit-verification.ts'
import { ended, ServerPlace } from '../../rigs/server-place.ts'

const KB = 1000

async function serve(settings: Record<string, string>): Promise<ServerPlace> {
  const place = new ServerPlace(settings)
  await place.start()
  return place
}

test('a sender is held to its rate, and told which', async () => {
  const place = await serve({ ST_RATE_LIMIT_BYTES_PER_SEC: '1MB' })
  const file = place.plant('ana', 'a.bin', Buffer.alloc(800 * KB, 'x'))
  const transfer = place.push('ana', file)
  const limits = new Set<number | null>()
  for await (const event of transfer) if (event.event === 'progress') limits.add(transfer.receiverLimit)
  const { seconds } = await transfer.done
  expect([...limits]).toEqual([1000 * KB])
  // What comes at once is at most 50 ms of it.
  expect(seconds).toBeGreaterThan(0.7)
})

test('a transfer larger than any may be is refused, and leaves nothing behind', async () => {
  const place = await serve({ ST_MAX_TRANSFER_SIZE: '1MB' })
  const file = place.plant('ana', 'a.bin', Buffer.alloc(1001 * KB))
  const { error } = await place.pushed('ana', file)
  expect(error).toMatchObject({ code: 'limit_exceeded', exitCode: 7, retryable: false })
  expect(error?.message).toContain('1,000,000 bytes')
  expect(place.list()).toEqual([])
})

test('a lower payload holds for every chunk, and nothing is lost by it', async () => {
  const place = await serve({ ST_MAX_PAYLOAD_SIZE: '128KiB' })
  const bytes = Buffer.alloc(900 * KB, 'abc')
  expect((await place.pushed('ana', place.plant('ana', 'a.bin', bytes))).error).toBeNull()
  expect(place.read('a.bin')).toBe(bytes.toString())
  expect((await place.pushed('ana', place.plant('ana', 'b.bin', bytes), { compress: 'zstd' })).error).toBeNull()
  expect(place.read('b.bin')).toBe(bytes.toString())
})

describe('a quota', () => {
  test('of a sender says how much there is room for, and lets the transfer go on once there is more', async () => {
    const place = await serve({ ST_QUOTA_PER_SENDER: '1MB' })
    expect((await place.pushed('ana', place.plant('ana', 'a.bin', Buffer.alloc(300 * KB)))).error).toBeNull()
    const large = place.plant('ana', 'b.bin', Buffer.alloc(900 * KB, 'b'))
    const { error } = await place.pushed('ana', large)
    expect(error).toMatchObject({ code: 'disk_full', exitCode: 7 })
    expect(error?.message).toContain('700,000 bytes')
    expect(place.list()).toEqual(['a.bin'])
    // Another sender has a quota of its own.
    expect((await place.pushed('bob', place.plant('bob', 'c.bin', Buffer.alloc(900 * KB)))).error).toBeNull()
    const ledger = await openLedger({ path: place.path('server-ledger', 'l.db') })
    const owner = (await ledger.quotas.list()).find(({ publishedBytes }) => publishedBytes === 300 * KB)?.owner ?? ''
    await ledger.quotas.setLimit(owner, 2000 * KB)
    await ledger.close()
    const again = await place.pushed('ana', large)
    expect(again.error).toBeNull()
    expect(again.result?.transferId).toBe(error?.transferId)
    expect(place.list()).toEqual(['a.bin', 'b.bin', 'c.bin'])
  })

  test('of all together holds for everybody, and for what has no end', async () => {
    const place = await serve({ ST_QUOTA: '1MB' })
    expect((await place.pushed('ana', place.plant('ana', 'a.bin', Buffer.alloc(900 * KB)))).error).toBeNull()
    const { error } = await place.pushed('bob', place.plant('bob', 'b.bin', Buffer.alloc(200 * KB)))
    expect(error).toMatchObject({ code: 'disk_full' })
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) yield await Promise.resolve(new Uint8Array(64 * KB))
    }
    const stream = await ended(sendStream(endless(), place.pushOptions('bob')))
    expect(stream.error).toMatchObject({ code: 'disk_full', exitCode: 7 })
    expect(stream.error?.message).toContain('100,000 bytes')
    // It cannot be read again: nothing of it is kept, and its room is free for others.
    expect(stream.error?.hint).toBe('once there is room, send it anew')
    expect(place.list()).toEqual(['a.bin'])
    expect((await place.pushed('bob', place.plant('bob', 'c.bin', Buffer.alloc(100 * KB)))).error).toBeNull()
  })
})

test('what the line of a key says holds for that key, whatever holds for all', async () => {
  const desk = new ServerPlace()
  const list = desk.path('authorized_keys')
  const ana = await createIdentity({ outputDir: desk.path('ana-keys'), name: 'ana' })
  const bob = await createIdentity({ outputDir: desk.path('bob-keys'), name: 'bob' })
  fs.writeFileSync(list, `${ana.line} max-bytes=300kB\n${bob.line} max-bytes=1MB quota=500kB\n`)
  const place = await serve({ ST_AUTHORIZED_KEYS: list, ST_MAX_TRANSFER_SIZE: '1kB', ST_QUOTA_PER_SENDER: '200kB' })
  const push = async (name: string, sizeBytes: number, identity: string): Promise<SealiftError | null> =>
    (await place.pushed('sender', place.plant('sender', name, Buffer.alloc(sizeBytes)), { identity })).error
  expect(await push('a.bin', 301 * KB, ana.privateKey)).toMatchObject({ code: 'limit_exceeded', exitCode: 7 })
  // Her line says nothing of a quota, so that of all holds.
  const over = await push('b.bin', 300 * KB, ana.privateKey)
  expect(over).toMatchObject({ code: 'disk_full', exitCode: 7 })
  expect(over?.message).toContain('200,000 bytes')
  expect(await push('c.bin', 400 * KB, bob.privateKey)).toBeNull()
  const last = await push('d.bin', 101 * KB, bob.privateKey)
  expect(last).toMatchObject({ code: 'disk_full', exitCode: 7 })
  expect(last?.message).toContain('100,000 bytes')
  expect(await push('e.bin', 100 * KB, bob.privateKey)).toBeNull()
  expect(place.list()).toEqual(['c.bin', 'e.bin'])
})

test('one transfer more than an address may have waits until another has ended', async () => {
  const place = await serve({ ST_MAX_CONCURRENT_PER_IP: '1' })
  const first = ended(
    place.push('ana', place.plant('ana', 'a.bin', Buffer.alloc(900 * KB)), { bytesPerSecond: 1000 * KB }),
  )
  await place.heard('progress')
  const second = await place.pushed('bob', place.plant('bob', 'b.bin', 'b'))
  expect(second.events).toContainEqual(expect.objectContaining({ event: 'warning', code: 'server_busy' }))
  expect([second.error, (await first).error]).toEqual([null, null])
})

test('what happens is written down, in a chain that is whole', async () => {
  const place = await serve({})
  expect((await place.pushed('ana', place.plant('ana', 'a.txt', 'one'))).error).toBeNull()
  await place.pushed('bob', place.plant('bob', 'b.txt', 'two'), { token: 'wrong-words-all-four' })
  await place.heard('refused')
  await place.stop()
  const ledger = await openLedger({ path: place.path('server-ledger', 'l.db') })
  const lines = (await ledger.audit.linesAfter(0)).map(({ line }) => JSON.parse(line) as Record<string, unknown>)
  const said = lines.map(({ event, detail }) => [event, (detail as Record<string, unknown>)['status'] ?? null])
  expect(said.filter(([event]) => event !== 'audit')).toEqual([
    ['server', 'started'],
    ['connection', null],
    ['handshake', null],
    ['transfer', 'accepted'],
    ['transfer', 'completed'],
    ['connection', null],
    ['refusal', null],
    ['server', 'stopped'],
  ])
  expect(await verifyAudit(ledger.audit)).toMatchObject({ isWhole: true })
  expect(JSON.stringify(lines)).not.toMatch(/wrong-words/)
  await ledger.close()
})
