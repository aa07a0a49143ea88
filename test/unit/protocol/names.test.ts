import { describe, expect, test } from 'vitest'

import { encodeUtf8 } from '../../../src/protocol/bytes.ts'
import { escapeForDisplay, linkFault, nameFault } from '../../../src/protocol/names.ts'

describe('a name (S-30)', () => {
  test.each(['', '.', '..', '/', 'a/b', '/a', 'a/', '\0', 'a\0b', 'x'.repeat(256), 'é'.repeat(128)])(
    '%j may not be in a manifest',
    (name) => {
      expect(nameFault(encodeUtf8(name))).toEqual(expect.any(String))
    },
  )

  test.each([
    ['half a character', [0xc3]],
    ['a character cut by another', [0xe2, 0x82, 0x41]],
    ['an overlong slash', [0xc0, 0xaf]],
    ['an overlong NUL', [0xc0, 0x80]],
    ['a surrogate', [0xed, 0xa0, 0x80]],
    ['beyond Unicode', [0xf4, 0x90, 0x80, 0x80]],
    ['Latin-1', [0x66, 0xfc, 0x72]],
    ['bad UTF-8 behind 64 good bytes', [...new Array<number>(64).fill(0x61), 0xff]],
  ])('%s is not UTF-8', (_, bytes) => {
    expect(nameFault(Uint8Array.from(bytes))).toBe('a name that is not UTF-8')
  })

  test.each([
    '...',
    '.a',
    '..a',
    'a.',
    ' ',
    'a ',
    '-rf',
    'con',
    'nul.txt',
    'a:b',
    'a\\b',
    'line\nbreak',
    '\u001b[31m',
    '\u202e',
    '\ufeff',
    'é',
    'e\u0301',
    '😀',
    'x'.repeat(255),
    'é'.repeat(127),
  ])('%j stays as it is: whether a disk can hold it is another matter', (name) => {
    expect(nameFault(encodeUtf8(name))).toBe(null)
  })
})

describe('where a link leads (S-33)', () => {
  test.each([
    ['', 0],
    ['/etc/passwd', 9],
    ['//a', 9],
    ['/', 9],
    ['..', 0],
    ['../a', 0],
    ['./../a', 0],
    ['../../a', 1],
    ['.././/../a', 1],
    ['a/..', 5],
    ['a/../..', 5],
    ['../a/../b', 5],
    ['./a/./..', 5],
    ['a\0b', 5],
    ['x'.repeat(4097), 0],
    ['é'.repeat(2049), 0],
  ])('%j, %i folders deep, is not kept', (target, depth) => {
    expect(linkFault(target, depth)).toEqual(expect.any(String))
  })

  test.each([
    ['.', 0],
    ['./', 0],
    ['a', 0],
    ['a/b/c', 0],
    ['./a//b/', 0],
    ['..', 1],
    ['../a', 1],
    ['../../a/b', 2],
    ['./.././a', 1],
    ['...', 0],
    ['..a', 0],
    ['a..', 0],
    ['c:\\windows', 0],
    ['x'.repeat(4096), 0],
  ])('%j, %i folders deep, is kept', (target, depth) => {
    expect(linkFault(target, depth)).toBe(null)
  })

  test('a long target costs linear time', () => {
    const startMs = performance.now()
    linkFault('../'.repeat(1_000_000), 5)
    linkFault(`${'./'.repeat(2000)}a`, 0)
    expect(performance.now() - startMs).toBeLessThan(2000)
  })
})

describe('what is shown (S-43)', () => {
  test('plain text of any language stays as it is', () => {
    for (const text of [
      'tree/a b.txt',
      'Überfluß',
      '日本語',
      'שלום',
      '😀',
      "it's 100 % (fine) [really] {yes}",
      '~!@#$^&*',
    ])
      expect(escapeForDisplay(text)).toBe(text)
  })

  test.each([
    ['\u001b[31mred', '\\x1b[31mred'],
    ['a\nb\r\tc', 'a\\x0ab\\x0d\\x09c'],
    ['\u0000\u007f', '\\x00\\x7f'],
    ['\u009b31m', '\\x9b31m'],
    ['\u0085', '\\x85'],
    ['gpj\u202etxt.exe', 'gpj\\u{202e}txt.exe'],
    ['\u2066\u2069\u200f\u061c', '\\u{2066}\\u{2069}\\u{200f}\\u{61c}'],
    ['a\u200bb\u200db\ufeff', 'a\\u{200b}b\\u{200d}b\\u{feff}'],
    ['soft\u00adhyphen', 'soft\\xadhyphen'],
    ['\u2028\u2029', '\\u{2028}\\u{2029}'],
    ['\ufe0f\ufff9', '\\u{fe0f}\\u{fff9}'],
    ['\u{e0001}\u{e0041}\u{e0100}', '\\u{e0001}\\u{e0041}\\u{e0100}'],
    ['\ud800x\udc00', '\\u{d800}x\\u{dc00}'],
    ['\u115f\u1160\u3164\uffa0\u034f\u17b4', '\\u{115f}\\u{1160}\\u{3164}\\u{ffa0}\\u{34f}\\u{17b4}'],
    ['a\\x1b', 'a\\\\x1b'],
  ])('%j is shown as %s', (text, shown) => {
    expect(escapeForDisplay(text)).toBe(shown)
  })

  test('nothing that moves the cursor, turns the direction or is invisible gets through', () => {
    const unsafe = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}\p{Default_Ignorable_Code_Point}]/u
    for (let code = 0; code <= 0x10ffff; code++) {
      const text = String.fromCodePoint(code)
      if (unsafe.test(text) && escapeForDisplay(text) === text) expect(code.toString(16)).toBe('escaped')
    }
  })

  test('two different names never look the same', () => {
    const names = ['\u001b', '\\x1b', '\\\\x1b', '\u200b', '\\u{200b}', '\\', '\\\\']
    expect(new Set(names.map(escapeForDisplay)).size).toBe(names.length)
  })
})
