import { describe, expect, test } from 'vitest'

import { countCharacters, normalizePassword, normalizeServerPassword } from '../../../src/identity/password.ts'
import { encodeUtf8 } from '../../../src/protocol/bytes.ts'

const code = (name: string): Error => expect.objectContaining({ code: name }) as Error

describe('a password', () => {
  test('is the same bytes however its characters are composed, and in whatever script its spaces are', () => {
    expect(normalizePassword('Mu\u0308ller\u00a0und\u3000Co')).toEqual(encodeUtf8('Müller und Co'))
  })

  test('keeps case, dashes and spaces, which are part of it', () => {
    const texts = ['Correct Horse', 'correct horse', 'correct-horse', ' correct horse', 'correct  horse']
    expect(new Set(texts.map((text) => normalizePassword(text).toString())).size).toBe(texts.length)
  })

  test.each([
    ['empty', ''],
    ['with a line break', 'correct\nhorse'],
    ['with a NUL', 'correct\0horse'],
    ['over 1,024 bytes', 'é'.repeat(513)],
  ])('%s is refused, and not repeated', (_, text) => {
    expect(() => normalizePassword(text)).toThrow(code('usage'))
    const said = (() => {
      try {
        normalizePassword(text)
        return ''
      } catch (error) {
        return String(error)
      }
    })()
    expect(text.length > 3 && said.includes(text)).toBe(false)
  })

  test('of a server has ten characters, counted as people count', () => {
    expect(countCharacters('0123456789')).toBe(10)
    expect(countCharacters('é'.normalize('NFD').repeat(9))).toBe(9)
    expect(normalizeServerPassword('0123456789')).toEqual(encodeUtf8('0123456789'))
    for (const short of ['', '012345678', 'é'.normalize('NFD').repeat(9), '😀😀😀😀😀😀😀😀😀'])
      expect(() => normalizeServerPassword(short)).toThrow(code('settings_invalid'))
  })
})
