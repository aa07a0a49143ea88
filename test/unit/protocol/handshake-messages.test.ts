import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { ByteWriter } from '../../../src/protocol/bytes.ts'
import { SealiftError } from '../../../src/protocol/errors.ts'
import type { ErrorCode } from '../../../src/protocol/errors.ts'
import {
  decodeAbort,
  decodeConfirm,
  decodeInit,
  decodeKemPayload,
  decodeResp,
  encodeAbort,
  encodeFrame,
  encodeInit,
  encodeResp,
  readFrameHeader,
} from '../../../src/protocol/handshake-messages.ts'
import type { InitMessage, RespMessage } from '../../../src/protocol/handshake-messages.ts'

const exactly = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length })
const code = (name: ErrorCode): unknown => expect.objectContaining({ code: name })

const inits: fc.Arbitrary<InitMessage> = fc
  .record({
    versions: fc.array(fc.nat(255), { minLength: 1, maxLength: 16 }),
    ciphers: fc.shuffledSubarray(['aes-256-gcm', 'chacha20-poly1305'] as const, { minLength: 1 }),
    kemPublicKey: fc.option(exactly(1184)),
    join: fc.boolean(),
    purpose: fc.constantFrom('direct' as const, 'server' as const),
    sessionId: exactly(16),
    resumeIds: fc.array(exactly(16), { maxLength: 8 }),
    resumeShare: exactly(32),
    share: exactly(32),
    beside: fc.constantFrom('cpace' as const, 'noise-xx' as const, null),
  })
  .filter(({ resumeIds, beside }) => resumeIds.length > 0 || beside !== null)
  .map(({ share, beside, ...fields }) => {
    const resumes = fields.resumeIds.length > 0
    return {
      ...fields,
      suites: [...(resumes ? (['resume'] as const) : []), ...(beside === null ? [] : [beside])],
      resumeShare: resumes ? fields.resumeShare : null,
      cpaceShare: beside === 'cpace' ? share : null,
      noiseShare: beside === 'noise-xx' ? share : null,
    }
  })

const respHead = {
  version: fc.nat(255),
  cipher: fc.constantFrom('aes-256-gcm' as const, 'chacha20-poly1305' as const),
}
const resps: fc.Arbitrary<RespMessage> = fc.oneof(
  fc
    .record({
      ...respHead,
      kemCiphertext: fc.option(exactly(1088)),
      resumeIndex: fc.option(fc.nat(7)),
      share: exactly(32),
    })
    .map((fields) => ({ ...fields, suite: fields.resumeIndex === null ? ('cpace' as const) : ('resume' as const) })),
  fc.record({ ...respHead, suite: fc.constant('noise-xx' as const), noise: fc.uint8Array({ minLength: 99 }) }),
)

/** INIT with a hole where a test puts other numbers. */
function initBody(parts: {
  versions?: number[]
  suites?: number[]
  ciphers?: number[]
  kem?: number[]
  tail?: number[]
}): Uint8Array {
  const { versions = [1], suites = [1], ciphers = [1], kem = [0, 0, 0], tail } = parts
  const writer = new ByteWriter()
  for (const list of [versions, suites, ciphers]) writer.u8(list.length).bytes(Uint8Array.from(list))
  writer.bytes(Uint8Array.from(kem))
  return writer
    .bytes(Uint8Array.from(tail ?? [0, 1, ...Array<number>(16).fill(9), 0, ...Array<number>(32).fill(8)]))
    .finish()
}

describe('frames', () => {
  test('a header says kind and length', () => {
    const frame = encodeFrame('CONFIRM_R', new Uint8Array(32))
    expect(frame.subarray(0, 8)).toEqual(Uint8Array.of(0x53, 0x4c, 0x46, 0x54, 1, 4, 0, 32))
    expect(readFrameHeader(frame)).toEqual({ kind: 'CONFIRM_R', bodyBytes: 32 })
  })

  test.each([
    ['another magic', [0x48, 0x54, 0x54, 0x50, 1, 1, 0, 0], 'not_sealift'],
    ['another magic before all else', [0x48, 0x54, 0x54, 0x50, 9, 9, 255, 255], 'not_sealift'],
    ['another version', [0x53, 0x4c, 0x46, 0x54, 2, 1, 0, 0], 'version_mismatch'],
    ['kind 0', [0x53, 0x4c, 0x46, 0x54, 1, 0, 0, 0], 'protocol_violation'],
    ['kind 6', [0x53, 0x4c, 0x46, 0x54, 1, 6, 0, 0], 'protocol_violation'],
    ['4,097 bytes', [0x53, 0x4c, 0x46, 0x54, 1, 1, 0x10, 1], 'protocol_violation'],
    ['too few bytes', [0x53, 0x4c, 0x46, 0x54, 1, 1, 0], 'protocol_violation'],
  ] as const)('%s is refused', (_, bytes, expected) => {
    expect(() => readFrameHeader(Uint8Array.from(bytes))).toThrow(code(expected))
  })

  test('a body of 4,096 bytes fits, and one more does not', () => {
    expect(readFrameHeader(encodeFrame('INIT', new Uint8Array(4096))).bodyBytes).toBe(4096)
    expect(() => encodeFrame('INIT', new Uint8Array(4097))).toThrow(code('protocol_violation'))
  })

  test('the largest INIT fits', () => {
    const largest = encodeInit({
      versions: Array<number>(16).fill(1),
      suites: ['resume', 'cpace'],
      ciphers: ['aes-256-gcm', 'chacha20-poly1305'],
      kemPublicKey: new Uint8Array(1184),
      join: false,
      purpose: 'direct',
      sessionId: new Uint8Array(16),
      resumeIds: Array.from({ length: 8 }, () => new Uint8Array(16)),
      resumeShare: new Uint8Array(32),
      cpaceShare: new Uint8Array(32),
      noiseShare: null,
    })
    expect(encodeFrame('INIT', largest).length).toBeLessThan(1536)
  })
})

describe('INIT', () => {
  test('decodes to what was encoded, and its share is last', () => {
    fc.assert(
      fc.property(inits, (message) => {
        const body = encodeInit(message)
        expect(decodeInit(body)).toEqual(message)
        expect(body.subarray(-32)).toEqual(message.cpaceShare ?? message.noiseShare ?? message.resumeShare)
      }),
    )
  })

  test('suites, ciphers and KEMs of the future are left out', () => {
    const body = initBody({ versions: [2, 1], suites: [7, 9, 1], ciphers: [7, 2], kem: [9, 0, 3, 1, 2, 3] })
    expect(decodeInit(body)).toMatchObject({
      versions: [2, 1],
      suites: ['cpace'],
      ciphers: ['chacha20-poly1305'],
      kemPublicKey: null,
    })
  })

  test.each([
    ['no version', initBody({ versions: [] })],
    ['17 suites', initBody({ suites: Array<number>(17).fill(1) })],
    ['no cipher', initBody({ ciphers: [] })],
    ['a KEM key of the wrong length', initBody({ kem: [1, 0, 1, 5] })],
    ['bytes of no KEM', initBody({ kem: [0, 0, 1, 5] })],
    ['a KEM key longer than the message', initBody({ kem: [9, 255, 255] })],
    ['join 2', initBody({ tail: [2, 1, ...Array<number>(49).fill(0)] })],
    [
      'nine resume ids',
      initBody({ suites: [3], tail: [0, 1, ...Array<number>(16).fill(0), 9, ...Array<number>(9 * 16 + 32).fill(0)] }),
    ],
    ['ids without resume', initBody({ tail: [0, 1, ...Array<number>(16).fill(0), 1, ...Array<number>(48).fill(0)] })],
    [
      'resume without ids',
      initBody({ suites: [3], tail: [0, 1, ...Array<number>(16).fill(0), 0, ...Array<number>(32).fill(0)] }),
    ],
    [
      'cpace beside noise-xx',
      initBody({ suites: [1, 2], tail: [0, 2, ...Array<number>(16).fill(0), 0, ...Array<number>(64).fill(0)] }),
    ],
    ['noise-xx without its share', initBody({ suites: [2], tail: [0, 2, ...Array<number>(16).fill(0), 0] })],
  ])('with %s is refused', (_, body) => {
    expect(() => decodeInit(body)).toThrow(code('protocol_violation'))
  })

  test('with an unknown purpose says so', () => {
    expect(() => decodeInit(initBody({ tail: [0, 3, ...Array<number>(49).fill(0)] }))).toThrow(code('version_mismatch'))
  })

  test('cut anywhere or with a byte more is refused', () => {
    const body = initBody({})
    expect(decodeInit(body).suites).toEqual(['cpace'])
    for (let length = 0; length < body.length; length++) {
      expect(() => decodeInit(body.subarray(0, length))).toThrow(code('protocol_violation'))
    }
    expect(() => decodeInit(Uint8Array.of(...body, 0))).toThrow(code('protocol_violation'))
  })
})

describe('RESP', () => {
  test('decodes to what was encoded, and its share is last', () => {
    fc.assert(
      fc.property(resps, (message) => {
        const body = encodeResp(message)
        expect(decodeResp(body)).toEqual(message)
        const last = message.suite === 'noise-xx' ? message.noise : message.share
        expect(body.subarray(-last.length)).toEqual(last)
      }),
    )
  })

  const share = Array<number>(32).fill(1)
  test.each([
    ['an unknown suite', [1, 4, 1, 0, 0, 0, 255, ...share]],
    ['a Noise message 2 that cannot be whole', [1, 2, 1, ...Array<number>(98).fill(1)]],
    ['an unknown cipher', [1, 1, 4, 0, 0, 0, 255, ...share]],
    ['an unknown KEM', [1, 1, 1, 2, 0, 0, 255, ...share]],
    ['a short KEM ciphertext', [1, 1, 1, 1, 0, 1, 5, 255, ...share]],
    ['cpace with an index', [1, 1, 1, 0, 0, 0, 0, ...share]],
    ['resume without an index', [1, 3, 1, 0, 0, 0, 255, ...share]],
    ['a short share', [1, 1, 1, 0, 0, 0, 255, ...share.slice(1)]],
    ['a byte more', [1, 1, 1, 0, 0, 0, 255, ...share, 0]],
  ])('with %s is refused', (_, bytes) => {
    expect(() => decodeResp(Uint8Array.from(bytes))).toThrow(code('protocol_violation'))
  })
})

describe('CONFIRM and ABORT', () => {
  test.each([0, 31, 33])('a MAC of %i bytes is refused', (length) => {
    expect(() => decodeConfirm(new Uint8Array(length))).toThrow(code('protocol_violation'))
    expect(() => decodeConfirm(new Uint8Array(64 + length), true)).toThrow(code('protocol_violation'))
  })

  test('Noise message 3 stands before the MAC where there is one', () => {
    const bytes = Uint8Array.from({ length: 96 }, (_, at) => at)
    expect(decodeConfirm(bytes, true)).toEqual({ noise: bytes.subarray(0, 64), mac: bytes.subarray(64) })
    expect(decodeConfirm(bytes.subarray(64))).toEqual({ noise: new Uint8Array(), mac: bytes.subarray(64) })
  })

  test.each([
    ['an unknown KEM', [2, 0, 1, 5]],
    ['a short ciphertext', [1, 0, 1, 5]],
    ['a byte more', [0, 0, 0, 0]],
    ['nothing', []],
  ])('a KEM payload of %s is refused', (_, bytes) => {
    expect(() => decodeKemPayload(Uint8Array.from(bytes))).toThrow(code('protocol_violation'))
  })

  test('ABORT carries the wire number of its code', () => {
    const frame = encodeAbort('token_burned')
    expect(readFrameHeader(frame)).toEqual({ kind: 'ABORT', bodyBytes: 2 })
    expect(decodeAbort(frame.subarray(8))).toBeInstanceOf(SealiftError)
    expect(decodeAbort(frame.subarray(8)).code).toBe('token_burned')
  })

  test('codes that a stranger has no reason to send, and unknown ones, become rejected', () => {
    for (const name of ['interrupted', 'disk_full', 'already_done'] as const) {
      expect(decodeAbort(encodeAbort(name).subarray(8)).code).toBe('rejected')
    }
    expect(decodeAbort(Uint8Array.of(255, 255)).code).toBe('rejected')
  })

  test('a malformed ABORT is refused', () => {
    expect(() => decodeAbort(Uint8Array.of(0))).toThrow(code('protocol_violation'))
    expect(() => decodeAbort(Uint8Array.of(0, 30, 0))).toThrow(code('protocol_violation'))
  })
})
