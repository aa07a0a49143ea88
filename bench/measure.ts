/**
 * Times a run of one contender: wall clock from the first start to the last exit, processor time of every process of
 * both ends, and the peak memory of the largest of them.
 *
 * Owns the processes that a run starts, and /proc. Knows nothing of what they do.
 *
 * Each command runs under a `sh` that prints `times` after it: that counts all children that were waited for, needs no
 * tool, and is exact to a clock tick. Memory is the kernel's own high-water mark, read 50 times a second.
 */

import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'

import { atExit } from './cleanup.ts'

export interface Measured {
  readonly seconds: number
  /** Of all processes of both ends; `null` where this system does not tell. */
  readonly cpuSeconds: number | null
  /** Of the largest process; `null` where this system does not tell. */
  readonly peakBytes: number | null
}

export interface SpawnOptions {
  readonly env?: NodeJS.ProcessEnv
}

/** Runs the command, then reports the processor time of all its children on descriptor 3. */
const WRAPPER = '"$@" 3>&-; code=$?; times >&3; exit $code'
const POLL_MS = 20
/** No run on any machine takes as long: something hangs. */
const RUN_TIMEOUT_MS = 180_000
const REAP_TIMEOUT_MS = 2000
const STDERR_BYTES = 4000

const alive = new Set<ChildProcess>()
atExit(() => {
  for (const child of alive) signalGroup(child, 'SIGKILL')
})

/** Ends a process and its descendants, all of them in the group that it leads. */
export function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // Gone already.
  }
}

/** Starts a process in a group of its own, to be killed when the bench ends. */
export function startGroup(argv: readonly string[], stdio: ('ignore' | 'pipe')[], env = process.env): ChildProcess {
  const child = spawn(argv[0] ?? '', argv.slice(1), { detached: true, stdio, env })
  alive.add(child)
  child.once('exit', () => alive.delete(child))
  child.once('error', () => alive.delete(child))
  return child
}

/** A process of a run. */
export class MeteredProcess {
  /** Rejects unless the process ends with 0, with the end of what it wrote on stderr. */
  readonly done: Promise<void>
  /** What it has printed so far. */
  readonly lines: string[] = []
  readonly #child: ChildProcess
  #stderr = ''
  #cpuSeconds: number | null = null
  #onLine: ((line: string) => void) | null = null

  constructor(argv: readonly string[], options: SpawnOptions, onExit: () => void) {
    const child = startGroup(
      ['/bin/sh', '-c', WRAPPER, 'sh', ...argv],
      ['ignore', 'pipe', 'pipe', 'pipe'],
      options.env ?? process.env,
    )
    this.#child = child
    let times = ''
    child.stdio[3]?.on('data', (data: Buffer) => (times += data.toString()))
    child.stderr?.on('data', (data: Buffer) => (this.#stderr = (this.#stderr + data.toString()).slice(-STDERR_BYTES)))
    if (child.stdout !== null) {
      createInterface({ input: child.stdout }).on('line', (line) => {
        this.lines.push(line)
        this.#onLine?.(line)
      })
    }
    child.once('exit', onExit)
    this.done = new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code, signal) => {
        this.#cpuSeconds = parseTimes(times)
        if (code === 0) resolve()
        else reject(new Error(`${argv[0] ?? ''} ended with ${signal ?? String(code)}: ${gist(this.#stderr)}`))
      })
    })
    this.done.catch(() => {})
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  get stderr(): string {
    return this.#stderr
  }

  /** With the children that were waited for; `null` before the end. */
  get cpuSeconds(): number | null {
    return this.#cpuSeconds
  }

  /** Resolves with the first line of output that `find` makes something of; rejects if the process ends before. */
  async line<T>(find: (line: string) => T | undefined): Promise<T> {
    const found = new Promise<T>((resolve) => {
      const look = (line: string): void => {
        const value = find(line)
        if (value !== undefined) resolve(value)
      }
      this.lines.forEach(look)
      this.#onLine = look
    })
    const ended = this.done.then(() => {
      throw new Error(`ended without the awaited line; it printed: ${this.lines.join(' ')} ${this.#stderr}`)
    })
    ended.catch(() => {})
    return await Promise.race([found, ended])
  }
}

/** What one run of a contender starts and uses. */
export class Meter {
  readonly #processes: MeteredProcess[] = []
  readonly #servers: { pid: number; cpuBefore: number | null }[] = []
  #firstMs: number | null = null
  #lastMs = 0
  #peakBytes = 0

  /** Starts a process of the contender. */
  spawn(argv: readonly string[], options: SpawnOptions = {}): MeteredProcess {
    this.#firstMs ??= performance.now()
    const started = new MeteredProcess(argv, options, () => (this.#lastMs = performance.now()))
    this.#processes.push(started)
    return started
  }

  /** Counts the processes that a server forks during the run: those of `sshd` do the work of the far end. */
  attach(pid: number): void {
    this.#servers.push({ pid, cpuBefore: reapedCpuSeconds(pid) })
  }

  /** @internal */
  sample(): void {
    for (const { pid } of this.#processes) this.#samplePeaks(childrenOf(pid))
    for (const { pid } of this.#servers) this.#samplePeaks(childrenOf(pid))
  }

  /** @internal Kills what still runs, after a failure. */
  abandon(): void {
    for (const { pid } of this.#processes) if (pid > 0) signalPid(-pid)
  }

  /** @internal For a run that hangs. */
  describe(): string {
    const ends = this.#processes.map(({ cpuSeconds, lines }, index) => {
      return `process ${index + 1} ${cpuSeconds === null ? 'still runs' : 'has ended'}, last line: ${lines.at(-1) ?? '-'}`
    })
    return `no end after ${RUN_TIMEOUT_MS / 1000} s: ${ends.join('; ')}`
  }

  /** @internal */
  async result(): Promise<Measured> {
    const seconds = (this.#lastMs - (this.#firstMs ?? this.#lastMs)) / 1000
    let cpuSeconds: number | null = 0
    for (const { cpuSeconds: own } of this.#processes) cpuSeconds = add(cpuSeconds, own)
    for (const { pid, cpuBefore } of this.#servers) {
      await allReaped(pid)
      const after = reapedCpuSeconds(pid)
      cpuSeconds = add(cpuSeconds, after === null || cpuBefore === null ? null : after - cpuBefore)
    }
    return { seconds, cpuSeconds, peakBytes: this.#peakBytes > 0 ? this.#peakBytes : null }
  }

  #samplePeaks(pids: readonly number[]): void {
    for (const pid of pids) {
      this.#peakBytes = Math.max(this.#peakBytes, peakBytesOf(pid))
      this.#samplePeaks(childrenOf(pid))
    }
  }
}

/** Runs `body` with a meter and says what it took. What `body` does before its first start is not counted. */
export async function measure(body: (meter: Meter) => Promise<void>): Promise<Measured> {
  const meter = new Meter()
  const timer = setInterval(() => meter.sample(), POLL_MS)
  const tooLong = Promise.withResolvers<never>()
  const limit = setTimeout(() => tooLong.reject(new Error(meter.describe())), RUN_TIMEOUT_MS)
  try {
    await Promise.race([body(meter), tooLong.promise])
  } catch (error) {
    meter.abandon()
    throw error
  } finally {
    clearInterval(timer)
    clearTimeout(limit)
  }
  return await meter.result()
}

/** Where a program is; `null` where it is not installed. Looks where servers live too, which users' paths leave out. */
export function findProgram(name: string): string | null {
  const found = spawnSync('/bin/sh', ['-c', 'command -v "$1"', 'sh', name], {
    encoding: 'utf8',
    env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin` },
  })
  const path = found.stdout.trim()
  return found.status === 0 && path.startsWith('/') ? path : null
}

/** The line that says most: the first that speaks of an error, or else the last. */
function gist(stderr: string): string {
  const lines = stderr.trim().split('\n')
  return (lines.find((line) => /error/i.test(line)) ?? lines.at(-1) ?? '').trim()
}

function add(sum: number | null, more: number | null): number | null {
  return sum === null || more === null ? null : sum + more
}

function signalPid(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // Gone already.
  }
}

/** The second line of POSIX `times`, which is of the children: `0m0.12s 0m0.34s`. */
function parseTimes(text: string): number | null {
  const fields = [...text.matchAll(/(\d+)m([\d.]+)s/g)].slice(2)
  if (fields.length !== 2) return null
  return fields.reduce((sum, field) => sum + Number(field[1]) * 60 + Number(field[2]), 0)
}

function readProc(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}

function childrenOf(pid: number): number[] {
  const text = readProc(`/proc/${pid}/task/${pid}/children`)
  return text.split(' ').filter(Boolean).map(Number)
}

function peakBytesOf(pid: number): number {
  const kib = /^VmHWM:\s+(\d+) kB/m.exec(readProc(`/proc/${pid}/status`))?.[1]
  return Number(kib ?? 0) * 1024
}

/** Processor time of the children that a process has waited for: fields 16 and 17 of its stat, in ticks of 10 ms. */
function reapedCpuSeconds(pid: number): number | null {
  const fields = readProc(`/proc/${pid}/stat`).split(') ')[1]?.split(' ')
  if (fields === undefined) return null
  return (Number(fields[13]) + Number(fields[14])) / 100
}

/** A server waits for its children a moment after their clients have gone. */
async function allReaped(pid: number): Promise<void> {
  const untilMs = performance.now() + REAP_TIMEOUT_MS
  while (childrenOf(pid).length > 0 && performance.now() < untilMs) await delay(5)
}
