/**
 * A Docker of the test's own: daemon, socket and data in one folder, no bridge, no rules of a firewall, so that nothing of
 * the machine's own Docker is met. Containers are on the host's network.
 *
 * Owns the daemon and ends it with all that it started. Knows nothing of Sealift but its compose.yaml.
 */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { BASE_IMAGE_CHANGE } from './base-image.ts'

const PROJECT = fileURLToPath(new URL('../../..', import.meta.url))
const BASE_IMAGE = 'sealift-test/node:26'
const READY_MS = 60_000
const LONGEST_MS = 900_000

/** Why there can be no Docker here; `null` where there can. */
export function whyNoDocker(): string | null {
  if (process.platform !== 'linux') return 'it needs Linux'
  if (process.getuid?.() !== 0) return 'it needs root'
  for (const program of ['dockerd', 'docker-compose', 'debootstrap'])
    if (spawnSync(program, ['--version']).error !== undefined) return `there is no ${program}`
  return null
}

export interface Said {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

export class Docker {
  readonly #folder: string
  readonly #daemon: ChildProcess
  readonly #composeFile: string
  readonly #settings: Readonly<Record<string, string>>

  private constructor(folder: string, daemon: ChildProcess, settings: Readonly<Record<string, string>>) {
    this.#folder = folder
    this.#daemon = daemon
    this.#composeFile = join(folder, 'compose.yaml')
    this.#settings = settings
  }

  /**
   * Starts the daemon and gives it the base image.
   * @param folder of its own, empty; it goes with the daemon
   * @param archive of `makeBaseImage`
   * @param settings variables for compose.yaml
   */
  static async start(folder: string, archive: string, settings: Readonly<Record<string, string>>): Promise<Docker> {
    const log = fs.openSync(join(folder, 'dockerd.log'), 'a')
    const daemon = spawn(
      'dockerd',
      [
        `--host=unix://${join(folder, 'docker.sock')}`,
        `--data-root=${join(folder, 'data')}`,
        `--exec-root=${join(folder, 'exec')}`,
        `--pidfile=${join(folder, 'pid')}`,
        '--iptables=false',
        '--ip6tables=false',
        '--bridge=none',
        // Without a driver named it takes overlay2 where that can be mounted, and vfs, which copies the whole image for
        // each step of the build, where not.
        '--exec-opt=native.cgroupdriver=cgroupfs',
      ],
      { stdio: ['ignore', log, log], detached: true },
    )
    fs.closeSync(log)
    const docker = new Docker(folder, daemon, settings)
    await docker.until('the daemon', () => docker.#run('docker', ['version']).status === 0)
    docker.docker('import', '--change', BASE_IMAGE_CHANGE, archive, BASE_IMAGE)
    docker.#writeComposeFile()
    return docker
  }

  /** @throws Error where it fails @returns what it wrote to stdout */
  docker(...args: string[]): string {
    return must('docker', args, this.#run('docker', args))
  }

  /** @throws Error where it fails @returns what it wrote to stdout */
  compose(...args: string[]): string {
    const all = ['--project-directory', PROJECT, '--project-name', 'sealift', '--file', this.#composeFile, ...args]
    return must('docker-compose', all, this.#run('docker-compose', all))
  }

  /** Id of the container of compose.yaml. */
  get container(): string {
    return this.compose('ps', '--quiet').trim()
  }

  /** Runs a command in the container, as its user. */
  inside(...command: string[]): Said {
    return this.#run('docker', ['exec', this.container, ...command])
  }

  async until(what: string, isSo: () => boolean): Promise<void> {
    const deadline = Date.now() + READY_MS
    while (!isSo()) {
      if (Date.now() > deadline) throw new Error(`waited too long for ${what}`)
      await pause(100)
    }
  }

  /** Removes containers and volumes, then ends the daemon. */
  async close(): Promise<void> {
    try {
      this.compose('down', '--volumes', '--timeout', '1')
    } finally {
      const gone = new Promise((resolve) => this.#daemon.once('exit', resolve))
      if (this.#daemon.exitCode === null && this.#daemon.kill('SIGTERM')) await gone
      removeDocker(this.#folder)
    }
  }

  /** The project's own file with what differs here: the base, the host's network, and so no port to publish. */
  #writeComposeFile(): void {
    const original = fs.readFileSync(join(PROJECT, 'compose.yaml'), 'utf8')
    const text = original
      .replace(/^ {4}build: \.\n/m, `    build: { context: ., network: none, args: { NODE_IMAGE: '${BASE_IMAGE}' } }\n`)
      .replace(/^ {4}ports:\n(?: {6}.*\n)+/m, '    network_mode: host\n')
    if (!text.includes(BASE_IMAGE) || !text.includes('network_mode')) throw new Error('compose.yaml looks different')
    fs.writeFileSync(this.#composeFile, text)
  }

  #run(program: string, args: readonly string[]): Said {
    return spawnSync(program, args, {
      cwd: PROJECT,
      encoding: 'utf8',
      timeout: LONGEST_MS,
      maxBuffer: 64 << 20,
      env: {
        PATH: process.env['PATH'],
        HOME: this.#folder,
        DOCKER_HOST: `unix://${join(this.#folder, 'docker.sock')}`,
        ...this.#settings,
      },
    })
  }
}

function must(program: string, args: readonly string[], { status, stdout, stderr }: Said): string {
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} failed:\n${(stdout + stderr).slice(-4000)}`)
  return stdout
}

export function dockerFolder(): string {
  return fs.mkdtempSync(join(tmpdir(), 'sealift-docker-'))
}

/** Ends every process that a daemon left behind, lets go of its mounts, and removes its folder. */
export function removeDocker(folder: string): void {
  for (const pid of fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const words = readText(`/proc/${pid}/cmdline`).split('\0')
    const isItsOwn = /(^|\/)(dockerd|containerd|containerd-shim[\w-]*)$/.test(words[0] ?? '')
    if (isItsOwn && words.some((word) => word.includes(`${folder}/`))) killIfThere(Number(pid))
  }
  const mounts = readText('/proc/self/mounts')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
  for (const mount of mounts.filter((path) => path.startsWith(`${folder}/`)).reverse())
    spawnSync('umount', ['--lazy', mount])
  // What was killed may still be letting go of its files.
  fs.rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 })
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It ended by itself.
  }
}

function readText(path: string): string {
  try {
    return fs.readFileSync(path, 'utf8')
  } catch {
    // It ended in the meantime.
    return ''
  }
}
