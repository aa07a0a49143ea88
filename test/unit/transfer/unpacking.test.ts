/** Chunks that are unpacked ahead: in their order, a few at a time, and nothing behind one that fails. */

import { setImmediate as turn } from 'node:timers/promises'

import { beforeEach, describe, expect, test } from 'vitest'

import { codecByName } from '../../../src/codecs/codec-table.ts'
import type { CodecName } from '../../../src/codecs/codec.ts'
import type { ChunkMessage } from '../../../src/protocol/messages.ts'
import { Unpacking } from '../../../src/transfer/unpacking.ts'

const MIB = 1 << 20
const LONG = Buffer.alloc(MIB, 'all work and no play makes a dull boy\n')
const SHORT = LONG.subarray(0, 200)

async function packed(name: CodecName, raw: Uint8Array): Promise<ChunkMessage> {
  const codec = codecByName(name)
  const bytes = await codec.encode(raw, codec.defaultLevel)
  return { type: 'chunk', codec: codec.id, epoch: 1, offset: 0, rawBytes: raw.length, packed: bytes }
}

let faults: unknown[]
let unpacking: Unpacking
let dealtWith: string[]

beforeEach(() => {
  faults = []
  dealtWith = []
  unpacking = new Unpacking((error) => faults.push(error))
})

const note = (what: string) => (): void => {
  dealtWith.push(what)
}

test('everything is dealt with in the order in which it came, however long unpacking takes', async () => {
  const [long, short, plain] = [await packed('gzip', LONG), await packed('zstd', SHORT), await packed('none', SHORT)]
  const held = [
    unpacking.chunk(long, (raw) => {
      dealtWith.push(`long ${Buffer.compare(raw, LONG)}`)
    }),
    unpacking.chunk(short, note('short')),
    unpacking.step(note('word')),
  ]
  expect(held).toEqual([undefined, undefined, undefined])
  expect(dealtWith).toEqual([])
  // the fourth is the last for now, until one has been dealt with
  await unpacking.chunk(plain, note('plain'))
  await unpacking.idle
  expect(dealtWith).toEqual(['long 0', 'short', 'word', 'plain'])
})

test('what needs no unpacking is dealt with at once where nothing waits, and its throw is the caller’s', async () => {
  const plain = await packed('none', SHORT)
  expect(unpacking.chunk(plain, note('plain'))).toBe(undefined)
  expect(unpacking.step(note('word'))).toBe(undefined)
  expect(dealtWith).toEqual(['plain', 'word'])
  const full = new Error('the disk is full')
  expect(() => {
    void unpacking.step(() => {
      throw full
    })
  }).toThrow(full)
  expect(faults).toEqual([])
})

test('one that takes its time holds back those behind it, of which only a few are taken', async () => {
  const disk = Promise.withResolvers<undefined>()
  const begun = Promise.withResolvers<undefined>()
  const chunk = await packed('zstd', SHORT)
  void unpacking.chunk(chunk, async () => {
    dealtWith.push('first')
    begun.resolve(undefined)
    await disk.promise
  })
  let taken = 1
  let held: void | Promise<void> = undefined
  // as a session does: the next one only when nothing holds it back
  for (; held === undefined && taken < 100; taken++) held = unpacking.chunk(chunk, note('later'))
  expect(taken).toBe(4)
  let goesOn = false
  void Promise.resolve(held).then(() => {
    goesOn = true
  })
  await begun.promise
  for (let turns = 0; turns < 50; turns++) await turn()
  expect([dealtWith, goesOn]).toEqual([['first'], false])
  disk.resolve(undefined)
  await unpacking.idle
  expect([dealtWith.length, goesOn]).toEqual([4, true])
})

describe('a chunk that fails', () => {
  test('is told once, behind those before it, and nothing after it is dealt with', async () => {
    const good = await packed('gzip', LONG)
    const bad = { ...(await packed('zstd', SHORT)), rawBytes: SHORT.length - 1 }
    void unpacking.chunk(good, note('good'))
    void unpacking.chunk(bad, note('bad'))
    void unpacking.chunk(bad, note('bad again'))
    await unpacking.step(note('word'))
    await unpacking.idle
    expect(dealtWith).toEqual(['good'])
    expect(faults).toEqual([expect.objectContaining({ code: 'codec_failed' })])
  })

  test('of an unknown codec is told the same way', async () => {
    void unpacking.chunk({ ...(await packed('none', SHORT)), codec: 77 }, note('unknown'))
    await unpacking.idle
    expect([dealtWith, faults]).toEqual([[], [expect.objectContaining({ code: 'protocol_violation' })]])
  })

  test('because it could not be taken is told as that', async () => {
    const full = new Error('the disk is full')
    void unpacking.chunk(await packed('zstd', SHORT), () => Promise.reject(full))
    void unpacking.step(note('word'))
    await unpacking.idle
    expect([dealtWith, faults]).toEqual([[], [full]])
  })
})

test('after a stop nothing is dealt with and nothing is told, and the pool has nothing of it any more', async () => {
  const [long, short] = [await packed('gzip', LONG), await packed('zstd', SHORT)]
  void unpacking.chunk(long, note('late'))
  void unpacking.chunk({ ...short, rawBytes: 7 }, note('bad'))
  await unpacking.stop()
  // without another turn of the event loop, in which the pool could have ended
  let isIdle = false
  void unpacking.idle.then(() => (isIdle = true))
  for (let turns = 0; turns < 10; turns++) await Promise.resolve()
  expect(isIdle).toBe(true)
  expect([dealtWith, faults]).toEqual([[], []])
})
