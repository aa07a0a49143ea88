/**
 * A receiving server as the bench has it: the built program in a process of its own, with a folder and a ledger of its own.
 *
 * Owns its command line, and what the kernel counts of it: processor time, memory, bytes read. Knows no senders.
 */

import type { ChildProcess } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

import { startGroup } from './measure.ts'
import { SEALIFT } from './sealift.ts'

/** What the server says on its standard output, of what is read here. */
interface Said {
  readonly event: string
  readonly port?: number
  readonly token?: string
  readonly bytes?: number
  readonly seconds?: number
}

const TICKS_PER_SECOND = 100

export class ServerProcess {
  readonly out: string
  readonly ledger: string
  readonly #child: ChildProcess
  readonly #said: Said[] = []
  #wake: () => void = () => undefined
  #stderr = ''
  #port = 0
  #token = ''

  private constructor(folder: string, options: readonly string[]) {
    this.out = join(folder, 'received')
    this.ledger = join(folder, 'ledger', 'l.db')
    mkdirSync(join(folder, 'home'), { recursive: true })
    mkdirSync(this.out, { recursive: true })
    const place = ['--host', '127.0.0.1', '--port', '0', '--output-dir', this.out, '--health', 'no', '--json']
    const env = { ...process.env, HOME: join(folder, 'home'), DB_PATH: this.ledger }
    this.#child = startGroup([...SEALIFT, 'receive', ...place, ...options], ['ignore', 'pipe', 'pipe'], env)
    this.#child.stderr?.on('data', (data: Buffer) => (this.#stderr = (this.#stderr + data.toString()).slice(-2000)))
    if (this.#child.stdout !== null)
      createInterface({ input: this.#child.stdout }).on('line', (line) => {
        this.#said.push(JSON.parse(line) as Said)
        this.#wake()
      })
    this.#child.once('exit', () => this.#wake())
  }

  /** @param folder of its own; may have been one of an earlier server @param options of `sealift receive` */
  static async start(folder: string, options: readonly string[]): Promise<ServerProcess> {
    const server = new ServerProcess(folder, options)
    const listening = await server.next('listening')
    server.#port = listening.port ?? 0
    server.#token = listening.token ?? ''
    return server
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`
  }

  get port(): number {
    return this.#port
  }

  get token(): string {
    return this.#token
  }

  /** Resolves with the next event of that name; each is given once, and what came before it is forgotten. */
  async next(name: string): Promise<Said> {
    for (;;) {
      const at = this.#said.findIndex(({ event }) => event === name)
      const found = this.#said[at]
      this.#said.splice(0, at < 0 ? this.#said.length : at + 1)
      if (found !== undefined) return found
      if (this.#child.exitCode !== null) throw new Error(`the server ended: ${this.#stderr.trim()}`)
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  /** Of the process up to now. */
  get cpuSeconds(): number {
    const fields = this.#proc('stat').split(') ')[1]?.split(' ') ?? []
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
  }

  /** The kernel's high-water mark. */
  get peakBytes(): number {
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(this.#proc('status'))?.[1] ?? Number.NaN) * 1024
  }

  /** All that it has read: from sockets, and the little that is read from files. */
  get readBytes(): number {
    return Number(/^rchar: (\d+)/m.exec(this.#proc('io'))?.[1] ?? Number.NaN)
  }

  #proc(name: string): string {
    return readFileSync(`/proc/${this.#child.pid ?? 0}/${name}`, 'latin1')
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return
    const ended = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#child.kill('SIGTERM')
    await ended
  }
}
