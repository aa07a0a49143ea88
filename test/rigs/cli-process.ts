/**
 * The command line as a user has it: real processes of the bundle, each test with a home, a ledger and folders of its own.
 *
 * Owns the processes and ends all of them with the test, whatever became of it. Knows nothing of what is tested.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { inject, test as plainTest } from 'vitest'

/** The program's first file. */
export const MAIN = join(inject('bundle'), 'cli', 'main.js')
/** Nothing that is tested takes so long; a process that does is ended, and its test fails. */
const LONGEST_MS = 15_000

/** Fields of an event that tests look at; which are there, the event's name says. */
export interface Event {
  readonly event: string
  readonly [field: string]: unknown
}

/** How a process ended, and all that it said. */
export class Ended {
  /** Exit status; `null` where a signal ended the process. */
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string

  constructor(code: number | null, signal: NodeJS.Signals | null, stdout: string, stderr: string) {
    this.code = code
    this.signal = signal
    this.stdout = stdout
    this.stderr = stderr
  }

  /** All lines of stdout, which must be JSON. */
  get events(): Event[] {
    return parseEvents(this.stdout)
  }
}

function parseEvents(stdout: string): Event[] {
  return stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Event)
}

export interface StartOptions {
  readonly cwd?: string
  /** Added to the environment; `undefined` takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Whose home and ledger: each name is a user of its own. */
  readonly user?: string
  /** A command to run instead, with `"$SEALIFT"` for Sealift. */
  readonly shell?: string
  /** Words that the command line is put behind, such as those that enter a network namespace. */
  readonly behind?: readonly string[]
  /** Whether the test writes to its standard input; else there is nothing. */
  readonly hasInput?: boolean
  /** How long the process may live; default 15 s. A step of it may take four fifths. */
  readonly longestMs?: number
}

/** One process of Sealift. */
export class CliProcess {
  readonly child: ChildProcess
  readonly end: Promise<Ended>
  #stdout = ''
  #stderr = ''
  #ended = false
  readonly #watchers = new Set<() => void>()
  readonly #stepMs: number

  constructor(child: ChildProcess, longestMs = LONGEST_MS) {
    this.child = child
    this.#stepMs = longestMs * 0.8
    const collect = (stream: NodeJS.ReadableStream | null, add: (text: string) => void): void => {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        add(text)
        this.#changed()
      })
    }
    collect(child.stdout, (text) => (this.#stdout += text))
    collect(child.stderr, (text) => (this.#stderr += text))
    const timer = setTimeout(() => this.killAll(), longestMs)
    this.end = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        clearTimeout(timer)
        this.#ended = true
        this.#changed()
        resolve(new Ended(code, signal, this.#stdout, this.#stderr))
      })
    })
  }

  get stdout(): string {
    return this.#stdout
  }

  get stderr(): string {
    return this.#stderr
  }

  get isOver(): boolean {
    return this.#ended
  }

  /** All whole lines of stdout, which must be JSON. */
  get events(): Event[] {
    return parseEvents(this.#stdout)
  }

  kill(signal: NodeJS.Signals): void {
    if (!this.#ended) this.child.kill(signal)
  }

  /** Ends it with all that it started. */
  killAll(): void {
    if (this.#ended || this.child.pid === undefined) return
    try {
      // A shell dies alone of a signal; what it started is in its group.
      process.kill(-this.child.pid, 'SIGKILL')
    } catch {
      this.child.kill('SIGKILL')
    }
  }

  /** Resolves with the first event of that name (that pleases). @throws where the process ends without it */
  async event(name: string, pleases: (event: Event) => boolean = () => true): Promise<Event> {
    return this.#until(`event ${name}`, () =>
      this.#stdout.includes(`"event":"${name}"`)
        ? this.events.find((event) => event.event === name && pleases(event))
        : undefined,
    )
  }

  /** Resolves when stderr matches. @throws where the process ends without it */
  async said(pattern: RegExp): Promise<RegExpExecArray> {
    return this.#until(String(pattern), () => pattern.exec(this.#stderr) ?? undefined)
  }

  async #until<T>(what: string, look: () => T | undefined): Promise<T> {
    const deadline = Date.now() + this.#stepMs
    for (;;) {
      const found = look()
      if (found !== undefined) return found
      if (this.#ended || Date.now() > deadline) {
        const how = this.#ended ? 'the process ended' : 'it took too long'
        throw new Error(`${how} without ${what}\nstdout: ${this.#stdout}\nstderr: ${this.#stderr}`)
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(() => wake(), 1000)
        const wake = (): void => {
          clearTimeout(timer)
          this.#watchers.delete(wake)
          resolve()
        }
        this.#watchers.add(wake)
      })
    }
  }

  #changed(): void {
    for (const wake of [...this.#watchers]) wake()
  }
}

/** A sender that listens. */
export interface Listening {
  readonly process: CliProcess
  readonly connect: string
  readonly port: number
  readonly token: string
  readonly transferId: string
}

/** What a folder is made of: text, bytes, a folder (`null`), or a file or link in full. */
export type Files = Readonly<Record<string, string | Uint8Array | null | FileSpec>>
export interface FileSpec {
  readonly content?: string | Uint8Array
  readonly mode?: number
  /** Seconds since 1970. */
  readonly mtime?: number
  readonly link?: string
}

/** A place with users, folders and processes. */
export class Desk {
  readonly root: string
  readonly #processes = new Set<CliProcess>()
  readonly #closing: (() => Promise<void>)[] = []

  constructor() {
    const memory = '/dev/shm'
    const base = canWrite(memory) ? memory : tmpdir()
    this.root = fs.realpathSync(fs.mkdtempSync(join(base, 'sealift-cli-')))
  }

  path(...parts: string[]): string {
    return join(this.root, ...parts)
  }

  /** Makes a folder with these files and gives its path. */
  folder(name: string, files: Files = {}): string {
    const folder = this.path(name)
    fs.mkdirSync(folder, { recursive: true })
    for (const [file, given] of Object.entries(files)) {
      const path = join(folder, file)
      fs.mkdirSync(dirname(path), { recursive: true })
      if (given === null) {
        fs.mkdirSync(path, { recursive: true })
        continue
      }
      const spec: FileSpec = typeof given === 'string' || given instanceof Uint8Array ? { content: given } : given
      if (spec.link !== undefined) {
        fs.symlinkSync(spec.link, path)
        continue
      }
      fs.writeFileSync(path, spec.content ?? '')
      if (spec.mode !== undefined) fs.chmodSync(path, spec.mode)
      if (spec.mtime !== undefined) fs.utimesSync(path, spec.mtime, spec.mtime)
    }
    return folder
  }

  /** Names in a folder, sorted; none where it is not there. */
  names(...parts: string[]): string[] {
    const folder = this.path(...parts)
    return fs.existsSync(folder) ? fs.readdirSync(folder).sort() : []
  }

  read(...parts: string[]): string {
    return fs.readFileSync(this.path(...parts), 'utf8')
  }

  /** The environment of a user's process: nothing of who runs the tests, and a home of its own. */
  environment(user = 'user', added: StartOptions['env'] = {}): NodeJS.ProcessEnv {
    const env: NodeJS.ProcessEnv = { ...process.env }
    for (const name of Object.keys(env))
      if (/^(SEALIFT|ST_|LOG_|NODE_OPTIONS|VITEST|DB_PATH|TERM|TMUX|NO_COLOR|FORCE_COLOR)/.test(name)) delete env[name]
    const home = this.path('home', user)
    fs.mkdirSync(home, { recursive: true, mode: 0o700 })
    Object.assign(env, {
      HOME: home,
      XDG_DATA_HOME: join(home, 'data'),
      XDG_CONFIG_HOME: join(home, 'config'),
    })
    for (const [name, value] of Object.entries(added)) {
      if (value === undefined) delete env[name]
      else env[name] = value
    }
    return env
  }

  /** Ends something else with the desk. */
  onClose(close: () => Promise<void>): void {
    this.#closing.push(close)
  }

  start(args: readonly string[], options: StartOptions = {}): CliProcess {
    const { cwd = this.root, user, shell, behind = [], hasInput = false, longestMs } = options
    const env = this.environment(user, options.env)
    const [program = '', ...rest] = [...behind, process.execPath, MAIN, ...args]
    const child =
      shell === undefined
        ? spawn(program, rest, { cwd, env, detached: true, stdio: [hasInput ? 'pipe' : 'ignore', 'pipe', 'pipe'] })
        : spawn('sh', ['-c', shell], {
            cwd,
            env: { ...env, SEALIFT: MAIN, NODE: process.execPath },
            detached: true,
            stdio: ['ignore', 'pipe', 'pipe'],
          })
    const started = new CliProcess(child, longestMs)
    this.#processes.add(started)
    void started.end.then(() => this.#processes.delete(started))
    return started
  }

  run(args: readonly string[], options: StartOptions = {}): Promise<Ended> {
    return this.start(args, options).end
  }

  /** Starts a sender on a free port of 127.0.0.1 and waits until it listens. */
  async send(args: readonly string[], options: StartOptions = {}): Promise<Listening> {
    const process = this.start(['send', '--pod', '--port', '0', '--json', ...args], options)
    const { connect, port, token, transferId } = await process.event('listening')
    return {
      process,
      connect: connect as string,
      port: port as number,
      token: token as string,
      transferId: transferId as string,
    }
  }

  /** Runs a receiver to its end, into `out` unless told otherwise. */
  receive(connect: string, args: readonly string[] = [], options: StartOptions = {}): Promise<Ended> {
    return this.run(this.receiving(connect, args), options)
  }

  receiving(connect: string, args: readonly string[] = []): string[] {
    return ['receive', connect, '--json', ...(args.includes('-o') ? [] : ['-o', this.path('out')]), ...args]
  }

  /** Ends every process, then removes all that was made. */
  async close(): Promise<void> {
    await Promise.all(this.#closing.map((close) => close()))
    for (const process of this.#processes) process.killAll()
    await Promise.all([...this.#processes].map((process) => process.end))
    fs.rmSync(this.root, { recursive: true, force: true })
  }
}

function canWrite(folder: string): boolean {
  try {
    fs.accessSync(folder, fs.constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** A test with a desk of its own; also for concurrent tests. */
// eslint-disable-next-line no-empty-pattern -- vitest reads from the pattern what a fixture needs
export const test = plainTest.extend('desk', ({}, { onCleanup }): Desk => {
  const desk = new Desk()
  onCleanup(() => desk.close())
  return desk
})

/** Everything under a folder: path to what it is, as one line. */
export function treeOf(folder: string): Record<string, string> {
  const found: Record<string, string> = {}
  const visit = (path: string, name: string): void => {
    for (const item of fs.readdirSync(path).sort()) {
      const at = join(path, item)
      const key = name === '' ? item : `${name}/${item}`
      const stats = fs.lstatSync(at, { bigint: true })
      const mode = (Number(stats.mode) & 0o777).toString(8)
      // Doubles carry times to the microsecond (PROTOCOL 3.11).
      const time = stats.mtimeNs / 1000n
      if (stats.isSymbolicLink()) found[key] = `link ${fs.readlinkSync(at)}`
      else if (stats.isDirectory()) {
        found[key] = `folder ${mode}`
        visit(at, key)
      } else found[key] = `file ${mode} ${time} ${fs.readFileSync(at).toString('base64').slice(0, 4000)}`
    }
  }
  visit(folder, '')
  return found
}
