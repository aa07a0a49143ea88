/** The reader gives the bytes that were listed, or says which file is not what it was. */

import { createHash } from 'node:crypto'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { FileSystem } from '../../../src/files/file-system.ts'
import { nodeFileSystem } from '../../../src/files/file-system.ts'
import type { ReadOutcome } from '../../../src/files/content-reader.ts'
import { SourceReader } from '../../../src/files/source-reader.ts'
import type { WalkResult } from '../../../src/files/walk.ts'
import { walkSources } from '../../../src/files/walk.ts'
import { SealiftError } from '../../../src/protocol/errors.ts'
import { changeVisibly, entryAt, failingFileSystem, openDescriptors, plant, temporaryFolder } from './source-tree.ts'

const MIB = 1 << 20

function readerOf(walked: WalkResult, fs: FileSystem = nodeFileSystem): SourceReader {
  return new SourceReader({ manifest: walked.manifest, sources: walked.sources, fs })
}

function noise(bytes: number): Buffer {
  const block = createHash('sha512').update('noise').digest()
  return Buffer.alloc(bytes, block)
}

/** All content in pieces of at most 1 MiB; stops at the first failure. */
async function readAll(reader: SourceReader, walked: WalkResult): Promise<{ bytes: Buffer; last: ReadOutcome }> {
  const parts: Buffer[] = []
  const total = walked.manifest.endOffset
  let last: ReadOutcome = { bytes: 0, failed: null }
  for (let at = 0; at < total; at += last.bytes) {
    const into = Buffer.alloc(Math.min(MIB, total - at))
    last = await reader.read(at, at + into.length, into)
    parts.push(into.subarray(0, last.bytes))
    if (last.failed !== null) break
  }
  return { bytes: Buffer.concat(parts), last }
}

describe('reading', () => {
  test('small and large files, empty ones and folders between, in one content', async () => {
    const large = noise(2 * MIB + 77)
    const home = plant(temporaryFolder(), {
      't/a': 'first',
      't/b/empty': '',
      't/b/large': large,
      't/c': null,
      't/d': 'last',
      't/link': { link: 'd' },
    })
    const walked = await walkSources([join(home, 't')])
    const before = openDescriptors()
    const reader = readerOf(walked)
    const { bytes, last } = await readAll(reader, walked)
    expect(bytes.equals(Buffer.concat([Buffer.from('first'), large, Buffer.from('last')]))).toBe(true)
    expect(last).toEqual({ bytes: bytes.length - 2 * MIB, failed: null })
    reader.close()
    expect(openDescriptors()).toBe(before)
  })

  test('small files come at once, without a promise', async () => {
    const home = plant(temporaryFolder(), { 't/a': 'one', 't/b': noise(MIB - 3) })
    const walked = await walkSources([join(home, 't')])
    const into = Buffer.alloc(MIB)
    expect(readerOf(walked).read(0, MIB, into)).toEqual({ bytes: MIB, failed: null })
    expect(into.subarray(0, 3).toString()).toBe('one')
  })

  test('nothing, and what is not in the content', async () => {
    const walked = await walkSources([join(plant(temporaryFolder(), { f: 'abc' }), 'f')])
    const reader = readerOf(walked)
    expect(reader.read(3, 3, new Uint8Array())).toEqual({ bytes: 0, failed: null })
    expect(reader.read(1, 3, new Uint8Array(2))).toEqual({ bytes: 2, failed: null })
    expect(() => reader.read(0, 4, new Uint8Array(4))).toThrow(RangeError)
    expect(() => reader.read(0, 3, new Uint8Array(2))).toThrow(RangeError)
  })

  test('many reads of one large file at once, in any order', async () => {
    const large = noise(5 * MIB)
    const walked = await walkSources([join(plant(temporaryFolder(), { f: large }), 'f')])
    const before = openDescriptors()
    const reader = readerOf(walked)
    const parts = [4, 0, 2, 3, 1]
    const rooms = parts.map(() => Buffer.alloc(MIB))
    const outcomes = parts.map((part, at) => reader.read(part * MIB, (part + 1) * MIB, rooms[at]!))
    reader.close()
    for (const outcome of outcomes) expect(await outcome).toEqual({ bytes: MIB, failed: null })
    for (const [at, part] of parts.entries())
      expect(rooms[at]!.equals(large.subarray(part * MIB, (part + 1) * MIB))).toBe(true)
    reader.close()
    expect(openDescriptors()).toBe(before)
  })

  test('few large files stay open, however many are begun', async () => {
    const files = Object.fromEntries(Array.from({ length: 20 }, (_, at) => [`t/${at}`, noise(MIB + 1)]))
    const walked = await walkSources([join(plant(temporaryFolder(), files), 't')])
    const before = openDescriptors()
    const reader = readerOf(walked)
    for (let entry = 1; entry <= 20; entry++) {
      const start = walked.manifest.startOffset(entry)
      await reader.read(start, start + 10, Buffer.alloc(10))
    }
    // The folder and what is above it are held too.
    if (before >= 0) expect(openDescriptors() - before).toBe(8 + 2)
    reader.close()
    expect(openDescriptors()).toBe(before)
  })

  test('beyond 4 GiB', async () => {
    const home = temporaryFolder()
    const path = join(home, 'sparse')
    const fd = fs.openSync(path, 'w')
    fs.ftruncateSync(fd, 6 * 1024 * MIB)
    fs.writeSync(fd, Buffer.from('far away'), 0, 8, 5 * 1024 * MIB)
    fs.closeSync(fd)
    const walked = await walkSources([path])
    const into = Buffer.alloc(10, 'x')
    const reader = readerOf(walked)
    expect(await reader.read(5 * 1024 * MIB - 1, 5 * 1024 * MIB + 9, into)).toEqual({ bytes: 10, failed: null })
    expect(into.toString()).toBe('\0far away\0')
    expect(await reader.readBack(0, 5 * 1024 * MIB + 4, into.subarray(0, 4))).toBe(4)
    expect(into.toString().slice(0, 4)).toBe('away')
    reader.close()
  })

  test('roots in several places, by turns', async () => {
    const home = plant(temporaryFolder(), { 'x/a/f': 'AA', 'y/b/g/h': 'BB', c: 'CC', link: { link: 'y/b' } })
    const walked = await walkSources([join(home, 'x/a'), join(home, 'link'), join(home, 'c')])
    const reader = readerOf(walked)
    const offsets = [0, 2, 4].map((start) => start)
    let text = ''
    for (const start of [...offsets, ...offsets]) {
      const into = Buffer.alloc(2)
      expect(await reader.read(start, start + 2, into)).toEqual({ bytes: 2, failed: null })
      text += into.toString()
    }
    expect(text).toBe('AACCBBAACCBB')
    reader.close()
  })
})

/** What may happen to a file between the walk and its reading. */
const MISHAPS: Record<string, { act: (path: string) => void; code: string }> = {
  truncated: { act: (path) => fs.truncateSync(path, 2), code: 'source_changed' },
  emptied: { act: (path) => fs.truncateSync(path, 0), code: 'source_changed' },
  grown: { act: (path) => fs.appendFileSync(path, 'more'), code: 'source_changed' },
  'rewritten in place': {
    act: (path) => {
      const { size, atime, mtime } = fs.statSync(path)
      changeVisibly(path, () => {
        const fd = fs.openSync(path, 'r+')
        fs.writeSync(fd, Buffer.alloc(Math.min(size, 8), 'z'))
        fs.closeSync(fd)
        fs.utimesSync(path, atime, mtime)
      })
    },
    code: 'source_changed',
  },
  'replaced by a twin': {
    act: (path) => {
      fs.copyFileSync(path, `${path}.new`)
      fs.renameSync(`${path}.new`, path)
    },
    code: 'source_changed',
  },
  'replaced by a link to a twin': {
    act: (path) => {
      fs.renameSync(path, `${path}.moved`)
      fs.symlinkSync(`${path}.moved`, path)
    },
    code: 'source_changed',
  },
  'replaced by a folder': {
    act: (path) => {
      fs.rmSync(path)
      fs.mkdirSync(path)
    },
    code: 'source_changed',
  },
  'replaced by a pipe': {
    act: (path) => {
      fs.rmSync(path)
      execFileSync('mkfifo', [path])
    },
    code: 'source_changed',
  },
  deleted: { act: (path) => fs.rmSync(path), code: 'source_vanished' },
}

describe('a source that changes (F-08)', () => {
  const sizes = { small: 5000, large: 3 * MIB }

  for (const [size, bytes] of Object.entries(sizes)) {
    test.each(Object.keys(MISHAPS))(`a ${size} file %s after the walk: the reading stops before it`, async (mishap) => {
      const home = plant(temporaryFolder(), { 't/a': 'before', 't/b': noise(bytes), 't/c': 'behind' })
      const walked = await walkSources([join(home, 't')])
      const { act, code } = MISHAPS[mishap]!
      act(join(home, 't/b'))
      const before = openDescriptors()
      const reader = readerOf(walked)
      const into = Buffer.alloc(MIB)
      const end = Math.min(walked.manifest.endOffset, MIB)
      const outcome = await reader.read(0, end, into)
      expect(outcome).toMatchObject({ bytes: 6, failed: { entry: 2, code } })
      expect(into.subarray(0, 6).toString()).toBe('before')
      // What is behind it can still be read.
      const behind = walked.manifest.startOffset(3)
      expect(await reader.read(behind, behind + 6, into)).toEqual({ bytes: 6, failed: null })
      expect(into.subarray(0, 6).toString()).toBe('behind')
      await expect(reader.readBack(2, 0, into)).rejects.toMatchObject({ code })
      reader.close()
      expect(openDescriptors()).toBe(before)
    })
  }

  test.each(['truncated', 'grown', 'rewritten in place'])('a large file %s between two parts', async (mishap) => {
    const path = join(plant(temporaryFolder(), { f: noise(3 * MIB) }), 'f')
    const reader = readerOf(await walkSources([path]))
    const into = Buffer.alloc(MIB)
    expect(await reader.read(0, MIB, into)).toEqual({ bytes: MIB, failed: null })
    MISHAPS[mishap]!.act(path)
    for (let round = 0; round < 2; round++) {
      expect(await reader.read(MIB, 2 * MIB, into)).toMatchObject({
        bytes: 0,
        failed: { entry: 0, code: 'source_changed' },
      })
    }
    reader.close()
  })

  test('a large file that is unlinked while it is open has changed', async () => {
    const path = join(plant(temporaryFolder(), { f: noise(3 * MIB) }), 'f')
    const reader = readerOf(await walkSources([path]))
    const into = Buffer.alloc(MIB)
    await reader.read(0, MIB, into)
    changeVisiblyGone(path)
    expect(await reader.read(MIB, 2 * MIB, into)).toMatchObject({ bytes: 0, failed: { code: 'source_changed' } })
    reader.close()
  })

  test('a folder swapped for a link that leads to the very same files outside is not followed', async () => {
    const home = plant(temporaryFolder(), { 't/sub/deep/f': 'inside', g: '' })
    const walked = await walkSources([join(home, 't')])
    fs.renameSync(join(home, 't/sub'), join(home, 'outside'))
    fs.symlinkSync(join(home, 'outside'), join(home, 't/sub'))
    const reader = readerOf(walked)
    const outcome = await reader.read(0, 6, Buffer.alloc(6))
    expect(outcome).toMatchObject({
      bytes: 0,
      failed: { entry: entryAt(walked, 't/sub/deep/f'), code: 'source_changed' },
    })
    reader.close()
  })

  test('a tree that is gone has vanished', async () => {
    const home = plant(temporaryFolder(), { 'in/t/f': 'abc' })
    const walked = await walkSources([join(home, 'in/t')])
    fs.rmSync(join(home, 'in'), { recursive: true })
    expect(await readerOf(walked).read(0, 3, Buffer.alloc(3))).toMatchObject({ failed: { code: 'source_vanished' } })
  })

  test.each([
    ['openSync', '/b', 'EACCES', 'source_unreadable'],
    ['openSync', '/b', 'EPERM', 'source_unreadable'],
    ['openSync', '/b', 'EIO', 'source_unreadable'],
    ['openSync', '/b', 'ENOENT', 'source_vanished'],
    ['openSync', '/b', 'ELOOP', 'source_changed'],
    ['readSync', '', 'EIO', 'source_unreadable'],
    ['fstatSync', '', 'EIO', 'source_unreadable'],
  ] as const)('%s failing with %s%s is %s', async (call, ending, errno, code) => {
    const home = plant(temporaryFolder(), { 't/b': 'text' })
    const walked = await walkSources([join(home, 't')])
    // fstat of the folders above is not what is tested: only file descriptors that were read fail.
    const failing = failingFileSystem(call, ending, errno)
    const faked: FileSystem =
      call === 'fstatSync'
        ? { ...failing, readSync: nodeFileSystem.readSync, fstatSync: fstatFailingForFiles(errno) }
        : failing
    const before = openDescriptors()
    const reader = readerOf(walked, faked)
    expect(await reader.read(0, 4, Buffer.alloc(4))).toMatchObject({ bytes: 0, failed: { entry: 1, code } })
    reader.close()
    expect(openDescriptors()).toBe(before)
  })

  test('a large file whose disk fails is unreadable, and nothing stays open', async () => {
    const home = plant(temporaryFolder(), { 't/b': noise(2 * MIB) })
    const walked = await walkSources([join(home, 't')])
    const failing = {
      ...nodeFileSystem,
      read: (...args: unknown[]) => {
        const done = args.at(-1) as (error: Error) => void
        setImmediate(done, Object.assign(new Error('made up'), { code: 'EIO', syscall: 'read' }))
      },
    } as unknown as FileSystem
    const before = openDescriptors()
    const reader = readerOf(walked, failing)
    expect(await reader.read(5, MIB, Buffer.alloc(MIB))).toMatchObject({
      bytes: 0,
      failed: { code: 'source_unreadable' },
    })
    await expect(reader.readBack(1, 0, Buffer.alloc(5))).rejects.toBeInstanceOf(SealiftError)
    reader.close()
    expect(openDescriptors()).toBe(before)
  })

  test('reads that the system cuts short go on until all is there', async () => {
    const large = noise(MIB + 9)
    const home = plant(temporaryFolder(), { 't/a': 'a small file', 't/b': large })
    const walked = await walkSources([join(home, 't')])
    const slow = {
      ...nodeFileSystem,
      readSync: ((fd: number, into: Buffer, at: number, bytes: number, position: number) =>
        fs.readSync(fd, into, at, Math.min(bytes, 5), position)) as typeof fs.readSync,
      read: ((fd: number, into: Buffer, at: number, bytes: number, position: number, done: never) =>
        fs.read(fd, into, at, Math.min(bytes, 300_000), position, done)) as unknown as typeof fs.read,
    }
    const { bytes } = await readAll(readerOf(walked, slow), walked)
    expect(bytes.equals(Buffer.concat([Buffer.from('a small file'), large]))).toBe(true)
  })
})

function fstatFailingForFiles(errno: string): typeof fs.fstatSync {
  const fake = (fd: number, options: never): unknown => {
    const stats = fs.fstatSync(fd, options)
    if (!stats.isFile()) return stats
    throw Object.assign(new Error('made up'), { code: errno, syscall: 'fstat' })
  }
  return fake as typeof fs.fstatSync
}

/** Unlinks a file so late that its ctime shows it. */
function changeVisiblyGone(path: string): void {
  const other = `${path}.clock`
  fs.writeFileSync(other, '')
  changeVisibly(other, () => fs.chmodSync(other, 0o600))
  fs.rmSync(path)
}
