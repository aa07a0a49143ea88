/** A sender that knows the token and lies in every field; our receiver must end with a typed error and write nothing outside. */

import fs from 'node:fs'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { describe, expect, test, vi } from 'vitest'
import { bloscLz4 } from '../../src/codecs/blosc-lz4.ts'
import type { ReceiveOptions } from '../../src/index.ts'
import { concatBytes, encodeUtf8 } from '../../src/protocol/bytes.ts'
import { type ErrorCode } from '../../src/protocol/errors.ts'
import { encodeMessage, MESSAGE, type Message, type Offer } from '../../src/protocol/messages.ts'
import { type RawPeer, receiveFromRaw } from '../rigs/loopback-pair.ts'
import { makePlace } from '../rigs/place.ts'
import {
  entry,
  expectBroken,
  expectNothing,
  expectRefusal,
  folder,
  link,
  meet,
  type Meeting,
  offer,
  offerOf,
  type RawEntry,
  sha256,
  STAGING,
} from './raw-sender.ts'

describe('a manifest', () => {
  const deep = Array.from({ length: 18 }, (_, level) => folder('d'.repeat(250), level))
  const bad: Record<string, readonly RawEntry[]> = {
    'a name ..': [folder('tree'), { name: '..', parent: 1 }],
    'a name .': [{ name: '.' }],
    'no name': [{ name: '' }],
    'a root ../out': [{ name: '../evil' }],
    'an absolute name': [{ name: '/etc/evil' }],
    'a separator in a name': [folder('tree'), { name: 'a/../../evil', parent: 1 }],
    'a NUL in a name': [{ name: 'evil\0.txt' }],
    'a name that is not UTF-8': [{ name: Uint8Array.of(0x61, 0xff, 0xfe) }],
    'a path over 4,096 bytes': deep,
    'the same name twice': [{ name: 'a' }, { name: 'a' }],
    'names out of order': [{ name: 'b' }, { name: 'a' }],
    'a folder and a file of one name': [folder('a'), { name: 'a' }],
    'a file as parent': [{ name: 'a' }, { name: 'b', parent: 1 }],
    'a link as parent': [folder('a'), link('l', 'x'), { name: 'b', parent: 2 }],
    'a parent that does not come before it': [{ name: 'a', parent: 2 }, folder('b')],
    'a parent beyond all bounds': [{ name: 'a', parent: 0xffff_ffff }],
    'a parent that is closed already': [folder('a'), folder('b'), { name: 'c', parent: 1 }],
    'a link out of its root': [folder('a'), link('l', '../../evil')],
    'a link that climbs behind a name': [folder('a'), link('l', 'x/../../evil')],
    'an absolute link': [folder('a'), link('l', '/etc')],
    'a link with a NUL': [folder('a'), link('l', 'x\0y')],
    'an empty link': [folder('a'), link('l', '')],
    'a link that is a root and leads out': [link('l', '..', 0)],
    'a size of 2^53': [{ name: 'a', size: [0x20_0000, 0] }],
    'a negative size': [{ name: 'a', size: [0xffff_ffff, 0xffff_fffe] }],
    'sizes that add up to more than can be counted': [
      { name: 'a', size: [0x1f_ffff, 0xffff_ffff] },
      { name: 'b', size: [0x1f_ffff, 0xffff_ffff] },
    ],
    'an unknown kind': [{ kind: 3, name: 'a' }],
    'a priority of 10': [{ name: 'a', priority: 10 }],
  }

  test.each(Object.keys(bad))('with %s is refused whole', async (name) => {
    const meeting = await meet()
    offer(meeting.peer, bad[name] as RawEntry[])
    await expectRefusal(meeting, 'manifest_invalid')
  })

  const honest = [folder('tree'), { name: 'a', parent: 1, size: 3 }]
  test.each<[string, Partial<Offer>, ErrorCode]>([
    ['digest', { digest: '0'.repeat(64) }, 'manifest_invalid'],
    ['number of entries, too many', { entries: 3 }, 'manifest_invalid'],
    ['number of entries, too few', { entries: 1 }, 'manifest_invalid'],
    ['number of files', { files: 2 }, 'manifest_invalid'],
    ['number of bytes', { bytes: 4 }, 'manifest_invalid'],
    ['number of entries, over 10^6', { entries: 1_000_001 }, 'protocol_violation'],
    ['number of entries, negative', { entries: -1 }, 'protocol_violation'],
    ['number of files, a fraction', { files: 0.5 }, 'protocol_violation'],
    ['number of bytes, 2^53', { bytes: 2 ** 53 }, 'protocol_violation'],
    ['transfer id, a path', { transferId: '../../../../../../evil' }, 'protocol_violation'],
    ['id of what it replaces, a path', { replaces: '../evil' }, 'protocol_violation'],
    ['name, too long', { name: 'x'.repeat(300) }, 'protocol_violation'],
    ['policy', { conflict: 'destroy' as never }, 'protocol_violation'],
    ['largest chunk, of one byte', { maxChunkBytes: 1 }, 'protocol_violation'],
    ['largest chunk, not even a number', { maxChunkBytes: 'large' as never }, 'protocol_violation'],
    ['number of bytes, not known', { bytes: null }, 'manifest_invalid'],
  ])('whose offer lies in its %s is refused', async (_, lies, code) => {
    const meeting = await meet()
    offer(meeting.peer, honest, lies)
    await expectRefusal(meeting, code)
  })

  test('of more entries than fit into memory at once is refused while it comes', async () => {
    const meeting = await meet()
    meeting.peer.say({ type: 'offer', offer: offerOf(honest, { entries: 10 }) })
    const page = concatBytes(
      Array.from({ length: 5000 }, (_, at) => entry({ name: `f${String(at).padStart(5, '0')}` })),
    )
    for (let pages = 0; pages < 20; pages++) meeting.peer.say({ type: 'manifest', last: false, page })
    await expectRefusal(meeting, 'manifest_invalid')
  })

  test('in a page that is too long, or ends in the middle of an entry, is refused', async () => {
    for (const page of [new Uint8Array((256 << 10) + 1), entry({ name: 'a' }).subarray(0, 20)]) {
      const meeting = await meet()
      meeting.peer.say({ type: 'offer', offer: offerOf(honest) })
      meeting.peer.say({ type: 'manifest', last: true, page })
      await expectRefusal(meeting, 'protocol_violation')
      meeting.place.remove()
    }
  })

  test('that claims a petabyte is refused for want of space, before anything is made', async () => {
    const meeting = await meet()
    offer(meeting.peer, [{ name: 'a', size: 2 ** 50 }])
    await expectRefusal(meeting, 'disk_full')
  })

  test('with wild times and permissions does no harm: no setuid, times that exist', async () => {
    const entries: RawEntry[] = [
      { name: 'a', mode: 0o7777, mtimeNs: -(2n ** 63n) },
      { name: 'b', mode: 0, mtimeNs: 2n ** 63n - 1n },
    ]
    const { peer, end, place } = await meet()
    offer(peer, entries)
    await peer.until('safe')
    peer.say({ type: 'digests', digests: [0, 1].map((index) => ({ entry: index, sha256: sha256(new Uint8Array()) })) })
    await peer.until('done')
    peer.say({ type: 'close', code: 0 })
    expect((await end).error).toBeNull()
    const mode = fs.statSync(join(place.out, 'a')).mode & 0o7777
    expect(mode & 0o7000).toBe(0)
    expect(fs.readdirSync(place.out)).toEqual(['a', 'b'])
  })
})

/** Two files of 10 and 20 bytes in a folder, accepted; the receiver waits for chunks. */
const CONTENT = Uint8Array.from({ length: 30 }, (_, at) => at + 1)
const TREE: readonly RawEntry[] = [
  folder('tree'),
  { name: 'a', parent: 1, size: 10 },
  { name: 'b', parent: 1, size: 20 },
]

async function accepted(options: ReceiveOptions = {}): Promise<Meeting> {
  const meeting = await meet(options)
  offer(meeting.peer, TREE)
  await meeting.peer.until('safe')
  return meeting
}

const DIGESTS: Message = {
  type: 'digests',
  digests: [
    { entry: 1, sha256: sha256(CONTENT.subarray(0, 10)) },
    { entry: 2, sha256: sha256(CONTENT.subarray(10)) },
  ],
}

async function expectWhole({ peer, end, place }: Meeting): Promise<void> {
  const { done } = await peer.until('done')
  expect(done).toEqual({ published: 2, skipped: 0, failed: 0 })
  peer.say({ type: 'close', code: 0 })
  expect((await end).error).toBeNull()
  expect(fs.readFileSync(join(place.out, 'tree/a'))).toEqual(Buffer.from(CONTENT.subarray(0, 10)))
  expect(fs.readFileSync(join(place.out, 'tree/b'))).toEqual(Buffer.from(CONTENT.subarray(10)))
  expectNothing(place, ['tree'])
}

function chunkHeader(set: (view: DataView) => void): Uint8Array {
  const plaintext = new Uint8Array(64 + 10)
  const view = new DataView(plaintext.buffer)
  plaintext[0] = MESSAGE.chunk
  view.setUint32(4, 1)
  view.setUint32(16, 10)
  set(view)
  return plaintext
}

describe('chunks', () => {
  const zeros = new Uint8Array(64 << 20)
  const lies: Record<string, [say: (peer: RawPeer) => void | Promise<void>, code: ErrorCode]> = {
    'beyond the content': [(peer) => peer.chunk({ offset: 25, packed: new Uint8Array(10) }), 'protocol_violation'],
    'at the very end': [(peer) => peer.chunk({ offset: 30, packed: new Uint8Array(1) }), 'protocol_violation'],
    'beyond what can be counted': [
      (peer) => peer.sayRaw(chunkHeader((view) => view.setUint32(8, 0xffff_ffff))),
      'protocol_violation',
    ],
    'shorter than they say': [(peer) => peer.chunk({ rawBytes: 11, packed: new Uint8Array(10) }), 'protocol_violation'],
    'longer than they say': [(peer) => peer.chunk({ rawBytes: 9, packed: new Uint8Array(10) }), 'protocol_violation'],
    'of no bytes': [(peer) => peer.chunk({ packed: new Uint8Array() }), 'protocol_violation'],
    'that would unpack to more than a chunk': [
      (peer) => peer.chunk({ codec: 2, rawBytes: (1 << 20) + 1, packed: new Uint8Array(10) }),
      'protocol_violation',
    ],
    'with reserved bits in front': [
      (peer) => peer.sayRaw(chunkHeader((view) => view.setUint16(2, 1))),
      'protocol_violation',
    ],
    'with reserved bits behind': [
      (peer) => peer.sayRaw(chunkHeader((view) => view.setUint8(63, 1))),
      'protocol_violation',
    ],
    'without a whole header': [(peer) => peer.sayRaw(Uint8Array.of(MESSAGE.chunk, 0, 0)), 'protocol_violation'],
    'of an unknown codec': [(peer) => peer.chunk({ codec: 9, packed: new Uint8Array(10) }), 'protocol_violation'],
    'of garbage called zstd': [
      (peer) => peer.chunk({ codec: 1, rawBytes: 30, packed: CONTENT.subarray(0, 20) }),
      'codec_failed',
    ],
    'of garbage called gzip': [
      (peer) => peer.chunk({ codec: 2, rawBytes: 30, packed: CONTENT.subarray(0, 20) }),
      'codec_failed',
    ],
    'of garbage called blosc': [
      (peer) => peer.chunk({ codec: 3, rawBytes: 30, packed: CONTENT.subarray(0, 20) }),
      'codec_failed',
    ],
  }
  test.each(Object.keys(lies))('%s end the session', async (name) => {
    const [say, code] = lies[name] as (typeof lies)[string]
    const meeting = await accepted()
    await say(meeting.peer)
    await expectRefusal(meeting, code, [STAGING])
  })

  test.each([
    ['zstd', 1, () => zstdCompressSync(zeros)],
    ['gzip', 2, () => gzipSync(zeros)],
    ['blosc-lz4', 3, () => bloscLz4.encode(zeros.subarray(0, 8 << 20), bloscLz4.defaultLevel)],
  ] as const)('that are bombs of %s end it without being unpacked', async (_, codec, pack) => {
    const place = makePlace(2)
    const run = await receiveFromRaw({ outputDir: place.out, ledgerPath: place.receiverLedger })
    await run.peer.until('hello')
    const size = 400_000
    offer(run.peer, [{ name: 'a', size }])
    await run.peer.until('safe')
    const packed = await pack()
    expect(packed.length).toBeLessThan(size)
    const before = process.memoryUsage()
    run.peer.chunk({ codec, rawBytes: size, packed })
    const ended = await expectRefusal({ ...run, place }, 'codec_failed', [STAGING])
    expect(ended.error?.exitCode).toBe(6)
    const after = process.memoryUsage()
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(8 << 20)
  })

  test('twice, overlapping, backwards, of another epoch or behind their digests change nothing', async () => {
    const meeting = await accepted()
    const { peer } = meeting
    peer.say(DIGESTS)
    peer.chunk({ epoch: 7, offset: 0, packed: new Uint8Array(30) })
    peer.chunk({ epoch: 0, offset: 0, packed: new Uint8Array(30) })
    for (let at = 29; at > 12; at--) peer.chunk({ offset: at, packed: CONTENT.subarray(at, at + 1) })
    peer.chunk({ offset: 5, packed: CONTENT.subarray(5, 20) })
    peer.chunk({ offset: 5, packed: CONTENT.subarray(5, 20) })
    peer.chunk({ offset: 0, packed: CONTENT })
    await expectWhole(meeting)
  })

  test('that contradict each other: the first counts, and a file that does not match comes once more', async () => {
    const meeting = await accepted()
    const { peer } = meeting
    peer.chunk({ offset: 0, packed: new Uint8Array(10) })
    peer.chunk({ offset: 0, packed: CONTENT })
    peer.say(DIGESTS)
    expect(await peer.until('nack')).toMatchObject({ entry: 1 })
    peer.chunk({ offset: 0, packed: CONTENT.subarray(0, 10) })
    peer.say(DIGESTS)
    await expectWhole(meeting)
  })

  test('whose file does not match twice fail that file (8), and the other one arrives', async () => {
    const { peer, end, place } = await accepted()
    for (let time = 0; time < 2; time++) {
      peer.chunk({ offset: 0, packed: CONTENT })
      peer.say({
        type: 'digests',
        digests: [
          { entry: 1, sha256: new Uint8Array(32).fill(7) },
          { entry: 2, sha256: sha256(CONTENT.subarray(10)) },
        ],
      })
      if (time === 0) expect(await peer.until('nack')).toMatchObject({ entry: 1 })
    }
    expect((await peer.until('done')).done).toEqual({ published: 1, skipped: 0, failed: 1 })
    peer.say({ type: 'close', code: 0 })
    const { error, events } = await end
    expect([error?.code, error?.exitCode]).toEqual(['partial', 8])
    expect(fs.readdirSync(join(place.out, 'tree'))).toEqual(['b'])
    expectNothing(place, ['tree'])
    expect(events).toContainEqual(
      expect.objectContaining({ event: 'file', path: 'tree/a', status: 'failed', savedAs: null }),
    )
  })
})

describe('messages', () => {
  const hash = new Uint8Array(32)
  const said: Record<string, [Message | Uint8Array, ErrorCode]> = {
    'a digest of a folder': [{ type: 'digests', digests: [{ entry: 0, sha256: hash }] }, 'protocol_violation'],
    'a digest of no entry': [{ type: 'digests', digests: [{ entry: 3, sha256: hash }] }, 'protocol_violation'],
    'a list of digests that is cut': [Uint8Array.of(MESSAGE.digests, 0, 0, 0, 1, 1), 'protocol_violation'],
    'an empty list of digests': [Uint8Array.of(MESSAGE.digests), 'protocol_violation'],
    'a failure of no entry': [{ type: 'entryFailed', entry: 3, code: 81 }, 'protocol_violation'],
    'an end of a file whose size is known': [{ type: 'entryEnd', sizeBytes: 5 }, 'protocol_violation'],
    HELLO: [{ type: 'hello', hello: { name: 'x', maxChunkBytes: 1 << 20, known: null } }, 'protocol_violation'],
    ACCEPT: [{ type: 'accept', accept: { epoch: 1 } }, 'protocol_violation'],
    REJECT: [{ type: 'reject', code: 20, roomBytes: null }, 'protocol_violation'],
    STATES: [{ type: 'states', runs: [{ first: 0, count: 3, state: 4, code: 0 }] }, 'protocol_violation'],
    SAFE: [{ type: 'safe', last: true, page: new Uint8Array() }, 'protocol_violation'],
    ACK: [{ type: 'ack', page: new Uint8Array() }, 'protocol_violation'],
    NACK: [{ type: 'nack', entry: 1 }, 'protocol_violation'],
    DONE: [{ type: 'done', done: { published: 2, skipped: 0, failed: 0 } }, 'protocol_violation'],
    'another OFFER': [{ type: 'offer', offer: offerOf(TREE) }, 'protocol_violation'],
    'another MANIFEST': [{ type: 'manifest', last: true, page: new Uint8Array() }, 'protocol_violation'],
    'a message of unknown type': [Uint8Array.of(200, 1, 2, 3), 'protocol_violation'],
    'a PING with something in it': [Uint8Array.of(MESSAGE.ping, 1), 'protocol_violation'],
  }
  test.each(Object.keys(said))('%s while chunks are due: ends the session, exit 6', async (name) => {
    const [message, code] = said[name] as (typeof said)[string]
    const meeting = await accepted()
    meeting.peer.sayRaw(
      message instanceof Uint8Array ? message : encodeMessage(message as Exclude<Message, { type: 'chunk' }>),
    )
    const { error } = await expectRefusal(meeting, code, [STAGING])
    expect(error?.exitCode).toBe(6)
  })

  const early: Record<string, (peer: RawPeer) => void> = {
    'a chunk before the offer': (peer) => peer.chunk({ packed: new Uint8Array(1) }),
    'a manifest before the offer': (peer) => peer.say({ type: 'manifest', last: true, page: new Uint8Array() }),
    'an offer that is no JSON': (peer) => peer.sayRaw(Uint8Array.of(MESSAGE.offer, 0x7b)),
    'an offer that is no UTF-8': (peer) => peer.sayRaw(Uint8Array.of(MESSAGE.offer, 0xff)),
    'an offer of 64 KiB and more': (peer) =>
      peer.sayRaw(Uint8Array.of(MESSAGE.offer, ...encodeUtf8(`"${'x'.repeat(70_000)}"`))),
    'an offer with a prototype': (peer) =>
      peer.sayRaw(Uint8Array.of(MESSAGE.offer, ...encodeUtf8('{"__proto__":{"transferId":1}}'))),
    'an offer whose manifest should be known and is not': (peer) =>
      peer.say({ type: 'offer', offer: offerOf(TREE, { manifestFollows: false }) }),
    'a word behind the final one': (peer) => {
      peer.say({ type: 'close', code: 20 })
      offer(peer, TREE)
    },
  }
  test.each(Object.keys(early))('%s', async (name) => {
    const { peer, end, place } = await meet()
    ;(early[name] as (peer: RawPeer) => void)(peer)
    const { error } = await end
    expect(error?.exitCode).toBeGreaterThan(1)
    expectNothing(place)
  })

  const words: Record<string, Uint8Array> = {
    'no length': Uint8Array.of(0, 0, 0, 0),
    'less than a tag': Uint8Array.of(0, 0, 0, 16, 1, 2, 3),
    'four gigabytes': Uint8Array.of(0xff, 0xff, 0xff, 0xff),
    'a byte more than may be': Uint8Array.of(0, 0x10, 0, 0x51),
  }
  test.each(Object.keys(words))('a record that says %s ends the session before anything is allocated', async (name) => {
    const meeting = await accepted()
    const before = process.memoryUsage().arrayBuffers
    meeting.peer.wire(words[name] as Uint8Array)
    await expectBroken(meeting, 'record_invalid')
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 << 20)
  })

  test('a record that was changed ends the session, and nothing of it is believed', async () => {
    const meeting = await accepted()
    const record = meeting.peer.sealed(concatBytes([chunkHeader(() => undefined)]))
    record[record.length - 1] = (record[record.length - 1] as number) ^ 1
    meeting.peer.wire(record)
    await expectBroken(meeting, 'record_invalid')
  })

  test('a million PINGs that nobody reads answers to cost no memory', async () => {
    const { peer, transfer, end } = await accepted()
    peer.socket.pause()
    const pings = concatBytes(Array.from({ length: 1000 }, () => peer.sealed(Uint8Array.of(MESSAGE.ping))))
    peer.wire(pings)
    await peer.drained()
    const before = process.memoryUsage()
    for (let round = 0; round < 100; round++) {
      peer.wire(concatBytes(Array.from({ length: 1000 }, () => peer.sealed(Uint8Array.of(MESSAGE.ping)))))
      await peer.drained()
    }
    const after = process.memoryUsage()
    expect(after.heapUsed + after.external - before.heapUsed - before.external).toBeLessThan(40 << 20)
    transfer.cancel()
    await end
  })
})

describe('a sender that breaks off', () => {
  test('behind any record leaves nothing under a final name, and the receiver tries to come back', async () => {
    const page = concatBytes(TREE.map(entry))
    const script: ((peer: RawPeer) => void | Promise<unknown>)[] = [
      (peer) => peer.say({ type: 'offer', offer: offerOf(TREE) }),
      async (peer) => {
        peer.say({ type: 'manifest', last: true, page })
        await peer.until('safe')
      },
      (peer) => peer.chunk({ offset: 0, packed: CONTENT.subarray(0, 10) }),
      (peer) => peer.chunk({ offset: 10, packed: CONTENT.subarray(10) }),
      (peer) => peer.say({ type: 'ping' }),
    ]
    for (let records = 0; records <= script.length; records++) {
      for (const how of ['fin', 'reset'] as const) {
        const { peer, end, events, transfer, place } = await meet()
        for (const step of script.slice(0, records)) await step(peer)
        if (how === 'fin') peer.socket.end()
        else peer.socket.resetAndDestroy()
        await vi.waitFor(() =>
          expect(events).toContainEqual(expect.objectContaining({ event: 'warning', code: 'connection_lost' })),
        )
        transfer.cancel()
        await end
        expectNothing(place, records >= 2 ? [STAGING] : [])
        place.remove()
      }
    }
  })

  test('with any code in its final word ends the receiver in words, never as its own Ctrl-C or fault', async () => {
    for (const code of [0, 1, 4, 20, 47, 60, 90, 91, 65_535]) {
      const { peer, end, transfer, place } = await accepted()
      peer.say({ type: 'close', code })
      await peer.closed()
      transfer.cancel()
      const { events, error } = await end
      const warned = events.find((event) => event.event === 'warning')
      expect(warned !== undefined || (error !== null && error.exitCode > 1 && error.exitCode < 130), String(code)).toBe(
        true,
      )
      expectNothing(place, [STAGING])
      place.remove()
    }
  })
})
