import { describe, expect, test } from 'vitest'
import { cutToFit, displayWidth, wrapWords } from '../../../src/cli/columns.ts'

describe('the width of text', () => {
  test.each([
    ['', 0],
    ['plain ascii', 11],
    ['Überfluß', 8],
    ['日本語', 6],
    ['한국어', 6],
    ['ｆｕｌｌ', 8],
    ['e\u0301', 1],
    ['😀.jpg', 6],
    ['⌚', 2],
    ['→ █░ …', 6],
    ['\u001b[1mbold\u001b[0m', 4],
  ])('%j is %i columns', (text, columns) => {
    expect(displayWidth(text)).toBe(columns)
  })
})

describe('cutting', () => {
  test('keeps what fits, and of what does not both ends', () => {
    expect(cutToFit('photos/IMG_0001.jpg', 19)).toBe('photos/IMG_0001.jpg')
    expect(cutToFit('photos/IMG_0001.jpg', 16)).toBe('photos/IMG…1.jpg')
    expect(cutToFit('ab', 1)).toBe('…')
    expect(cutToFit('ab', 0)).toBe('')
  })

  test('never takes more than it may, also with characters of two columns', () => {
    const name = '日本語の名前😀とても長い.txt'
    for (let columns = 0; columns <= displayWidth(name); columns++)
      expect(displayWidth(cutToFit(name, columns))).toBeLessThanOrEqual(columns)
  })
})

describe('wrapping', () => {
  const sentence = 'warning: 127.0.0.1 tried a wrong token. If that was not you, somebody is guessing.'

  test('goes between words, and indents what follows', () => {
    expect(wrapWords(sentence, 40)).toBe(
      'warning: 127.0.0.1 tried a wrong token.\n  If that was not you, somebody is\n  guessing.',
    )
    for (let columns = 20; columns < 90; columns++) {
      const lines = wrapWords(sentence, columns).split('\n')
      expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(columns)
      expect(lines.map((line) => line.trim()).join(' ')).toBe(sentence)
    }
  })

  test('leaves alone what fits, what is laid out, and what is a word', () => {
    expect(wrapWords('short', 40)).toBe('short')
    expect(wrapWords('    sealift receive 127.0.0.1:15820:coral-magnet', 40)).toMatch(/^ {4}sealift[^\n]+$/)
    expect(wrapWords('\u001b[1m    sealift receive 127.0.0.1:15820:coral-magnet\u001b[0m', 40)).not.toContain('\n')
    expect(wrapWords('x'.repeat(100), 40)).toBe('x'.repeat(100))
    expect(wrapWords('two  spaces stay in a line', 40)).toBe('two  spaces stay in a line')
    expect(wrapWords(sentence, 10)).toBe(sentence)
  })

  test('does not break a command that is to be copied', () => {
    const id = '4f2ed172-b3c1-4bfd-9e5e-22b5dab03089'
    expect(wrapWords(`hint: run the same line again, or: sealift resume ${id}`, 60)).toBe(
      `hint: run the same line again, or:\n  sealift resume ${id}`,
    )
  })
})
