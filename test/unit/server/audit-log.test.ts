import fs from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { encodeLine } from '../../../src/server/audit-chain.ts'
import { verifyAudit } from '../../../src/server/audit-verification.ts'
import { VirtualClock } from '../transfer/virtual-time.ts'
import { AuditPlace, DAY_MS, said } from './audit-place.ts'

const isWhole = async ({ ledger }: AuditPlace): Promise<boolean> => (await verifyAudit(ledger.audit)).isWhole

describe('a line', () => {
  test('is in the ledger and in the file, with one chain', async () => {
    const place = await AuditPlace.make()
    const log = await place.open()
    await log.write({ event: 'server', detail: { status: 'started' } })
    await Promise.all([log.write({ event: 'connection', peer: '192.0.2.7' }), log.write({ event: 'error' })])
    const kept = []
    for await (const { line } of place.ledger.audit.search({})) kept.push(line)
    expect(place.lines()).toEqual(kept)
    expect(kept.map((line) => said(line)['event'])).toEqual(['server', 'connection', 'error'])
    expect((await place.ledger.audit.head()).last).toEqual({ seq: 3, hash: said(kept[2])['hash'] })
    expect(fs.statSync(place.path()).mode & 0o777).toBe(0o600)
    expect(fs.statSync(place.folder).mode & 0o777).toBe(0o700)
    expect(await isWhole(place)).toBe(true)
  })

  test('is written at once after a silence, and those that follow it together', async () => {
    const place = await AuditPlace.make()
    const log = await place.open()
    const append = vi.spyOn(place.ledger.audit, 'append')
    await log.write({ event: 'error' })
    await Promise.all(Array.from({ length: 150 }, () => log.write({ event: 'error' })))
    expect(append.mock.calls.length).toBeLessThanOrEqual(3)
    expect(place.lines()).toHaveLength(151)
  })

  test('that somebody waits for is written at once, with those before it that nobody waits for', async () => {
    const place = await AuditPlace.make()
    const clock = new VirtualClock()
    const log = await place.open({ clock })
    await log.write({ event: 'server' })
    log.note({ event: 'connection' })
    // The clock stands still: nothing here is written because its time has come.
    await log.write({ event: 'handshake' })
    await log.write({ event: 'transfer' })
    expect(place.lines().map((line) => said(line)['event'])).toEqual(['server', 'connection', 'handshake', 'transfer'])
    expect(clock.timers).toBe(0)
  })

  test('that the ledger does not take fails for whoever waits for it', async () => {
    const place = await AuditPlace.make()
    const log = await place.open()
    await place.ledger.close()
    await expect(log.write({ event: 'transfer' })).rejects.toMatchObject({ code: 'ledger_unavailable' })
    log.note({ event: 'connection' })
    await log.close()
    expect(place.onFault.mock.calls).toMatchObject([[{ code: 'ledger_unavailable' }]])
    expect(place.lines()).toEqual([])
  })

  test('that another process adds to the ledger comes into the file with the next one', async () => {
    const place = await AuditPlace.make()
    const log = await place.open()
    await log.write({ event: 'error' })
    await place.ledger.audit.append((end) => {
      const made = encodeLine({ event: 'ban', detail: { status: 'lifted' } }, place.wallMs, end)
      return { records: [made.record], end: made.end }
    })
    expect(await verifyAudit(place.ledger.audit)).toMatchObject({ isWhole: true, unfiled: 1 })
    await log.write({ event: 'error' })
    expect(place.lines().map((line) => said(line)['event'])).toEqual(['error', 'ban', 'error'])
    expect(await verifyAudit(place.ledger.audit)).toMatchObject({ isWhole: true, unfiled: 0 })
  })

  test('of a flood is counted where it is not written; what is no connection always is', async () => {
    const place = await AuditPlace.make()
    const log = await place.open()
    for (let at = 0; at < 5000; at++) log.note({ event: at % 2 === 0 ? 'connection' : 'refusal', peer: '192.0.2.7' })
    for (let at = 0; at < 20; at++) log.note({ event: 'handshake' })
    await log.close()
    const events = place.lines().map(said)
    const flood = events.filter(({ event }) => event === 'connection' || event === 'refusal').length
    const folded = events
      .filter(({ event }) => event === 'audit')
      .map(({ detail }) => (detail as { count: number }).count)
    expect(flood).toBe(1000)
    expect(flood + folded.reduce((sum, one) => sum + one, 0)).toBe(5000)
    expect(events.filter(({ event }) => event === 'handshake')).toHaveLength(20)
  })
})

describe('a folder that cannot be used is a wrong setting', () => {
  test.each([
    ['a file in its place', (folder: string) => fs.writeFileSync(folder, '')],
    [
      'open to others',
      (folder: string) => {
        fs.mkdirSync(folder)
        fs.chmodSync(folder, 0o777)
      },
    ],
    [
      'a link in place of the file',
      (folder: string) => {
        fs.mkdirSync(folder)
        fs.symlinkSync('/etc/passwd', join(folder, 'audit.jsonl'))
      },
    ],
    [
      'a folder in place of the file',
      (folder: string) => fs.mkdirSync(join(folder, 'audit.jsonl'), { recursive: true }),
    ],
  ])('%s', async (_, spoil) => {
    const place = await AuditPlace.make()
    spoil(place.folder)
    await expect(place.open()).rejects.toMatchObject({
      code: 'settings_invalid',
      exitCode: 2,
      hint: expect.stringContaining('ST_LOG_PATH'),
    })
  })
})

test('a file that cannot be written is told once, and caught up with when it can', async () => {
  const place = await AuditPlace.make()
  const log = await place.open()
  await log.write({ event: 'error' })
  const { writeSync } = fs
  let calls = 0
  // The disk is full in the middle of a line.
  const write = vi.spyOn(fs, 'writeSync').mockImplementation((fd, bytes) => {
    if (calls++ === 0) return writeSync(fd, bytes as unknown as Uint8Array, 0, 100)
    throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
  })
  await log.write({ event: 'error' })
  await log.write({ event: 'error' })
  write.mockRestore()
  expect(place.onFault.mock.calls).toMatchObject([[{ code: 'disk_fault' }]])
  expect(await verifyAudit(place.ledger.audit)).toMatchObject({ isWhole: true, unfiled: 2 })
  await log.write({ event: 'error' })
  expect(place.lines()).toHaveLength(4)
})

describe('files', () => {
  test('are begun anew before they get too large, and each names the hash of the one before', async () => {
    const place = await AuditPlace.make()
    await place.filled(15, { rotationBytes: 1200 })
    const rotated = place.names.filter((name) => name !== 'audit.jsonl')
    expect(rotated.length).toBeGreaterThan(2)
    expect(rotated[0]).toMatch(/^audit-000000000001-0{11}\d\.jsonl$/)
    for (const name of rotated) expect(fs.statSync(place.path(name)).size).toBeLessThanOrEqual(1200)
    for (const [at, name] of rotated.entries())
      expect(said(place.lines(rotated[at + 1] ?? 'audit.jsonl')[0])['prev']).toBe(
        said(place.lines(name).at(-1))['hash'],
      )
    expect(await verifyAudit(place.ledger.audit)).toMatchObject({ isWhole: true, files: rotated.length + 1 })
  })

  test('go when all in them is too old, with their lines in the ledger; what is left still has an anchor', async () => {
    const place = await AuditPlace.make()
    await place.filled(15, { rotationBytes: 1200 })
    const before = place.names.length
    place.wallMs += 7 * DAY_MS - 5000
    await place.filled(1, { rotationBytes: 1200 })
    const { anchor, last } = await place.ledger.audit.head()
    expect(place.names.length).toBeLessThan(before)
    expect(anchor.seq).toBeGreaterThan(5)
    expect((await place.ledger.audit.linesAfter(0))[0]?.seq).toBe(anchor.seq + 1)
    expect(await verifyAudit(place.ledger.audit)).toMatchObject({ isWhole: true, firstSeq: anchor.seq + 1, last })
    fs.rmSync(place.path(place.names.find((name) => name !== 'audit.jsonl')))
    expect(await isWhole(place)).toBe(false)
  })

  test('are begun anew for their age too, so that a quiet log grows old and goes', async () => {
    const place = await AuditPlace.make()
    await place.filled(3)
    for (const days of [8, 8]) {
      place.wallMs += days * DAY_MS
      await place.filled(1)
    }
    await place.open()
    expect(place.names).toEqual(['audit.jsonl'])
    expect(await verifyAudit(place.ledger.audit)).toMatchObject({ isWhole: true, firstSeq: 5, last: { seq: 5 } })
  })
})

describe('a start', () => {
  test('after SIGKILL mends a torn line, by the ledger, and says so', async () => {
    const place = await AuditPlace.make()
    await place.filled(5)
    fs.truncateSync(place.path(), fs.statSync(place.path()).size - 20)
    expect((await verifyAudit(place.ledger.audit)).faults[0]).toMatchObject({ kind: 'torn', where: 'audit.jsonl:5' })
    await place.open()
    expect(place.lines()).toHaveLength(6)
    expect(said(place.lines()[5])).toMatchObject({ event: 'audit', detail: { status: 'torn line mended', count: 1 } })
    expect(await isWhole(place)).toBe(true)
  })

  test('writes what was in the ledger alone when the process died, without a word', async () => {
    const place = await AuditPlace.make()
    await place.filled(3)
    await place.ledger.audit.append((end) => {
      const made = encodeLine({ event: 'error' }, place.wallMs, end)
      return { records: [made.record], end: made.end }
    })
    await place.open()
    expect(place.lines().map((line) => said(line)['event'])).toEqual(['handshake', 'handshake', 'handshake', 'error'])
    expect(await isWhole(place)).toBe(true)
  })

  test('after somebody cut lines or the file writes them again and says how many', async () => {
    const place = await AuditPlace.make()
    await place.filled(5)
    place.change((lines) => lines.slice(0, 3))
    await (await place.open()).close()
    expect(said(place.lines()[5])).toMatchObject({ detail: { status: 'mended', count: 2 } })
    fs.rmSync(place.path())
    await place.open()
    expect(said(place.lines()[6])).toMatchObject({ detail: { status: 'mended', count: 6 } })
    expect(await isWhole(place)).toBe(true)
  })

  test('sets aside a file that says something else, and begins with what the ledger has', async () => {
    const place = await AuditPlace.make()
    await place.filled(5)
    place.change((lines) => [...lines.slice(0, 4), (lines[4] ?? '').replace('192.0.2.7', '192.0.2.9')])
    await place.open()
    const [aside = ''] = place.names.filter((name) => name.includes('aside'))
    expect(place.lines(aside)).toHaveLength(5)
    expect(said(place.lines()[4])).toMatchObject({ peer: '192.0.2.7' })
    expect(said(place.lines()[5])).toMatchObject({ detail: { status: 'set aside', file: aside } })
    expect(await isWhole(place)).toBe(true)
  })

  test('with a new ledger leaves the files of the old one alone', async () => {
    const [old, fresh] = [await AuditPlace.make(), await AuditPlace.make()]
    await old.filled(15, { rotationBytes: 1200 })
    fs.cpSync(old.folder, fresh.folder, { recursive: true })
    fs.chmodSync(fresh.folder, 0o700)
    await (await fresh.open()).close()
    expect(await isWhole(fresh)).toBe(true)
    const kept = fresh.names.filter((name) => name.includes('aside')).flatMap((name) => fresh.lines(name))
    expect(kept).toHaveLength(15)
  })

  test('in another folder begins there with what the ledger has', async () => {
    const place = await AuditPlace.make()
    await place.filled(5)
    const folder = `${place.folder}-2`
    await place.open({ folder })
    expect(fs.readFileSync(join(folder, 'audit.jsonl'), 'utf8').split('\n')).toHaveLength(6)
    expect(await verifyAudit(place.ledger.audit)).toMatchObject({ isWhole: true, folder })
  })
})
