/** What users get: the package as npm packs it, with its own dependencies and nothing else, as a library and as a command. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'

const PROJECT = fileURLToPath(new URL('../..', import.meta.url))
const MEGABYTE = 1 << 20

const SCRIPT = `
import { receiveFiles, SealiftError, sendFiles } from 'sealift'
const sender = sendFiles(['in'], { pod: true, port: 0, ledgerPath: 'ledger/l.db' })
for await (const event of sender) {
  if (event.event !== 'listening') continue
  const receiver = receiveFiles(event.connect, { outputDir: 'out', ledgerPath: 'ledger/l.db' })
  const { savedTo, files } = await receiver.done
  console.log(JSON.stringify({ savedTo, files }))
}
await sender.done
try {
  await receiveFiles('127.0.0.1:1:a-b', { outputDir: 'out', ledgerPath: 'ledger/l.db' }).done
} catch (error) {
  console.log(error instanceof SealiftError && error.code)
}
`

const CONSUMER = `
import { receiveFiles, sendFiles, SealiftError, type ErrorCode, type TransferEvent } from 'sealift'
const transfer = sendFiles(['a'], { pod: true })
for await (const event of transfer) {
  if (event.event === 'listening') await receiveFiles(event.connect, { outputDir: 'b', conflict: 'skip' }).done
  // @ts-expect-error a progress event has no connect
  if (event.event === 'progress') event.connect
}
const code = (error: unknown): ErrorCode | null => (error instanceof SealiftError ? error.code : null)
export const all: TransferEvent[] = []
export { code }
`

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

describe('the packed package', () => {
  let root = ''
  let sizeBytes = 0
  const env = { ...process.env, NODE_OPTIONS: '', NODE_PATH: '' }
  const run = (command: string, args: readonly string[], cwd = root) =>
    spawnSync(command, args, {
      cwd,
      env: { ...env, HOME: root, XDG_DATA_HOME: join(root, 'data') },
      encoding: 'utf8',
      timeout: 60_000,
    })

  beforeAll(() => {
    root = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'sealift-packed-')))
    // Built in a copy: another test may be using the project's own dist.
    const copy = join(root, 'project')
    fs.mkdirSync(copy)
    for (const item of fs.readdirSync(PROJECT)) {
      if (/^(\.|node_modules$|dist$|test$|bench$|docs$|coverage$)/.test(item)) continue
      fs.cpSync(join(PROJECT, item), join(copy, item), { recursive: true })
    }
    fs.symlinkSync(join(PROJECT, 'node_modules'), join(copy, 'node_modules'))
    const build = run(process.execPath, ['scripts/build.ts'], copy)
    expect(build.status, build.stdout + build.stderr).toBe(0)
    const packed = run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', root], copy)
    const tarball = fs.readdirSync(root).find((name) => name.endsWith('.tgz'))
    expect(tarball, packed.stderr).toBeDefined()
    sizeBytes = fs.statSync(join(root, tarball as string)).size

    // What an installer does, from what is here already: the package, and its dependencies with theirs.
    const modules = join(root, 'node_modules')
    fs.mkdirSync(join(modules, 'sealift'), { recursive: true })
    run('tar', ['-xzf', tarball as string, '-C', join(modules, 'sealift'), '--strip-components=1'])
    linkDependencies(join(PROJECT, 'package.json'), modules)
    // What whoever writes TypeScript for Node has besides.
    linkPackages(['@types/node'], PROJECT, modules)
    fs.mkdirSync(join(root, 'in'))
    fs.writeFileSync(join(root, 'in', 'file'), 'content')
    fs.mkdirSync(join(root, 'ledger'), { mode: 0o700 })
    fs.writeFileSync(join(root, 'package.json'), '{"type":"module"}')
  }, 60_000)

  afterAll(() => fs.rmSync(root, { recursive: true, force: true }))

  test('holds the program and its papers, no sources and no tests, and is small', () => {
    const names = fs.readdirSync(join(root, 'node_modules/sealift'), { recursive: true }).map(String)
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
    expect(sizeBytes).toBeLessThan(2 * MEGABYTE)
  })

  test('works as a library', () => {
    fs.writeFileSync(join(root, 'use.mjs'), SCRIPT)
    const { status, stdout, stderr } = run(process.execPath, ['use.mjs'])
    expect(stderr).toBe('')
    expect(stdout.trim().split('\n')).toEqual([
      JSON.stringify({ savedTo: [join(root, 'out/in')], files: 1 }),
      'connect_failed',
    ])
    expect(status).toBe(0)
    expect(fs.readFileSync(join(root, 'out/in/file'), 'utf8')).toBe('content')
  })

  test('takes a pipe through both sides in little memory, into a file and into a pipe', async ({ skip }) => {
    if (process.platform !== 'linux') skip('memory is read from /proc')
    const program = `'${process.execPath}' node_modules/sealift/bin/sealift.js`
    const shell = (command: string): ChildProcess => {
      const child = spawn('sh', ['-c', command], {
        cwd: root,
        env: { ...env, HOME: root, XDG_DATA_HOME: join(root, 'data') },
        detached: true,
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      onTestFinished(() => {
        if (child.exitCode === null && child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
      })
      return child
    }
    for (const target of ['-o piped; :', '-o - | tail -c 1; :']) {
      const sender = shell(`head -c 300000000 /dev/zero | ${program} send - --pod --port 0`)
      let said = ''
      sender.stderr?.on('data', (text: Uint8Array) => (said += String(text)))
      await expect.poll(() => said, { timeout: 15_000 }).toMatch(/sealift receive \S+\n/)
      const [, address = ''] = /sealift receive (\S+)/.exec(said) ?? []
      const receiver = shell(`${program} receive ${address} ${target}`)
      const [sent, received] = await Promise.all([peakOf(sender), peakOf(receiver)])
      const message = `${target}: ${sent} and ${received} bytes`
      expect(sender.exitCode, message).toBe(0)
      expect(Math.max(sent, received), message).toBeLessThan(150e6)
      // What is measured is the process that moved it.
      expect(Math.min(sent, received), message).toBeGreaterThan(50e6)
    }
    expect(fs.statSync(join(root, 'piped', 'stdin')).size).toBe(300_000_000)
  }, 60_000)

  test('works as a command', () => {
    const bin = join(root, 'node_modules/sealift/bin/sealift.js')
    const { version } = JSON.parse(fs.readFileSync(join(PROJECT, 'package.json'), 'utf8')) as { version: string }
    expect(run(process.execPath, [bin, '--version'])).toMatchObject({ status: 0, stdout: `${version}\n`, stderr: '' })
    expect(run(process.execPath, [bin, 'send', 'in', '--dry-run', '--json'])).toMatchObject({ status: 0, stderr: '' })
    expect(run(process.execPath, [bin, 'status'])).toMatchObject({ status: 0, stdout: '' })
    expect(run(process.execPath, [bin, 'send', 'nothing', '--pod']).status).toBe(2)
  })

  test('has types that hold what the library does', () => {
    fs.writeFileSync(join(root, 'consumer.mts'), CONSUMER)
    const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc')
    const options = [
      '--noEmit',
      '--strict',
      '--exactOptionalPropertyTypes',
      '--module',
      'nodenext',
      '--target',
      'es2024',
      '--lib',
      'es2024,dom',
      '--types',
      'node',
    ]
    const { status, stdout } = run(process.execPath, [compiler, ...options, 'consumer.mts'])
    expect([status, stdout]).toEqual([0, ''])
  })
})

/** Puts the dependencies of a package, and theirs, into a folder: no more than an installer would. */
function linkDependencies(packageFile: string, modules: string): void {
  const { dependencies = {} } = JSON.parse(fs.readFileSync(packageFile, 'utf8')) as {
    dependencies?: Record<string, string>
  }
  linkPackages(Object.keys(dependencies), dirname(packageFile), modules)
}

function linkPackages(names: readonly string[], from: string, modules: string): void {
  for (const name of names) {
    const target = join(modules, name)
    if (fs.existsSync(target)) continue
    const found = findPackage(name, from)
    fs.mkdirSync(dirname(target), { recursive: true })
    fs.cpSync(found, target, { recursive: true, filter: (path) => basename(path) !== 'node_modules' })
    linkDependencies(join(found, 'package.json'), modules)
  }
}

function findPackage(name: string, from: string): string {
  for (let folder = from; ; folder = dirname(folder)) {
    const path = join(folder, 'node_modules', name)
    if (fs.existsSync(path)) return fs.realpathSync(path)
    if (folder === dirname(folder)) throw new Error(`${name} is not installed`)
  }
}
