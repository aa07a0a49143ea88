/** A sender that lies about a stream's end, or about a text; our receiver ends with a typed error, and shows nothing. */

import fs from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { ReceiveOptions } from '../../src/index.ts'
import { encodeUtf8 } from '../../src/protocol/bytes.ts'
import { ERROR_TABLE, type ErrorCode } from '../../src/protocol/errors.ts'
import { MESSAGE } from '../../src/protocol/messages.ts'
import type { RawPeer } from '../rigs/loopback-pair.ts'
import { Output } from '../rigs/stream-run.ts'
import {
  expectNothing,
  expectRefusal,
  folder,
  meet,
  type Meeting,
  offer,
  type RawEntry,
  sha256,
  STAGING,
} from './raw-sender.ts'

const UNKNOWN = [0xffff_ffff, 0xffff_ffff] as const
const STREAM: readonly RawEntry[] = [{ name: 'stdin', size: UNKNOWN }]
const CONTENT = Uint8Array.from({ length: 30 }, (_, at) => at + 1)
const WINDOW_BYTES = 32 << 20

/** The receiver has accepted a stream, and waits for what comes. */
async function accepted(options: ReceiveOptions = {}): Promise<Meeting> {
  const meeting = await meet(options)
  offer(meeting.peer, STREAM, { bytes: null })
  await meeting.peer.until('safe')
  return meeting
}

const end = (peer: RawPeer, sizeBytes: number): void => peer.say({ type: 'entryEnd', sizeBytes })
const digest = (peer: RawPeer, bytes: Uint8Array): void =>
  peer.say({ type: 'digests', digests: [{ entry: 0, sha256: sha256(bytes) }] })
const chunk = (peer: RawPeer, from: number, to: number): void =>
  peer.chunk({ offset: from, packed: CONTENT.subarray(from, to) })

const lies: Record<string, (peer: RawPeer) => void | Promise<unknown>> = {
  'an end that is said twice': (peer) => {
    chunk(peer, 0, 20)
    end(peer, 30)
    end(peer, 30)
  },
  'an end before what has come': (peer) => {
    chunk(peer, 0, 20)
    end(peer, 19)
  },
  'an end before what was acknowledged': async (peer) => {
    chunk(peer, 0, 20)
    await peer.until('ack')
    end(peer, 5)
  },
  'an end of nothing behind something': (peer) => {
    chunk(peer, 0, 1)
    end(peer, 0)
  },
  'an end before what has come ahead of a gap': (peer) => {
    chunk(peer, 20, 30)
    end(peer, 29)
  },
  'a byte behind the end': (peer) => {
    chunk(peer, 0, 20)
    end(peer, 20)
    chunk(peer, 20, 21)
  },
  'a byte across the end': (peer) => {
    end(peer, 20)
    chunk(peer, 0, 21)
  },
  'an end that cannot be counted': (peer) => peer.sayRaw(Uint8Array.of(MESSAGE.entryEnd, 0, 0x20, 0, 0, 0, 0, 0, 0)),
  'an end that is cut': (peer) => peer.sayRaw(Uint8Array.of(MESSAGE.entryEnd, 0, 0)),
  'bytes a window and more ahead of all others': (peer) =>
    peer.chunk({ offset: WINDOW_BYTES, packed: CONTENT.subarray(0, 1) }),
  'bytes at the end of all that can be counted': (peer) =>
    peer.chunk({ offset: Number.MAX_SAFE_INTEGER - 30, packed: CONTENT }),
  'a digest of another entry': (peer) =>
    peer.say({ type: 'digests', digests: [{ entry: 1, sha256: sha256(CONTENT) }] }),
  'a failure of another entry': (peer) => peer.say({ type: 'entryFailed', entry: 1, code: 83 }),
}

describe.each([
  ['a folder', {}, [STAGING]],
  ['an output', { output: () => undefined, outputDir: undefined }, []],
])('a stream into %s', (_, options: ReceiveOptions, leaves) => {
  test.each(Object.keys(lies))('with %s is refused', async (name) => {
    const meeting = await accepted(options)
    await (lies[name] as (peer: RawPeer) => unknown)(meeting.peer)
    await expectRefusal(meeting, 'protocol_violation', leaves)
  })

  test('whose end is said before it is accepted is refused', async () => {
    const meeting = await meet({ ...options, accept: () => new Promise(() => undefined) })
    offer(meeting.peer, STREAM, { bytes: null })
    end(meeting.peer, 0)
    await expectRefusal(meeting, 'protocol_violation')
  })

  test('of known size needs no end: one is refused, also the right one', async () => {
    const meeting = await meet(options)
    offer(meeting.peer, [{ name: 'stdin', size: 30 }])
    await meeting.peer.until('safe')
    chunk(meeting.peer, 0, 20)
    end(meeting.peer, 30)
    await expectRefusal(meeting, 'protocol_violation', leaves)
  })

  test('that fails under a code of our own making fails as unreadable', async () => {
    const meeting = await accepted(options)
    meeting.peer.say({ type: 'entryFailed', entry: 0, code: ERROR_TABLE.interrupted.wire })
    const { done } = await meeting.peer.until('done')
    expect(done).toEqual({ published: 0, skipped: 0, failed: 1 })
    meeting.peer.say({ type: 'close', code: 0 })
    expect((await meeting.end).error).toMatchObject({ code: 'source_unreadable', exitCode: 8 })
    expectNothing(meeting.place)
  })
})

test('a stream in pieces that come backwards, twice and over each other, with its end first, arrives', async () => {
  const output = new Output()
  for (const options of [{}, { output: output.write, outputDir: undefined }]) {
    const { peer, end: ended, place } = await accepted(options)
    end(peer, 30)
    digest(peer, CONTENT)
    for (const [from, to] of [
      [20, 30],
      [10, 20],
      [10, 20],
      [5, 15],
      [0, 10],
      [0, 30],
    ] as const)
      chunk(peer, from, to)
    expect((await peer.until('done')).done).toEqual({ published: 1, skipped: 0, failed: 0 })
    peer.say({ type: 'close', code: 0 })
    expect((await ended).error).toBeNull()
    const got = options.output === undefined ? fs.readFileSync(join(place.out, 'stdin')) : output.bytes
    expect(Buffer.compare(got, CONTENT)).toBe(0)
  }
})

test('a stream with another digest is asked for once more in a folder, and then fails (6); an output cannot take it back', async () => {
  const wrong = new Uint8Array(30)
  const saved = await accepted()
  for (let time = 0; time < 2; time++) {
    chunk(saved.peer, 0, 30)
    if (time === 0) end(saved.peer, 30)
    digest(saved.peer, wrong)
    if (time === 0) expect((await saved.peer.until('nack')).entry).toBe(0)
  }
  const written = await accepted({ output: () => undefined, outputDir: undefined })
  chunk(written.peer, 0, 30)
  end(written.peer, 30)
  digest(written.peer, wrong)
  for (const { peer, end: ended, place } of [saved, written]) {
    expect((await peer.until('done')).done).toEqual({ published: 0, skipped: 0, failed: 1 })
    peer.say({ type: 'close', code: 0 })
    const { error, events } = await ended
    expect(error).toMatchObject({ code: 'digest_mismatch', exitCode: 6, retryable: false })
    expect(events.some(({ event }) => event === 'done')).toBe(false)
    expectNothing(place)
  }
})

describe('an output', () => {
  const several: Record<string, readonly RawEntry[]> = {
    'two files': [{ name: 'a' }, { name: 'b' }],
    'an empty folder': [folder('a')],
    'a folder with a file': [folder('a'), { name: 'b', parent: 1 }],
  }
  test.each(Object.keys(several))('does not take %s: usage here, a no there', async (name) => {
    const meeting = await meet({ output: () => undefined, outputDir: undefined })
    offer(meeting.peer, several[name] as RawEntry[])
    const ended = await meeting.end
    expect(ended.error).toMatchObject({ code: 'usage', exitCode: 2 })
    await meeting.peer.closed()
    expect(meeting.peer.heard).toContainEqual({
      type: 'reject',
      code: ERROR_TABLE.policy_refused.wire,
      roomBytes: null,
    })
    expectNothing(meeting.place)
  })

  test('does not take a folder that calls itself one file', async () => {
    const meeting = await meet({ output: () => undefined, outputDir: undefined })
    offer(meeting.peer, [folder('a')], { files: 1 })
    await expectRefusal(meeting, 'manifest_invalid')
  })
})

describe('a text', () => {
  const offers: Record<string, [entries: readonly RawEntry[], bytes: number | null, code: ErrorCode]> = {
    'of two files': [[{ name: 'a' }, { name: 'b' }], 0, 'protocol_violation'],
    'that is a folder': [[folder('a')], 0, 'protocol_violation'],
    'of unknown length': [STREAM, null, 'protocol_violation'],
    'a byte over the limit': [[{ name: 'a', size: (1 << 20) + 1 }], (1 << 20) + 1, 'limit_exceeded'],
    'of a terabyte': [[{ name: 'a', size: 2 ** 40 }], 2 ** 40, 'limit_exceeded'],
    'larger than it says': [[{ name: 'a', size: 2 ** 40 }], 5, 'manifest_invalid'],
  }
  test.each(Object.keys(offers))('%s is refused', async (name) => {
    const [entries, bytes, code] = offers[name] as (typeof offers)[string]
    const meeting = await meet()
    offer(meeting.peer, entries, { text: true, bytes })
    const { events } = await expectRefusal(meeting, code)
    expect(events.some(({ event }) => event === 'text')).toBe(false)
  })

  const contents: Record<string, [content: Uint8Array, told: Uint8Array, code: ErrorCode]> = {
    'that is not UTF-8': [Uint8Array.of(0x61, 0xff, 0xfe), Uint8Array.of(0x61, 0xff, 0xfe), 'protocol_violation'],
    'that ends within a character': [Uint8Array.of(0x61, 0xc3), Uint8Array.of(0x61, 0xc3), 'protocol_violation'],
    'with another digest': [encodeUtf8('abc'), encodeUtf8('abd'), 'digest_mismatch'],
  }
  test.each(Object.keys(contents))('%s is not shown', async (name) => {
    const [content, told, code] = contents[name] as (typeof contents)[string]
    const { peer, end: ended, place } = await meet()
    offer(peer, [{ name: 'a', size: content.length }], { text: true })
    await peer.until('safe')
    peer.chunk({ packed: content })
    digest(peer, told)
    // One that fails is told of like any other; a breach of the rules ends the session.
    if (code === 'digest_mismatch') {
      await peer.until('done')
      peer.say({ type: 'close', code: 0 })
    } else expect(await peer.closed()).toBe(ERROR_TABLE[code].wire)
    const { error, events } = await ended
    expect(error).toMatchObject({ code, exitCode: 6 })
    expect(events.some(({ event }) => event === 'text')).toBe(false)
    expectNothing(place)
  })
})
