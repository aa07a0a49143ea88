/** A receiver that lies about a stream; our sender neither believes it nor gives more than it has. */

import { describe, expect, test } from 'vitest'
import { sendStream } from '../../src/index.ts'
import { ERROR_TABLE } from '../../src/protocol/errors.ts'
import type { Hello, Message } from '../../src/protocol/messages.ts'
import { encodeRangePages, type Range } from '../../src/protocol/ranges.ts'
import { type HonestRun, type RawPeer, sendToRaw } from '../rigs/loopback-pair.ts'
import { makePlace } from '../rigs/place.ts'
import { inPieces, noise } from '../rigs/stream-run.ts'

const HELLO: Hello = { name: 'liar', maxChunkBytes: 1 << 20, known: null }
const MIB = 1 << 20

interface Meeting extends HonestRun {
  readonly peer: RawPeer
}

/** A sender of 30 bytes whose stream stays open until it is ended. */
async function accepted(safe: readonly Range[] = []): Promise<Meeting & { finish(): void }> {
  const rest = Promise.withResolvers<undefined>()
  async function* source(): AsyncGenerator<Uint8Array> {
    yield noise(30)
    await rest.promise
  }
  const meeting = await meet(source())
  answer(meeting.peer, safe)
  return { ...meeting, finish: () => rest.resolve(undefined) }
}

async function meet(source: AsyncIterable<Uint8Array>): Promise<Meeting> {
  const { senderLedger } = makePlace(3)
  const run = await sendToRaw((options) => sendStream(source, options), { ledgerPath: senderLedger })
  run.peer.say({ type: 'hello', hello: HELLO })
  const { offer } = await run.peer.until('offer')
  expect([offer.bytes, offer.entries, offer.files, offer.text]).toEqual([null, 1, 1, undefined])
  await run.peer.until('manifest')
  return run
}

function answer(peer: RawPeer, safe: readonly Range[]): void {
  peer.say({ type: 'accept', accept: { epoch: 1 } })
  peer.say({ type: 'safe', last: true, page: pageOf(safe) })
}

function pageOf(ranges: readonly Range[]): Uint8Array {
  return [...encodeRangePages(ranges)][0] ?? new Uint8Array()
}

const ack = (end: number): Message => ({ type: 'ack', page: pageOf([{ start: 0, end }]) })

/** The sender broke off with this and waits for a better receiver. */
async function expectBroken({ peer, end, transfer }: Meeting): Promise<void> {
  expect(await peer.closed()).toBe(ERROR_TABLE.protocol_violation.wire)
  transfer.cancel()
  const { events } = await end
  expect(events).toContainEqual(expect.objectContaining({ event: 'warning', code: 'protocol_violation' }))
  expect(events.some(({ event }) => event === 'done')).toBe(false)
}

describe('a receiver that', () => {
  test('has more than was sent, before anything was, is not believed', async () => {
    await expectBroken(await accepted([{ start: 0, end: 1 }]))
  })

  test.each([
    ['acknowledges more than was sent', ack(31)],
    ['asks again for another entry', { type: 'nack', entry: 1 }],
    ['ends the stream itself', { type: 'entryEnd', sizeBytes: 30 }],
  ] as const)('%s ends the session', async (_, message) => {
    const meeting = await accepted()
    await meeting.peer.until('chunk')
    meeting.peer.say(message as Exclude<Message, { type: 'chunk' }>)
    await expectBroken(meeting)
  })

  test.each([
    ['before the stream has ended', false],
    ['with nothing acknowledged', true],
  ])('is done %s is not believed', async (_, ends) => {
    const meeting = await accepted()
    await meeting.peer.until('chunk')
    if (ends) meeting.finish()
    if (ends) await meeting.peer.until('digests')
    else meeting.peer.say(ack(30) as Exclude<Message, { type: 'chunk' }>)
    meeting.peer.say({ type: 'states', runs: [{ first: 0, count: 1, state: 4, code: 0 }] })
    meeting.peer.say({ type: 'done', done: { published: 1, skipped: 0, failed: 0 } })
    await expectBroken(meeting)
  })

  test('asks again for what is held gets it, and the end only once', async () => {
    const { peer, end, finish } = await accepted()
    await peer.until('chunk')
    finish()
    await peer.until('digests')
    peer.say({ type: 'nack', entry: 0 })
    const again = await peer.until('chunk')
    expect([again.offset, Buffer.compare(again.packed, noise(30))]).toEqual([0, 0])
    await peer.until('digests')
    peer.say(ack(30) as Exclude<Message, { type: 'chunk' }>)
    peer.say({ type: 'states', runs: [{ first: 0, count: 1, state: 4, code: 0 }] })
    peer.say({ type: 'done', done: { published: 1, skipped: 0, failed: 0 } })
    expect((await end).result).toMatchObject({ bytes: 30, files: 1 })
    expect(peer.heard.filter(({ type }) => type === 'entryEnd')).toEqual([{ type: 'entryEnd', sizeBytes: 30 }])
  })

  test('asks again for what is gone ends the transfer: integrity (6)', async () => {
    const bytes = 40 * MIB
    const { peer, end } = await meet(inPieces(noise(bytes), MIB))
    answer(peer, [])
    for (let came = 0; came < bytes;) {
      const { rawBytes } = await peer.until('chunk')
      came += rawBytes
      peer.say(ack(came) as Exclude<Message, { type: 'chunk' }>)
    }
    await peer.until('digests')
    peer.say({ type: 'nack', entry: 0 })
    const failed = await peer.until('entryFailed')
    expect(failed).toMatchObject({ entry: 0, code: ERROR_TABLE.digest_mismatch.wire })
    peer.say({ type: 'states', runs: [{ first: 0, count: 1, state: 6, code: failed.code }] })
    peer.say({ type: 'done', done: { published: 0, skipped: 0, failed: 1 } })
    const { error } = await end
    expect(error).toMatchObject({ code: 'digest_mismatch', exitCode: 6, retryable: false })
  })

  test('fails the stream under a code of our own making ends it in part, not as our Ctrl-C', async () => {
    const { peer, end } = await accepted()
    await peer.until('chunk')
    peer.say({ type: 'states', runs: [{ first: 0, count: 1, state: 6, code: ERROR_TABLE.interrupted.wire }] })
    peer.say({ type: 'done', done: { published: 0, skipped: 0, failed: 1 } })
    expect((await end).error).toMatchObject({ code: 'partial', exitCode: 8 })
  })

  test('acknowledges nothing gets a window of it, and no more is read', async () => {
    let read = 0
    async function* source(): AsyncGenerator<Uint8Array> {
      for (;;) {
        await new Promise((resolve) => setImmediate(resolve))
        read += MIB
        yield noise(MIB)
      }
    }
    const { peer, transfer, end } = await meet(source())
    answer(peer, [])
    for (let came = 0; came < 32 * MIB;) came += (await peer.until('chunk')).rawBytes
    // A chunk behind the window would have come with what was asked for meanwhile.
    expect(read).toBeLessThanOrEqual(33 * MIB)
    transfer.cancel()
    await end
  })
})
