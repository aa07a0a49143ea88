/**
 * The package as npm packs it, installed into a folder with its own dependencies and nothing else. Packing takes seconds, so
 * one is shared by all tests that want it.
 *
 * Owns the folder and what runs in it. Knows nothing of what is tested.
 */

import { type ChildProcess, spawn, spawnSync, type SpawnSyncReturns } from 'node:child_process'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

export const PROJECT = fileURLToPath(new URL('../..', import.meta.url))
/** Nothing that is run takes so long. */
const LONGEST_MS = 15_000

/** How a script ended, and all that it said. */
export interface ScriptEnd {
  /** Exit status; `null` where it had to be killed. */
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

export class PackedPackage {
  /** What holds `node_modules`, and all folders that programs run in. */
  readonly root: string
  /** Of the tarball. */
  readonly sizeBytes: number
  readonly #env: NodeJS.ProcessEnv

  /** Packs and installs. @throws what a step that failed said */
  constructor() {
    this.root = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'sealift-packed-')))
    this.#env = { ...process.env, NODE_OPTIONS: '', NODE_PATH: '' }
    // Built in a copy: another test may be using the project's own dist.
    const copy = join(this.root, 'project')
    fs.mkdirSync(copy)
    for (const item of fs.readdirSync(PROJECT)) {
      if (/^(\.|node_modules$|dist$|test$|bench$|docs$|coverage$)/.test(item)) continue
      fs.cpSync(join(PROJECT, item), join(copy, item), { recursive: true })
    }
    fs.symlinkSync(join(PROJECT, 'node_modules'), join(copy, 'node_modules'))
    this.#step(process.execPath, ['scripts/build.ts'], copy)
    this.#step('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', this.root], copy)
    const tarball = fs.readdirSync(this.root).find((name) => name.endsWith('.tgz')) ?? 'no tarball'
    this.sizeBytes = fs.statSync(join(this.root, tarball)).size

    // What an installer does, from what is here already: the package, and its dependencies with theirs.
    fs.mkdirSync(join(this.modules, 'sealift'), { recursive: true })
    this.#step('tar', ['-xzf', tarball, '-C', join(this.modules, 'sealift'), '--strip-components=1'], this.root)
    linkDependencies(join(PROJECT, 'package.json'), this.modules)
    fs.writeFileSync(join(this.root, 'package.json'), '{"type":"module"}')
  }

  get modules(): string {
    return join(this.root, 'node_modules')
  }

  /** Adds what else a program has, such as `@types/node`, from the project's own packages. */
  add(...names: readonly string[]): void {
    linkPackages(names, PROJECT, this.modules)
  }

  /** A fresh folder inside the root, with a home for whoever runs there. */
  makeFolder(): string {
    const folder = fs.mkdtempSync(join(this.root, 'folder-'))
    for (const name of ['work', 'home', 'tmp']) fs.mkdirSync(join(folder, name), { mode: 0o700 })
    return folder
  }

  /** Runs a command to its end. */
  run(command: string, args: readonly string[], cwd = this.root): SpawnSyncReturns<string> {
    return spawnSync(command, args, { cwd, env: this.#envAt(this.root), encoding: 'utf8', timeout: 60_000 })
  }

  /** Starts a shell in the root, killed with all that it started when the test is over. */
  shell(command: string): ChildProcess {
    const child = spawn('sh', ['-c', command], {
      cwd: this.root,
      env: this.#envAt(this.root),
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    onTestFinished(() => {
      if (child.exitCode === null && child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    })
    return child
  }

  /**
   * Runs a program in the folder `work` of a {@link makeFolder}, with the home and the temporary folder beside it.
   * @param file its name, whose ending says what it is
   */
  async runScript(folder: string, file: string, code: string): Promise<ScriptEnd> {
    // Beside its folder, which holds only what the program makes.
    fs.writeFileSync(join(folder, file), code)
    const child = spawn(process.execPath, [join('..', file)], {
      cwd: join(folder, 'work'),
      env: { ...this.#envAt(join(folder, 'home')), TMPDIR: join(folder, 'tmp') },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: LONGEST_MS,
      killSignal: 'SIGKILL',
    })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    const status = await new Promise<number | null>((resolve, reject) => child.on('close', resolve).on('error', reject))
    return { status, stdout, stderr }
  }

  remove(): void {
    fs.rmSync(this.root, { recursive: true, force: true })
  }

  #envAt(home: string): NodeJS.ProcessEnv {
    return { ...this.#env, HOME: home, XDG_DATA_HOME: join(home, 'data') }
  }

  #step(command: string, args: readonly string[], cwd: string): void {
    const { status, stdout, stderr } = this.run(command, args, cwd)
    if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed: ${stdout}${stderr}`)
  }
}

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
