/** What is named becomes one manifest in one order; what cannot be sent is said, and the rest goes on. */

import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { createServer } from 'node:net'
import { basename, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { loadExcluder } from '../../../src/files/exclude.ts'
import { nodeFileSystem } from '../../../src/files/file-system.ts'
import type { WalkOptions, WalkResult } from '../../../src/files/walk.ts'
import { walkSources } from '../../../src/files/walk.ts'
import { SealiftError } from '../../../src/protocol/errors.ts'
import { encodeManifestPages, ManifestDecoder } from '../../../src/protocol/manifest-pages.ts'
import { KIND_FILE, KIND_FOLDER, KIND_LINK } from '../../../src/protocol/manifest.ts'
import { entryAt, failingFileSystem, pathsOf, plant, temporaryFolder } from './source-tree.ts'

async function refusal(paths: string[], options?: WalkOptions): Promise<SealiftError> {
  try {
    await walkSources(paths, options)
  } catch (error) {
    if (error instanceof SealiftError) return error
    throw error
  }
  throw new Error('the walk went well')
}

/** The same call, a millisecond later. */
function pausing<T extends (...args: never[]) => unknown>(call: T, called: () => void): T {
  return ((...args: never[]) => {
    called()
    for (const untilMs = performance.now() + 1; performance.now() < untilMs;);
    return call(...args)
  }) as T
}

describe('what is found', () => {
  test('kinds, sizes, modes, times and source paths', async () => {
    const home = plant(temporaryFolder(), {
      'tree/sub/b.txt': 'hello',
      'tree/empty': '',
      'tree/link': { link: 'sub/b.txt' },
    })
    fs.chmodSync(join(home, 'tree/sub/b.txt'), 0o4751)
    fs.utimesSync(join(home, 'tree/sub/b.txt'), 1_600_000_000.5, 1_600_000_000.5)
    const result = await walkSources([join(home, 'tree')], { priority: 7 })
    const { manifest, sources } = result
    expect(pathsOf(result)).toEqual(['tree', 'tree/empty', 'tree/link', 'tree/sub', 'tree/sub/b.txt'])
    expect([0, 1, 2, 3, 4].map((index) => manifest.kind(index))).toEqual([
      KIND_FOLDER,
      KIND_FILE,
      KIND_LINK,
      KIND_FOLDER,
      KIND_FILE,
    ])
    expect(manifest.target(2)).toBe('sub/b.txt')
    expect(manifest.sizeBytes(4)).toBe(5)
    expect(manifest.mode(4)).toBe(0o4751)
    expect(manifest.mtimeNs(4)).toBe(1_600_000_000_500_000_000n)
    expect(manifest.priority(4)).toBe(7)
    expect(manifest.totalBytes).toBe(5)
    for (let index = 0; index < manifest.count; index++)
      expect(sources.sourcePath(index)).toBe(join(home, manifest.path(index)))
    const stats = fs.lstatSync(join(home, 'tree/sub/b.txt'), { bigint: true })
    expect(sources.isUnchanged(4, stats)).toBe(true)
    for (const field of ['dev', 'ino', 'size', 'mtimeNs', 'ctimeNs'] as const) {
      expect(sources.isUnchanged(4, Object.assign(Object.create(stats), { [field]: stats[field] + 1n }))).toBe(false)
    }
    expect([result.failed, result.warnings, result.excluded]).toEqual([[], [], []])
  })

  // U+FF5E is EF BD 9E and U+1F389 is F0 9F 8E 89, but the first surrogate of the latter is below FF5E.
  test.each([
    ['ASCII', ['A', 'a b', 'a-b', 'a.b', 'a/x', 'Z']],
    ['UTF-16 orders otherwise', ['A', 'a/x', 'é', '\u{ff5e}', '\u{1f389}']],
    ['with the sign for what is no text', ['A', 'a/x', '\ufffd', '\u{ff5e}', '\u{1f389}']],
  ])('order is by the bytes of names, depth first: %s', async (_title, names) => {
    const home = plant(temporaryFolder(), Object.fromEntries(names.map((name) => [`t/${name}`, ''])))
    const result = await walkSources([join(home, 't')])
    const siblings = pathsOf(result).filter((path) => path.split('/').length === 2)
    expect(siblings.length).toBe(names.length)
    expect(siblings).toEqual([...siblings].sort((x, y) => Buffer.compare(Buffer.from(x), Buffer.from(y))))
    expect(result.failed).toEqual([])
    expect(pathsOf(result).indexOf('t/a/x')).toBe(pathsOf(result).indexOf('t/a') + 1)
    const decoder = new ManifestDecoder()
    for (const page of encodeManifestPages(result.manifest)) decoder.push(page)
    expect(decoder.manifest.count).toBe(result.manifest.count)
  })

  test('several roots come in the order of their names, wherever they lie', async () => {
    const home = plant(temporaryFolder(), { 'x/b': '1', 'y/a/in': '2', c: '3' })
    const result = await walkSources([join(home, 'c'), join(home, 'x/b'), join(home, 'y/a')])
    expect(pathsOf(result)).toEqual(['a', 'a/in', 'b', 'c'])
    expect(result.sources.sourcePath(entryAt(result, 'a/in'))).toBe(join(home, 'y/a/in'))
    expect(result.sources.sourcePath(entryAt(result, 'b'))).toBe(join(home, 'x/b'))
  })

  test('a link as a root is followed and keeps its own name, with a slash behind it it has the other', async () => {
    const home = plant(temporaryFolder(), { 'real/f': '1', link: { link: 'real' } })
    const byLink = await walkSources([join(home, 'link')])
    expect(pathsOf(byLink)).toEqual(['link', 'link/f'])
    expect(byLink.sources.sourcePath(1)).toBe(join(home, 'real/f'))
    for (const end of ['/', '/.', '/../real', '//'])
      expect(pathsOf(await walkSources([join(home, 'link') + end]))[0]).toBe('real')
    expect(pathsOf(await walkSources([`${home}/real/..`]))[0]).toBe(basename(home))
  })

  test('hard links are two files', async () => {
    const home = plant(temporaryFolder(), { 't/a': 'xyz' })
    fs.linkSync(join(home, 't/a'), join(home, 't/b'))
    expect((await walkSources([join(home, 't')])).manifest.totalBytes).toBe(6)
  })

  test('a tree as deep as paths may be is listed without recursion', async () => {
    const home = temporaryFolder()
    const depth = Math.floor((4090 - home.length) / 4)
    // fs.mkdirSync and fs.rmSync take seconds for this.
    execFileSync('mkdir', ['-p', `${home}${'/ddd'.repeat(depth)}`])
    const result = await walkSources([join(home, 'ddd')])
    expect(result.manifest.count).toBe(depth)
    expect(result.sources.sourcePath(depth - 1)).toBe(`${home}${'/ddd'.repeat(depth)}`)
    expect(result.failed).toEqual([])
    execFileSync('rm', ['-rf', join(home, 'ddd')])
  })

  test('others have their turn meanwhile, and can end it', async () => {
    const home = plant(temporaryFolder(), Object.fromEntries(Array.from({ length: 400 }, (_, at) => [`t/${at}`, ''])))
    // A disk that takes a millisecond for each file.
    let looks = 0
    const slow = { ...nodeFileSystem, lstatSync: pausing(nodeFileSystem.lstatSync, () => looks++) }
    let turns = 0
    const timer = setInterval(() => turns++, 1)
    await walkSources([join(home, 't')], { fs: slow })
    expect(turns).toBeGreaterThan(2)
    const stop = new AbortController()
    setTimeout(() => stop.abort(new SealiftError('interrupted', 'stopped')), 1)
    looks = 0
    await expect(walkSources([join(home, 't')], { fs: slow, signal: stop.signal })).rejects.toThrow('stopped')
    // What is left of 400 is not looked at any more.
    expect(looks).toBeLessThan(300)
    clearInterval(timer)
  })

  test('a path over the limit fails, what is beside it goes on', async () => {
    const home = temporaryFolder()
    const names = Array.from({ length: 20 }, () => 'n'.repeat(196))
    fs.mkdirSync(join(home, 'd', ...names), { recursive: true })
    fs.writeFileSync(join(home, 'd/z'), '')
    const long = 'l'.repeat(250)
    fs.symlinkSync('d', join(home, long))
    const result = await walkSources([join(home, long)])
    expect(result.failed.map(({ code }) => code)).toEqual(['name_unusable'])
    expect(pathsOf(result).at(-1)).toBe(`${long}/z`)
  })
})

describe('what cannot be sent', () => {
  test('sockets and pipes are skipped and named', async () => {
    const home = plant(temporaryFolder(), { 't/file': '' })
    execFileSync('mkfifo', [join(home, 't/pipe')])
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(join(home, 't/socket'), resolve))
    const result = await walkSources([join(home, 't')])
    server.close()
    expect(pathsOf(result)).toEqual(['t', 't/file'])
    expect(result.warnings).toEqual([
      { path: 't/pipe', message: 'a named pipe cannot be sent' },
      { path: 't/socket', message: 'a socket cannot be sent' },
    ])
    expect(result.failed).toEqual([])
    expect((await refusal([join(home, 't/pipe')])).code).toBe('usage')
    expect((await refusal(['/dev/null'])).code).toBe('usage')
  })

  test('links that stay inside are kept, others skipped and named', async () => {
    const links = {
      'in/up': '../f',
      'in/out': '../../f',
      abs: '/etc/passwd',
      out: '..',
      'in/trick': 'x/../..',
      self: '.',
    }
    const home = plant(temporaryFolder(), {
      't/f': '',
      ...Object.fromEntries(Object.entries(links).map(([name, link]) => [`t/${name}`, { link }])),
    })
    fs.symlinkSync(Buffer.from([0x66, 0xff]), join(home, 't/raw'))
    const result = await walkSources([join(home, 't')])
    expect(pathsOf(result)).toEqual(['t', 't/f', 't/in', 't/in/up', 't/self'])
    expect(result.warnings.map(({ path }) => path)).toEqual(['t/abs', 't/in/out', 't/in/trick', 't/out', 't/raw'])
    const without = await walkSources([join(home, 't')], { keepLinks: false })
    expect(pathsOf(without)).toEqual(['t', 't/f', 't/in'])
    expect(without.warnings).toEqual([])
    expect(without.excluded).toEqual([{ path: 't', files: 7, bytes: 0, reason: 'links', pattern: '' }])
  })

  test('names that are no UTF-8 fail, shown with escapes', async (context) => {
    if (process.platform !== 'linux') context.skip('only Linux has such names')
    const home = plant(temporaryFolder(), { 't/good': '1', 't/ß': '2', 't/\ufffd': '3' })
    fs.writeFileSync(Buffer.concat([Buffer.from(`${home}/t/bad`), Buffer.from([0xff, 0xc3])]), 'x')
    fs.mkdirSync(Buffer.concat([Buffer.from(`${home}/t/`), Buffer.from([0xed, 0xa0, 0x80])]))
    const result = await walkSources([join(home, 't')])
    expect(pathsOf(result)).toEqual(['t', 't/good', 't/ß', 't/\ufffd'])
    expect(result.failed.map(({ path, code }) => [path, code])).toEqual([
      ['t/\\xed\\xa0\\x80', 'name_unusable'],
      ['t/bad\\xff\\xc3', 'name_unusable'],
    ])
  })

  test.each([
    ['lstatSync', '/sub', 'EACCES', 'source_unreadable'],
    ['lstatSync', '/sub', 'ENOENT', 'source_vanished'],
    ['readdirSync', '/sub', 'EACCES', 'source_unreadable'],
    ['readdirSync', '/sub', 'ENOENT', 'source_vanished'],
    ['readdirSync', '/sub', 'ENOTDIR', 'source_changed'],
    ['readdirSync', '/sub', 'EIO', 'source_unreadable'],
    ['readlinkSync', '/sub/link', 'EINVAL', 'source_changed'],
  ] as const)('%s of %s failing with %s fails that entry as %s', async (call, ending, errno, code) => {
    const home = plant(temporaryFolder(), { 't/a': '1', 't/sub/f': '2', 't/sub/link': { link: 'f' }, 't/z': '3' })
    const result = await walkSources([join(home, 't')], { fs: failingFileSystem(call, ending, errno) })
    expect(result.failed.map((failed) => [failed.path, failed.code])).toEqual([[`t${ending}`, code]])
    expect(pathsOf(result)).toContain('t/z')
    expect(pathsOf(result)).not.toContain(`t${ending}`)
  })

  test('a folder without permissions fails', async (context) => {
    if (process.getuid?.() === 0) context.skip('root may read all; the faked cases stand in')
    const home = plant(temporaryFolder(), { 't/a': '1', 't/sub/f': '2' })
    fs.chmodSync(join(home, 't/sub'), 0)
    const result = await walkSources([join(home, 't')])
    fs.chmodSync(join(home, 't/sub'), 0o700)
    expect(result.failed.map(({ code }) => code)).toEqual(['source_unreadable'])
    expect(pathsOf(result)).toEqual(['t', 't/a'])
  })

  test('an error that is none of the system is not swallowed', async () => {
    const home = plant(temporaryFolder(), { 't/a': '1' })
    const broken = { ...nodeFileSystem, readlinkSync: () => 1, lstatSync: () => undefined } as never
    await expect(walkSources([join(home, 't')], { fs: broken })).rejects.toThrow(TypeError)
  })
})

describe('paths are checked first', () => {
  test('no path, and paths that are not there', async () => {
    const home = plant(temporaryFolder(), { f: '', dangling: { link: 'nowhere' }, loop: { link: 'loop' } })
    expect((await refusal([])).code).toBe('nothing_to_send')
    for (const path of [
      join(home, 'none'),
      join(home, 'f/below'),
      join(home, 'dangling'),
      '',
      'a\0b',
      `${home}/${'x'.repeat(300)}`,
    ]) {
      expect((await refusal([join(home, 'f'), path])).code).toBe('path_missing')
    }
    expect((await refusal([join(home, 'none')])).message).toContain('none')
    expect((await refusal([join(home, 'loop')])).code).toBe('path_unreadable')
    expect((await refusal(['/'])).code).toBe('usage')
  })

  test('nothing is listed before all paths are known to be good', async () => {
    const home = plant(temporaryFolder(), { 't/f': '' })
    const listed: unknown[] = []
    const watching = {
      ...nodeFileSystem,
      readdirSync: ((path: string) => void listed.push(path)) as unknown as typeof fs.readdirSync,
    }
    expect((await refusal([join(home, 't'), join(home, 'none')], { fs: watching })).code).toBe('path_missing')
    expect(listed).toEqual([])
  })

  test('unreadable ones', async () => {
    const home = plant(temporaryFolder(), { 't/f': '' })
    for (const call of ['accessSync', 'realpathSync', 'readdirSync'] as const) {
      expect((await refusal([join(home, 't')], { fs: failingFileSystem(call, '/t', 'EACCES') })).code).toBe(
        'path_unreadable',
      )
    }
  })

  test('the same twice, one inside another, two of one name', async () => {
    const home = plant(temporaryFolder(), { 'a/x/f': '', 'b/x': '', 'a-b/f': '', link: { link: 'a' } })
    const at = (...names: string[]): string[] => names.map((name) => join(home, name))
    expect((await refusal(at('a', 'a'))).code).toBe('path_repeated')
    expect((await refusal([join(home, 'a'), `${home}/a/../a/`])).code).toBe('path_repeated')
    expect((await refusal(at('a', 'link'))).code).toBe('path_repeated')
    expect((await refusal(at('a/x/f', 'a'))).code).toBe('path_repeated')
    expect((await refusal(at('a/x', 'link'))).code).toBe('path_repeated')
    expect((await refusal(at('a/x', 'b/x'))).code).toBe('path_repeated')
    expect(pathsOf(await walkSources(at('a', 'a-b')))).toContain('a-b/f')
  })
})

describe('what is left out', () => {
  const project = {
    'p/.venv/pyvenv.cfg': 'home = x',
    'p/.venv/lib/__pycache__/m.pyc': '12345',
    'p/src/__pycache__/m.pyc': '123',
    'p/src/m.py': '1',
    'p/.tox/x': '1',
    'p/node_modules/x/i.js': '1',
    'p/pyvenv.cfg.txt': '',
  }

  test('environments and caches by default, said with what is in them; node_modules is sent', async () => {
    const result = await walkSources([join(plant(temporaryFolder(), project), 'p')])
    expect(pathsOf(result)).toEqual([
      'p',
      'p/node_modules',
      'p/node_modules/x',
      'p/node_modules/x/i.js',
      'p/pyvenv.cfg.txt',
      'p/src',
      'p/src/m.py',
    ])
    expect(result.excluded).toEqual([
      { path: 'p/.tox', files: 1, bytes: 1, reason: 'cache', pattern: '' },
      { path: 'p/.venv', files: 2, bytes: 13, reason: 'venv', pattern: '' },
      { path: 'p/src/__pycache__', files: 1, bytes: 3, reason: 'cache', pattern: '' },
    ])
  })

  test('--all leaves nothing out but what patterns name', async () => {
    const path = join(plant(temporaryFolder(), project), 'p')
    const all = await walkSources([path], { all: true })
    expect(all.excluded).toEqual([])
    expect(all.manifest.totalBytes).toBe(8 + 5 + 3 + 1 + 1 + 1)
    const excluder = await loadExcluder(['.tox'])
    expect((await walkSources([path], { all: true, excluder })).excluded.map((row) => row.path)).toEqual(['p/.tox'])
  })

  test('what is kept is sent whole, with the caches in it', async () => {
    const path = join(plant(temporaryFolder(), project), 'p')
    const result = await walkSources([path], { keep: new Set(['p/.venv']) })
    expect(pathsOf(result)).toContain('p/.venv/lib/__pycache__/m.pyc')
    expect(result.excluded.map((row) => row.path)).toEqual(['p/.tox', 'p/src/__pycache__'])
  })

  test('a root that is an environment or a cache is sent', async () => {
    const home = plant(temporaryFolder(), project)
    expect(pathsOf(await walkSources([join(home, 'p/.venv')]))).toContain('.venv/pyvenv.cfg')
    expect(pathsOf(await walkSources([join(home, 'p/.tox')]))).toEqual(['.tox', '.tox/x'])
  })

  async function left(patterns: string[], from: string[] = []): Promise<WalkResult> {
    const home = plant(temporaryFolder(), {
      't/a.log': '12',
      't/keep.log': '1',
      't/build/out': '123',
      't/sub/build/out': '1',
      't/src/gen/g': '1',
      't/A.LOG': '1',
    })
    return await walkSources([join(home, 't')], { excluder: await loadExcluder(patterns, from) })
  }

  test('patterns are those of a .gitignore in the root', async () => {
    expect((await left(['*.log'])).excluded).toEqual([
      { path: 't/a.log', files: 1, bytes: 2, reason: 'pattern', pattern: '*.log' },
      { path: 't/keep.log', files: 1, bytes: 1, reason: 'pattern', pattern: '*.log' },
    ])
    expect((await left(['*.log', '!keep.log'])).excluded.map((row) => row.path)).toEqual(['t/a.log'])
    expect((await left(['/build/'])).excluded).toEqual([
      { path: 't/build', files: 1, bytes: 3, reason: 'pattern', pattern: '/build/' },
    ])
    expect((await left(['build'])).excluded.map((row) => row.path)).toEqual(['t/build', 't/sub/build'])
    expect((await left(['src/gen'])).excluded.map((row) => row.path)).toEqual(['t/src/gen'])
    expect((await left(['a.log/'])).excluded).toEqual([])
    // What is inside a folder that is out stays out.
    expect((await left(['build/', '!build/out'])).excluded.map((row) => row.path)).toEqual(['t/build', 't/sub/build'])
  })

  test('patterns from files come first, so those of the command line win', async () => {
    const result = await left(['!keep.log'], ['# logs\n\n*.log\n', 'build/\r\n'])
    expect(result.excluded.map((row) => row.path)).toEqual(['t/a.log', 't/build', 't/sub/build'])
    expect(await loadExcluder([], [])).toBeNull()
  })

  test('roots are named by patterns too, and nothing left is an error', async () => {
    const home = plant(temporaryFolder(), { 'a.log': '1', 'b.txt': '1' })
    const excluder = await loadExcluder(['*.log'])
    const result = await walkSources([join(home, 'a.log'), join(home, 'b.txt')], { excluder })
    expect(pathsOf(result)).toEqual(['b.txt'])
    expect(result.excluded.map((row) => row.path)).toEqual(['a.log'])
    expect(result.sources.sourcePath(0)).toBe(join(home, 'b.txt'))
    expect((await refusal([join(home, 'a.log')], { excluder })).code).toBe('nothing_to_send')
  })

  test('the excluder answers the same however often it is asked', async () => {
    const excluder = await loadExcluder(['*.log', '!n7.log'])
    for (let round = 0; round < 45_000; round++) {
      if (excluder?.ruleFor(`d/n${round}.log`, false) !== (round === 7 ? null : '*.log'))
        throw new Error(`round ${round}`)
    }
  })
})
