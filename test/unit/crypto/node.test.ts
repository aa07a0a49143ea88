import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { createNodeCrypto, nodeCrypto } from '../../../src/crypto/node.ts'
import { encodeUtf8, fromHex, toHex } from '../../../src/protocol/bytes.ts'
import type { Kem } from '../../../src/protocol/crypto-port.ts'

function kem(): Kem {
  const found = nodeCrypto.kem
  if (found === null) throw new Error('this Node has no ML-KEM, and the project runs on one that has')
  return found
}

describe('hashes and HKDF', () => {
  test('RFC 5869, test case 1', () => {
    const prk = nodeCrypto.hkdfExtract(fromHex('000102030405060708090a0b0c'), new Uint8Array(22).fill(0x0b))
    expect(toHex(prk)).toBe('077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5')
    expect(toHex(nodeCrypto.hkdfExpand(prk, fromHex('f0f1f2f3f4f5f6f7f8f9'), 42))).toBe(
      '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865',
    )
  })

  test('RFC 4231, test case 2, in parts', () => {
    const parts = [encodeUtf8('what do ya want '), encodeUtf8('for nothing?')]
    expect(toHex(nodeCrypto.hmacSha256(encodeUtf8('Jefe'), parts))).toBe(
      '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
    )
  })

  test('SHA-2 of parts is that of the whole', () => {
    const parts = [encodeUtf8('a'), encodeUtf8('bc')]
    expect(toHex(nodeCrypto.sha256(parts))).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
    expect(toHex(nodeCrypto.sha512(parts)).slice(0, 32)).toBe('ddaf35a193617abacc417349ae204131')
  })

  test('results are plain byte arrays: a Buffer would slice without copying', () => {
    for (const bytes of [nodeCrypto.sha256([]), nodeCrypto.randomBytes(3), nodeCrypto.x25519Generate().publicKey]) {
      expect(Object.getPrototypeOf(bytes)).toBe(Uint8Array.prototype)
    }
  })

  test('equal compares all bytes and refuses another length', () => {
    expect(nodeCrypto.equal(Uint8Array.of(1, 2), Uint8Array.of(1, 2))).toBe(true)
    expect(nodeCrypto.equal(Uint8Array.of(1, 2), Uint8Array.of(1, 3))).toBe(false)
    expect(nodeCrypto.equal(Uint8Array.of(1, 2), Uint8Array.of(1, 2, 0))).toBe(false)
  })
})

describe('X25519', () => {
  test('RFC 7748 section 5.2', () => {
    const scalar = fromHex('a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4')
    const point = fromHex('e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c')
    expect(toHex(nodeCrypto.x25519(scalar, point))).toBe(
      'c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552',
    )
  })

  test('two fresh pairs agree, and the scalar survives its use', () => {
    const [a, b] = [nodeCrypto.x25519Generate(), nodeCrypto.x25519Generate()]
    const before = toHex(a.privateKey)
    expect(nodeCrypto.x25519(a.privateKey, b.publicKey)).toEqual(nodeCrypto.x25519(b.privateKey, a.publicKey))
    expect(toHex(a.privateKey)).toBe(before)
    expect(toHex(b.privateKey)).not.toBe(before)
  })

  test.each([0, 31, 33])('a share of %i bytes is refused', (length) => {
    expect(() => nodeCrypto.x25519(new Uint8Array(32), new Uint8Array(length))).toThrow(
      expect.objectContaining({ code: 'protocol_violation' }),
    )
  })

  test('Elligator2 of zero is the point 0, and results are on either curve or twist but always 32 bytes', () => {
    expect(toHex(nodeCrypto.elligator2(new Uint8Array(32)))).toBe('00'.repeat(32))
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (element) => {
        const u = nodeCrypto.elligator2(element)
        expect(u).toHaveLength(32)
        expect((u[31] as number) & 0x80).toBe(0)
      }),
      { numRuns: 50 },
    )
  })
})

describe('ML-KEM-768', () => {
  test('has the sizes of FIPS 203, and both ends get the same secret', () => {
    const keys = kem().generate()
    const { ciphertext, secret } = kem().encapsulate(keys.publicKey)
    expect([keys.privateKey.length, keys.publicKey.length, ciphertext.length, secret.length]).toEqual([
      64, 1184, 1088, 32,
    ])
    expect(kem().decapsulate(keys.privateKey, ciphertext)).toEqual(secret)
  })

  test('the seed alone makes the pair', () => {
    const seed = nodeCrypto.randomBytes(64)
    const pair = (): string => toHex(createNodeCrypto(() => seed.slice()).kem?.generate().publicKey ?? new Uint8Array())
    expect(pair()).toBe(pair())
  })

  test('a wrong ciphertext gives another secret and no error', () => {
    const keys = kem().generate()
    const { ciphertext, secret } = kem().encapsulate(keys.publicKey)
    ciphertext[500] = (ciphertext[500] as number) ^ 1
    expect(kem().decapsulate(keys.privateKey, ciphertext)).not.toEqual(secret)
  })

  test('malformed keys and ciphertexts are refused', () => {
    const violation = expect.objectContaining({ code: 'protocol_violation' })
    expect(() => kem().encapsulate(new Uint8Array(1183))).toThrow(violation)
    // Coefficients of 0xfff are over the modulus (FIPS 203 section 7.2).
    expect(() => kem().encapsulate(new Uint8Array(1184).fill(0xff))).toThrow(violation)
    expect(() => kem().decapsulate(new Uint8Array(64), new Uint8Array(1087))).toThrow(violation)
  })
})
