import { describe, expect, test } from 'vitest'

import { concatBytes, encodeUtf8, toHex } from '../../../src/protocol/bytes.ts'
import { CHUNK_HEADER_BYTES, MAX_CHUNK_BYTES, MAX_CONTROL_BYTES, MAX_PAGE_BYTES } from '../../../src/protocol/limits.ts'
import {
  decodeMessage,
  DIGESTS_PER_MESSAGE,
  encodeChunkHeader,
  encodeMessage,
  MESSAGE,
  type Message,
  STATE_RUNS_PER_MESSAGE,
} from '../../../src/protocol/messages.ts'

const ID = '01234567-89ab-4def-8123-456789abcdef'
const DIGEST = 'ab'.repeat(32)
const hello = { name: 'box', maxChunkBytes: 1 << 20, known: null }
const offer = {
  transferId: ID,
  replaces: null,
  name: 'laptop',
  maxChunkBytes: 1 << 20,
  entries: 3,
  files: 2,
  bytes: 1000,
  digest: DIGEST,
  manifestFollows: true,
  conflict: null,
}

function refuses(...parts: readonly (Uint8Array | readonly number[])[]): void {
  const plaintext = concatBytes(parts.map((part) => Uint8Array.from(part)))
  expect(() => decodeMessage(plaintext), toHex(plaintext.subarray(0, 80))).toThrow(
    expect.objectContaining({ name: 'SealiftError', code: 'protocol_violation' }) as Error,
  )
}

function json(type: number, value: unknown): Uint8Array {
  return concatBytes([Uint8Array.of(type), encodeUtf8(typeof value === 'string' ? value : JSON.stringify(value))])
}

function chunk(changes: Partial<Parameters<typeof encodeChunkHeader>[0]> = {}): Uint8Array {
  return encodeChunkHeader({ codec: 0, epoch: 1, offset: 0, rawBytes: 4, ...changes })
}

describe('the type of a message', () => {
  test('is a number that never changes', () => {
    expect(MESSAGE).toEqual({
      hello: 1,
      offer: 2,
      manifest: 3,
      accept: 4,
      reject: 5,
      states: 6,
      safe: 7,
      chunk: 8,
      digests: 9,
      ack: 10,
      nack: 11,
      entryFailed: 12,
      entryEnd: 13,
      done: 14,
      ping: 15,
      pong: 16,
      close: 17,
      admit: 18,
      auth: 19,
      queued: 20,
    })
  })

  test('that is not known, or not there, is refused', () => {
    refuses([])
    for (const type of [0, 127, 255]) refuses([type])
  })
})

describe('messages of fixed length', () => {
  test.each([
    ['nack', [11, 0, 0, 0, 1]],
    ['queued', [20, 0, 0, 0, 1]],
    ['entryFailed', [12, 0, 0, 0, 1, 0, 81]],
    ['entryEnd', [13, 0, 0, 0, 0, 0, 0, 0, 5]],
    ['reject', [5, 0, 21]],
    ['close', [17, 0, 0]],
    ['ping', [15]],
    ['pong', [16]],
  ] as const)('%s has exactly its length', (name, bytes) => {
    const message = decodeMessage(Uint8Array.from(bytes))
    expect(message.type).toBe(name)
    expect([...encodeMessage(message as Exclude<Message, { type: 'chunk' }>)]).toEqual([...bytes])
    if (bytes.length > 1) refuses(bytes.slice(0, -1))
    refuses([...bytes, 0])
  })

  test('an end beyond what can be counted is refused', () => {
    refuses([13, 0, 0x20, 0, 0, 0, 0, 0, 0])
  })
})

describe('control messages', () => {
  test('say what they said', () => {
    const messages: Exclude<Message, { type: 'chunk' }>[] = [
      { type: 'hello', hello: { ...hello, known: { transferId: ID, digest: DIGEST } } },
      { type: 'offer', offer: { ...offer, bytes: null, replaces: ID, conflict: 'rename' } },
      { type: 'accept', accept: { epoch: 4_294_967_295 } },
      { type: 'accept', accept: { epoch: 1, bytesPerSecond: 10_000_000 } },
      { type: 'admit', admit: { needs: 'nothing' } },
      { type: 'admit', admit: { needs: 'token' } },
      { type: 'admit', admit: { needs: 'password' } },
      { type: 'done', done: { published: 1, skipped: 2, failed: 3 } },
    ]
    for (const message of messages) expect(decodeMessage(encodeMessage(message))).toEqual(message)
  })

  test('leave out what they do not know, so that a newer peer may say more', () => {
    expect(decodeMessage(json(MESSAGE.hello, { ...hello, later: true }))).toEqual({ type: 'hello', hello })
  })

  test.each([
    ['no object', [1]],
    ['null', null],
    ['a list', [[]]],
    ['no name', { ...hello, name: undefined }],
    ['a long name', { ...hello, name: 'x'.repeat(257) }],
    ['a name that is no text', { ...hello, name: 7 }],
    ['chunks under 64 KiB', { ...hello, maxChunkBytes: 65_535 }],
    ['chunks that are no number', { ...hello, maxChunkBytes: '1048576' }],
    ['chunks of half a byte', { ...hello, maxChunkBytes: 65_536.5 }],
    ['a transfer that is no UUID', { ...hello, known: { transferId: '../../etc', digest: DIGEST } }],
    ['a digest in capitals', { ...hello, known: { transferId: ID, digest: DIGEST.toUpperCase() } }],
    ['a short digest', { ...hello, known: { transferId: ID, digest: DIGEST.slice(2) } }],
  ])('a HELLO with %s is refused', (_, value) => {
    refuses(json(MESSAGE.hello, value))
  })

  test.each([
    ['too many entries', { entries: 1_000_001 }],
    ['fewer than no files', { files: -1 }],
    ['half a byte', { bytes: 0.5 }],
    ['more bytes than can be counted', { bytes: 2 ** 53 }],
    ['another policy', { conflict: 'destroy' }],
    ['another id', { transferId: ID.toUpperCase() }],
    ['a flag that is a number', { manifestFollows: 1 }],
  ])('an OFFER with %s is refused', (_, changes) => {
    refuses(json(MESSAGE.offer, { ...offer, ...changes }))
  })

  test('an epoch that does not fit into a chunk is refused', () => {
    refuses(json(MESSAGE.accept, { epoch: 2 ** 32 }))
    refuses(json(MESSAGE.accept, { epoch: -1 }))
  })

  test('a rate of nothing, of half a byte or of text is refused', () => {
    for (const bytesPerSecond of [0, -1, 0.5, '10', null]) refuses(json(MESSAGE.accept, { epoch: 1, bytesPerSecond }))
  })

  test('a server that asks for what nobody knows is refused', () => {
    for (const needs of ['money', '', null, 1]) refuses(json(MESSAGE.admit, { needs }))
    refuses(json(MESSAGE.admit, {}))
  })

  test('what is not JSON, not UTF-8, deep or long is refused', () => {
    refuses(json(MESSAGE.hello, ''))
    refuses(json(MESSAGE.hello, '{'))
    refuses(json(MESSAGE.hello, `${JSON.stringify(hello)}x`))
    refuses([1, 0xff])
    refuses(json(MESSAGE.hello, '['.repeat(MAX_CONTROL_BYTES)))
    refuses(json(MESSAGE.hello, `{"__proto__":${JSON.stringify(hello)}}`))
    const padded = JSON.stringify(hello) + ' '.repeat(MAX_CONTROL_BYTES)
    expect(decodeMessage(json(MESSAGE.hello, padded.slice(0, MAX_CONTROL_BYTES)))).toEqual({ type: 'hello', hello })
    refuses(json(MESSAGE.hello, padded.slice(0, MAX_CONTROL_BYTES + 1)))
  })
})

describe('pages', () => {
  test.each([
    ['manifest', MESSAGE.manifest],
    ['safe', MESSAGE.safe],
  ] as const)('%s has a flag in front and 256 KiB at most', (type, number) => {
    const page = Uint8Array.of(9, 8, 7)
    for (const last of [true, false]) {
      const bytes = encodeMessage({ type, last, page })
      expect([...bytes]).toEqual([number, last ? 1 : 0, 9, 8, 7])
      expect(decodeMessage(bytes)).toEqual({ type, last, page })
    }
    expect(decodeMessage(Uint8Array.of(number, 0))).toEqual({ type, last: false, page: new Uint8Array() })
    refuses([number])
    refuses([number, 2])
    refuses([number, 0], new Uint8Array(MAX_PAGE_BYTES + 1))
  })

  test('an acknowledgement is a page alone', () => {
    expect(decodeMessage(Uint8Array.of(MESSAGE.ack, 1, 2))).toEqual({ type: 'ack', page: Uint8Array.of(1, 2) })
    refuses([MESSAGE.ack], new Uint8Array(MAX_PAGE_BYTES + 1))
  })
})

describe('a frame of a handshake inside a channel', () => {
  test('has a header at least and 4,104 bytes at most, and is a view', () => {
    for (const bytes of [8, 40, 4104]) {
      const frame = new Uint8Array(bytes).fill(3)
      const plaintext = encodeMessage({ type: 'auth', frame })
      const message = decodeMessage(plaintext)
      expect(message).toEqual({ type: 'auth', frame })
      expect(message.type === 'auth' && message.frame.buffer).toBe(plaintext.buffer)
    }
    for (const bytes of [0, 7, 4105]) refuses([MESSAGE.auth], new Uint8Array(bytes))
  })
})

describe('states and digests', () => {
  const run = { first: 5, count: 2, state: 6, code: 83 }

  test('states are runs of eleven bytes', () => {
    const message = { type: 'states', runs: [run, { first: 7, count: 999_993, state: 4, code: 0 }] } as const
    const bytes = encodeMessage(message)
    expect(toHex(bytes)).toBe('060000000500000002060053' + '00000007000f4239040000')
    expect(decodeMessage(bytes)).toEqual(message)
    for (let cut = 1; cut < 11; cut++) refuses(bytes.subarray(0, -cut))
  })

  test('a run that is empty or leaves the manifest is refused', () => {
    refuses(encodeMessage({ type: 'states', runs: [{ ...run, count: 0 }] }))
    refuses(encodeMessage({ type: 'states', runs: [{ ...run, count: 999_996 }] }))
    refuses(encodeMessage({ type: 'states', runs: [{ ...run, first: 4_294_967_295, count: 4_294_967_295 }] }))
  })

  test('digests are 36 bytes each, and one at least', () => {
    const digest = { entry: 258, sha256: new Uint8Array(32).fill(7) }
    const bytes = encodeMessage({ type: 'digests', digests: [digest] })
    expect(toHex(bytes)).toBe(`0900000102${'07'.repeat(32)}`)
    expect(decodeMessage(bytes)).toEqual({ type: 'digests', digests: [digest] })
    refuses([MESSAGE.digests])
    refuses(bytes.subarray(0, -1))
  })

  test('as many as one message may have are taken, and not one more', () => {
    const runs = Array.from({ length: STATE_RUNS_PER_MESSAGE }, () => run)
    const digests = Array.from({ length: DIGESTS_PER_MESSAGE }, (_, entry) => ({ entry, sha256: new Uint8Array(32) }))
    expect(decodeMessage(encodeMessage({ type: 'states', runs }))).toEqual({ type: 'states', runs })
    expect(decodeMessage(encodeMessage({ type: 'digests', digests }))).toEqual({ type: 'digests', digests })
    const more = 10
    refuses(encodeMessage({ type: 'states', runs: [...runs, ...runs.slice(0, more)] }))
    refuses(encodeMessage({ type: 'digests', digests: [...digests, ...digests.slice(0, more)] }))
  })
})

describe('a chunk', () => {
  test('has a header of 64 bytes and then its bytes, as a view', () => {
    const header = chunk({ codec: 2, epoch: 3, offset: 0x1_0000_0005, rawBytes: 258 })
    expect(header.length).toBe(CHUNK_HEADER_BYTES)
    expect(toHex(header)).toBe(`0802000000000003000000010000000500000102${'00'.repeat(44)}`)
    const plaintext = concatBytes([header, Uint8Array.of(1, 2, 3)])
    const message = decodeMessage(plaintext)
    expect(message).toEqual({
      type: 'chunk',
      codec: 2,
      epoch: 3,
      offset: 0x1_0000_0005,
      rawBytes: 258,
      packed: Uint8Array.of(1, 2, 3),
    })
    expect(message.type === 'chunk' && message.packed.buffer).toBe(plaintext.buffer)
  })

  test('with any reserved byte set is refused', () => {
    for (const at of [2, 3, ...Array.from({ length: 44 }, (_, index) => 20 + index)]) {
      const header = chunk()
      header[at] = 1
      refuses(header, new Uint8Array(4))
    }
  })

  test('that is cut, empty, too long, packed larger than raw, or beyond what can be counted is refused', () => {
    refuses(chunk().subarray(0, 63))
    refuses(chunk({ rawBytes: 0 }))
    refuses(chunk({ rawBytes: MAX_CHUNK_BYTES + 1 }), new Uint8Array(4))
    refuses(chunk({ rawBytes: 0xffff_ffff }), new Uint8Array(4))
    refuses(chunk(), new Uint8Array(5))
    refuses(chunk({ offset: Number.MAX_SAFE_INTEGER }), new Uint8Array(4))
    refuses(chunk({ offset: Number.MAX_SAFE_INTEGER - 3 }), new Uint8Array(4))
    decodeMessage(concatBytes([chunk({ offset: Number.MAX_SAFE_INTEGER - 4 }), new Uint8Array(4)]))
    decodeMessage(concatBytes([chunk({ rawBytes: MAX_CHUNK_BYTES }), new Uint8Array(MAX_CHUNK_BYTES)]))
  })
})
