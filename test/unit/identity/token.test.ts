import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { generateToken, normalizeToken, tokenWords } from '../../../src/identity/token.ts'
import { decodeUtf8 } from '../../../src/protocol/bytes.ts'

const folded = (text: string): string | null => decodeUtf8(normalizeToken(text))
const word16 = (number: number): Uint8Array => Uint8Array.of(number >> 8, number & 0xff)

describe('the word list', () => {
  test('has 7,776 different words of 3 to 9 lower-case letters', () => {
    const words = tokenWords()
    expect(words).toHaveLength(7776)
    expect(new Set(words).size).toBe(words.length)
    expect(words.filter((word) => !/^[a-z]{3,9}$/.test(word))).toEqual([])
  })

  test('gives two words 25.8 bits and four 51.7', () => {
    const bits = Math.log2(tokenWords().length)
    expect(2 * bits).toBeCloseTo(25.85, 2)
    expect(4 * bits).toBeCloseTo(51.7, 2)
  })
})

describe('generateToken', () => {
  test.each([2, 4] as const)('makes %i words of the list', (count) => {
    const words = generateToken(count, (length) => globalThis.crypto.getRandomValues(new Uint8Array(length))).split('-')
    expect(words).toHaveLength(count)
    for (const word of words) expect(tokenWords()).toContain(word)
  })

  test('draws again what would favour the first words', () => {
    const words = tokenWords()
    const usable = 65_536 - (65_536 % words.length)
    const draws = [65_535, usable, usable - 1, 0]
    expect(generateToken(2, () => word16(draws.shift() as number))).toBe(`${words.at(-1)}-${words[0]}`)
    expect(draws).toEqual([])
  })

  test('reaches each word from the same count of numbers', () => {
    const counts = new Map<string, number>()
    for (let number = 0; number < 65_536; number++) {
      const draws = [number, 0]
      const first = generateToken(2, () => word16(draws.shift() ?? 0)).split('-')[0] as string
      if (draws.length === 0) counts.set(first, (counts.get(first) ?? 0) + 1)
    }
    const rejected = 65_536 % tokenWords().length
    const zero = tokenWords()[0] as string
    // A number that is drawn again falls to word 0 here; without those, all counts are 8.
    counts.set(zero, (counts.get(zero) as number) - rejected)
    expect(new Set(counts.values())).toEqual(new Set([8]))
  })
})

describe('normalizeToken', () => {
  test.each([
    ['acid-zebra', 'acid-zebra'],
    ['  Acid Zebra\n', 'acid-zebra'],
    ['ACID_ZEBRA', 'acid-zebra'],
    ['acid . – _ zebra', 'acid-zebra'],
    ['--acid—zebra..', 'acid-zebra'],
    ['acid:zebra', 'acid-zebra'],
    ['"Acid, Zebra"', 'acid-zebra'],
    ['acid/zebra', 'acid-zebra'],
    ['acid + zebra|', 'acid-zebra'],
    ['ａｃｉｄ－ｚｅｂｒａ', 'acid-zebra'],
    ['acid\u00adzebra\u200b', 'acidzebra'],
    ['acid\u00a0zebra', 'acid-zebra'],
    ['caf\u0065\u0301', 'caf\u00e9'],
  ])('folds %j', (typed, expected) => {
    expect(folded(typed)).toBe(expected)
  })

  test.each(['', ' ', '-_.', '\u200b'])('refuses %j, where nothing is left', (typed) => {
    expect(() => normalizeToken(typed)).toThrow(expect.objectContaining({ code: 'usage' }))
  })

  test('leaves a generated token as it is', () => {
    const token = generateToken(4, (length) => globalThis.crypto.getRandomValues(new Uint8Array(length)))
    expect(folded(token)).toBe(token)
  })

  test('folding twice changes nothing more', () => {
    const fold = (text: string): string | null => {
      try {
        return folded(text)
      } catch {
        return null
      }
    }
    fc.assert(
      fc.property(fc.array(fc.nat(0x2fff), { maxLength: 20 }), (points) => {
        const text = String.fromCodePoint(...points)
        const once = fold(text)
        if (once !== null) expect(fold(once)).toBe(once)
      }),
    )
  })
})
