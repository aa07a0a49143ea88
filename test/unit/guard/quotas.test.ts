import { describe, expect, test } from 'vitest'
import { chunkLimit, Quotas, type QuotaRules } from '../../../src/guard/quotas.ts'
import { ID_A, ID_B, makeFolder, openTestLedger, receiverOf } from '../ledger/place.ts'

const ANA = `SHA256:${'a'.repeat(43)}`
const MIB = 1 << 20
const NONE: QuotaRules = { maxTransferBytes: null, quotaBytes: null, quotaPerSenderBytes: null, minFreeBytes: 0 }

async function server(rules: Partial<QuotaRules>, free = Number.MAX_SAFE_INTEGER) {
  const ledger = await openTestLedger(makeFolder())
  const quotas = new Quotas({ records: ledger.quotas, rules: { ...NONE, ...rules }, freeBytes: () => free })
  const [one, two] = [await ledger.transfers.create(receiverOf(ID_A)), await ledger.transfers.create(receiverOf(ID_B))]
  const want = (transfer: number, bytes: number | null, arrivedBytes = 0) =>
    quotas.reserve({ transfer, owner: ANA, bytes, arrivedBytes })
  return { ledger, quotas, one, two, want }
}

describe('a transfer', () => {
  test('that is too large is refused for good, whatever room there is', async () => {
    const { quotas, one, want } = await server({ maxTransferBytes: 10_000_000_000 })
    expect(await want(one, 10_000_000_000)).toBe(10_000_000_000)
    await expect(want(one, 10_000_000_001)).rejects.toMatchObject({
      code: 'limit_exceeded',
      exitCode: 7,
      message: '10,000,000,001 bytes are more than one transfer may have: 10,000,000,000 bytes',
    })
    const rules = { maxBytes: 5 }
    await expect(quotas.reserve({ transfer: one, owner: ANA, bytes: 6, rules })).rejects.toMatchObject({
      code: 'limit_exceeded',
    })
    expect(await quotas.reserve({ transfer: one, owner: ANA, bytes: 20e9, rules: { maxBytes: 20e9 } })).toBe(20e9)
  })

  test.each([
    ['the quota of the server', { quotaBytes: 100 }],
    ['the quota of this sender', { quotaPerSenderBytes: 100 }],
  ] as const)('over %s hears how much fits, and can go on later', async (what, rules) => {
    const { quotas, one, two, want } = await server(rules)
    await want(one, 80)
    await expect(want(two, 30)).rejects.toMatchObject({
      code: 'disk_full',
      exitCode: 7,
      retryable: true,
      message: `${what} has room for 20 bytes of this transfer, and this transfer has 30 bytes`,
    })
    await quotas.release(one)
    expect(await want(two, 30)).toBe(30)
  })

  test('leaves so much of the disk free', async () => {
    const { one, want } = await server({ minFreeBytes: 60 }, 100)
    await expect(want(one, 41)).rejects.toMatchObject({ code: 'disk_full', message: /disk of the server.* 40 bytes/ })
    expect(await want(one, 40)).toBe(40)
  })

  test('on a disk that has less than that already: nothing fits', async () => {
    const { one, want } = await server({ minFreeBytes: 60 }, 10)
    await expect(want(one, 1)).rejects.toMatchObject({ message: /room for 0 bytes/ })
    await expect(want(one, null)).rejects.toMatchObject({ message: /room for 0 bytes/ })
  })

  test('may have less room than others, by its key', async () => {
    const { quotas, one } = await server({ quotaPerSenderBytes: 100 })
    const rules = { quotaBytes: 10 }
    await expect(quotas.reserve({ transfer: one, owner: ANA, bytes: 11, rules })).rejects.toMatchObject({
      message: /quota of this sender has room for 10 bytes/,
    })
  })
})

describe('a stream', () => {
  test('gets room step by step, uses up the last of it, and hears then how much fitted', async () => {
    const { one, want } = await server({ quotaBytes: 100 * MIB })
    expect(await want(one, null)).toBe(64 * MIB)
    expect(await want(one, null, 64 * MIB)).toBe(100 * MIB)
    await expect(want(one, null, 100 * MIB)).rejects.toMatchObject({
      code: 'disk_full',
      message: 'the quota of the server has room for 104,857,600 bytes of this transfer',
    })
  })

  test('ends at the largest size of a transfer', async () => {
    const { one, want } = await server({ maxTransferBytes: 10 })
    expect(await want(one, null, 4)).toBe(10)
    await expect(want(one, null, 10)).rejects.toMatchObject({ code: 'limit_exceeded' })
  })
})

test.each([
  [64_000_000, MIB],
  [MIB + 80, MIB],
  [MIB, MIB - 80],
  [131_072, 131_072 - 80],
  [1, 64 << 10],
])('records of %i bytes make chunks of %i', (payload, chunk) => {
  expect(chunkLimit(payload)).toBe(chunk)
})
