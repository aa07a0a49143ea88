import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { formatCount, formatSize, parseSize } from '../../../src/config/sizes.ts'

describe('a size', () => {
  test.each([
    ['0', 0],
    ['1048576', 1_048_576],
    ['10B', 10],
    ['10K', 10_240],
    ['10k', 10_240],
    ['10KiB', 10_240],
    ['10KB', 10_000],
    ['10M', 10_485_760],
    ['64MiB', 67_108_864],
    ['10MB', 10_000_000],
    ['2G', 2_147_483_648],
    ['2GB', 2_000_000_000],
    ['1T', 1_099_511_627_776],
    ['1TB', 1e12],
    ['1.5k', 1536],
    ['0.1', 0],
    [' 5 mb ', 5_000_000],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
  ])('%j is %d bytes', (text, bytes) => {
    expect(parseSize(text, '--bwlimit')).toBe(bytes)
  })

  test.each([
    '',
    ' ',
    '-1',
    '+5',
    'M',
    '10X',
    '10MBs',
    '1e6',
    '0x10',
    '1,000',
    '1.',
    '.5',
    '10 M B',
    'NaN',
    'Infinity',
  ])('%j is none, and the error names the setting', (text) => {
    expect(() => parseSize(text, '--bwlimit')).toThrow(
      expect.objectContaining({
        code: 'settings_invalid',
        message: expect.stringContaining('--bwlimit') as string,
        hint: expect.stringContaining('10M') as string,
      }) as Error,
    )
  })

  test.each(['9007199254740992', '10000000TB', '9'.repeat(400), '10constructor', '5tostring'])(
    '%j is none that can be counted',
    (text) => {
      expect(() => parseSize(text, 'X')).toThrow(expect.objectContaining({ code: 'settings_invalid' }) as Error)
    },
  )

  test('any text is a whole number of bytes or a typed error', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.tuple(fc.nat(), fc.string({ maxLength: 4 })).map(([n, unit]) => `${n}${unit}`),
        ),
        (text) => {
          try {
            const bytes = parseSize(text, 'X')
            expect(Number.isSafeInteger(bytes) && bytes >= 0).toBe(true)
          } catch (error) {
            expect(error).toMatchObject({ name: 'SealiftError', code: 'settings_invalid' })
          }
        },
      ),
    )
  })
})

describe('a size as it is shown', () => {
  test.each([
    [0, '0 bytes'],
    [1, '1 byte'],
    [812, '812 bytes'],
    [1023, '1,023 bytes'],
    [1024, '1.0 KiB'],
    [1536, '1.5 KiB'],
    [1_048_575, '1.0 MiB'],
    [1_048_576, '1.0 MiB'],
    [3_328_599_655, '3.1 GiB'],
    [Number.MAX_SAFE_INTEGER, '8.0 PiB'],
    [2 ** 63, '8192.0 PiB'],
  ])('%d: %s', (bytes, shown) => {
    expect(formatSize(bytes)).toBe(shown)
  })

  test('is never over 1,023.9 of its unit', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (bytes) => {
        expect(Number.parseFloat(formatSize(bytes).replaceAll(',', ''))).toBeLessThan(1024)
      }),
    )
  })
})

test('counts have their thousands apart', () => {
  expect([0, 999, 1204, 1_000_000].map(formatCount)).toEqual(['0', '999', '1,204', '1,000,000'])
})
