/** Messages come back as they were said; any bytes give a message or a typed error. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { concatBytes, toHex } from '../../src/protocol/bytes.ts'
import { CONFLICT_POLICIES } from '../../src/protocol/choices.ts'
import { SealiftError } from '../../src/protocol/errors.ts'
import { MAX_CHUNK_BYTES, MAX_ENTRIES } from '../../src/protocol/limits.ts'
import { decodeMessage, encodeChunkHeader, encodeMessage, MESSAGE, type Message } from '../../src/protocol/messages.ts'

const u16 = fc.nat(0xffff)
const u32 = fc.nat(0xffff_ffff)
const count = fc.maxSafeNat()
const transferId = fc.uuid()
const digest = fc.uint8Array({ minLength: 32, maxLength: 32 })
const digestHex = digest.map(toHex)
const text = fc.string({ maxLength: 200 })
const chunkLimit = fc.integer({ min: 65_536, max: Number.MAX_SAFE_INTEGER })
const page = fc.uint8Array({ maxLength: 200 })
const run = fc
  .record({
    first: fc.nat(MAX_ENTRIES - 1),
    count: fc.integer({ min: 1, max: MAX_ENTRIES }),
    state: fc.nat(255),
    code: u16,
  })
  .map((fields) => ({ ...fields, count: Math.min(fields.count, MAX_ENTRIES - fields.first) }))

const said: fc.Arbitrary<Exclude<Message, { type: 'chunk' }>> = fc.oneof(
  fc.record({
    type: fc.constant('hello' as const),
    hello: fc.record({
      name: text,
      maxChunkBytes: chunkLimit,
      known: fc.option(fc.record({ transferId, digest: digestHex })),
    }),
  }),
  fc.record({
    type: fc.constant('offer' as const),
    offer: fc.record({
      transferId,
      replaces: fc.option(transferId),
      name: text,
      maxChunkBytes: chunkLimit,
      entries: fc.nat(MAX_ENTRIES),
      files: fc.nat(MAX_ENTRIES),
      bytes: fc.option(count),
      digest: digestHex,
      manifestFollows: fc.boolean(),
      conflict: fc.option(fc.constantFrom(...CONFLICT_POLICIES)),
    }),
  }),
  fc.record({ type: fc.constantFrom('manifest' as const, 'safe' as const), last: fc.boolean(), page }),
  fc.record({
    type: fc.constant('accept' as const),
    accept: fc.record({ epoch: u32, bytesPerSecond: fc.integer({ min: 1 }) }, { requiredKeys: ['epoch'] }),
  }),
  fc.record({
    type: fc.constant('admit' as const),
    admit: fc.record({ needs: fc.constantFrom('nothing' as const, 'token' as const, 'password' as const) }),
  }),
  fc.record({ type: fc.constant('auth' as const), frame: fc.uint8Array({ minLength: 8, maxLength: 200 }) }),
  fc.record({ type: fc.constant('close' as const), code: u16 }),
  fc.record({
    type: fc.constant('reject' as const),
    code: u16,
    roomBytes: fc.option(fc.maxSafeNat()),
  }),
  fc.record({ type: fc.constant('states' as const), runs: fc.array(run) }),
  fc.record({
    type: fc.constant('digests' as const),
    digests: fc.array(fc.record({ entry: u32, sha256: digest }), { minLength: 1, maxLength: 5 }),
  }),
  fc.record({ type: fc.constant('ack' as const), page }),
  fc.record({ type: fc.constant('nack' as const), entry: u32 }),
  fc.record({ type: fc.constant('entryFailed' as const), entry: u32, code: u16 }),
  fc.record({ type: fc.constant('entryEnd' as const), sizeBytes: count }),
  fc.record({
    type: fc.constant('done' as const),
    done: fc.record({ published: count, skipped: count, failed: count }),
  }),
  fc.record({ type: fc.constant('queued' as const), place: fc.integer({ min: 1, max: 0xffff_ffff }) }),
  fc.record({ type: fc.constantFrom('ping' as const, 'pong' as const) }),
)

/** Those whose form is JSON, which may have spaces and fields that are not known. */
const JSON_TYPES = new Set<string>(['hello', 'offer', 'accept', 'done', 'admit'])

function encode(message: Message): Uint8Array {
  return message.type === 'chunk' ? concatBytes([encodeChunkHeader(message), message.packed]) : encodeMessage(message)
}

describe('a message', () => {
  test('comes back as it was said', () => {
    fc.assert(
      fc.property(said, (message) => {
        expect(decodeMessage(encodeMessage(message))).toEqual(message)
      }),
      { numRuns: 1000 },
    )
  })

  test('with content comes back as it was sent', () => {
    const header = fc.record({
      codec: fc.nat(255),
      epoch: u32,
      offset: fc.nat(2 ** 52),
      rawBytes: fc.integer({ min: 1, max: MAX_CHUNK_BYTES }),
    })
    fc.assert(
      fc.property(header, page, (fields, bytes) => {
        const packed = bytes.subarray(0, fields.rawBytes)
        expect(decodeMessage(concatBytes([encodeChunkHeader(fields), packed]))).toEqual({
          type: 'chunk',
          ...fields,
          packed,
        })
      }),
    )
  })

  test('of any bytes is refused with a typed error, or is the one form of what it says', () => {
    const types = Object.values(MESSAGE)
    const noise = fc.tuple(fc.constantFrom(0, 20, ...types), fc.uint8Array({ maxLength: 90 }), fc.boolean())
    const plain = noise.map(([type, body, zeros]) => concatBytes([Uint8Array.of(type), zeros ? body.fill(0) : body]))
    const changed = fc.tuple(said, fc.nat(), fc.nat(255)).map(([message, at, value]) => {
      const bytes = encodeMessage(message)
      bytes[at % bytes.length] = value
      return bytes
    })
    let taken = 0
    fc.assert(
      fc.property(fc.oneof(plain, changed), (bytes) => {
        let message: Message
        try {
          message = decodeMessage(bytes)
        } catch (error) {
          expect(error).toBeInstanceOf(SealiftError)
          expect((error as SealiftError).code).toBe('protocol_violation')
          return
        }
        taken++
        if (JSON_TYPES.has(message.type)) expect(decodeMessage(encode(message))).toEqual(message)
        else expect(encode(message)).toEqual(bytes)
      }),
      { numRuns: 3000 },
    )
    expect(taken).toBeGreaterThan(300)
  })
})
