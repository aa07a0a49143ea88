/** What goes wrong around a server while it runs: its folder, its ledger, its log. It lives on, and says so. */

import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished, test } from 'vitest'
import { openLedger } from '../../src/ledger/ledger.ts'
import { RawPeer } from '../rigs/loopback-pair.ts'
import { ended, ServerPlace } from '../rigs/server-place.ts'
import { mountSmall } from '../rigs/small-disk.ts'
import { openServer } from './server-place.ts'

const BYTES = 3 << 20
/** Held up in the middle, so that something can happen there. */
const SLOW = { bytesPerSecond: 4 << 20 }

test('an output folder that is removed in the middle ends the transfer, and nothing else', async () => {
  const place = await openServer()
  const file = place.plant('ana', 'big.bin', Buffer.alloc(BYTES, 'x'))
  const transfer = place.push('ana', file, SLOW)
  const end = ended(transfer)
  await place.heard('progress', ({ bytesDone }) => bytesDone > 0)
  fs.rmSync(place.out, { recursive: true })
  const { error } = await end
  expect(error).toMatchObject({ code: 'target_gone', exitCode: 7 })
  // Whoever comes next has it made again.
  await expectPushed(place, 'bob')
  const again = await place.pushed('ana', file)
  expect(again.error).toBeNull()
  expect(fs.readFileSync(`${place.out}/big.bin`).equals(Buffer.alloc(BYTES, 'x'))).toBe(true)
})

test('a ledger that another process keeps locked is waited for, and the server answers meanwhile', async () => {
  const place = await openServer()
  const other = new DatabaseSync(place.path('server-ledger', 'l.db'))
  other.exec('BEGIN IMMEDIATE')
  const blocked = place.pushed('ana', place.plant('ana', 'a.txt', 'one'))
  const peer = await RawPeer.dialServer(place.server.port)
  expect(place.events).toEqual([])
  other.close()
  // Both are let in now.
  await peer.until('hello')
  expect((await blocked).error).toBeNull()
  expect(place.list()).toEqual(['a.txt'])
})

test('a ledger that is locked for longer than is waited turns senders away for a while, and does not end the server', async () => {
  const place = await openServer({}, { busyTimeoutMs: 60 })
  let hasEnded = false
  place.server.end.catch(() => undefined).finally(() => (hasEnded = true))
  const other = new DatabaseSync(place.path('server-ledger', 'l.db'))
  other.exec('BEGIN IMMEDIATE')
  const blocked = place.push('ana', place.plant('ana', 'a.txt', 'one'))
  const end = ended(blocked)
  await place.heard('warning', ({ code }) => code === 'ledger_unavailable')
  other.close()
  const { error, events } = await end
  expect(error).toBeNull()
  expect(events).toContainEqual(expect.objectContaining({ event: 'warning', code: 'server_busy' }))
  expect([place.list(), hasEnded]).toEqual([['a.txt'], false])
})

test.each([
  ['ledger', (place: ServerPlace) => ({ DB_PATH: place.path('server-ledger', 'l.db') })],
  ['log', (place: ServerPlace) => ({ ST_LOG_PATH: place.path('server-ledger', 'server-log') })],
])('a second server on the same %s is refused, and the first goes on', async (what, settingsOf) => {
  const place = await openServer()
  const second = new ServerPlace({ ST_OPEN: 'yes', ...settingsOf(place) })
  const error = await second.start().catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code: 'server_running', exitCode: 2 })
  expect((error as Error).message).toContain(`this process is a server that uses the ${what}`)
  await expectPushed(place, 'ana')
  await place.stop()
  await second.start()
  await expectPushed(second, 'bob')
})

test('a log folder that is full is told once; transfers go on, and the files catch up', async (context) => {
  const folder = fs.mkdtempSync(join(tmpdir(), 'sealift-log-'))
  onTestFinished(() => fs.rmSync(folder, { recursive: true, force: true }))
  mountSmall(context, folder, 'size=64k,mode=700')
  const place = await openServer({ ST_LOG_PATH: folder })
  const filler = join(folder, 'filler')
  fill(filler)
  for (let i = 0; i < SENDERS; i++) await expectPushed(place, `sender-${i}`)
  const faults = place.events.filter((event) => event.event === 'warning' && event.code === 'disk_fault')
  expect(faults).toHaveLength(1)
  fs.rmSync(filler)
  await expectPushed(place, 'last')
  await place.stop()
  const ledger = await openLedger({ path: place.path('server-ledger', 'l.db') })
  const lines = (await ledger.audit.linesAfter(0)).map(({ line }) => line)
  await ledger.close()
  expect(fs.readFileSync(join(folder, 'audit.jsonl'), 'utf8').trimEnd().split('\n')).toEqual(lines)
})

/** Their lines are more than the page of the file that is begun already. */
const SENDERS = 4

/** Leaves no room on the file system of this file. */
function fill(path: string): void {
  const file = fs.openSync(path, 'w')
  expect(() => {
    for (;;) fs.writeSync(file, Buffer.alloc(4096))
  }).toThrow('ENOSPC')
  fs.closeSync(file)
}

async function expectPushed(place: ServerPlace, sender: string): Promise<void> {
  expect((await place.pushed(sender, place.plant(sender, `${sender}.txt`, sender))).error).toBeNull()
}
