import { describe, expect, test } from 'vitest'
import { findPreferred } from '../../../src/files/preferred.ts'
import type { Manifest } from '../../../src/protocol/manifest.ts'
import { file, folder, link, manifestOf } from '../protocol/entries.ts'

/** `tree/` with `a/one.txt`, `a/two.bin`, `b.txt`, an empty file and a link, and the root `z.txt` beside it: 10 bytes each. */
const TREE = manifestOf(
  folder(-1, 'tree'),
  folder(0, 'a'),
  file(1, 'one.txt', 10),
  file(1, 'two.bin', 10),
  file(0, 'b.txt', 10),
  file(0, 'empty.md', 0),
  link(0, 'link.so', 'b.txt'),
  file(-1, 'z.txt', 10),
)

async function first(...patterns: string[]): Promise<string[][]> {
  const { ranges } = await findPreferred(TREE, patterns)
  return ranges.map((set) => namesIn(TREE, set))
}

function namesIn(manifest: Manifest, set: Iterable<{ start: number; end: number }>): string[] {
  const names: string[] = []
  for (const { start, end } of set)
    for (let entry = manifest.fileAt(start); entry < manifest.count && manifest.startOffset(entry) < end; entry++)
      if (manifest.sizeBytes(entry) !== 0) names.push(manifest.path(entry))
  return names
}

describe('what goes in front', () => {
  test('is in the order of the patterns, and each file once', async () => {
    expect(await first('b.txt', '*.txt')).toEqual([['tree/b.txt'], ['tree/a/one.txt', 'z.txt']])
    expect(await first('*.txt', 'b.txt')).toEqual([['tree/a/one.txt', 'tree/b.txt', 'z.txt']])
  })

  test('is all of a folder that is named, but for what an earlier pattern has', async () => {
    expect(await first('a/')).toEqual([['tree/a/one.txt', 'tree/a/two.bin']])
    expect(await first('*.bin', 'a')).toEqual([['tree/a/two.bin'], ['tree/a/one.txt']])
    expect(await first('tree', 'one.txt')).toEqual([['tree/a/one.txt', 'tree/a/two.bin', 'tree/b.txt']])
  })

  test('is named from inside its root, and with its case', async () => {
    expect(await first('/b.txt')).toEqual([['tree/b.txt']])
    expect(await first('/a/*.txt')).toEqual([['tree/a/one.txt']])
    expect(await first('B.TXT', 'tree/b.txt')).toEqual([])
  })

  test('is nothing where nothing is named', async () => {
    expect(await findPreferred(TREE, [])).toEqual({ ranges: [], unmatched: [], leftBehind: 0 })
  })
})

test('patterns that name nothing are said, and those that name nothing with content are not', async () => {
  const { unmatched, ranges } = await findPreferred(TREE, ['*.jpg', 'empty.md', 'link.so', '#', 'b.txt', 'c/'])
  expect([unmatched, ranges.length]).toEqual([['*.jpg', '#', 'c/'], 1])
})

test('a pattern that takes away, and more than there may be, are refused', async () => {
  await expect(findPreferred(TREE, ['!b.txt'])).rejects.toMatchObject({ code: 'settings_invalid' })
  await expect(findPreferred(TREE, Array<string>(101).fill('a'))).rejects.toMatchObject({ code: 'settings_invalid' })
})

test('files that lie too scattered stay in their place', async () => {
  const files = Array.from({ length: 30_000 }, (_, at) =>
    file(-1, `${String(at).padStart(5, '0')}${at % 2 ? 'a' : 'b'}`, 1),
  )
  const { ranges, leftBehind } = await findPreferred(manifestOf(...files), ['*a'])
  expect([ranges[0]?.count, leftBehind]).toEqual([10_000, 5000])
})
