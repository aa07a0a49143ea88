import { describe, expect, test } from 'vitest'

import { ServerToken } from '../../../src/guard/server-token.ts'
import { MAX_SERVER_GUESSES_PER_MINUTE } from '../../../src/protocol/limits.ts'

function newToken(): { token: ServerToken; secret: Uint8Array; pass(ms: number): void } {
  let nowMs = 1000
  const secret = Uint8Array.of(1, 2, 3)
  return {
    secret,
    token: new ServerToken(secret, () => nowMs),
    pass: (ms) => {
      nowMs += ms
    },
  }
}

describe('the token of a server', () => {
  test('is there again and again, whatever was guessed', () => {
    const { token } = newToken()
    for (let at = 0; at < 200; at++) {
      token.guess()
      expect(token.wrong()).toBe(false)
    }
    expect(token.password()).toEqual(Uint8Array.of(1, 2, 3))
  })

  test('takes 60 wrong guesses in any minute, and not one more (S-04)', () => {
    const { token, pass } = newToken()
    let compared = 0
    for (let second = 0; second < 180; second++) {
      for (let at = 0; at < 5; at++) if (token.guess()) compared++
      pass(1000)
    }
    // In three minutes, none of them more than 60.
    expect(compared).toBe(3 * MAX_SERVER_GUESSES_PER_MINUTE)
  })

  test('counts a guess before it is compared: of a thousand at once no more than the limit are (S-02)', () => {
    const { token } = newToken()
    const compared = Array.from({ length: 1000 }, () => token.guess()).filter(Boolean)
    expect(compared.length).toBe(MAX_SERVER_GUESSES_PER_MINUTE)
  })

  test('does not count right guesses', () => {
    const { token } = newToken()
    for (let at = 0; at < 500; at++) {
      expect(token.guess()).toBe(true)
      token.spend()
    }
  })

  test('is zeroed at the end', () => {
    const { token, secret } = newToken()
    token.destroy()
    expect(secret).toEqual(new Uint8Array(3))
  })
})
