/** Streams that join a session, or say that they do: what they may not say, whom they may not join, and how many there may be. */

import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import { zstdCompressSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { ERROR_TABLE } from '../../src/protocol/errors.ts'
import { MAX_STREAMS } from '../../src/protocol/limits.ts'
import type { ChunkMessage, Message } from '../../src/protocol/messages.ts'
import { RawPeer, sendToRaw } from '../rigs/loopback-pair.ts'
import { makePlace } from '../rigs/place.ts'
import type { ServerPlace } from '../rigs/server-place.ts'
import { offer, offerOf, type RawEntry, sha256 } from './raw-sender.ts'
import { expectServes, letIn, openServer } from './server-place.ts'

const CHUNK = 100_000
const CONTENT = randomBytes(3 * CHUNK)
const ENTRIES: readonly RawEntry[] = [{ name: 'file', size: CONTENT.length }]

function chunkAt(part: number, bytes: Uint8Array = CONTENT): Partial<ChunkMessage> & { packed: Uint8Array } {
  return { offset: part * CHUNK, packed: bytes.subarray(part * CHUNK, (part + 1) * CHUNK) }
}

/** A sender of one file that a server has accepted. */
async function accepted(place: ServerPlace): Promise<RawPeer> {
  const peer = await letIn(place)
  offer(peer, ENTRIES)
  await peer.until('safe')
  return peer
}

/** One more stream of it, let in. */
async function joined(place: ServerPlace, first: RawPeer): Promise<RawPeer> {
  const stream = await RawPeer.join(place.server.port, 'server', first.credential)
  expect(await stream.until('admit')).toMatchObject({ admit: { needs: 'nothing' } })
  return stream
}

/** The rest of the file goes over the first stream, and all of it is there. */
async function expectGoesOn(place: ServerPlace, first: RawPeer, parts: readonly number[]): Promise<void> {
  for (const part of parts) first.chunk(chunkAt(part))
  first.say({ type: 'digests', digests: [{ entry: 0, sha256: sha256(CONTENT) }] })
  await first.until('done')
  expect(Buffer.compare(fs.readFileSync(join(place.out, 'file')), CONTENT)).toBe(0)
}

test('a file whose digest comes before its last chunk, which comes on another stream, is whole', async () => {
  const place = await openServer()
  const first = await accepted(place)
  const more = await joined(place, first)
  first.chunk(chunkAt(0))
  first.say({ type: 'digests', digests: [{ entry: 0, sha256: sha256(CONTENT) }] })
  // acknowledged, so it has been dealt with, and so has the digest behind it
  await first.until('ack')
  more.chunk(chunkAt(2))
  more.chunk(chunkAt(1))
  await first.until('done')
  expect(Buffer.compare(fs.readFileSync(join(place.out, 'file')), CONTENT)).toBe(0)
})

test('so is a small one, which comes whole in one chunk', async () => {
  const place = await openServer()
  const [a, b] = [CONTENT.subarray(0, 1000), CONTENT.subarray(1000, 3000)]
  const first = await letIn(place)
  offer(first, [
    { name: 'a', size: a.length },
    { name: 'b', size: b.length },
  ])
  await first.until('safe')
  const more = await joined(place, first)
  first.say({ type: 'digests', digests: [a, b].map((bytes, entry) => ({ entry, sha256: sha256(bytes) })) })
  first.chunk({ offset: a.length, packed: b })
  await first.until('ack')
  more.chunk({ packed: a })
  await first.until('done')
  expect([place.read('a'), place.read('b')]).toEqual([a, b].map((bytes) => Buffer.from(bytes).toString('utf8')))
})

describe('over a stream that has joined', () => {
  const words: Record<string, Exclude<Message, ChunkMessage>> = {
    'an offer': { type: 'offer', offer: offerOf(ENTRIES) },
    'a digest': { type: 'digests', digests: [{ entry: 0, sha256: sha256(CONTENT) }] },
    'what only a receiver says': { type: 'ack', page: new Uint8Array() },
  }
  test.each(Object.keys(words))('%s breaks the rules, and the session ends with it', async (name) => {
    const place = await openServer()
    const first = await accepted(place)
    const more = await joined(place, first)
    more.say(words[name] as Exclude<Message, ChunkMessage>)
    expect(await more.closed()).toBe(ERROR_TABLE.protocol_violation.wire)
    expect(await first.closed()).toBe(ERROR_TABLE.protocol_violation.wire)
  })

  test('so does a chunk that is longer than was said, or beyond the content', async () => {
    const long = new Uint8Array(131_000)
    for (const chunk of [
      { offset: 0, codec: 1, rawBytes: long.length, packed: zstdCompressSync(long) },
      { offset: CONTENT.length - 10, packed: new Uint8Array(20) },
    ]) {
      const place = await openServer({ ST_MAX_PAYLOAD_SIZE: '131072' })
      const first = await accepted(place)
      const more = await joined(place, first)
      more.chunk(chunk)
      expect(await more.closed()).toBe(ERROR_TABLE.protocol_violation.wire)
      expect(await first.closed()).toBe(ERROR_TABLE.protocol_violation.wire)
    }
  })

  test('a chunk of another epoch is dropped without a word', async () => {
    const place = await openServer()
    const first = await accepted(place)
    const more = await joined(place, first)
    for (const epoch of [0, 2, 0xffff_ffff])
      more.chunk({
        ...chunkAt(
          0,
          CONTENT.map((byte) => byte ^ 1),
        ),
        epoch,
      })
    more.chunk(chunkAt(0))
    await expectGoesOn(place, first, [1, 2])
  })

  test('a record that does not open ends that stream, and no other', async () => {
    const place = await openServer()
    const first = await accepted(place)
    const more = await joined(place, first)
    const record = more.sealed(new Uint8Array(100))
    record[20] = (record[20] ?? 0) ^ 1
    more.wire(record)
    expect(await more.closed()).toBe(ERROR_TABLE.record_invalid.wire)
    await expectGoesOn(place, first, [0, 1, 2])
  })
})

describe('a server lets nobody join', () => {
  test('before a transfer is accepted', async () => {
    const place = await openServer()
    const first = await letIn(place)
    const early = await RawPeer.join(place.server.port, 'server', first.credential)
    expect(await early.closed()).toBe(ERROR_TABLE.session_taken.wire)
    offer(first, ENTRIES)
    await first.until('safe')
    await expectGoesOn(place, first, [0, 1, 2])
  })

  test('once it has ended', async () => {
    const place = await openServer()
    const first = await accepted(place)
    await expectGoesOn(place, first, [0, 1, 2])
    const late = await RawPeer.join(place.server.port, 'server', first.credential)
    expect(await late.closed()).toBe(ERROR_TABLE.session_taken.wire)
    first.say({ type: 'close', code: 0 })
  })

  test('without its key: not by an id that nobody has, nor by another’s alone', async () => {
    const place = await openServer()
    const first = await accepted(place)
    const [unknown, stolen] = [
      { id: randomBytes(16), key: first.credential.key },
      { id: first.credential.id, key: randomBytes(32) },
    ]
    for (const key of [unknown, stolen])
      await expect(RawPeer.join(place.server.port, 'server', key)).rejects.toMatchObject({ code: 'auth_failed' })
    await expectGoesOn(place, first, [0, 1, 2])
  })

  test('to the session of another: each key opens its own', async () => {
    const place = await openServer()
    const [first, other] = [await accepted(place), await letIn(place)]
    const stranger = await RawPeer.join(place.server.port, 'server', other.credential)
    expect(await stranger.closed()).toBe(ERROR_TABLE.session_taken.wire)
    await expectGoesOn(place, first, [0, 1, 2])
  })

  test('beyond so many, and the session goes on', async () => {
    const place = await openServer()
    const first = await accepted(place)
    const streams: RawPeer[] = []
    for (let more = 1; more < MAX_STREAMS; more++) streams.push(await joined(place, first))
    for (let more = 0; more < 5; more++) {
      const surplus = await RawPeer.join(place.server.port, 'server', first.credential)
      expect(await surplus.closed()).toBe(ERROR_TABLE.server_busy.wire)
    }
    streams[MAX_STREAMS - 2]?.chunk(chunkAt(0))
    await expectGoesOn(place, first, [1, 2])
    // with the first stream all others end
    first.say({ type: 'close', code: 0 })
    for (const stream of streams) {
      expect(await stream.closed()).toBe(0)
      stream.say({ type: 'close', code: 0 })
    }
    fs.rmSync(join(place.out, 'file'))
    await expectServes(place)
  })
})

describe('a sender lets no receiver join', () => {
  async function sending(): Promise<{ first: RawPeer; port: number; stop: () => void }> {
    const place = makePlace(3)
    const file = join(place.root, 'file')
    fs.writeFileSync(file, CONTENT)
    const { peer, connect, transfer } = await sendToRaw(file, { ledgerPath: place.senderLedger })
    peer.say({ type: 'hello', hello: { name: 'liar', maxChunkBytes: 1 << 20, known: null } })
    await peer.until('manifest')
    return { first: peer, port: Number(connect.split(':')[1]), stop: () => transfer.cancel() }
  }

  async function moving(): ReturnType<typeof sending> {
    const run = await sending()
    run.first.say({ type: 'accept', accept: { epoch: 1 } })
    run.first.say({ type: 'safe', last: true, page: new Uint8Array() })
    await run.first.until('digests')
    return run
  }

  test('before it moves, nor without the key of its session', async () => {
    const { first, port } = await sending()
    const early = await RawPeer.join(port, 'direct', first.credential)
    expect(await early.closed()).toBe(ERROR_TABLE.session_taken.wire)
    const stolen = { id: first.credential.id, key: randomBytes(32) }
    await expect(RawPeer.join(port, 'direct', stolen)).rejects.toMatchObject({ code: 'auth_failed' })
    first.say({ type: 'accept', accept: { epoch: 1 } })
    first.say({ type: 'safe', last: true, page: new Uint8Array() })
    await first.until('digests')
  })

  test('that says there what belongs on the first stream', async () => {
    const { first, port } = await moving()
    const more = await RawPeer.join(port, 'direct', first.credential)
    more.say({ type: 'nack', entry: 0 })
    expect(await more.closed()).toBe(ERROR_TABLE.protocol_violation.wire)
    expect(await first.closed()).toBe(ERROR_TABLE.protocol_violation.wire)
  })

  test('beyond so many', async () => {
    const { first, port } = await moving()
    const streams: RawPeer[] = []
    for (let more = 1; more < MAX_STREAMS; more++) streams.push(await RawPeer.join(port, 'direct', first.credential))
    const surplus = await RawPeer.join(port, 'direct', first.credential)
    expect(await surplus.closed()).toBe(ERROR_TABLE.session_taken.wire)
    for (const stream of streams) expect(stream.isOver).toBe(false)
  })
})
