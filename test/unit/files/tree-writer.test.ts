import fs from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import type { FileSystem } from '../../../src/files/file-system.ts'
import { nodeFileSystem } from '../../../src/files/file-system.ts'
import type { Intent } from '../../../src/files/publish.ts'
import { stagingName } from '../../../src/files/staging.ts'
import { TreeWriter } from '../../../src/files/tree-writer.ts'
import { KIND_FILE, Manifest } from '../../../src/protocol/manifest.ts'
import type { Tree } from './tree-place.ts'
import {
  contentsOf,
  lookAt,
  loosen,
  makePlace,
  manifestOf,
  MTIME_NS,
  planFor,
  plant,
  receive,
  TRANSFER_ID,
} from './tree-place.ts'

const EARLIER = MTIME_NS - 60_000_000_000n
const TREE: Tree = {
  tree: {
    folder: {
      'a.txt': 'alpha',
      empty: { folder: {} },
      'empty.txt': '',
      link: { link: 'sub/deep.txt' },
      sub: { folder: { 'deep.txt': 'deep', up: { link: '../a.txt' } } },
    },
  },
}
const SEEN = {
  tree: '/',
  'tree/a.txt': 'alpha',
  'tree/empty': '/',
  'tree/empty.txt': '',
  'tree/link': '-> sub/deep.txt',
  'tree/sub': '/',
  'tree/sub/deep.txt': 'deep',
  'tree/sub/up': '-> ../a.txt',
}

function noHardLinks(): FileSystem {
  return {
    ...nodeFileSystem,
    linkSync: () => {
      throw Object.assign(new Error('EPERM'), { code: 'EPERM', syscall: 'link' })
    },
  }
}

function openWriter(place: string, tree: Tree, fields: { readonly fs?: FileSystem } = {}): TreeWriter {
  const manifest = manifestOf(tree)
  return TreeWriter.open({
    outputDir: place,
    transferId: TRANSFER_ID,
    manifest,
    plan: planFor(manifest, place),
    ...fields,
  })
}

describe.each(['descriptors', 'paths'] as const)('folders held by %s', (reach) => {
  test('a new tree arrives whole, with an output folder that was missing', async () => {
    const place = join(makePlace(), 'not', 'yet')
    await receive(place, TREE, { reach })
    expect(lookAt(place)).toEqual(SEEN)
    for (const path of Object.keys(SEEN)) {
      expect(fs.lstatSync(join(place, path), { bigint: true }).mtimeNs / 1000n, path).toBe(MTIME_NS / 1000n)
    }
  })

  test('parts of files arrive as whole ones do', async () => {
    const place = makePlace()
    await receive(place, TREE, { reach, partBytes: 2 })
    expect(lookAt(place)).toEqual(SEEN)
    expect(fs.statSync(join(place, 'tree/a.txt')).mode & 0o777).toBe(0o644)
    expect(fs.statSync(join(place, 'tree/a.txt'), { bigint: true }).mtimeNs / 1000n).toBe(MTIME_NS / 1000n)
  })

  test('a root file, beside and instead of another', async () => {
    const place = makePlace()
    await receive(place, { 'report.pdf': 'one' }, { reach })
    await receive(place, { 'report.pdf': 'other' }, { reach })
    expect(lookAt(place)).toEqual({ 'report.pdf': 'one', 'report (1).pdf': 'other' })
    await receive(place, { 'report.pdf': 'overwritten' }, { reach, policy: 'overwrite' })
    expect(lookAt(place)).toEqual({ 'report.pdf': 'overwritten', 'report (1).pdf': 'other' })
  })

  test('a tree is merged into what is there, new folders with their permissions and times', async () => {
    const place = makePlace()
    plant(place, { tree: { folder: { 'a.txt': 'alpha', mine: 'mine' }, mode: 0o700, mtimeNs: EARLIER } })
    await receive(place, TREE, { reach })
    expect(lookAt(place)).toEqual({ ...SEEN, 'tree/mine': 'mine' })
    expect(fs.statSync(join(place, 'tree')).mode & 0o777).toBe(0o700)
    const sub = fs.statSync(join(place, 'tree/sub'), { bigint: true })
    expect([Number(sub.mode & 0o777n), sub.mtimeNs / 1000n]).toEqual([0o755, MTIME_NS / 1000n])
    expect(fs.statSync(join(place, 'tree/empty.txt')).mode & 0o777).toBe(0o644)
  })

  test('an unchanged tree leaves everything as it is', async () => {
    const place = makePlace()
    await receive(place, TREE, { reach })
    const before = fs.statSync(join(place, 'tree/a.txt')).ino
    const { outcomes } = await receive(place, TREE, { reach })
    expect(outcomes.size).toBe(0)
    expect(fs.statSync(join(place, 'tree/a.txt')).ino).toBe(before)
    expect(lookAt(place)).toEqual(SEEN)
  })
})

describe('policies on what is there', () => {
  const there: Tree = {
    tree: {
      folder: { 'a.txt': { text: 'old', mtimeNs: EARLIER }, 'b.txt': { text: 'newer', mtimeNs: MTIME_NS * 2n } },
    },
  }
  const coming: Tree = { tree: { folder: { 'a.txt': 'A', 'b.txt': 'B', 'c.txt': 'C' } } }

  test.each([
    ['auto', { 'tree (1)': '/', 'tree (1)/a.txt': 'A', 'tree (1)/b.txt': 'B', 'tree (1)/c.txt': 'C' }],
    ['rename', { 'tree (1)': '/', 'tree (1)/a.txt': 'A', 'tree (1)/b.txt': 'B', 'tree (1)/c.txt': 'C' }],
    ['skip', { 'tree/c.txt': 'C' }],
    ['overwrite', { 'tree/a.txt': 'A', 'tree/b.txt': 'B', 'tree/c.txt': 'C' }],
    ['update', { 'tree/a.txt': 'A', 'tree/c.txt': 'C' }],
  ] as const)('%s', async (policy, changes) => {
    const place = makePlace()
    plant(place, there)
    await receive(place, coming, { policy })
    expect(lookAt(place)).toEqual({ tree: '/', 'tree/a.txt': 'old', 'tree/b.txt': 'newer', ...changes })
  })

  test('other hard links to a replaced file keep what they had', async () => {
    const place = makePlace()
    plant(place, there)
    fs.linkSync(join(place, 'tree/a.txt'), join(place, 'mine.txt'))
    await receive(place, coming, { policy: 'overwrite' })
    expect(fs.readFileSync(join(place, 'mine.txt'), 'utf8')).toBe('old')
  })
})

describe('a name that is taken after acceptance', () => {
  const merged: Tree = { tree: { folder: { 'x.txt': 'mine' } } }
  const kept = { tree: '/', 'tree/x.txt': 'mine' }

  test.each([
    ['auto', { 'new (1).txt': 'incoming' }, 'published'],
    ['rename', { 'new (1).txt': 'incoming' }, 'published'],
    ['skip', {}, 'skipped'],
    ['overwrite', { 'new.txt': 'incoming' }, 'published'],
    ['update', { 'new.txt': 'incoming' }, 'published'],
    ['fail', {}, 'failed'],
  ] as const)('a root file, %s', async (policy, changes, outcome) => {
    const place = makePlace()
    const old = { text: 'theirs', mtimeNs: EARLIER }
    const beforePublish = (): void => plant(place, { 'new.txt': old })
    const { outcomes } = await receive(place, { 'new.txt': 'incoming' }, { policy, beforePublish })
    expect(lookAt(place)).toEqual({ 'new.txt': 'theirs', ...changes })
    expect(outcomes.get(0)?.outcome).toBe(outcome)
  })

  test.each([
    ['auto', 'tree (1)'],
    ['rename', 'tree (1)'],
    ['skip', null],
    ['overwrite', null],
    ['update', null],
    ['fail', null],
  ] as const)('a root folder, %s', async (policy, savedAs) => {
    const place = makePlace()
    const { outcomes } = await receive(place, TREE, { policy, beforePublish: () => plant(place, merged) })
    const arrived = Object.entries(SEEN).map(([path, text]) => [path.replace(/^tree/, savedAs ?? ''), text])
    expect(lookAt(place)).toEqual({ ...kept, ...(savedAs === null ? {} : Object.fromEntries(arrived)) })
    const expected = policy === 'skip' ? 'skipped' : savedAs === null ? 'failed' : 'published'
    expect(outcomes.get(0)).toMatchObject({ outcome: expected, ...(savedAs === null ? {} : { savedAs }) })
  })

  test.each([
    ['auto', { 'tree/a (1).txt': 'alpha', 'tree/link (1)': '-> sub/deep.txt' }],
    ['skip', {}],
    ['fail', {}],
    ['overwrite', { 'tree/a.txt': 'alpha' }],
  ] as const)('entries of a merged root, %s', async (policy, changes) => {
    const place = makePlace()
    plant(place, merged)
    const taken: Tree = { 'a.txt': { text: 'theirs', mtimeNs: EARLIER }, link: 'theirs' }
    await receive(place, TREE, { policy, beforePublish: () => plant(join(place, 'tree'), taken) })
    expect(lookAt(place)).toEqual({ ...SEEN, ...kept, 'tree/a.txt': 'theirs', 'tree/link': 'theirs', ...changes })
  })

  test('between choosing the name and publishing, when the name is chosen anew', async () => {
    const place = makePlace()
    let struck = false
    const probe = (stage: string): void => {
      if (stage !== 'synced' || struck) return
      struck = true
      plant(place, { tree: 'theirs', 'tree (1)': 'theirs too' })
    }
    await receive(place, TREE, { probe })
    expect(lookAt(place)).toMatchObject({ tree: 'theirs', 'tree (1)': 'theirs too', 'tree (2)/a.txt': 'alpha' })
  })

  test('the folder made for the tree is filled by somebody', async () => {
    const place = makePlace()
    const probe = (stage: string): void => {
      if (stage === 'made-final-folder' && !fs.existsSync(join(place, 'tree/theirs')))
        plant(place, { 'tree/theirs': 'x' })
    }
    await receive(place, TREE, { probe })
    expect(lookAt(place)).toMatchObject({ 'tree/theirs': 'x', 'tree (1)/a.txt': 'alpha' })
  })

  test('a folder of a merged root: what is inside fails, all else arrives', async () => {
    const place = makePlace()
    plant(place, merged)
    const { outcomes } = await receive(place, TREE, { beforePublish: () => plant(place, { 'tree/sub': 'a file now' }) })
    const failed = [...outcomes].filter(([, outcome]) => outcome.outcome === 'failed')
    expect(failed.map(([, outcome]) => outcome)).toEqual(
      failed.map(() => expect.objectContaining({ code: 'entry_in_the_way' }) as unknown),
    )
    expect(failed.length).toBe(3)
    expect(lookAt(place)).toMatchObject({ 'tree/sub': 'a file now', 'tree/a.txt': 'alpha' })
  })
})

describe('without hard links', () => {
  test.each(['auto', 'overwrite'] as const)('files arrive and nothing is overwritten, %s', async (policy) => {
    const place = makePlace()
    plant(place, { tree: { folder: {} } })
    const trees = { ...TREE, 'root.txt': 'root' }
    await receive(place, trees, { policy, fs: noHardLinks() })
    expect(lookAt(place)).toEqual({ ...SEEN, 'root.txt': 'root' })
  })

  test('a taken name is left alone', async () => {
    const place = makePlace()
    await receive(place, { 'a.txt': 'mine' }, { fs: noHardLinks(), beforePublish: () => plant(place, { 'a.txt': '' }) })
    expect(lookAt(place)).toEqual({ 'a.txt': '', 'a (1).txt': 'mine' })
  })
})

describe('permissions', () => {
  test.each([0o444, 0o555, 0o000, 0o640, 0o755, 0o4755, 0o2770, 0o1777, 0o777])(
    'of files and folders: %o',
    async (mode) => {
      const place = makePlace()
      const inner = { folder: { file: { text: 'x', mode }, folder: { folder: { f: 'y' }, mode } }, mode }
      await receive(place, { tree: { folder: { inner }, mode }, 'root.txt': { text: 'r', mode } }, { umask: 0o022 })
      for (const path of ['tree', 'tree/inner', 'tree/inner/file', 'tree/inner/folder', 'root.txt']) {
        expect(fs.lstatSync(join(place, path)).mode & 0o7777, path).toBe(mode & 0o755)
        // Not for root, everybody else may look into what is above only then.
        fs.chmodSync(join(place, path), 0o700)
      }
      expect(lookAt(place)).toMatchObject({ 'tree/inner/folder/f': 'y' })
    },
  )

  test('the umask of the process holds and is never set, not even for a moment', async () => {
    const place = makePlace()
    const before = process.umask(0o027)
    const asked = vi.spyOn(process, 'umask')
    onTestFinished(() => {
      asked.mockRestore()
      process.umask(before)
    })
    const tree = { tree: { folder: { file: { text: 'x', mode: 0o666 } }, mode: 0o777 } }
    const manifest = manifestOf(tree)
    const plan = planFor(manifest, place)
    // What a killed process left there had its umask, not this one's.
    const staging = join(place, stagingName(TRANSFER_ID))
    fs.mkdirSync(join(staging, 'umask'), { recursive: true, mode: 0o700 })
    const writer = TreeWriter.open({ outputDir: place, transferId: TRANSFER_ID, manifest, plan })
    await writer.write(1, 0, Buffer.from('x'))
    expect(fs.readdirSync(staging)).toEqual(['root-0'])
    const [intent] = writer.preparePublish([0])
    writer.publish(intent as Intent)
    writer.remove()
    expect(asked).not.toHaveBeenCalled()
    const modes = ['tree', 'tree/file'].map((name) => (fs.statSync(join(place, name)).mode & 0o777).toString(8))
    expect(modes).toEqual(['750', '640'])
  })

  test('a umask that is wider than the process has', async () => {
    const place = makePlace()
    await receive(place, { whole: { text: 'x', mode: 0o666 } }, { umask: 0 })
    expect(fs.statSync(join(place, 'whole')).mode & 0o777).toBe(0o666)
  })

  test('staging is private, files under way and merged ones too', async () => {
    const place = makePlace()
    plant(place, { tree: { folder: {} } })
    const writer = openWriter(place, { ...TREE, big: 'in parts' })
    try {
      void writer.write(2, 0, Buffer.from('alpha'))
      await writer.write(0, 0, Buffer.from('in'))
      expect(fs.statSync(writer.stagingPath).mode & 0o777).toBe(0o700)
      expect(fs.statSync(join(writer.stagingPath, 'root-0')).mode & 0o777).toBe(0o600)
      expect(fs.statSync(join(writer.stagingPath, 'e-2')).mode & 0o777).toBe(0o600)
    } finally {
      writer.close()
    }
  })
})

describe('staged bytes', () => {
  test('more than was declared is refused before it is written', () => {
    const writer = openWriter(makePlace(), { file: 'abc' })
    expect(() => writer.write(0, 1, Buffer.from('abc'))).toThrow(
      expect.objectContaining({ code: 'protocol_violation' }),
    )
    expect(writer.stagedSize(0)).toBe(-1)
    writer.close()
  })

  test('folders, links and what is skipped take no bytes', () => {
    const place = makePlace()
    const writer = openWriter(place, TREE)
    expect(() => writer.write(0, 0, Buffer.from('x'))).toThrow(expect.objectContaining({ code: 'protocol_violation' }))
    expect(() => writer.write(4, 0, Buffer.from('x'))).toThrow(expect.objectContaining({ code: 'protocol_violation' }))
    writer.close()
  })

  test('are read again, sized and dropped', async () => {
    const writer = openWriter(makePlace(), { file: 'abcdef' })
    await writer.write(0, 2, Buffer.from('cd'))
    const into = new Uint8Array(8)
    expect(writer.stagedSize(0)).toBe(4)
    expect(await writer.read(0, 1, into)).toBe(3)
    expect(Buffer.from(into.subarray(0, 3)).toString()).toBe('\0cd')
    expect(() => writer.finish(0)).toThrow(expect.objectContaining({ code: 'disk_fault' }))
    writer.drop(0)
    writer.drop(0)
    expect(writer.stagedSize(0)).toBe(-1)
    writer.close()
  })

  test('a file can be dropped while it is read for its digest', async () => {
    const writer = openWriter(makePlace(), { big: { text: 'abcdef' } })
    await writer.write(0, 0, Buffer.from('abc'))
    const into = new Uint8Array(3)
    const reading = writer.read(0, 0, into)
    writer.drop(0)
    expect(writer.stagedSize(0)).toBe(-1)
    expect([await reading, Buffer.from(into).toString()]).toEqual([3, 'abc'])
    await writer.write(0, 0, Buffer.from('xyzxyz').subarray(0, 5))
    expect(writer.stagedSize(0)).toBe(5)
    writer.close()
  })

  test('a process that comes back goes on, also with files that may not be read', async () => {
    const place = makePlace()
    const tree: Tree = {
      tree: { folder: { big: { text: 'abcdef', mode: 0o000 }, small: { text: 'xyz', mode: 0o000 } } },
    }
    const first = openWriter(place, tree)
    await first.write(1, 0, Buffer.from('abc'))
    void first.write(2, 0, Buffer.from('xyz'))
    first.close()
    const second = openWriter(place, tree)
    expect(second.resumed).toBe(true)
    expect([second.stagedSize(1), second.stagedSize(2)]).toEqual([3, 3])
    expect(await second.read(2, 0, new Uint8Array(9))).toBe(3)
    void second.write(2, 0, Buffer.from('XYZ'))
    await second.write(1, 3, Buffer.from('def'))
    second.finish(1)
    const [intent] = second.preparePublish([0])
    expect(second.publish(intent as NonNullable<typeof intent>)).toEqual({ outcome: 'published', savedAs: 'tree' })
    second.remove()
    expect(fs.lstatSync(join(place, 'tree/small')).mode & 0o777).toBe(0)
    loosen(place)
    expect(lookAt(place)).toEqual({ tree: '/', 'tree/big': 'abcdef', 'tree/small': 'XYZ' })
  })

  test('more files under way than may be open', async () => {
    const place = makePlace()
    const files = Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`f${n}`, `content ${n}`]))
    const tree: Tree = { tree: { folder: files } }
    const manifest = manifestOf(tree)
    const contents = [...contentsOf(manifest, tree)]
    const writer = openWriter(place, tree)
    const descriptors = (): number => fs.readdirSync('/proc/self/fd').length
    const before = descriptors()
    for (const at of [4, 0]) {
      await Promise.all(
        contents.map(async ([entry, bytes]) => writer.write(entry, at, bytes.subarray(at, at === 0 ? 4 : 99))),
      )
    }
    expect(descriptors() - before).toBeLessThan(80)
    for (const [entry] of contents) writer.finish(entry)
    for (const intent of writer.preparePublish([0])) writer.publish(intent)
    writer.remove()
    expect(Object.entries(lookAt(join(place, 'tree'))).every(([name, text]) => files[name] === text)).toBe(true)
    expect(descriptors()).toBeLessThanOrEqual(before)
  })

  test('beyond 4 GiB', async () => {
    const place = makePlace()
    const manifest = new Manifest()
    const sizeBytes = 5 * 2 ** 30
    const name = Buffer.from('sparse')
    const entry = {
      kind: KIND_FILE,
      parent: -1,
      name,
      mode: 0o644,
      mtimeNs: 0n,
      sizeBytes,
      priority: 5,
      target: '',
    } as const
    manifest.add(entry)
    const plan = planFor(manifest, place)
    const writer = TreeWriter.open({ outputDir: place, transferId: TRANSFER_ID, manifest, plan })
    await writer.write(0, sizeBytes - 3, Buffer.from('end'))
    writer.finish(0)
    for (const intent of writer.preparePublish([0])) writer.publish(intent)
    writer.remove()
    const fd = fs.openSync(join(place, 'sparse'), 'r')
    const into = Buffer.alloc(4)
    fs.readSync(fd, into, 0, 4, sizeBytes - 4)
    const { size, blocks } = fs.fstatSync(fd)
    fs.closeSync(fd)
    expect([into.toString(), size, blocks < 1000]).toEqual(['\0end', sizeBytes, true])
  })

  test('move on to a transfer that replaces another', async () => {
    const place = makePlace()
    const tree: Tree = { tree: { folder: { a: 'abcdef', b: 'whole' } } }
    const old = openWriter(place, tree)
    await old.write(1, 0, Buffer.from('abc'))
    void old.write(2, 0, Buffer.from('whole'))
    const manifest = manifestOf({ tree: { folder: { a: 'abcdef', b: 'whole', c: 'new' } } })
    const plan = planFor(manifest, place)
    const next = TreeWriter.open({ outputDir: place, transferId: 'next', manifest, plan })
    next.adopt(1, old, 1)
    next.adopt(2, old, 2)
    next.finish(2)
    old.remove()
    await next.write(1, 3, Buffer.from('def'))
    next.finish(1)
    void next.write(3, 0, Buffer.from('new'))
    for (const intent of next.preparePublish([0])) next.publish(intent)
    next.remove()
    expect(lookAt(place)).toEqual({ tree: '/', 'tree/a': 'abcdef', 'tree/b': 'whole', 'tree/c': 'new' })
  })
})

test('an entry that failed is absent', async () => {
  const place = makePlace()
  await receive(place, TREE, { beforePublish: (writer) => writer.drop(1) })
  expect(lookAt(place)).toEqual(Object.fromEntries(Object.entries(SEEN).filter(([path]) => path !== 'tree/a.txt')))
})

test('names of all kinds, and renamed ones', async () => {
  const names = [
    ' ',
    '-rf',
    '~',
    '...',
    'a\nb',
    'a:b\\c',
    '\u202etxt',
    'é',
    'e\u0301',
    '日本',
    'x'.repeat(255),
    '%2e',
    'CON',
    'e-1',
    'root-0',
  ]
  const tree: Tree = { tree: { folder: Object.fromEntries(names.map((name) => [name, `is ${name}`])) } }
  const place = makePlace()
  await receive(place, tree)
  expect(lookAt(join(place, 'tree'))).toEqual(Object.fromEntries(names.map((name) => [name, `is ${name}`])))
  const other = makePlace()
  const plan = { ...planFor(manifestOf(tree), other), renamed: [[2, 'renamed']] as const }
  await receive(other, tree, { plan })
  expect(lookAt(join(other, 'tree'))).toMatchObject({ renamed: `is ${manifestOf(tree).name(2)}` })
})

test.each(['new', 'merge'] as const)('paths near 4,096 bytes, %s', async (layout) => {
  const place = makePlace()
  let tree: Tree = { 'file.txt': 'deep' }
  const name = 'sixteen letters.'
  for (let depth = 0; depth < 240; depth++) tree = { [name]: { folder: tree } }
  if (layout === 'merge') fs.mkdirSync(join(place, name))
  await receive(place, tree)
  const manifest = manifestOf(tree)
  expect(planFor(manifest, place).runs).toEqual([[0, manifest.count, 2]])
  // Staging of such a tree is removed as well.
  const writer = TreeWriter.open({ outputDir: place, transferId: 'x', manifest, plan: planFor(manifest, makePlace()) })
  void writer.write(manifest.count - 1, 0, Buffer.from('deep'))
  writer.remove()
  expect(fs.readdirSync(place)).toEqual([name])
})
