import { describe, expect, test } from 'vitest'
import type { Ledger } from '../../../src/ledger/ledger.ts'
import type { QuotaLimits } from '../../../src/ledger/quotas.ts'
import { Chance, seedOr } from '../../rigs/seeds.ts'
import { makeFolder, openTestLedger, receiverOf } from './place.ts'

const ANA = `SHA256:${'a'.repeat(43)}`
const BEN = `SHA256:${'b'.repeat(43)}`
const ONCE = `SHA256:${'c'.repeat(43)}`
const FREE: QuotaLimits = { totalBytes: null, ownerBytes: null, diskBytes: Number.MAX_SAFE_INTEGER }

let made = 0
/** A transfer, with so many bytes safe. */
async function begin(ledger: Ledger, safeBytes = 0): Promise<number> {
  const id = `0a0a0a0a-0000-4000-8000-${String(++made).padStart(12, '0')}`
  const key = await ledger.transfers.create(receiverOf(id))
  await bring(ledger, key, safeBytes)
  return key
}

async function bring(ledger: Ledger, key: number, end: number): Promise<void> {
  if (end === 0) return
  const progress = await ledger.openProgress(key, 1)
  progress.ranges.add(0, end)
  await progress.checkpoint()
}

const usage = async (ledger: Ledger, owner: string): Promise<unknown> =>
  (await ledger.quotas.list()).find((row) => row.owner === owner)

describe('a reservation', () => {
  test('takes what is left of the total and says how much would fit', async () => {
    const ledger = await openTestLedger(makeFolder())
    const limits = { ...FREE, totalBytes: 100 }
    const [one, two] = [await begin(ledger), await begin(ledger)]
    expect(await ledger.quotas.reserve({ transfer: one, owner: ANA, bytes: 70 }, limits)).toEqual({ fits: true })
    expect(await ledger.quotas.reserve({ transfer: two, owner: BEN, bytes: 31 }, limits)).toEqual({
      fits: false,
      kind: 'total',
      fitsBytes: 30,
    })
    expect(await ledger.quotas.reserve({ transfer: two, owner: BEN, bytes: 30 }, limits)).toEqual({ fits: true })
    // The same again is no second one.
    expect(await ledger.quotas.reserve({ transfer: one, owner: ANA, bytes: 70 }, limits)).toEqual({ fits: true })
  })

  test('of many at once: no more than fit', async () => {
    const ledger = await openTestLedger(makeFolder())
    const keys = await Promise.all(Array.from({ length: 50 }, () => begin(ledger)))
    const verdicts = await Promise.all(
      keys.map((transfer) => ledger.quotas.reserve({ transfer, owner: ANA, bytes: 10 }, { ...FREE, ownerBytes: 95 })),
    )
    expect(verdicts.filter(({ fits }) => fits)).toHaveLength(9)
  })

  test('counts for its owner alone where the limit is per sender', async () => {
    const ledger = await openTestLedger(makeFolder())
    const limits = { ...FREE, ownerBytes: 50 }
    await ledger.quotas.reserve({ transfer: await begin(ledger), owner: ANA, bytes: 40 }, limits)
    const [mine, hers] = [await begin(ledger), await begin(ledger)]
    expect(await ledger.quotas.reserve({ transfer: hers, owner: ANA, bytes: 20 }, limits)).toEqual({
      fits: false,
      kind: 'owner',
      fitsBytes: 10,
    })
    expect(await ledger.quotas.reserve({ transfer: mine, owner: BEN, bytes: 50 }, limits)).toEqual({ fits: true })
  })

  test('leaves room on the disk for what others have reserved and not brought yet', async () => {
    const ledger = await openTestLedger(makeFolder())
    const one = await begin(ledger, 30)
    const two = await begin(ledger)
    expect(await ledger.quotas.reserve({ transfer: one, owner: ANA, bytes: 100 }, { ...FREE, diskBytes: 70 })).toEqual({
      fits: true,
    })
    expect(await ledger.quotas.reserve({ transfer: two, owner: BEN, bytes: 20 }, { ...FREE, diskBytes: 80 })).toEqual({
      fits: false,
      kind: 'disk',
      fitsBytes: 10,
    })
  })

  test('a limit that was set by hand goes before that of the settings, in both directions', async () => {
    const ledger = await openTestLedger(makeFolder())
    const key = await begin(ledger)
    const reserve = (bytes: number) =>
      ledger.quotas.reserve({ transfer: key, owner: ANA, bytes }, { ...FREE, ownerBytes: 50 })
    expect(await ledger.quotas.setLimit(ANA, 80)).toBe(true)
    expect(await reserve(80)).toEqual({ fits: true })
    await ledger.quotas.setLimit(ANA, 10)
    expect(await reserve(11)).toMatchObject({ fits: false, kind: 'owner', fitsBytes: 10 })
    expect(await ledger.quotas.setLimit(ANA, null)).toBe(true)
    expect(await ledger.quotas.setLimit(ANA, null)).toBe(false)
    expect(await reserve(51)).toMatchObject({ fitsBytes: 50 })
    expect(await reserve(50)).toEqual({ fits: true })
    await ledger.quotas.setLimit(BEN, 0)
    expect(await ledger.quotas.reserve({ transfer: key, owner: BEN, bytes: 1 }, FREE)).toMatchObject({ fitsBytes: 0 })
  })
})

describe('usage', () => {
  test('is what was published, once, in the transaction that ends the transfer', async () => {
    const ledger = await openTestLedger(makeFolder())
    const key = await begin(ledger)
    await ledger.quotas.reserve({ transfer: key, owner: ANA, bytes: 100 }, FREE)
    await bring(ledger, key, 60)
    await ledger.transfers.finish(key, 'completed')
    await ledger.transfers.finish(key, 'completed')
    const counted = { limitBytes: null, publishedBytes: 60, reservedBytes: 0 }
    expect(await ledger.quotas.list()).toEqual([
      { owner: 'total', ...counted },
      { owner: ANA, ...counted },
    ])
  })

  test('of what failed or was cancelled is nothing', async () => {
    const ledger = await openTestLedger(makeFolder())
    for (const status of ['failed', 'cancelled'] as const) {
      const key = await begin(ledger, 60)
      await ledger.quotas.reserve({ transfer: key, owner: ANA, bytes: 100 }, FREE)
      await ledger.transfers.finish(key, status)
    }
    expect(await ledger.quotas.list()).toEqual([
      { owner: 'total', limitBytes: null, publishedBytes: 0, reservedBytes: 0 },
    ])
  })

  test('of an unfinished one that nobody brings is what lies on the disk', async () => {
    const ledger = await openTestLedger(makeFolder())
    const [one, two] = [await begin(ledger), await begin(ledger)]
    for (const transfer of [one, two]) await ledger.quotas.reserve({ transfer, owner: ANA, bytes: 100 }, FREE)
    await bring(ledger, one, 25)
    await ledger.quotas.release(one)
    expect(await usage(ledger, ANA)).toMatchObject({ publishedBytes: 0, reservedBytes: 125 })
    await ledger.quotas.releaseAll()
    expect(await usage(ledger, ANA)).toMatchObject({ reservedBytes: 25 })
  })

  test('whatever order things come in: published and reserved never exceed the limits', async () => {
    const chance = new Chance(seedOr(20_261_125))
    const ledger = await openTestLedger(makeFolder())
    const limits = { ...FREE, totalBytes: 1000, ownerBytes: 600 }
    let running: { key: number; bytes: number }[] = []
    for (let step = 0; step < 150; step++) {
      const where = `seed ${chance.seed}, step ${step}`
      const one = running.length > 0 ? chance.pick(running) : null
      if (one === null || chance.next() < 0.4) {
        const next = { key: await begin(ledger), bytes: chance.integer(1, 300) }
        const owner = chance.pick([ANA, BEN, ONCE])
        const verdict = await ledger.quotas.reserve({ transfer: next.key, owner, bytes: next.bytes }, limits)
        if (verdict.fits) running.push(next)
        else expect(verdict.fitsBytes, where).toBeLessThan(next.bytes)
      } else if (chance.next() < 0.5) await bring(ledger, one.key, chance.integer(1, one.bytes + 1))
      else {
        await ledger.transfers.finish(one.key, chance.pick(['completed', 'failed', 'cancelled']))
        running = running.filter((other) => other !== one)
      }
      const [total, ...owners] = await ledger.quotas.list()
      const sum = (row: typeof total): number => (row?.publishedBytes ?? 0) + (row?.reservedBytes ?? 0)
      expect(sum(total), where).toBeLessThanOrEqual(1000)
      for (const owner of owners) expect(sum(owner), where).toBeLessThanOrEqual(600)
    }
  })
})
