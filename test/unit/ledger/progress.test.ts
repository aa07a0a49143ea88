import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import {
  ENTRY_FAILED,
  ENTRY_PENDING,
  ENTRY_PUBLISHED,
  ENTRY_SKIPPED,
  ENTRY_STAGED,
  ENTRY_VERIFIED,
  EntryStates,
} from '../../../src/ledger/entry-state.ts'
import { startChild } from './children.ts'
import { ID_A, makeFolder, openTestLedger, receiverOf } from './place.ts'

const digestOf = (index: number): Uint8Array => createHash('sha256').update(`${index}`).digest()

describe('EntryStates', () => {
  test('counts states and knows when all are in a last one', () => {
    const states = new EntryStates(3)
    expect(states.tally(ENTRY_PENDING)).toBe(3)
    states.set(0, ENTRY_PUBLISHED, digestOf(0))
    states.set(1, ENTRY_SKIPPED)
    expect(states.isEnded).toBe(false)
    states.set(2, ENTRY_FAILED)
    expect(states.isEnded).toBe(true)
    states.set(2, ENTRY_PENDING)
    expect([states.tally(ENTRY_PENDING), states.isEnded]).toEqual([1, false])
    expect(() => states.get(3)).toThrow(RangeError)
    expect(() => states.set(0, ENTRY_STAGED, new Uint8Array(31))).toThrow(RangeError)
    expect(new EntryStates(0).isEnded).toBe(true)
  })

  test('gives only the pages that changed, and keeps a digest until it is forgotten', () => {
    const states = new EntryStates(2500)
    states.set(2499, ENTRY_VERIFIED, digestOf(1))
    states.set(5, ENTRY_STAGED)
    expect(
      states.takeDirty().map(({ page, states: bytes, digests }) => [page, bytes.length, digests?.length ?? 0]),
    ).toEqual([
      [2, 452, 452 * 32],
      [0, 1024, 0],
    ])
    expect(states.takeDirty()).toEqual([])
    states.set(2499, ENTRY_VERIFIED)
    expect(states.takeDirty()).toEqual([])
    expect(states.digest(2499)).toEqual(new Uint8Array(digestOf(1)))
    states.set(2499, ENTRY_PENDING, null)
    expect(states.digest(2499)).toBeNull()
    expect(states.digest(5)).toBeNull()
  })

  test('refuses a page that does not fit', () => {
    const states = new EntryStates(10)
    expect(states.restore({ page: 0, states: new Uint8Array(11), digests: null })).toBe(false)
    expect(states.restore({ page: 1, states: new Uint8Array(0), digests: null })).toBe(false)
    expect(states.restore({ page: 0, states: new Uint8Array(10).fill(9), digests: null })).toBe(false)
    expect(states.restore({ page: 0, states: new Uint8Array(10), digests: new Uint8Array(3) })).toBe(false)
    expect(states.restore({ page: 0, states: new Uint8Array(10).fill(1), digests: null })).toBe(true)
    expect(states.tally(ENTRY_STAGED)).toBe(10)
  })
})

describe('Progress', () => {
  test('states and digests come back', async () => {
    const folder = makeFolder()
    const ledger = await openTestLedger(folder)
    const key = await ledger.transfers.create(receiverOf(ID_A))
    const progress = await ledger.openProgress(key, 12_000)
    for (let at = 0; at < 12_000; at += 3) progress.states.set(at, ENTRY_VERIFIED, digestOf(at))
    await progress.checkpoint()
    progress.states.set(1, ENTRY_FAILED)
    await progress.checkpoint({ durable: true })
    await ledger.close()

    const again = await (await openTestLedger(folder)).openProgress(key, 12_000)
    expect(again.states.tally(ENTRY_VERIFIED)).toBe(4000)
    expect(again.states.get(1)).toBe(ENTRY_FAILED)
    expect(again.states.digest(2)).toBeNull()
    for (const at of [0, 3, 1023, 1026, 11_997]) expect(again.states.digest(at)).toEqual(new Uint8Array(digestOf(at)))
  })

  test('SIGKILL in the middle of writing leaves all that a checkpoint had committed', async () => {
    const folder = makeFolder()
    const ledger = await openTestLedger(folder)
    const key = await ledger.transfers.create(receiverOf(ID_A))
    const source = `
      import { openLedger } from 'LEDGER_FOLDER/ledger.ts'
      const ledger = await openLedger({ path: process.argv[1], bootId: 'boot-1' })
      const progress = await ledger.openProgress(${key}, 1000000)
      for (let at = 0; ; at++) {
        progress.ranges.add(at * 100, at * 100 + 100)
        // Scattered as well, so that a checkpoint has many writes.
        for (let far = 0; far < 40; far++) progress.ranges.add(1e12 + (far * 4099 + at * 7) * 10, 1e12 + (far * 4099 + at * 7) * 10 + 5)
        progress.states.set(at, 2)
        await progress.checkpoint()
        process.stdout.write(at + '\\n')
      }`
    const child = startChild(source, [ledger.path])
    let committed = -1
    while (committed < 40) committed = Number(await child.nextLine())
    child.process.kill('SIGKILL')
    for (let line = await child.nextLine(); line !== null; line = await child.nextLine()) committed = Number(line)
    expect(await child.ended).toBe('SIGKILL')

    const progress = await ledger.openProgress(key, 1_000_000)
    expect(progress.ranges.contains(0, (committed + 1) * 100)).toBe(true)
    for (const at of [0, committed]) {
      for (let far = 0; far < 40; far++) {
        const start = 1e12 + (far * 4099 + at * 7) * 10
        expect(progress.ranges.contains(start, start + 5)).toBe(true)
      }
    }
    expect(progress.states.tally(ENTRY_VERIFIED)).toBeGreaterThanOrEqual(committed + 1)
    expect(progress.states.tally(ENTRY_VERIFIED)).toBeLessThanOrEqual(committed + 2)
  })
})
