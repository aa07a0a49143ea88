/** A receiver that knows the token and lies; our sender must not believe it, nor work or wait for ever. */

import fs from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { SendOptions } from '../../src/index.ts'
import { ByteWriter, concatBytes, encodeUtf8 } from '../../src/protocol/bytes.ts'
import { ERROR_TABLE, type ErrorCode } from '../../src/protocol/errors.ts'
import { MAX_PLAIN_RECORD_BYTES } from '../../src/protocol/limits.ts'
import { encodeMessage, type Hello, MESSAGE, type Message, type Offer } from '../../src/protocol/messages.ts'
import { encodeRangePages, type Range } from '../../src/protocol/ranges.ts'
import { type HonestEnd, type HonestRun, type RawPeer, sendToRaw } from '../rigs/loopback-pair.ts'
import { makePlace, type Place } from '../rigs/place.ts'

const HELLO: Hello = { name: 'liar', maxChunkBytes: 1 << 20, known: null }

interface Meeting extends HonestRun {
  readonly place: Place
  readonly peer: RawPeer
}

/** An honest sender of `source/tree` (a: 10 bytes, b: 20 bytes, in this order) that was not yet greeted. */
async function meet(
  options: SendOptions = {},
  files: Readonly<Record<string, number>> = { a: 10, b: 20 },
): Promise<Meeting> {
  const place = makePlace(3)
  const tree = join(place.root, 'mine', 'tree')
  fs.mkdirSync(tree, { recursive: true })
  for (const [name, size] of Object.entries(files)) fs.writeFileSync(join(tree, name), new Uint8Array(size).fill(7))
  const run = await sendToRaw(tree, { ledgerPath: place.senderLedger, ...options })
  return { ...run, place }
}

async function offered(
  options?: SendOptions,
  files?: Readonly<Record<string, number>>,
): Promise<Meeting & { offer: Offer }> {
  const meeting = await meet(options, files)
  meeting.peer.say({ type: 'hello', hello: HELLO })
  const { offer } = await meeting.peer.until('offer')
  for (let page = await meeting.peer.until('manifest'); !page.last;) page = await meeting.peer.until('manifest')
  return { ...meeting, offer }
}

function pageOf(ranges: readonly Range[]): Uint8Array {
  return [...encodeRangePages(ranges)][0] ?? new Uint8Array()
}

/** Bytes of ranges that no encoder would write. */
function wildPage(...words: readonly number[]): Uint8Array {
  const writer = new ByteWriter()
  for (const word of words) writer.u64(word)
  return writer.finish()
}

async function accepted(
  options?: SendOptions,
  files?: Readonly<Record<string, number>>,
): Promise<Meeting & { offer: Offer }> {
  const meeting = await offered(options, files)
  meeting.peer.say({ type: 'accept', accept: { epoch: 1 } })
  meeting.peer.say({ type: 'safe', last: true, page: new Uint8Array() })
  return meeting
}

/**
 * The session ended with this error, which the sender told the peer; the sender lives on and waits for a better
 * receiver, since a listening sender is not ended by whoever comes.
 */
async function expectBroken({ peer, end, transfer }: Meeting, code: ErrorCode): Promise<HonestEnd> {
  expect(await peer.closed()).toBe(ERROR_TABLE[code].wire)
  transfer.cancel()
  const ended = await end
  expect(ended.result).toBeNull()
  expect(ended.events).toContainEqual(expect.objectContaining({ event: 'warning', code }))
  expect(ended.events.some(({ event }) => event === 'done')).toBe(false)
  return ended
}

describe('a greeting', () => {
  const greetings: Record<string, Uint8Array> = {
    'that is no JSON': Uint8Array.of(MESSAGE.hello, 0x7b),
    'with fields of the wrong kind': concatBytes([
      Uint8Array.of(MESSAGE.hello),
      encodeUtf8('{"name":1,"maxChunkBytes":[],"known":7}'),
    ]),
    'of chunks of one byte': encodeMessage({ type: 'hello', hello: { ...HELLO, maxChunkBytes: 1 } }),
    'with a name of 200 kB': encodeMessage({ type: 'hello', hello: { ...HELLO, name: 'x'.repeat(200_000) } }),
    'with an id that is a path': encodeMessage({
      type: 'hello',
      hello: { ...HELLO, known: { transferId: '../../etc/passwd', digest: '0'.repeat(64) } },
    }),
    'that is an acceptance': encodeMessage({ type: 'accept', accept: { epoch: 1 } }),
    'that is DONE': encodeMessage({ type: 'done', done: { published: 2, skipped: 0, failed: 0 } }),
    'that is an offer': encodeMessage({ type: 'entryEnd', sizeBytes: 1 }),
    'that is a place in line': encodeMessage({ type: 'queued', place: 1 }),
    'of unknown type': Uint8Array.of(77),
  }
  test.each(Object.keys(greetings))('%s ends the session', async (name) => {
    const meeting = await meet()
    meeting.peer.sayRaw(greetings[name] as Uint8Array)
    await expectBroken(meeting, 'protocol_violation')
  })

  test('longer than anything that a receiver may say is not even kept', async () => {
    const meeting = await meet()
    meeting.peer.say({ type: 'hello', hello: { ...HELLO, name: 'x'.repeat(MAX_PLAIN_RECORD_BYTES) } })
    await expectBroken(meeting, 'record_invalid')
  })

  test('of somebody who claims to know the transfer, with another digest, gets the whole manifest', async () => {
    const { peer, transfer, end } = await meet()
    peer.say({
      type: 'hello',
      hello: { ...HELLO, known: { transferId: '01234567-89ab-4cde-8f01-23456789abcd', digest: '0'.repeat(64) } },
    })
    expect((await peer.until('offer')).offer.manifestFollows).toBe(true)
    expect((await peer.until('manifest')).last).toBe(true)
    transfer.cancel()
    await end
  })
})

describe('an answer', () => {
  test.each([
    [20, 'rejected'],
    [21, 'rejected'],
    [22, 'conflict'],
    [23, 'policy_refused'],
    [62, 'manifest_invalid'],
    // Whatever else a number means, it is a no: no peer ends us as if by Ctrl-C or by a fault of our own.
    [1, 'rejected'],
    [40, 'rejected'],
    [90, 'rejected'],
    [65_535, 'rejected'],
  ])('of no with code %i ends the sender as %s, once', async (wire, code) => {
    const { peer, end } = await offered()
    for (let time = 0; time < 50; time++) peer.say({ type: 'reject', code: wire, roomBytes: null })
    const { error, events } = await end
    expect(error?.code).toBe(code)
    expect(error?.exitCode).toBe(ERROR_TABLE[code as ErrorCode].exit)
    expect(events.filter(({ event }) => event === 'warning')).toEqual([])
  })

  test.each([
    ['declined', 'rejected'],
    ['conflict', 'conflict'],
  ] as const)('in a farewell that says %s ends the sender as %s', async (said, code) => {
    const { peer, end } = await offered()
    peer.say({ type: 'close', code: ERROR_TABLE[said].wire })
    expect((await end).error).toMatchObject({ code, exitCode: 3 })
  })

  const surveys: Record<string, Message | Uint8Array> = {
    'an acceptance of a negative epoch': { type: 'accept', accept: { epoch: -1 } },
    'SAFE beyond the content': { type: 'safe', last: true, page: pageOf([{ start: 20, end: 31 }]) },
    'SAFE of nothing': { type: 'safe', last: true, page: wildPage(5, 5) },
    'SAFE backwards': { type: 'safe', last: true, page: wildPage(9, 5) },
    'SAFE out of order': { type: 'safe', last: true, page: wildPage(20, 25, 0, 5) },
    'SAFE that overlaps itself': { type: 'safe', last: true, page: wildPage(0, 10, 5, 20) },
    'SAFE that is cut': { type: 'safe', last: true, page: new Uint8Array(17) },
    'SAFE with a strange flag': Uint8Array.of(MESSAGE.safe, 2),
    'STATES of entries that are not there': { type: 'states', runs: [{ first: 1, count: 3, state: 4, code: 0 }] },
    'STATES far beyond': { type: 'states', runs: [{ first: 4_294_967_295, count: 1, state: 4, code: 0 }] },
    'STATES that are unknown': { type: 'states', runs: [{ first: 0, count: 1, state: 7, code: 0 }] },
    'STATES of no entries': { type: 'states', runs: [{ first: 0, count: 0, state: 4, code: 0 }] },
    'STATES that are cut': Uint8Array.of(MESSAGE.states, 0, 0, 0),
    'ACK before SAFE': { type: 'ack', page: pageOf([{ start: 0, end: 10 }]) },
    'DONE before SAFE': { type: 'done', done: { published: 2, skipped: 0, failed: 0 } },
    'a second acceptance': { type: 'accept', accept: { epoch: 2 } },
    'a place in line behind a yes': { type: 'queued', place: 1 },
    'a no behind a yes': { type: 'reject', code: 20, roomBytes: null },
  }
  test.each(Object.keys(surveys))('with %s ends the session', async (name) => {
    const meeting = await offered()
    if (!name.startsWith('an acceptance')) meeting.peer.say({ type: 'accept', accept: { epoch: 1 } })
    const said = surveys[name] as Message | Uint8Array
    meeting.peer.sayRaw(said instanceof Uint8Array ? said : encodeMessage(said as Exclude<Message, { type: 'chunk' }>))
    await expectBroken(meeting, 'protocol_violation')
  })

  test('that is a place in line before the first ends the session', async () => {
    const meeting = await offered()
    meeting.peer.sayRaw(Uint8Array.of(MESSAGE.queued, 0, 0, 0, 0))
    await expectBroken(meeting, 'protocol_violation')
  })

  test('that is one place in line after another, without end, ends the session', async () => {
    const meeting = await offered()
    for (let place = 2000; place > 0; place--) meeting.peer.say({ type: 'queued', place })
    const { events } = await expectBroken(meeting, 'protocol_violation')
    expect(events.filter(({ event }) => event === 'queued').length).toBeLessThan(200)
  })

  test('that states every entry again and again costs little, and ends the session', async () => {
    const files = Object.fromEntries(Array.from({ length: 3000 }, (_, at) => [`f${at}`, 0]))
    const meeting = await offered({}, files)
    meeting.peer.say({ type: 'accept', accept: { epoch: 1 } })
    const runs = Array.from({ length: 23_000 }, () => ({ first: 0, count: 3001, state: 1, code: 0 }))
    const startedMs = performance.now()
    meeting.peer.say({ type: 'states', runs })
    await expectBroken(meeting, 'protocol_violation')
    expect(performance.now() - startedMs).toBeLessThan(1500)
  })
})

describe('while chunks move', () => {
  const said: Record<string, Message | Uint8Array> = {
    'ACK beyond the content': { type: 'ack', page: pageOf([{ start: 25, end: 31 }]) },
    'ACK that is cut': { type: 'ack', page: new Uint8Array(3) },
    'ACK backwards': { type: 'ack', page: wildPage(9, 3) },
    'NACK of no entry': { type: 'nack', entry: 3 },
    'NACK of a folder': { type: 'nack', entry: 0 },
    'NACK that is cut': Uint8Array.of(MESSAGE.nack, 0),
    'another HELLO': { type: 'hello', hello: HELLO },
    'another SAFE': { type: 'safe', last: true, page: new Uint8Array() },
    OFFER: Uint8Array.of(MESSAGE.offer, 0x7b, 0x7d),
    DIGESTS: { type: 'digests', digests: [{ entry: 1, sha256: new Uint8Array(32) }] },
    'a failure of an entry': { type: 'entryFailed', entry: 1, code: 81 },
  }
  test.each(Object.keys(said))('%s ends the session', async (name) => {
    const meeting = await accepted()
    const message = said[name] as Message | Uint8Array
    meeting.peer.sayRaw(
      message instanceof Uint8Array ? message : encodeMessage(message as Exclude<Message, { type: 'chunk' }>),
    )
    await expectBroken(meeting, 'protocol_violation')
  })

  test('a no ends the transfer, as one before it does', async () => {
    const { peer, end } = await accepted()
    peer.say({ type: 'reject', code: 20, roomBytes: null })
    const { error, events } = await end
    expect(error?.code).toBe('rejected')
    expect(events.some(({ event }) => event === 'done')).toBe(false)
  })

  test('a chunk from the receiver ends the session', async () => {
    const meeting = await accepted()
    meeting.peer.chunk({ packed: new Uint8Array(3) })
    await expectBroken(meeting, 'protocol_violation')
  })

  test('only what was offered goes out, in the epoch that was given', async () => {
    const { peer, transfer, end } = await accepted()
    const chunk = await peer.until('chunk')
    expect([chunk.epoch, chunk.offset, chunk.rawBytes, Buffer.from(chunk.packed)]).toEqual([
      1,
      0,
      30,
      Buffer.alloc(30, 7),
    ])
    expect((await peer.until('digests')).digests.map(({ entry }) => entry)).toEqual([1, 2])
    transfer.cancel()
    await end
  })

  test('a file that is asked for again and again comes once more, and then the session ends', async () => {
    const meeting = await accepted({}, { a: 3 << 20 })
    for (let time = 0; time < 500; time++) meeting.peer.say({ type: 'nack', entry: 1 })
    await expectBroken(meeting, 'protocol_violation')
    const bytes = meeting.peer.heard.reduce(
      (sum, message) => sum + (message.type === 'chunk' ? message.rawBytes : 0),
      0,
    )
    expect(bytes).toBeLessThanOrEqual(9 << 20)
  })

  test('a file that did not arrive well comes once more, and all ends well', async () => {
    const { peer, end } = await accepted()
    await peer.until('digests')
    peer.say({ type: 'nack', entry: 1 })
    const again = await peer.until('chunk')
    expect([again.offset, again.rawBytes]).toEqual([0, 10])
    await peer.until('digests')
    peer.say({ type: 'ack', page: pageOf([{ start: 0, end: 30 }]) })
    peer.say({ type: 'states', runs: [{ first: 0, count: 3, state: 4, code: 0 }] })
    peer.say({ type: 'done', done: { published: 2, skipped: 0, failed: 0 } })
    const { result, events } = await end
    expect(result).toMatchObject({ files: 2, bytes: 30 })
    expect(events.filter((event) => event.event === 'file' && event.status === 'ok')).toHaveLength(2)
  })
})

describe('DONE', () => {
  const claims: Record<string, (peer: RawPeer) => void> = {
    'at once': () => undefined,
    'with all published and nothing acknowledged': (peer) =>
      peer.say({ type: 'states', runs: [{ first: 0, count: 3, state: 4, code: 0 }] }),
    'with one byte missing': (peer) => {
      peer.say({ type: 'ack', page: pageOf([{ start: 0, end: 29 }]) })
      peer.say({ type: 'states', runs: [{ first: 0, count: 3, state: 4, code: 0 }] })
    },
    'with all acknowledged and nothing published': (peer) =>
      peer.say({ type: 'ack', page: pageOf([{ start: 0, end: 30 }]) }),
    'with one entry that has no end': (peer) => {
      peer.say({ type: 'ack', page: pageOf([{ start: 0, end: 30 }]) })
      peer.say({ type: 'states', runs: [{ first: 0, count: 2, state: 4, code: 0 }] })
    },
  }
  test.each(Object.keys(claims))('%s is not believed', async (name) => {
    const meeting = await accepted()
    await meeting.peer.until('digests')
    ;(claims[name] as (peer: RawPeer) => void)(meeting.peer)
    meeting.peer.say({ type: 'done', done: { published: 2, skipped: 0, failed: 0 } })
    await expectBroken(meeting, 'protocol_violation')
  })

  test('with a file that failed there ends in part (8), whatever its counts say', async () => {
    const { peer, end } = await accepted()
    await peer.until('digests')
    peer.say({ type: 'ack', page: pageOf([{ start: 0, end: 10 }]) })
    peer.say({
      type: 'states',
      runs: [
        { first: 0, count: 2, state: 4, code: 0 },
        { first: 2, count: 1, state: 6, code: ERROR_TABLE.digest_mismatch.wire },
      ],
    })
    peer.say({ type: 'done', done: { published: 2, skipped: 0, failed: 0 } })
    const { error, events } = await end
    expect([error?.code, error?.exitCode]).toEqual(['partial', 8])
    expect(events).toContainEqual(
      expect.objectContaining({ event: 'file', path: 'tree/b', status: 'failed', sha256: null }),
    )
  })
})

describe('a receiver that takes nothing', () => {
  const memory = (): number => {
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    return heapUsed + arrayBuffers
  }

  test('costs a few chunks of memory, not the content, and can be left at once', async () => {
    const { peer, transfer, end } = await accepted({}, { a: 96 << 20 })
    peer.socket.pause()
    const before = memory()
    await new Promise((resolve) => setTimeout(resolve, 400))
    expect(memory() - before).toBeLessThan(16 << 20)
    const startedMs = performance.now()
    transfer.cancel()
    await end
    expect(performance.now() - startedMs).toBeLessThan(4000)
  })

  test('but asks for answers costs no memory either', async () => {
    const { peer, transfer, end } = await accepted()
    await peer.until('digests')
    peer.socket.pause()
    const round = (): void =>
      peer.wire(concatBytes(Array.from({ length: 1000 }, () => peer.sealed(Uint8Array.of(MESSAGE.ping)))))
    round()
    await peer.drained()
    const before = memory()
    for (let rounds = 0; rounds < 100; rounds++) {
      round()
      await peer.drained()
    }
    expect(memory() - before).toBeLessThan(30 << 20)
    transfer.cancel()
    await end
  })

  test('hangs up without a word: the sender waits for it as long as it was told to', async () => {
    const { peer, end } = await accepted({ waitMs: 300 })
    peer.socket.resetAndDestroy()
    const { error, events } = await end
    expect(error).toMatchObject({ code: 'nobody_came', exitCode: 5 })
    expect(error?.message).toMatch(/did not come back/)
    expect(events).toContainEqual(expect.objectContaining({ event: 'warning', code: 'connection_lost' }))
  })
})
