import fs from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { FileSystem } from '../../../src/files/file-system.ts'
import { nodeFileSystem } from '../../../src/files/file-system.ts'
import { collisionKey, portableFault, portableName, probeNameRules } from '../../../src/files/name-rules.ts'
import { makePlace } from './tree-place.ts'

test.each([
  'a:b',
  'a\\b',
  'tab\t',
  'a*',
  'what?',
  '<a>',
  'end.',
  'end ',
  'NUL',
  'con.txt',
  'Com1',
  'lpt\u00b9.log',
  'aux .c',
  'c1\u0085',
])('not everywhere: %j', (name) => {
  expect(portableFault(name)).not.toBeNull()
  expect(portableFault(portableName(name))).toBeNull()
})

test.each(['a b.c', '.hidden', 'console', 'com10', 'nul1', 'ünïcode', "it's", '日本語'])('everywhere: %j', (name) => {
  expect(portableFault(name)).toBeNull()
  expect(portableName(name)).toBe(name)
})

test.each([
  ['README', 'readme'],
  ['straße', 'STRASSE'],
  ['é', 'e\u0301'],
  ['ﬁle', 'FILE'],
  ['K', '\u212a'],
])('one name where names are folded: %s, %s', (one, other) => {
  expect(collisionKey(one)).toBe(collisionKey(other))
})

describe('what a file system says of itself', () => {
  test('Linux holds every name, and nothing is left of the trial', () => {
    const place = makePlace()
    expect(probeNameRules(place)).toEqual({ folds: false, portable: false })
    expect(fs.readdirSync(place)).toEqual([])
  })

  test('one that folds case and Unicode form', () => {
    const place = makePlace()
    const fold = (path: string): string => join(place, path.slice(place.length).normalize('NFC').toLowerCase())
    expect(probeNameRules(place, mapped(fold))).toEqual({ folds: true, portable: false })
  })

  test('one that drops dots at the end', () => {
    const place = makePlace()
    expect(
      probeNameRules(
        place,
        mapped((path) => path.replace(/[. ]+$/, '')),
      ),
    ).toEqual({ folds: false, portable: true })
  })

  test('one that refuses a colon', () => {
    const place = makePlace()
    const refuse = (path: string): string => {
      if (path.includes(':')) throw Object.assign(new Error('EINVAL'), { code: 'EINVAL', syscall: 'mkdir' })
      return path
    }
    expect(probeNameRules(place, mapped(refuse))).toEqual({ folds: false, portable: true })
    expect(fs.readdirSync(place)).toEqual([])
  })

  test('one that cannot be written', () => {
    const refuse = (): string => {
      throw Object.assign(new Error('EROFS'), { code: 'EROFS', syscall: 'mkdir' })
    }
    expect(() => probeNameRules(makePlace(), mapped(refuse))).toThrow(
      expect.objectContaining({ code: 'target_read_only' }),
    )
  })
})

/** A file system that changes names before it looks at them. */
function mapped(change: (path: string) => string): FileSystem {
  return {
    ...nodeFileSystem,
    mkdirSync: ((path: string, mode: number) => fs.mkdirSync(change(path), mode)) as FileSystem['mkdirSync'],
    rmdirSync: (path) => {
      if (fs.existsSync(change(path as string))) fs.rmdirSync(change(path as string))
    },
    lstatSync: ((path: string, options: fs.StatOptions) =>
      fs.lstatSync(change(path), options)) as FileSystem['lstatSync'],
  }
}
