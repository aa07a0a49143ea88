import { describe, expect, test, vi } from 'vitest'
import { BanList } from '../../../src/guard/bans.ts'
import type { Ban } from '../../../src/ledger/bans.ts'
import { makeFolder, openTestLedger } from '../ledger/place.ts'

const RULES = { threshold: 3, windowMs: 60_000, durationMs: 3_600_000 }
const BANNED = expect.objectContaining({ code: 'peer_refused', exitCode: 4 })

async function door(rules: Partial<typeof RULES> = {}) {
  let nowMs = 1000
  const ledger = await openTestLedger(makeFolder(), { uptimeMs: () => nowMs })
  const onBan = vi.fn<(ban: Ban) => void>()
  const list = new BanList({ ...RULES, ...rules, records: ledger.bans, nowMs: () => nowMs, onBan })
  return { ledger, list, onBan, pass: (ms: number) => (nowMs += ms) }
}

describe('an address', () => {
  test('is banned by the third failure within the window, and not before', async () => {
    const { list, onBan } = await door()
    expect(await list.wrong('192.0.2.7')).toBeNull()
    expect(await list.wrong('192.0.2.7')).toBeNull()
    await list.check('192.0.2.7')
    expect(await list.wrong('192.0.2.7')).toMatchObject({ address: '192.0.2.7', remainingMs: 3_600_000 })
    await expect(list.check('192.0.2.7')).rejects.toEqual(BANNED)
    await expect(list.check('::ffff:192.0.2.7')).rejects.toEqual(BANNED)
    await list.check('192.0.2.8')
    expect(onBan.mock.calls).toMatchObject([[{ address: '192.0.2.7' }]])
  })

  test('is not banned by failures that are further apart', async () => {
    const { list, pass } = await door()
    for (let times = 0; times < 50; times++) {
      expect(await list.wrong('192.0.2.7')).toBeNull()
      pass(RULES.windowMs / 2)
    }
    await list.check('192.0.2.7')
  })

  test('comes in again when the time is over, with a clean record', async () => {
    const { list, pass } = await door()
    for (let times = 0; times < 3; times++) await list.wrong('192.0.2.7')
    pass(RULES.durationMs - 1)
    await expect(list.check('192.0.2.7')).rejects.toEqual(BANNED)
    pass(1)
    await list.check('192.0.2.7')
    expect(await list.wrong('192.0.2.7')).toBeNull()
  })

  test('comes in at once when somebody lifts the ban in the ledger', async () => {
    const { ledger, list } = await door()
    for (let times = 0; times < 3; times++) await list.wrong('2001:db8:1:2::1')
    await expect(list.check('2001:db8:1:2:ffff::9')).rejects.toEqual(BANNED)
    await ledger.bans.remove('2001:db8:1:2::/64')
    await list.check('2001:db8:1:2::1')
  })

  test('of this machine is never banned', async () => {
    const { list } = await door()
    for (const address of ['127.0.0.1', '::1', '::ffff:127.0.0.1'])
      for (let times = 0; times < 10; times++) {
        expect(list.guess(address)).toBe(true)
        expect(await list.wrong(address)).toBeNull()
        await list.check(address)
      }
    expect(list.watched).toBe(0)
  })

  test('that was banned by another process is turned away', async () => {
    const { ledger, list } = await door()
    await ledger.bans.add({ address: '192.0.2.7', reason: 'auth_failed', durationMs: 1000 })
    await expect(list.check('192.0.2.7')).rejects.toEqual(BANNED)
  })
})

describe('guesses', () => {
  test('that come at once are compared up to the threshold, and those behind them ban no twice', async () => {
    const { list, onBan } = await door()
    const compared = Array.from({ length: 200 }, () => list.guess('192.0.2.7')).filter(Boolean)
    expect(compared).toHaveLength(3)
    await Promise.all(Array.from({ length: 200 }, () => list.wrong('192.0.2.7')))
    expect(onBan).toHaveBeenCalledTimes(1)
  })

  test('are turned away while the ban is on its way into the ledger', async () => {
    const { list } = await door()
    const failing = Array.from({ length: 3 }, () => list.wrong('192.0.2.7'))
    await expect(list.check('192.0.2.7')).rejects.toEqual(BANNED)
    await Promise.all(failing)
  })

  test('that were right do not count, but take nothing back', async () => {
    const { list } = await door()
    for (let times = 0; times < 20; times++) {
      expect(list.guess('192.0.2.7')).toBe(true)
      list.right('192.0.2.7')
    }
    expect(list.watched).toBe(0)
    await list.wrong('192.0.2.7')
    await list.wrong('192.0.2.7')
    expect(list.guess('192.0.2.7')).toBe(true)
    list.right('192.0.2.7')
    expect(await list.wrong('192.0.2.7')).not.toBeNull()
  })
})

test('a ledger that cannot be asked lets nobody in', async () => {
  const { ledger, list } = await door()
  await ledger.close()
  await expect(list.check('192.0.2.7')).rejects.toMatchObject({ code: 'ledger_unavailable' })
})

test('a hundred thousand addresses that fail are watched in bounds, the latest of them still', async () => {
  const { list } = await door()
  for (let at = 0; at < 100_000; at++) {
    const address = `10.${at >> 16}.${(at >> 8) & 255}.${at & 255}`
    list.guess(address)
    // Without waiting: below the threshold nothing is written.
    void list.wrong(address)
  }
  expect(list.watched).toBeLessThanOrEqual(10_000)
  const last = '10.1.134.159'
  await list.wrong(last)
  expect(await list.wrong(last)).not.toBeNull()
})
