/**
 * Sealift as a contender: the built program, `send --pod` and `receive` as two processes over loopback TCP.
 *
 * Owns the throw-away ledger and the reading of the events. Measures nothing itself.
 */

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import type { Contender } from './contenders.ts'
import type { Meter, MeteredProcess } from './measure.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** The built program. */
export const SEALIFT: readonly string[] = [process.execPath, join(ROOT, 'bin', 'sealift.js')]

/** What people are shown goes to stderr; the meter reads lines of stdout. */
const ON_STDOUT = ['sh', '-c', 'exec "$0" "$@" 2>&1']

/** What the receiver's `done` event says. */
export interface DoneEvent {
  readonly bytes: number
  readonly bytesOnWire: number
  readonly seconds: number
}

export interface SealiftContender extends Contender {
  /** One more transfer, with `--json`, for what its `done` event says; the timed ones print for people, as scp does. */
  ask(meter: Meter, source: string, target: string): Promise<DoneEvent>
  /** Makes the next transfer meet a new ledger. */
  forget(): void
}

/**
 * @param folder for the ledger of both ends: on the disk that is measured
 * @param home an empty folder for what the program keeps in the user's home
 * @param options of `send`, for a row of their own
 */
export function makeSealift(
  folder: string,
  home: string,
  name = 'sealift',
  options: readonly string[] = [],
): SealiftContender {
  const ledger = join(folder, 'ledger')
  const env = { ...process.env, HOME: home, DB_PATH: join(ledger, 'ledger.db'), NO_COLOR: '1' }
  mkdirSync(ledger, { recursive: true, mode: 0o700 })
  return {
    name,
    forget(): void {
      rmSync(ledger, { recursive: true, force: true })
      mkdirSync(ledger, { mode: 0o700 })
    },
    async transfer(meter: Meter, source: string, target: string): Promise<void> {
      const sending = [...SEALIFT, 'send', source, '--pod', '--port', '0', ...options]
      const sender = meter.spawn([...ON_STDOUT, ...sending], { env })
      const connect = await sender.line((line) => /^ +sealift receive (\S+)$/.exec(line)?.[1])
      const receiver = meter.spawn([...SEALIFT, 'receive', connect, '-o', target, '--yes'], { env })
      await Promise.all([sender.done, receiver.done])
    },
    async ask(meter: Meter, source: string, target: string): Promise<DoneEvent> {
      const sending = [...SEALIFT, 'send', source, '--pod', '--port', '0', '--json', ...options]
      const sender = meter.spawn(sending, { env })
      const connect = await sender.line((line) => connectOf(line))
      const receiver = meter.spawn([...SEALIFT, 'receive', connect, '-o', target, '--json', '--yes'], { env })
      await Promise.all([ended(sender), ended(receiver)])
      const events = receiver.lines.map(parseEvent)
      const done = events.find((event): event is DoneEvent & { event: string } => event?.event === 'done')
      if (done === undefined) throw new Error('sealift receive printed no done event')
      return done
    },
  }
}

/** Builds `dist/` where it is missing or older than a source. */
export function buildSealift(): void {
  const built = join(ROOT, 'dist', 'cli', 'main.js')
  if (existsSync(built) && statSync(built).mtimeMs >= newestMs(join(ROOT, 'src'))) return
  process.stderr.write('bench: building dist/\n')
  const build = spawnSync(process.execPath, [join(ROOT, 'scripts', 'build.ts')], { cwd: ROOT, encoding: 'utf8' })
  if (build.status !== 0) throw new Error(`the build failed: ${build.stderr.trim()}`)
}

function newestMs(folder: string): number {
  const entries = readdirSync(folder, { withFileTypes: true, recursive: true })
  return Math.max(0, ...entries.map((entry) => statSync(join(entry.parentPath, entry.name)).mtimeMs))
}

/** With the error event, which says more than the exit code. */
async function ended(end: MeteredProcess): Promise<void> {
  try {
    await end.done
  } catch (error) {
    const fault = end.lines.find((line) => parseEvent(line)?.event === 'error')
    throw fault === undefined ? error : new Error(`sealift failed: ${fault}`, { cause: error })
  }
}

function connectOf(line: string): string | undefined {
  const event = parseEvent(line)
  return event?.event === 'listening' ? event.connect : undefined
}

/** An event, of what is read here; `null` for another line. */
export function parseEvent(
  line: string,
): (Partial<DoneEvent> & { event: string; connect?: string; port?: number; token?: string }) | null {
  try {
    return JSON.parse(line) as { event: string }
  } catch {
    return null
  }
}
