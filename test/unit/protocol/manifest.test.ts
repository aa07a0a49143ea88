import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

import { describe, expect, test } from 'vitest'

import { encodeUtf8 } from '../../../src/protocol/bytes.ts'
import { MAX_CONTENT_BYTES, MAX_ENTRIES } from '../../../src/protocol/limits.ts'
import { encodeManifestPages } from '../../../src/protocol/manifest-pages.ts'
import { KIND_FOLDER, Manifest, type NewEntry } from '../../../src/protocol/manifest.ts'
import { file, folder, link, manifestOf } from './entries.ts'

const INVALID = expect.objectContaining({ name: 'SealiftError', code: 'manifest_invalid' }) as Error

function refused(...entries: readonly NewEntry[]): void {
  const manifest = manifestOf(...entries.slice(0, -1))
  const before = manifest.count
  expect(() => manifest.add(entries.at(-1) as NewEntry)).toThrow(INVALID)
  expect(manifest.count).toBe(before)
}

describe('what a manifest says', () => {
  const manifest = manifestOf(
    file(-1, 'note', 5),
    folder(-1, 'tree', { mode: 0o2750, priority: 3 }),
    folder(1, 'a'),
    file(2, 'one', 10, { mtimeNs: -1n }),
    file(2, 'two', 0),
    link(2, 'up', '../b'),
    file(1, 'b', 20),
  )

  test('kinds, names, places and all fields of each entry', () => {
    expect(Array.from({ length: 7 }, (_, at) => manifest.path(at))).toEqual([
      'note',
      'tree',
      'tree/a',
      'tree/a/one',
      'tree/a/two',
      'tree/a/up',
      'tree/b',
    ])
    expect([manifest.count, manifest.totalBytes, manifest.endOffset]).toEqual([7, 35, 35])
    expect([manifest.mode(1), manifest.priority(1), manifest.mtimeNs(3)]).toEqual([0o2750, 3, -1n])
    expect([manifest.kind(1), manifest.parent(0), manifest.parent(6)]).toEqual([KIND_FOLDER, -1, 1])
    expect([manifest.target(5), manifest.target(4), manifest.name(5)]).toEqual(['../b', '', 'up'])
    expect([manifest.sizeBytes(6), manifest.startOffset(6), manifest.endOffsetOf(6)]).toEqual([20, 15, 35])
  })

  test('roots and what is inside of what', () => {
    expect([...manifest.roots()]).toEqual([0, 1])
    expect([0, 1, 2, 3, 6].map((at) => manifest.subtreeEnd(at))).toEqual([1, 7, 6, 4, 7])
  })

  test('which file holds a byte; empty files, folders and links hold none', () => {
    expect([0, 4, 5, 14, 15, 34].map((offset) => manifest.fileAt(offset))).toEqual([0, 0, 3, 3, 6, 6])
    expect(manifest.fileAt(35)).toBe(7)
  })

  test('nothing of an entry that is not there', () => {
    for (const at of [-1, 7, 1.5 + 6, Number.NaN]) expect(() => manifest.kind(at)).toThrow(RangeError)
    expect(() => manifest.path(7)).toThrow(RangeError)
  })

  test('the same whatever room it had at first', () => {
    for (const capacity of [0, 1, 3]) {
      const small = new Manifest(capacity)
      small.add(folder(-1, 'r'))
      for (const name of ['a', 'b', 'c', 'd']) small.add(file(0, name, 3))
      expect([small.count, small.path(4), small.sizeBytes(4), small.totalBytes]).toEqual([5, 'r/d', 3, 12])
    }
  })
})

describe('order', () => {
  test('siblings go by the bytes of their names', () => {
    manifestOf(...['A', 'B', 'a', 'b', 'é', '日'].map((name) => file(-1, name, 1)))
    manifestOf(file(-1, 'a', 1), file(-1, 'a ', 1), file(-1, 'aa', 1))
    refused(file(-1, 'b', 1), file(-1, 'a', 1))
    refused(file(-1, 'aa', 1), file(-1, 'a', 1))
    refused(file(-1, 'a', 1), file(-1, 'B', 1))
  })

  test('bytes, not UTF-16: a character beyond the basic plane comes behind all of that plane', () => {
    const [high, emoji] = ['\uffee', '😀']
    expect(high > emoji).toBe(true)
    manifestOf(file(-1, high, 1), file(-1, emoji, 1))
    refused(file(-1, emoji, 1), file(-1, high, 1))
  })

  test('a name comes once, whatever has it', () => {
    refused(file(-1, 'a', 1), file(-1, 'a', 1))
    refused(folder(-1, 'a'), file(-1, 'a', 1))
    refused(folder(-1, 'a'), file(0, 'x', 1), folder(-1, 'a'))
    refused(folder(-1, 'r'), file(0, 'a', 1), link(0, 'a', 'x'))
    manifestOf(folder(-1, 'a'), file(0, 'a', 1), file(-1, 'b', 1))
    // Two forms of one letter are two names; a disk that cannot tell them apart is another matter.
    manifestOf(file(-1, 'e\u0301', 1), file(-1, 'é', 1))
  })

  test('a sibling is compared with the sibling before it, not with what lies inside that', () => {
    manifestOf(folder(-1, 'r'), folder(0, 'a'), file(1, 'z', 1), file(0, 'b', 1))
    refused(folder(-1, 'r'), folder(0, 'b'), file(1, 'z', 1), file(0, 'a', 1))
  })
})

describe('parents', () => {
  test('an entry lies in a folder that is open', () => {
    refused(file(-1, 'a', 1), file(0, 'b', 1))
    refused(folder(-1, 'r'), link(0, 'l', 'x'), file(1, 'b', 1))
    refused(folder(-1, 'r'), folder(0, 'a'), file(0, 'b', 1), file(1, 'c', 1))
    refused(folder(-1, 'r'), file(1, 'b', 1))
    for (const parent of [1, 5, -2, 4_294_967_294, 0.5, Number.NaN]) refused(folder(-1, 'r'), file(parent, 'b', 1))
    refused(file(0, 'itself', 1))
  })

  test('a folder that was left stays closed, and a root after a tree closes it', () => {
    refused(folder(-1, 'a'), folder(-1, 'b'), file(0, 'x', 1))
  })
})

describe('names and paths', () => {
  test.each(['', '.', '..', 'a/b', 'a\0', 'é'.repeat(128)])('%j is refused', (name) => {
    refused(file(-1, name, 1))
  })

  test('what is not UTF-8 is refused', () => {
    refused(file(-1, Uint8Array.of(0xff), 1))
  })

  test('a path has 4,096 bytes at most, separators included', () => {
    const manifest = new Manifest()
    const long = 'x'.repeat(255)
    for (let depth = 0; depth < 15; depth++) manifest.add(folder(depth - 1, long))
    manifest.add(folder(14, 'x'.repeat(100)))
    // 15 × 255 and 100 bytes, each with a separator behind it
    expect(() => manifest.add(file(15, 'y'.repeat(156), 1))).toThrow(INVALID)
    manifest.add(file(15, 'y'.repeat(155), 1))
    expect(encodeUtf8(manifest.path(16)).length).toBe(4096)
  })

  test('a path as deep as it may be is found without trouble', () => {
    const manifest = new Manifest()
    for (let depth = 0; depth < 2048; depth++) manifest.add(folder(depth - 1, 'd'))
    expect(manifest.path(2047).length).toBe(4095)
    expect(() => manifest.add(folder(2047, 'd'))).toThrow(INVALID)
  })
})

describe('sizes', () => {
  test.each([-1, 0.5, Number.NaN, Infinity, MAX_CONTENT_BYTES + 1])('%d bytes are refused', (size) => {
    refused(file(-1, 'a', size))
  })

  test('all together are a number that can be counted', () => {
    const manifest = manifestOf(file(-1, 'a', MAX_CONTENT_BYTES))
    expect(manifest.totalBytes).toBe(MAX_CONTENT_BYTES)
    manifest.add(file(-1, 'b', 0))
    expect(() => manifest.add(file(-1, 'c', 1))).toThrow(INVALID)
  })

  test('folders and links have none', () => {
    refused(folder(-1, 'a', { sizeBytes: 1 }))
    refused(folder(-1, 'r'), link(0, 'l', 'x', { sizeBytes: 1 }))
  })

  test('an unknown size is that of one file alone', () => {
    refused(file(-1, 'a', 1), file(-1, 'b', null))
    refused(file(-1, 'a', null), file(-1, 'b', 1))
    refused(file(-1, 'a', null), folder(-1, 'b'))
    refused(folder(-1, 'r'), file(0, 'b', null))
    refused(folder(-1, 'a', { sizeBytes: null }))
    const manifest = manifestOf(file(-1, '-', null))
    expect([manifest.totalBytes, manifest.sizeBytes(0), manifest.endOffset]).toEqual([null, null, MAX_CONTENT_BYTES])
    expect([manifest.fileAt(1e15), manifest.endOffsetOf(0)]).toEqual([0, MAX_CONTENT_BYTES])
    manifest.settleSize(12)
    expect([manifest.totalBytes, manifest.sizeBytes(0), manifest.endOffset, manifest.fileAt(12)]).toEqual([
      12, 12, 12, 1,
    ])
    // It may be said in each session, but never as something else.
    manifest.settleSize(12)
    const violation = expect.objectContaining({ code: 'protocol_violation' }) as Error
    expect(() => manifest.settleSize(13)).toThrow(violation)
    expect(() => manifestOf(file(-1, 'a', 12)).settleSize(12)).toThrow(violation)
    expect(() => manifest.add(file(-1, 'b', 1))).toThrow(expect.objectContaining({ code: 'manifest_invalid' }) as Error)
  })

  test('a size that became known is not in the pages, whose digest stays', () => {
    const manifest = manifestOf(file(-1, '-', null))
    const before = [...encodeManifestPages(manifest)]
    manifest.settleSize(12)
    expect([...encodeManifestPages(manifest)]).toEqual(before)
  })
})

describe('the other fields', () => {
  test('modes and priorities are within bounds', () => {
    for (const mode of [-1, 0o10000]) refused(file(-1, 'a', 1, { mode }))
    for (const priority of [-1, 10, 255]) refused(file(-1, 'a', 1, { priority }))
    manifestOf(file(-1, 'a', 1, { mode: 0o7777, priority: 9 }))
  })

  test('only links lead somewhere, inside their root', () => {
    refused(file(-1, 'a', 1, { target: 'b' }))
    refused(folder(-1, 'a', { target: 'b' }))
    refused(link(-1, 'a', 'b'))
    refused(folder(-1, 'r'), link(0, 'l', ''))
    refused(folder(-1, 'r'), link(0, 'l', '/etc'))
    refused(folder(-1, 'r'), link(0, 'l', '..'))
    refused(folder(-1, 'r'), folder(0, 'a'), link(1, 'l', '../..'))
    refused(folder(-1, 'r'), folder(0, 'a'), link(0, 'l', '../x'))
    manifestOf(folder(-1, 'r'), folder(0, 'a'), link(1, 'l', '..'), link(0, 'm', 'a/l'))
  })

  test('a time is any number of nanoseconds that fits', () => {
    for (const mtimeNs of [-(2n ** 63n), 2n ** 63n - 1n, 0n])
      expect(manifestOf(file(-1, 'a', 1, { mtimeNs })).mtimeNs(0)).toBe(mtimeNs)
  })
})

describe('many entries', () => {
  const slow = process.env['SEALIFT_SLOW'] === '1'
  const many = slow ? MAX_ENTRIES : 100_000

  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void

  function usedBytes(): number {
    collect()
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    return heapUsed + arrayBuffers
  }

  test.each([
    ['files', (parent: number, at: number) => file(parent, `module-${String(at).padStart(7, '0')}.js`, at % 5000)],
    ['links', (parent: number, at: number) => link(parent, `module-${String(at).padStart(7, '0')}.js`, `../t/${at}`)],
  ])(`${many} %s take linear time and less than 200 bytes each`, (_, make) => {
    const before = usedBytes()
    const startMs = performance.now()
    const manifest = new Manifest()
    manifest.add(folder(-1, 'root'))
    let parent = 0
    for (let at = 1; at < many; at++) {
      if (at % 1000 === 1) parent = manifest.add(folder(0, `folder-${String(at).padStart(7, '0')}`))
      else manifest.add(make(parent, at))
    }
    const tookMs = performance.now() - startMs
    expect((usedBytes() - before) / manifest.count).toBeLessThan(200)
    // A tenth of this is usual; a quadratic one would take hours.
    expect(tookMs).toBeLessThan(slow ? 20_000 : 3000)
    expect(manifest.count).toBe(many)
    expect(manifest.path(many - 1)).toContain('root/folder-')
    if (many < MAX_ENTRIES) return
    expect(() => manifest.add(file(-1, 'zz', 1))).toThrow(expect.objectContaining({ code: 'limit_exceeded' }) as Error)
  })
})
