/**
 * `npm run demo`: Sealift's main job before one's eyes. Two real processes on loopback move a real folder; the receiver is
 * killed in the middle and the same line run again; the result is compared byte for byte with the source.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { lstatSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { createInterface } from 'node:readline'
import { formatCount, formatSize } from '../src/config/sizes.ts'

const MAIN = join(import.meta.dirname, '..', 'src', 'cli', 'main.ts')
/** A real folder of thousands of files that is there after `npm ci`. */
const SOURCE = join(import.meta.dirname, '..', 'node_modules', '@types')
const LARGE = join(import.meta.dirname, '..', 'node_modules', 'typescript')
const KILL_AT = 0.4

interface Event {
  readonly event: string
  readonly [field: string]: unknown
}

/** Every process that was started, so that none outlives the demo. */
const children = new Set<ChildProcess>()

/** One `sealift` process, its events as they come. */
class Sealift {
  readonly #child: ChildProcess
  readonly exit: Promise<number | string>
  readonly #waiting: { wanted: (event: Event) => boolean; resolve: (event: Event) => void }[] = []
  onEvent: (event: Event) => void = () => undefined
  errors = ''

  constructor(args: readonly string[], ledger: string) {
    this.#child = spawn(process.execPath, [MAIN, ...args, '--json'], {
      env: { ...process.env, DB_PATH: ledger },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    children.add(this.#child)
    this.exit = new Promise((resolve) => {
      this.#child.once('exit', (code, signal) => {
        children.delete(this.#child)
        resolve(code ?? signal ?? 'gone')
      })
    })
    this.#child.stderr?.on('data', (text: Buffer) => (this.errors += text.toString()))
    if (this.#child.stdout !== null) {
      createInterface({ input: this.#child.stdout }).on('line', (line) => this.#take(JSON.parse(line) as Event))
    }
  }

  #take(event: Event): void {
    this.onEvent(event)
    const at = this.#waiting.findIndex(({ wanted }) => wanted(event))
    if (at >= 0) this.#waiting.splice(at, 1)[0]?.resolve(event)
  }

  /** The next event that is wanted. @throws Error where the process ends before */
  next(wanted: (event: Event) => boolean): Promise<Event> {
    const event = new Promise<Event>((resolve) => this.#waiting.push({ wanted, resolve }))
    const gone = this.exit.then((code) => {
      throw new Error(`sealift ended with ${String(code)}: ${this.errors.trim()}`)
    })
    return Promise.race([event, gone])
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }
}

function say(line = ''): void {
  process.stdout.write(`${line}\n`)
}

function bar(done: number, total: number): string {
  const filled = Math.round((done / total) * 30)
  return `${'█'.repeat(filled)}${'░'.repeat(30 - filled)} ${String(Math.floor((done / total) * 100)).padStart(3)}%  ${formatSize(done)} of ${formatSize(total)}`
}

/** Draws progress: over and over on a terminal, at every fifth elsewhere. */
function progressDrawer(who: string): (event: Event) => void {
  let shown = -1
  return (event) => {
    if (event.event !== 'progress') return
    const done = event['bytesDone'] as number
    const total = event['bytesTotal'] as number
    const step = Math.floor((done / total) * (process.stdout.isTTY ? 100 : 5))
    if (step === shown) return
    shown = step
    if (process.stdout.isTTY) process.stdout.write(`\r  ${who}  ${bar(done, total)}${done >= total ? '\n' : ''}`)
    else say(`  ${who}  ${bar(done, total)}`)
  }
}

/** What a tree holds: path to mode, and SHA-256 or link target. */
function fingerprint(root: string): Map<string, string> {
  const found = new Map<string, string>()
  const visit = (path: string): void => {
    const stats = lstatSync(path)
    const mode = (stats.mode & 0o777).toString(8)
    const name = relative(root, path)
    if (stats.isSymbolicLink()) found.set(name, `link ${readlinkSync(path)}`)
    else if (stats.isDirectory()) {
      found.set(name, `folder ${mode}`)
      for (const child of readdirSync(path)) visit(join(path, child))
    } else
      found.set(
        name,
        `file ${mode} ${String(Math.floor(stats.mtimeMs))} ${createHash('sha256').update(readFileSync(path)).digest('hex')}`,
      )
  }
  visit(root)
  return found
}

function compare(source: string, copy: string): number {
  const [expected, actual] = [fingerprint(source), fingerprint(copy)]
  for (const [path, content] of expected) {
    if (actual.get(path) !== content)
      throw new Error(`${path} differs: ${content} here, ${actual.get(path) ?? 'nothing'} there`)
  }
  if (actual.size !== expected.size) throw new Error('the copy has more than the source')
  return expected.size
}

async function demo(folder: string): Promise<void> {
  const senderLedger = join(folder, 'sender', 'ledger.db')
  const receiverLedger = join(folder, 'receiver', 'ledger.db')
  const out = join(folder, 'received')
  const started = performance.now()

  // Slowed down a little, so that there is a middle to be killed in.
  const sender = new Sealift(['send', SOURCE, LARGE, '--pod', '--port', '0', '--bwlimit', '40M'], senderLedger)
  const listening = await sender.next(({ event }) => event === 'listening')
  const connect = listening['connect'] as string
  say(
    `Sender:    ${formatCount(listening['files'] as number)} files, ${formatSize(listening['bytes'] as number)}, waiting.`,
  )
  say(`           On the other machine run:  sealift receive ${connect}`)
  say()

  const first = new Sealift(['receive', connect, '-o', out], receiverLedger)
  first.onEvent = progressDrawer('first run ')
  const connected = await first.next(({ event }) => event === 'connected')
  await first.next(
    (event) => event.event === 'progress' && (event['bytesDone'] as number) > KILL_AT * (event['bytesTotal'] as number),
  )
  first.kill()
  await first.exit
  say(
    `\n  The receiver was killed (SIGKILL). Under a final name there is: ${
      readdirSync(out)
        .filter((name) => !name.startsWith('.sealift-'))
        .join(', ') || 'nothing'
    }.`,
  )
  say('  The same line again:\n')

  const second = new Sealift(['receive', connect, '-o', out], receiverLedger)
  second.onEvent = progressDrawer('second run')
  const done = await second.next(({ event }) => event === 'done')
  const [senderExit, receiverExit] = await Promise.all([sender.exit, second.exit])
  if (senderExit !== 0 || receiverExit !== 0)
    throw new Error(`exit status ${String(senderExit)} and ${String(receiverExit)}`)

  const entries = [SOURCE, LARGE].reduce(
    (count, source) => count + compare(source, join(out, source.split('/').at(-1) ?? '')),
    0,
  )
  const resumed = done['resumedBytes'] as number
  say()
  say(
    `Done in ${((performance.now() - started) / 1000).toFixed(1)} s, with a kill in the middle (and held to 40 MiB/s to show it).`,
  )
  say(`  sealed by   ${String(connected['suite'])}, ${String(connected['cipher'])}`)
  say(`  kept        ${formatSize(resumed)} from the first run; only the rest was sent again`)
  say(`  compared    ${formatCount(entries)} files, folders and links: content, mode and time are the same`)
}

const folder = mkdtempSync(join(tmpdir(), 'sealift-demo-'))
try {
  await demo(folder)
} catch (error) {
  say()
  say(`The demo failed: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
} finally {
  for (const child of children) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
}
