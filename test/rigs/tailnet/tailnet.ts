/**
 * One running tailnet: hosts in network namespaces, a real tailscaled on each but mallory, and their control plane.
 *
 * Owns namespaces, daemons and one folder, all named after it, and ends them. Knows nothing of Sealift. See README.md.
 */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

export const HOSTS = ['alpha', 'bravo', 'ci', 'pod', 'mallory'] as const
export type HostName = (typeof HOSTS)[number]
type Member = Exclude<HostName, 'mallory'>
const MEMBERS: readonly Member[] = ['alpha', 'bravo', 'ci', 'pod']

const NETWORK = '10.77.0'
const CONTROL_PORT = 8080
const READY_MS = 60_000

/** The address beside the tailnet. */
export function lanAddress(host: HostName): string {
  return `${NETWORK}.${String(HOSTS.indexOf(host) + 2)}`
}

export class Tailnet {
  readonly #folder: string
  readonly #programs: string
  readonly #daemons = new Map<string, ChildProcess>()

  private constructor(folder: string, programs: string) {
    this.#folder = folder
    this.#programs = programs
  }

  /** @param programs folder of {@link buildTailscale} @param folder of its own, empty; it goes with the tailnet */
  static async start(programs: string, folder: string): Promise<Tailnet> {
    const tailnet = new Tailnet(folder, programs)
    tailnet.#connectHosts()
    await tailnet.#startControl()
    for (const host of MEMBERS) await tailnet.startDaemon(host)
    // One after another, so that addresses come in this order.
    for (const host of MEMBERS) tailnet.up(host)
    return tailnet
  }

  /** The command that the words behind it run behind, on that host. */
  on(host: HostName | 'hub'): string[] {
    return ['ip', 'netns', 'exec', `${basename(this.#folder)}-${host}`]
  }

  socket(host: HostName): string {
    return join(this.#folder, host, 'tailscaled.sock')
  }

  /** Runs a command on a host. @throws Error where it fails @returns what it wrote to stdout */
  run(host: HostName | 'hub', ...command: string[]): string {
    const [program = '', ...args] = [...this.on(host), ...command]
    const run = spawnSync(program, args, { encoding: 'utf8', timeout: READY_MS })
    if (run.status !== 0) throw new Error(`${host}: ${command.join(' ')}: ${run.stderr.trim()}`)
    return run.stdout
  }

  tailscale(host: Member, ...args: string[]): string {
    return this.run(host, join(this.#programs, 'tailscale'), `--socket=${this.socket(host)}`, ...args)
  }

  /** Joins the tailnet, or comes back to it. */
  up(host: Member): void {
    const server = `http://${NETWORK}.1:${String(CONTROL_PORT)}`
    const quietly = ['--accept-dns=false', '--netfilter-mode=off', '--timeout=30s']
    this.tailscale(host, 'up', `--login-server=${server}`, `--hostname=${host}`, ...quietly)
  }

  /** Signals the daemon of a host; `SIGKILL` ends it, and it may be started again. */
  async signalDaemon(host: Member, signal: NodeJS.Signals): Promise<void> {
    const daemon = this.#daemons.get(host)
    if (daemon === undefined) throw new Error(`no daemon on ${host}`)
    const gone = signal === 'SIGKILL' ? new Promise((resolve) => daemon.once('exit', resolve)) : null
    daemon.kill(signal)
    await gone
  }

  /** Starts the daemon of a host, with the state of before, and waits for its socket. */
  async startDaemon(host: Member): Promise<void> {
    const home = join(this.#folder, host)
    fs.mkdirSync(home, { recursive: true })
    fs.rmSync(this.socket(host), { force: true })
    this.#spawn(host, home, join(this.#programs, 'tailscaled'), [
      host === 'pod' ? '--tun=userspace-networking' : '--tun=tailscale0',
      `--statedir=${home}`,
      `--state=${join(home, 'state')}`,
      `--socket=${this.socket(host)}`,
      '--no-logs-no-support',
    ])
    await this.#until(() => fs.existsSync(this.socket(host)), `tailscaled of ${host}`)
  }

  /** Ends everything. May be called twice. */
  close(): void {
    removeTailnet(this.#folder)
  }

  #connectHosts(): void {
    const name = basename(this.#folder)
    const ip = (...args: string[]): void => {
      const run = spawnSync('ip', args, { encoding: 'utf8' })
      if (run.status !== 0) throw new Error(`ip ${args.join(' ')}: ${run.stderr.trim()}`)
    }
    ip('netns', 'add', `${name}-hub`)
    for (const args of [
      ['link', 'add', 'hub', 'type', 'bridge'],
      ['addr', 'add', `${NETWORK}.1/24`, 'dev', 'hub'],
    ])
      this.run('hub', 'ip', ...args)
    for (const device of ['lo', 'hub']) this.run('hub', 'ip', 'link', 'set', device, 'up')
    for (const host of HOSTS) {
      ip('netns', 'add', `${name}-${host}`)
      ip(
        'link',
        'add',
        `v${host}`,
        'netns',
        `${name}-hub`,
        'type',
        'veth',
        'peer',
        'name',
        'eth0',
        'netns',
        `${name}-${host}`,
      )
      this.run('hub', 'ip', 'link', 'set', `v${host}`, 'master', 'hub', 'up')
      this.run(host, 'ip', 'addr', 'add', `${lanAddress(host)}/24`, 'dev', 'eth0')
      for (const device of ['lo', 'eth0']) this.run(host, 'ip', 'link', 'set', device, 'up')
      this.run(host, 'ip', 'route', 'add', 'default', 'via', `${NETWORK}.1`)
    }
  }

  async #startControl(): Promise<void> {
    const log = this.#spawn('hub', this.#folder, join(this.#programs, 'tailnet-control'), [
      `${NETWORK}.1`,
      String(CONTROL_PORT),
    ])
    await this.#until(() => fs.readFileSync(log, 'utf8').includes('ready'), 'the control server')
  }

  /** @returns the file that it logs to */
  #spawn(host: Member | 'hub', home: string, program: string, args: readonly string[]): string {
    const log = join(home, 'log')
    const file = fs.openSync(log, 'a')
    const [command = '', ...rest] = [...this.on(host), program, ...args]
    const child = spawn(command, rest, { env: { ...process.env, TS_LOGS_DIR: home }, stdio: ['ignore', file, file] })
    fs.closeSync(file)
    this.#daemons.set(host, child)
    return log
  }

  async #until(isReady: () => boolean, what: string): Promise<void> {
    const deadline = Date.now() + READY_MS
    while (!isReady()) {
      if (Date.now() > deadline) throw new Error(`${what} does not get ready; its log is in ${this.#folder}`)
      await pause(50)
    }
  }
}

/** A folder for one tailnet, whose name its namespaces begin with. */
export function tailnetFolder(): string {
  return fs.mkdtempSync(join(tmpdir(), 'sealift-tailnet-'))
}

/** Ends every process in the namespaces of a tailnet, then these and its folder; does nothing where they are gone. */
export function removeTailnet(folder: string): void {
  const list = spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' }).stdout
  for (const name of list.split('\n').map((line) => line.split(' ')[0] ?? '')) {
    if (!name.startsWith(`${basename(folder)}-`)) continue
    const pids = spawnSync('ip', ['netns', 'pids', name], { encoding: 'utf8' }).stdout.split('\n')
    for (const pid of pids.map(Number).filter((pid) => pid > 1)) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // It ended by itself.
      }
    }
    spawnSync('ip', ['netns', 'delete', name])
  }
  fs.rmSync(folder, { recursive: true, force: true })
}
