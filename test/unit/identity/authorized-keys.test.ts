/** Who may send to a server: what a line may say, and which file is not believed. */

import fs from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'

import { parseSize } from '../../../src/config/sizes.ts'
import { type AuthorizedKeys, parseAuthorizedKeys, readAuthorizedKeys } from '../../../src/identity/authorized-keys.ts'
import { fingerprintOf, formatPublicKey } from '../../../src/identity/public-key.ts'
import type { SealiftError } from '../../../src/protocol/errors.ts'
import { makeFolder, noOtherUser } from './place.ts'

const keyOf = (byte: number): Uint8Array => new Uint8Array(32).fill(byte)
const line = (byte: number, rest = ''): string => `${formatPublicKey(keyOf(byte))} ${rest}`
const parse = (...lines: string[]): AuthorizedKeys => parseAuthorizedKeys(lines.join('\n'), 'keys', parseSize)

function fault(run: () => unknown): SealiftError {
  try {
    run()
  } catch (error) {
    expect(error).toMatchObject({ name: 'SealiftError', code: 'settings_invalid', exitCode: 2 })
    return error as SealiftError
  }
  throw new Error('it was taken')
}

describe('a line', () => {
  test('of a key alone says nothing else', () => {
    expect(parse(line(1)).find(keyOf(1))).toEqual({
      key: keyOf(1),
      fingerprint: fingerprintOf(keyOf(1)),
      name: null,
      maxBytes: null,
      quotaBytes: null,
      bytesPerSecond: null,
      folder: null,
    })
  })

  test('has name, limits and folder, in any order', () => {
    const said = { name: 'alice', maxBytes: 10e9, quotaBytes: 50e9, bytesPerSecond: 20e6, folder: 'people/alice' }
    const words = ['name=alice', 'max-bytes=10GB', 'quota=50GB', 'rate=20MB', 'folder=people/alice']
    expect(parse(line(1, words.join(' '))).find(keyOf(1))).toMatchObject(said)
    expect(parse(line(1, words.toReversed().join('\t '))).find(keyOf(1))).toMatchObject(said)
  })

  test('may be that of sealift.pub as it is, with limits behind the name', () => {
    const keys = parse(line(1, 'alice@laptop'), line(2, 'bob max-bytes=64MiB'), line(3, 'rate=0'))
    expect(keys.find(keyOf(1))?.name).toBe('alice@laptop')
    expect(keys.find(keyOf(2))).toMatchObject({ name: 'bob', maxBytes: 64 << 20 })
    expect(keys.find(keyOf(3))?.bytesPerSecond).toBe(0)
  })

  test('of a comment, or of nothing, is passed over', () => {
    const keys = parse('# who may send', '', '   ', `  ${line(1)}  \r`, '#sealift-x25519')
    expect([keys.size, keys.find(keyOf(1))?.name]).toEqual([1, null])
  })

  test('lets in nobody but its key', () => {
    const keys = parse(line(1))
    expect([keys.find(keyOf(2)), keys.find(null), parse('').find(keyOf(1)), parse('').size]).toEqual([
      null,
      null,
      null,
      0,
    ])
  })

  test.each([
    ['no key', 'hello', 'begins with sealift-x25519'],
    ['a key that is cut', 'sealift-x25519 AAAA', '44 characters'],
    ['a limit that nobody knows', line(1, 'max-byte=1'), 'max-byte is none of'],
    ['a size that is none', line(1, 'quota=lots'), 'quota is no size'],
    ['no size at all', line(1, 'quota='), 'quota is no size'],
    ['a negative size', line(1, 'max-bytes=-1'), 'max-bytes is no size'],
    ['a transfer of nothing', line(1, 'max-bytes=0'), 'max-bytes is too small'],
    ['a limit twice', line(1, 'rate=1M rate=2M'), 'rate is said twice'],
    ['two names', line(1, 'alice name=bob'), 'name is said twice'],
    ['a second word', line(1, 'alice laptop'), 'laptop says nothing'],
    ['a word behind a limit', line(1, 'rate=1M alice'), 'alice says nothing'],
    ['a folder that leads out', line(1, 'folder=../bob'), 'dot path'],
    ['a folder from the root on', line(1, 'folder=/etc'), 'an empty name'],
    ['an empty folder', line(1, 'folder='), 'an empty name'],
    ['a name that is too long', line(1, `name=${'x'.repeat(65)}`), '64'],
    ['a word that draws', line(1, 'a \u001b[2J'), String.raw`\x1b[2J`],
  ])('with %s is a fault that names it', (_, wrong, told) => {
    const error = fault(() => parse('# first', line(9), wrong))
    expect(error.message).toContain('keys')
    expect(error.hint).toContain('line 3: ')
    expect(error.hint).toContain(told)
    expect(error.hint).not.toContain('\u001b')
  })

  test('with a key that was there before is a fault that names both', () => {
    expect(fault(() => parse(line(1, 'alice'), line(2), line(1, 'bob'))).hint).toBe('line 3: the same key as in line 1')
  })

  test('is told with all other wrong ones, up to twenty', () => {
    const error = fault(() => parse('x', line(1), 'y', line(1)))
    expect(error.message).toContain('3 lines')
    expect(error.hint?.split('\n').map((told) => told.slice(0, 7))).toEqual(['line 1:', 'line 3:', 'line 4:'])
    const many = fault(() => parse(...Array<string>(1000).fill('x'))).hint?.split('\n')
    expect([many?.length, many?.at(-1)]).toEqual([21, 'and 980 more'])
  })
})

describe('the file', () => {
  function write(mode: number): string {
    const path = join(makeFolder(), 'authorized_keys')
    fs.writeFileSync(path, `${line(1, 'alice')}\n`)
    fs.chmodSync(path, mode)
    return path
  }

  test('may be read by all, and reached by a link', () => {
    const path = write(0o644)
    fs.symlinkSync(path, `${path}.link`)
    for (const way of [path, `${path}.link`])
      expect(readAuthorizedKeys(way, parseSize).find(keyOf(1))?.name).toBe('alice')
  })

  test.each([0o664, 0o646, 0o666, 0o622])('with mode %o, which others may write, is not believed', (mode) => {
    const path = write(mode)
    expect(fault(() => readAuthorizedKeys(path, parseSize)).hint).toBe(`take that from them: chmod go-w ${path}`)
  })

  test('of root is believed, of another user not', ({ skip }) => {
    if (noOtherUser !== null) skip(noOtherUser)
    const path = write(0o644)
    fs.chownSync(path, 12_345, 12_345)
    fault(() => readAuthorizedKeys(path, parseSize))
  })

  test('that is not there, is a folder, or is no text, says so', () => {
    const folder = makeFolder()
    fault(() => readAuthorizedKeys(join(folder, 'none'), parseSize))
    fault(() => readAuthorizedKeys(folder, parseSize))
    fs.writeFileSync(join(folder, 'bytes'), Buffer.alloc(100, 0xff))
    fault(() => readAuthorizedKeys(join(folder, 'bytes'), parseSize))
  })

  test('of ten thousand keys is read in no time', () => {
    const lines = Array.from({ length: 10_000 }, (_, at) => {
      const key = new Uint8Array(32)
      new DataView(key.buffer).setUint32(0, at)
      return formatPublicKey(key, `user-${String(at)}`)
    })
    const startedMs = performance.now()
    expect(parse(...lines).size).toBe(10_000)
    expect(performance.now() - startedMs).toBeLessThan(2000)
  })
})
