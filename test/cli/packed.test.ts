/** What users get: the package as npm packs it, with its own dependencies and nothing else, as a library and as a command. */

import type { ChildProcess } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PackedPackage, PROJECT } from '../rigs/packed-package.ts'
import { readExamples } from '../rigs/page-examples.ts'
import { ENVIRONMENTS, TypeChecker } from '../rigs/type-check.ts'
import {
  ANYWHERE,
  CANCELLED,
  COMMON_JS,
  FAILED,
  IMPORT_ONLY,
  WELL,
  WITH_SIGNALS,
  WITHOUT_SIGNALS,
} from './packed-programs.ts'

const MEGABYTE = 1 << 20

/** A process with nothing left to wait for has ended by then, on a busy machine too. */
const LONGEST_LINGER_MS = 1000

const EXAMPLES = [...readExamples('docs/library.md'), ...readExamples('README.md')]

/** What each example prints, where `in` is its output folder, and what lies there when it has ended. */
const OUTCOMES: Readonly<Record<string, { readonly prints: string | RegExp; readonly saved?: readonly string[] }>> = {
  'docs/library.md: Sending and receiving': {
    prints: '2 saved\n4 files, 300026 bytes, all safe at the receiver\n',
    saved: ['photos', 'photos/a.jpg', 'photos/b.jpg', 'photos/c.tmp', 'report.pdf'],
  },
  'docs/library.md: Events': {
    // Small files may end before there is progress to tell of.
    prints: /^(?=(?:[^]*^ok photos\/[abc]\.\w+ [0-9a-f]{64}$){3})[^]*^300020 of 300020 bytes$/m,
    saved: ['photos', 'photos/a.jpg', 'photos/b.jpg', 'photos/c.tmp'],
  },
  'docs/library.md: Errors': {
    prints: /^connect_failed \(.*\)\ncannot connect to 127\.0\.0\.1:1: .*\nis the other side running.*\n$/,
  },
  'docs/library.md: Stopping': { prints: 'interrupted\n' },
  'docs/library.md: Going on': {
    prints: 'went on, and saved 1\n',
    saved: ['photos', 'photos/a.jpg', 'photos/b.jpg', 'photos/c.tmp'],
  },
  'docs/library.md: Several at once': {
    prints: '3 files, 300020 bytes\n1 files, 5 bytes\n1 files, 4 bytes\n',
    saved: [
      'music',
      'music/music',
      'music/music/song',
      'papers',
      'papers/papers',
      'papers/papers/page',
      'photos',
      'photos/photos',
      'photos/photos/a.jpg',
      'photos/photos/b.jpg',
      'photos/photos/c.tmp',
    ],
  },
  'docs/library.md: A server and its clients': {
    prints: /^14 bytes are safe, SHA-256 [0-9a-f]{64}\nfile1\.txt ok\nfile2\.txt ok\nfile3\.txt ok\n$/,
    saved: ['example.txt', 'file1.txt', 'file2.txt', 'file3.txt'],
  },
  'docs/library.md: A server and its clients 2': {
    prints:
      /^(?=[^]*^received report\.pdf$)(?=[^]*^received example\.txt$)[^]*^2 of 2 files are safe$[^]*^path_missing lost\.pdf$/m,
    saved: ['example.txt', 'report.pdf'],
  },
  'docs/library.md: Being asked': {
    prints: '3 files, 300020 bytes\nthe receiver: declined\nthe sender: rejected\n',
  },
  'docs/library.md: Streams and texts': { prints: 'row 1\nrow 2\nrow 3\n' },
  'docs/library.md: Streams and texts 2': { prints: 'the door code is 1234\n' },
  'docs/library.md: Looking first': { prints: '2 files, 300010 bytes\nwithout photos/c.tmp (pattern *.tmp)\n' },
  'docs/library.md: The ledger': {
    prints: /^(?=[^]*^sender)(?=[^]*^receiver)((sender|receiver) completed photos 300020\n){2}$/m,
    saved: ['photos', 'photos/a.jpg', 'photos/b.jpg', 'photos/c.tmp'],
  },
  'docs/library.md: The doctor': { prints: /^\w+ runtime: .*\n[^]*\n\w+ disk: / },
  'README.md: Commands 2': { prints: '', saved: ['example.txt', 'file1.txt', 'file2.txt', 'file3.txt'] },
  'README.md: Commands': { prints: '1 saved\n', saved: ['photos', 'photos/a.jpg', 'photos/b.jpg', 'photos/c.tmp'] },
}

/** What the examples send. */
function fill(folder: string): void {
  for (const name of ['photos', 'papers', 'music']) fs.mkdirSync(join(folder, name))
  fs.writeFileSync(join(folder, 'photos', 'a.jpg'), new Uint8Array(300_000).fill(1))
  fs.writeFileSync(join(folder, 'photos', 'b.jpg'), 'the second')
  fs.writeFileSync(join(folder, 'photos', 'c.tmp'), 'half of it')
  fs.writeFileSync(join(folder, 'papers', 'page'), 'words')
  fs.writeFileSync(join(folder, 'music', 'song'), 'la la'.slice(1))
  fs.writeFileSync(join(folder, 'report.pdf'), 'report')
  for (const name of ['example', 'file1', 'file2', 'file3'])
    fs.writeFileSync(join(folder, `${name}.txt`), `this is ${name}`.slice(0, 14))
}

/** The most memory that any process of a shell has taken, in bytes; looked at until it ends. */
async function peakOf(shell: ChildProcess): Promise<number> {
  let peakBytes = 0
  shell.stdout?.resume()
  shell.stderr?.resume()
  while (shell.exitCode === null && shell.signalCode === null) {
    for (const pid of readText(`/proc/${shell.pid}/task/${shell.pid}/children`).split(' ').filter(Boolean)) {
      const [, kibibytes = 0] = /VmHWM:\s+(\d+) kB/.exec(readText(`/proc/${pid}/status`)) ?? []
      peakBytes = Math.max(peakBytes, Number(kibibytes) * 1024)
    }
    await delay(20)
  }
  return peakBytes
}

function readText(path: string): string {
  try {
    return fs.readFileSync(path, 'utf8')
  } catch {
    // That process has ended.
    return ''
  }
}

function listAll(folder: string): string[] {
  return fs.existsSync(folder) ? fs.readdirSync(folder, { recursive: true }).map(String).sort() : []
}

describe('the packed package', () => {
  let sealift: PackedPackage

  beforeAll(() => {
    sealift = new PackedPackage()
  }, 60_000)

  afterAll(() => sealift.remove())

  test('holds the program and its papers, no sources and no tests, and is small', () => {
    const names = listAll(join(sealift.modules, 'sealift'))
    expect(names).toEqual(
      expect.arrayContaining([
        'package.json',
        'LICENSE',
        'README.md',
        'bin/sealift.js',
        'dist/index.js',
        'dist/index.d.ts',
      ]),
    )
    expect(names.filter((name) => /^(src|test|scripts|bench)\/|\.test\.|(?<!\.d)\.ts$/.test(name))).toEqual([])
    expect(sealift.sizeBytes).toBeLessThan(2 * MEGABYTE)
  })

  describe('as a library', () => {
    test('every example of the documents has an outcome here', () => {
      expect(EXAMPLES.map(({ name }) => name).sort()).toEqual(Object.keys(OUTCOMES).sort())
    })

    test.concurrent.each(EXAMPLES)('$name', async ({ name, code }) => {
      const folder = sealift.makeFolder()
      const work = join(folder, 'work')
      fill(work)
      const { status, stdout, stderr } = await sealift.runScript(folder, 'example.ts', code)
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
      const { prints, saved = [] } = OUTCOMES[name] ?? { prints: '' }
      if (typeof prints === 'string') expect(stdout).toBe(prints)
      else expect(stdout).toMatch(prints)
      const out = join(work, 'in')
      expect(listAll(out)).toEqual(saved)
      for (const path of saved.filter((entry) => fs.statSync(join(out, entry)).isFile())) {
        const source = fs.existsSync(join(work, path)) ? path : path.slice(path.indexOf('/') + 1)
        expect(fs.readFileSync(join(out, path)).equals(fs.readFileSync(join(work, source))), path).toBe(true)
      }
    })

    test.concurrent('does nothing when it is imported, and is one for import and require', async () => {
      const folder = sealift.makeFolder()
      const { status, stdout, stderr } = await sealift.runScript(folder, 'import.mjs', IMPORT_ONLY)
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
      const { before, after, isOne } = JSON.parse(stdout) as Record<'before' | 'after' | 'isOne', unknown>
      expect(after).toEqual(before)
      expect(isOne).toBe(true)
      expect(listAll(folder)).toEqual(['home', 'import.mjs', 'tmp', 'work'])
    })

    test.concurrent.each([
      ['ended well', WELL, ['done done', 'done done', 'done done', 'done done']],
      [
        'failed',
        FAILED,
        [
          'path_missing nothing_to_send usage connect_failed',
          'nobody_came nobody_came',
          'auth_failed',
          'interrupted',
          'rejected declined',
          'target_gone target_gone',
        ],
      ],
      [
        'were stopped',
        CANCELLED,
        [
          'interrupted interrupted',
          'interrupted',
          'interrupted',
          'interrupted',
          'interrupted interrupted',
          'interrupted interrupted',
        ],
      ],
    ])('lets the process end by itself after transfers that %s', async (_, program, ends) => {
      const { status, stdout, stderr } = await sealift.runScript(sealift.makeFolder(), 'program.mjs', program)
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
      const lines = stdout.trim().split('\n')
      const [, lingeredMs = NaN] = /^lingered (\d+)$/.exec(lines.pop() ?? '') ?? []
      expect(lines).toEqual(ends)
      expect(Number(lingeredMs)).toBeLessThan(LONGEST_LINGER_MS)
    })
  })

  test('has types that hold what the library does, wherever it is used', { timeout: 60_000 }, () => {
    sealift.add('@types/node')
    const programs = {
      'anywhere.ts': ANYWHERE,
      'with-signals.ts': WITH_SIGNALS,
      'without-signals.ts': WITHOUT_SIGNALS,
      'common-js.cts': COMMON_JS,
      ...Object.fromEntries(EXAMPLES.map(({ code }, at) => [`example-${String(at)}.ts`, code])),
    }
    for (const [file, code] of Object.entries(programs)) fs.writeFileSync(join(sealift.root, file), code)
    const examples = Object.keys(programs).filter((file) => file.startsWith('example-'))
    const checker = new TypeChecker(sealift.root)
    const faults = ENVIRONMENTS.map((environment) => {
      const files = [
        'anywhere.ts',
        environment.dom || environment.node ? 'with-signals.ts' : 'without-signals.ts',
        ...(environment.resolution === 'nodenext' ? ['common-js.cts'] : []),
        // They print and write with what Node has.
        ...(environment.node ? examples : []),
      ]
      return { ...environment, faults: checker.check(environment, files) }
    })
    expect(faults).toEqual(ENVIRONMENTS.map((environment) => ({ ...environment, faults: [] })))
  })

  test('takes a pipe through both sides in little memory, into a file and into a pipe', async ({ skip }) => {
    if (process.platform !== 'linux') skip('memory is read from /proc')
    const program = `'${process.execPath}' node_modules/sealift/bin/sealift.js`
    for (const target of ['-o piped; :', '-o - | tail -c 1; :']) {
      const sender = sealift.shell(`head -c 300000000 /dev/zero | ${program} send - --pod --port 0`)
      let said = ''
      sender.stderr?.on('data', (text: Uint8Array) => (said += String(text)))
      await expect.poll(() => said, { timeout: 15_000 }).toMatch(/sealift receive \S+\n/)
      const [, address = ''] = /sealift receive (\S+)/.exec(said) ?? []
      const receiver = sealift.shell(`${program} receive ${address} ${target}`)
      const [sent, received] = await Promise.all([peakOf(sender), peakOf(receiver)])
      const message = `${target}: ${sent} and ${received} bytes`
      expect(sender.exitCode, message).toBe(0)
      expect(Math.max(sent, received), message).toBeLessThan(150e6)
      // What is measured is the process that moved it.
      expect(Math.min(sent, received), message).toBeGreaterThan(50e6)
    }
    expect(fs.statSync(join(sealift.root, 'piped', 'stdin')).size).toBe(300_000_000)
  }, 60_000)

  test('works as a command', () => {
    fs.mkdirSync(join(sealift.root, 'in'))
    fs.writeFileSync(join(sealift.root, 'in', 'file'), 'content')
    const bin = join(sealift.modules, 'sealift/bin/sealift.js')
    const run = (...args: readonly string[]): unknown => sealift.run(process.execPath, [bin, ...args])
    const { version } = JSON.parse(fs.readFileSync(join(PROJECT, 'package.json'), 'utf8')) as { version: string }
    expect(run('--version')).toMatchObject({ status: 0, stdout: `${version}\n`, stderr: '' })
    expect(run('send', 'in', '--dry-run', '--json')).toMatchObject({ status: 0, stderr: '' })
    expect(run('status')).toMatchObject({ status: 0, stdout: '' })
    expect(run('send', 'nothing', '--pod')).toMatchObject({ status: 2 })
  })
})
