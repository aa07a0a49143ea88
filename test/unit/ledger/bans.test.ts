import { DatabaseSync } from 'node:sqlite'
import { describe, expect, test } from 'vitest'
import type { Ledger } from '../../../src/ledger/ledger.ts'
import { makeFolder, openTestLedger } from './place.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const YEAR_MS = 365 * DAY_MS

/** A machine whose clocks a test sets: `wall` may jump, `uptime` starts anew with each boot. */
class Machine {
  readonly folder = makeFolder()
  wall = Date.parse('2026-05-01T12:00:00Z')
  uptime = 50_000
  boots = 1

  open(): Promise<Ledger> {
    return openTestLedger(this.folder, {
      now: () => new Date(this.wall),
      bootId: `boot-${this.boots}`,
      uptimeMs: () => this.uptime,
    })
  }

  pass(ms: number): void {
    this.wall += ms
    this.uptime += ms
  }

  /** @param wall where the clock stands after it */
  reboot(wall: number): void {
    this.boots++
    this.uptime = 9_000
    this.wall = wall
  }
}

const BAN = { address: '192.0.2.7', reason: 'auth_failed', durationMs: HOUR_MS }

describe('a ban', () => {
  test('lasts as long as it was to last, and not a moment longer', async () => {
    const machine = new Machine()
    const { bans } = await machine.open()
    await bans.add(BAN)
    expect(await bans.find('192.0.2.7')).toEqual({
      address: '192.0.2.7',
      reason: 'auth_failed',
      createdAtMs: machine.wall,
      remainingMs: HOUR_MS,
    })
    expect(await bans.find('192.0.2.8')).toBeNull()
    machine.pass(HOUR_MS - 1)
    expect((await bans.find('192.0.2.7'))?.remainingMs).toBe(1)
    machine.pass(1)
    expect(await bans.find('192.0.2.7')).toBeNull()
    expect(await bans.list()).toEqual([])
  })

  test('outlives the process, and another process that lifts it is heard at once', async () => {
    const machine = new Machine()
    const first = await machine.open()
    await first.bans.add(BAN)
    const second = await machine.open()
    machine.pass(HOUR_MS / 2)
    expect(await second.bans.list()).toMatchObject([{ address: '192.0.2.7', remainingMs: HOUR_MS / 2 }])
    expect(await second.bans.remove('192.0.2.7')).toBe(true)
    expect(await first.bans.find('192.0.2.7')).toBeNull()
    expect(await second.bans.remove('192.0.2.7')).toBe(false)
  })

  test.each([
    ['a day back', -DAY_MS],
    ['ten years back', -10 * YEAR_MS],
    ['a day ahead', DAY_MS],
    ['ten years ahead', 10 * YEAR_MS],
  ])('is not moved by a clock that is set %s', async (_, jump) => {
    const machine = new Machine()
    const { bans } = await machine.open()
    await bans.add(BAN)
    machine.wall += jump
    expect((await bans.find('192.0.2.7'))?.remainingMs).toBe(HOUR_MS)
    machine.pass(HOUR_MS)
    expect(await bans.find('192.0.2.7')).toBeNull()
  })

  test('goes on after a restart of the machine, by the wall clock', async () => {
    const machine = new Machine()
    await (await machine.open()).bans.add(BAN)
    machine.reboot(machine.wall + HOUR_MS / 4)
    const { bans } = await machine.open()
    await bans.adopt()
    expect((await bans.find('192.0.2.7'))?.remainingMs).toBe((HOUR_MS * 3) / 4)
    // From now on the uptime counts again.
    machine.wall -= YEAR_MS
    machine.pass((HOUR_MS * 3) / 4 - 1)
    expect((await bans.find('192.0.2.7'))?.remainingMs).toBe(1)
    machine.pass(1)
    expect(await bans.find('192.0.2.7')).toBeNull()
  })

  test('from the future begins anew once, and not at every restart', async () => {
    const machine = new Machine()
    machine.wall += 10 * YEAR_MS
    await (await machine.open()).bans.add(BAN)
    machine.reboot(machine.wall - 10 * YEAR_MS)
    const second = await machine.open()
    await second.bans.adopt()
    expect((await second.bans.find('192.0.2.7'))?.remainingMs).toBe(HOUR_MS)
    machine.reboot(machine.wall + HOUR_MS / 2)
    const third = await machine.open()
    await third.bans.adopt()
    expect((await third.bans.find('192.0.2.7'))?.remainingMs).toBe(HOUR_MS / 2)
  })

  test('that is over after a restart is dropped', async () => {
    const machine = new Machine()
    await (await machine.open()).bans.add(BAN)
    machine.reboot(machine.wall + HOUR_MS)
    const { bans } = await machine.open()
    await bans.adopt()
    expect(await bans.list()).toEqual([])
  })
})

test('of very many bans those that end first give way', async () => {
  const machine = new Machine()
  const { bans, path } = await machine.open()
  const db = new DatabaseSync(path)
  db.exec(`WITH RECURSIVE n (at) AS (SELECT 0 UNION ALL SELECT at + 1 FROM n WHERE at < 9999)
    INSERT INTO bans SELECT 'address ' || at, 'auth_failed', ${machine.wall}, 1, 'boot-1', ${machine.uptime + 1000} + at FROM n`)
  db.close()
  for (const at of [1, 2, 3]) await bans.add({ ...BAN, address: `192.0.2.${at}` })
  const left = await bans.list()
  expect(left).toHaveLength(10_000)
  expect([left[0]?.address, left.at(-1)?.address]).toEqual(['address 3', '192.0.2.3'])
})
