import { describe, expect, test } from 'vitest'

import { DirectToken } from '../../../src/guard/direct-token.ts'
import { encodeUtf8 } from '../../../src/protocol/bytes.ts'

function fresh(): { token: DirectToken; secret: Uint8Array } {
  const secret = encodeUtf8('coral-magnet')
  return { token: new DirectToken(secret), secret }
}

/** A wrong guess, as a door makes it: counted, compared, found wrong. */
function miss(token: DirectToken, address: string): { compared: boolean; burned: boolean } {
  const compared = token.guess(address)
  return { compared, burned: token.wrong(address) }
}

describe('a direct token', () => {
  test('is open until it is used', () => {
    const { token } = fresh()
    expect([token.state, token.guesses]).toEqual(['open', 0])
    expect(token.password()).toEqual(encodeUtf8('coral-magnet'))
  })

  test('is burned by the third wrong guess from one source, and not before', () => {
    const { token, secret } = fresh()
    expect(miss(token, '10.0.0.1')).toEqual({ compared: true, burned: false })
    expect(miss(token, '10.0.0.1')).toEqual({ compared: true, burned: false })
    expect(token.password()).not.toBe(null)
    expect(miss(token, '10.0.0.1')).toEqual({ compared: true, burned: true })
    expect([token.state, token.password()]).toEqual(['burned', null])
    expect(secret.every((byte) => byte === 0)).toBe(true)
    expect(miss(token, '10.0.0.1')).toEqual({ compared: false, burned: false })
    expect(miss(token, '10.0.0.2')).toEqual({ compared: false, burned: false })
  })

  test('is burned by the tenth in all', () => {
    const { token } = fresh()
    for (let source = 1; source < 10; source++)
      expect(miss(token, `10.0.0.${source}`)).toEqual({ compared: true, burned: false })
    expect(miss(token, '10.0.0.99')).toEqual({ compared: true, burned: true })
  })

  test('lets no more be compared than the limit, however many arrive before the first is found wrong', () => {
    const { token } = fresh()
    const compared = Array.from({ length: 200 }, () => token.guess('10.0.0.1')).filter(Boolean).length
    expect(compared).toBe(3)
    const others = Array.from({ length: 200 }, (_, at) => token.guess(`10.0.1.${at}`)).filter(Boolean).length
    expect([others, token.guesses]).toEqual([7, 10])
  })

  test('may be right at the third guess', () => {
    const { token } = fresh()
    miss(token, '10.0.0.1')
    miss(token, '10.0.0.1')
    expect(token.guess('10.0.0.1')).toBe(true)
    token.spend()
    expect(token.state).toBe('spent')
  })

  test('is void after the first session, for the right guess as well', () => {
    const { token, secret } = fresh()
    token.spend()
    expect([token.state, token.password(), token.guess('10.0.0.2')]).toEqual(['spent', null, false])
    expect(secret.every((byte) => byte === 0)).toBe(true)
    expect(token.wrong('10.0.0.2')).toBe(false)
    token.spend()
    expect(token.state).toBe('spent')
  })

  test('stays burned when a session that was confirmed meanwhile spends it', () => {
    const { token } = fresh()
    for (let at = 0; at < 3; at++) miss(token, 'memory')
    token.spend()
    expect(token.state).toBe('burned')
  })
})

describe('a source', () => {
  test('is one for all addresses that one IPv6 host can have, so that they share three guesses', () => {
    const { token } = fresh()
    const burned = ['2001:db8:1:2::1', '2001:db8:1:2::2', '2001:db8:1:2:ffff::3'].map(
      (address) => miss(token, address).burned,
    )
    expect(burned).toEqual([false, false, true])
  })
})
