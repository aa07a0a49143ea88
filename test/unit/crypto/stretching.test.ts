import { scryptSync } from 'node:crypto'
import { expect, test } from 'vitest'

import { stretch, stretchPassword } from '../../../src/crypto/stretching.ts'
import { encodeUtf8, fromHex, toHex } from '../../../src/protocol/bytes.ts'

test('RFC 7914, section 12, third vector', async () => {
  const derived = await stretch(encodeUtf8('pleaseletmein'), encodeUtf8('SodiumChloride'), 64, { N: 16384, r: 8, p: 1 })
  expect(toHex(derived)).toBe(
    '7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887',
  )
  expect(Object.getPrototypeOf(derived)).toBe(Uint8Array.prototype)
})

test('a password of a server costs N = 2^17, r = 8, p = 1, with the key of the server for salt', async () => {
  const [password, key] = [encodeUtf8('correct horse battery'), fromHex('11'.repeat(32))]
  const expected = scryptSync(password, key, 32, { N: 2 ** 17, r: 8, p: 1, maxmem: 2 ** 28 })
  expect(toHex(await stretchPassword(password, key))).toBe(expected.toString('hex'))
  expect(toHex(password)).toBe(toHex(encodeUtf8('correct horse battery')))
})

test('does not hold up the event loop, and what cannot be done rejects without holding up the next', async () => {
  let turns = 0
  const counting = setInterval(() => turns++, 1)
  const cost = { N: 2 ** 15, r: 8, p: 1 }
  const secret = encodeUtf8('x')
  const impossible = stretch(secret, secret, 32, { N: -1, r: 8, p: 1 })
  const [first, failure, second] = await Promise.allSettled([
    stretch(secret, secret, 32, cost),
    impossible,
    stretch(secret, secret, 32, cost),
  ])
  clearInterval(counting)
  expect(turns).toBeGreaterThan(1)
  expect(failure.status).toBe('rejected')
  expect(first).toEqual(second)
})
