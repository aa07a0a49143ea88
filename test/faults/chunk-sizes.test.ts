/** How large chunks are, over whole transfers (protocol.md, 2.2): what both sides said, and what a slow path makes of it. */

import fs from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ERROR_TABLE } from '../../src/protocol/errors.ts'
import type { ChunkMessage } from '../../src/protocol/messages.ts'
import { encodeRangePages } from '../../src/protocol/ranges.ts'
import { meet, offer, type RawEntry, sha256 } from '../hostile/raw-sender.ts'
import { sendToRaw } from '../rigs/loopback-pair.ts'
import { makePlace } from '../rigs/place.ts'
import { withRun } from '../rigs/transfer-run.ts'

const KIB = 1 << 10
/** Length word, header of a chunk and tag. */
const RECORD_BYTES = 4 + 64 + 16
const HELLO = { name: 'receiver', maxChunkBytes: 1 << 20, known: null }
const content = (bytes: number): Uint8Array => new Uint8Array(bytes).map((_, at) => at * 7 + (at >> 9))

/** The chunks by which a sender sends so many bytes to a receiver that says this. */
async function chunksFor(bytes: number, maxChunkBytes: number): Promise<ChunkMessage[]> {
  const place = makePlace(3)
  const file = join(place.root, 'file')
  fs.writeFileSync(file, content(bytes))
  const { peer, end } = await sendToRaw(file, { ledgerPath: place.senderLedger })
  peer.say({ type: 'hello', hello: { ...HELLO, maxChunkBytes } })
  await peer.until('manifest')
  peer.say({ type: 'accept', accept: { epoch: 1 } })
  peer.say({ type: 'safe', last: true, page: new Uint8Array() })
  const chunks: ChunkMessage[] = []
  for (;;) {
    const message = await peer.next()
    if (message.type === 'chunk') chunks.push({ ...message, packed: message.packed.slice() })
    if (message.type === 'digests') break
  }
  const [page = new Uint8Array()] = encodeRangePages([{ start: 0, end: bytes }])
  peer.say({ type: 'ack', page })
  peer.say({ type: 'states', runs: [{ first: 0, count: 1, state: 4, code: 0 }] })
  peer.say({ type: 'done', done: { published: 1, skipped: 0, failed: 0 } })
  expect(await peer.closed()).toBe(0)
  peer.say({ type: 'close', code: 0 })
  expect((await end).error).toBeNull()
  return chunks
}

describe('a sender keeps to what the receiver takes', () => {
  test.each([
    { maxChunkBytes: 64 * KIB, largest: 64 * KIB },
    { maxChunkBytes: 100_001, largest: 100_001 },
    // more than the protocol has is no leave to send it
    { maxChunkBytes: 1 << 30, largest: 1 << 20 },
  ])('$maxChunkBytes', async ({ maxChunkBytes, largest }) => {
    const bytes = (1 << 20) + 300_000
    const chunks = await chunksFor(bytes, maxChunkBytes)
    expect(Math.max(...chunks.map(({ rawBytes }) => rawBytes))).toBe(largest)
    const arrived = new Uint8Array(bytes)
    for (const { offset, packed } of chunks) arrived.set(packed, offset)
    expect(Buffer.compare(arrived, content(bytes))).toBe(0)
  })
})

describe('a receiver holds a sender to what that said itself', () => {
  const bytes = content(130_000)
  const entries: readonly RawEntry[] = [{ name: 'file', size: bytes.length }]

  test('chunks of that size are taken', async () => {
    const { peer, end, place } = await meet()
    offer(peer, entries, { maxChunkBytes: 64 * KIB })
    await peer.until('safe')
    for (let at = 0; at < bytes.length; at += 64 * KIB)
      peer.chunk({ offset: at, packed: bytes.subarray(at, at + 64 * KIB) })
    peer.say({ type: 'digests', digests: [{ entry: 0, sha256: sha256(bytes) }] })
    await peer.until('done')
    peer.say({ type: 'close', code: 0 })
    expect((await end).error).toBeNull()
    expect(Buffer.compare(fs.readFileSync(join(place.out, 'file')), bytes)).toBe(0)
  })

  test('a larger one ends the session', async () => {
    const { peer, transfer, end } = await meet()
    offer(peer, entries, { maxChunkBytes: 64 * KIB })
    await peer.until('safe')
    peer.chunk({ packed: bytes.subarray(0, 64 * KIB + 1) })
    expect(await peer.closed()).toBe(ERROR_TABLE.protocol_violation.wire)
    transfer.cancel()
    await end
  })
})

test('on a slow path chunks are what leaves in a quarter of a second, once a rate is measured', async () => {
  const place = makePlace(5, { files: 0, largeBytes: 7 << 20 })
  await withRun(place, { send: { bytesPerSecond: 2_000_000 } }, async (run) => {
    await run.receiveAll()
    await run.checkDone()
    const borders = run.passages[0]?.borders.down ?? []
    const records = borders.slice(1).map((border, at) => border - (borders[at] ?? 0))
    const chunks = records.filter((length) => length > 20 * KIB).map((length) => length - RECORD_BYTES)
    expect(chunks[0]).toBe(1 << 20)
    // what was on its way out before anything had left, then the rule, then what is left of the file
    const later = chunks.slice(5, -1)
    expect(later.length).toBeGreaterThan(2)
    for (const bytes of later) expect(Math.abs(bytes / 500_000 - 1), `${bytes} bytes`).toBeLessThan(0.1)
  })
})
