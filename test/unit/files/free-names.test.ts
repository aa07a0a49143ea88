import { expect, test } from 'vitest'
import { cutToBytes, nextFreeName, numberedName } from '../../../src/files/free-names.ts'

test.each([
  ['report.pdf', true, 'report (1).pdf'],
  ['archive.tar.gz', true, 'archive (1).tar.gz'],
  ['v1.2 notes', true, 'v1.2 notes (1)'],
  ['.profile', true, '.profile (1)'],
  ['.profile.bak', true, '.profile (1).bak'],
  ['Makefile', true, 'Makefile (1)'],
  ['my.tree', false, 'my.tree (1)'],
  ['ends.', true, 'ends. (1)'],
])('%s', (name, isFile, expected) => {
  expect(numberedName(name, 1, isFile)).toBe(expected)
})

test('the first free number is taken', () => {
  const taken = new Set(['a (1).txt', 'a (2).txt'])
  expect(nextFreeName('a.txt', true, (name) => taken.has(name))).toBe('a (3).txt')
})

test('a name with a number has at most 255 bytes and is cut between characters', () => {
  const name = numberedName(`${'ü'.repeat(125)}.html`, 1234, true)
  expect(Buffer.byteLength(name)).toBeLessThanOrEqual(255)
  expect(name).toMatch(/^ü+ \(1234\)\.html$/)
  expect(cutToBytes('a😀b', 4)).toBe('a')
})
