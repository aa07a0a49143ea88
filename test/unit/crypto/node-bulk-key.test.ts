import { describe, expect, test } from 'vitest'

import { createBulkKey, rankCiphers } from '../../../src/crypto/node-bulk-key.ts'
import { concatBytes, encodeUtf8, fromHex, toHex } from '../../../src/protocol/bytes.ts'
import { CIPHERS } from '../../../src/protocol/crypto-port.ts'
import type { CipherName } from '../../../src/protocol/crypto-port.ts'

const ALL = Object.keys(CIPHERS) as CipherName[]
const NONCE = new Uint8Array(12).fill(7)
const AAD = encodeUtf8('aad')
const INVALID = expect.objectContaining({ code: 'record_invalid' })

function seal(cipher: CipherName, parts: readonly Uint8Array[]): Uint8Array[] {
  return createBulkKey(cipher, new Uint8Array(32).fill(1)).seal(NONCE, AAD, parts)
}

function open(cipher: CipherName, sealed: Uint8Array, nonce = NONCE, aad = AAD): Uint8Array {
  return createBulkKey(cipher, new Uint8Array(32).fill(1)).open(nonce, aad, sealed)
}

test('RFC 8439 section 2.8.2', () => {
  const key = createBulkKey(
    'chacha20-poly1305',
    fromHex('808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f'),
  )
  const plaintext = encodeUtf8(
    "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
  )
  const nonce = fromHex('070000004041424344454647')
  const aad = fromHex('50515253c0c1c2c3c4c5c6c7')
  const sealed = concatBytes(key.seal(nonce, aad, [plaintext]))
  expect(toHex(sealed.subarray(0, 16))).toBe('d31a8d34648e60db7b86afbc53ef7ec2')
  expect(toHex(sealed.subarray(-16))).toBe('1ae10b594f09e26a7e902ecbd0600691')
})

test('AES-256-GCM, test case 14 of its specification', () => {
  const key = createBulkKey('aes-256-gcm', new Uint8Array(32))
  const sealed = concatBytes(key.seal(new Uint8Array(12), new Uint8Array(0), [new Uint8Array(16)]))
  expect(toHex(sealed)).toBe('cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919')
})

describe.each(ALL)('%s', (cipher) => {
  test('seals parts as one plaintext, one piece a part and the tag last', () => {
    const whole = encodeUtf8('some bytes in three parts')
    const parts = [whole.subarray(0, 4), whole.subarray(4, 4), whole.subarray(4)]
    const sealed = seal(cipher, parts)
    expect(sealed.map((piece) => piece.length)).toEqual([4, 0, whole.length - 4, 16])
    expect(concatBytes(sealed)).toEqual(concatBytes(seal(cipher, [whole])))
    expect(new Uint8Array(open(cipher, concatBytes(sealed)))).toEqual(whole)
  })

  test('opens an empty plaintext', () => {
    expect(open(cipher, concatBytes(seal(cipher, [])))).toHaveLength(0)
  })

  test('refuses a flip of any bit, another nonce and other associated data', () => {
    const sealed = concatBytes(seal(cipher, [encodeUtf8('abc')]))
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const flipped = sealed.slice()
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7))
      expect(() => open(cipher, flipped)).toThrow(INVALID)
    }
    expect(() => open(cipher, sealed, new Uint8Array(12))).toThrow(INVALID)
    expect(() => open(cipher, sealed, NONCE, new Uint8Array(0))).toThrow(INVALID)
  })

  test('refuses a tag cut to any length (S-20)', () => {
    const sealed = concatBytes(seal(cipher, [encodeUtf8('abc')]))
    for (let length = 0; length < sealed.length; length++) {
      expect(() => open(cipher, sealed.subarray(0, length))).toThrow(INVALID)
    }
  })

  test('refuses keys and nonces of another length', () => {
    const internal = expect.objectContaining({ code: 'internal' })
    expect(() => createBulkKey(cipher, new Uint8Array(16))).toThrow(internal)
    expect(() => open(cipher, new Uint8Array(16), new Uint8Array(16))).toThrow(internal)
  })

  test('copies its key', () => {
    const bytes = new Uint8Array(32).fill(1)
    const key = createBulkKey(cipher, bytes)
    bytes.fill(0)
    expect(concatBytes(key.seal(NONCE, AAD, [AAD]))).toEqual(concatBytes(seal(cipher, [AAD])))
  })
})

test('ranks each cipher once', () => {
  expect([...rankCiphers()].sort()).toEqual([...ALL].sort())
})
