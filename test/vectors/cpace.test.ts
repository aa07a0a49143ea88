/** The vectors of draft-irtf-cfrg-cpace-21 for CPACE-X25519-SHA512. */

import { readFileSync } from 'node:fs'

import { describe, expect, test } from 'vitest'

import { nodeCrypto } from '../../src/crypto/node.ts'
import { fromHex, toHex } from '../../src/protocol/bytes.ts'
import { cpaceGenerator, cpaceSessionKey } from '../../src/protocol/cpace.ts'

type Field = 'PRS' | 'CI' | 'sid' | 'ADa' | 'ADb' | 'g' | 'ya' | 'Ya' | 'yb' | 'Yb' | 'K' | 'ISK' | 'generatorHash'
type Vector = Readonly<Record<Field, string>> & { readonly lowOrderPoints: readonly string[] }
const vector = JSON.parse(readFileSync(new URL('cpace-x25519.json', import.meta.url), 'utf8')) as Vector
const bytes = (field: Field): Uint8Array => fromHex(vector[field])

describe('CPACE-X25519-SHA512', () => {
  test('maps the hash to the generator', () => {
    expect(toHex(nodeCrypto.elligator2(bytes('generatorHash')))).toBe(vector.g)
  })

  test('ignores the top bit of the hash', () => {
    const hash = bytes('generatorHash')
    hash[31] = (hash[31] as number) ^ 0x80
    expect(toHex(nodeCrypto.elligator2(hash))).toBe(vector.g)
  })

  test('finds the generator of a password, context and session id', () => {
    expect(toHex(cpaceGenerator(nodeCrypto, bytes('PRS'), bytes('CI'), bytes('sid')))).toBe(vector.g)
  })

  test('agrees on the shares, on K from both ends, and on the ISK', () => {
    expect(toHex(nodeCrypto.x25519(bytes('ya'), bytes('g')))).toBe(vector.Ya)
    expect(toHex(nodeCrypto.x25519(bytes('yb'), bytes('g')))).toBe(vector.Yb)
    expect(toHex(nodeCrypto.x25519(bytes('ya'), bytes('Yb')))).toBe(vector.K)
    expect(toHex(nodeCrypto.x25519(bytes('yb'), bytes('Ya')))).toBe(vector.K)
    const initiator = { share: bytes('Ya'), associatedData: bytes('ADa') }
    const responder = { share: bytes('Yb'), associatedData: bytes('ADb') }
    expect(toHex(cpaceSessionKey(nodeCrypto, bytes('sid'), bytes('K'), initiator, responder))).toBe(vector.ISK)
  })

  test('each low-order share is refused', () => {
    expect(vector.lowOrderPoints).toHaveLength(7)
    for (const point of vector.lowOrderPoints) {
      expect(() => nodeCrypto.x25519(bytes('ya'), fromHex(point))).toThrow(
        expect.objectContaining({ code: 'protocol_violation' }),
      )
    }
  })

  test('lengths over 127 take two bytes, so long passwords keep apart from their neighbours', () => {
    const long = new Uint8Array(200).fill(0x61)
    const generators = [
      cpaceGenerator(nodeCrypto, long, bytes('CI'), bytes('sid')),
      cpaceGenerator(nodeCrypto, long.subarray(1), bytes('CI'), bytes('sid')),
      cpaceGenerator(nodeCrypto, long, new Uint8Array([0x61]), bytes('sid')),
    ]
    expect(new Set(generators.map(toHex)).size).toBe(3)
  })
})
