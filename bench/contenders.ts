/**
 * Who runs against Sealift, where they are installed: how each is called, and how to install it.
 *
 * Owns their command lines. All of them make `target/<name of the source>`, so that results can be compared. Measures
 * nothing itself.
 */

import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

import { findProgram, startGroup } from './measure.ts'
import type { Meter } from './measure.ts'
import { freePort, waitForListener } from './ports.ts'
import type { SshServer } from './sshd.ts'

export interface Contender {
  readonly name: string
  /** Moves `source` into the folder `target`; throws with the reason when that fails. */
  transfer(meter: Meter, source: string, target: string): Promise<void>
}

/** A contender that cannot run here, and what would help. */
export interface Missing {
  readonly name: string
  readonly install: string
}

const LISTEN_TIMEOUT_MS = 10_000
const INSTALL = {
  nc: 'apt install netcat-openbsd, or brew install netcat',
  ssh: 'apt install openssh-client openssh-server',
  rsync: 'apt install rsync, or brew install rsync',
  croc: 'https://github.com/schollz/croc#install, or brew install croc',
  wormhole: 'pip install magic-wormhole magic-wormhole-mailbox-server',
}

/** The disk's own limit: nothing is sealed, hashed or sent. */
export const copy: Contender = {
  name: 'cp',
  async transfer(meter, source, target) {
    await meter.spawn(['cp', '-r', source, target]).done
  },
}

/** As durable as Sealift's "done": the copy is on the disk when this ends. */
export const copyAndSync: Contender = {
  name: 'cp + sync',
  async transfer(meter, source, target) {
    await copy.transfer(meter, source, target)
    await flush(meter, target)
  },
}

/** GNU's `sync -f` flushes the one file system that holds the folder; elsewhere `sync` flushes all of them. */
export async function flush(meter: Meter, folder: string): Promise<void> {
  await shell(meter, 'sync -f "$1" 2>/dev/null || sync', folder)
}

/** No seal and no hash: what the socket and the files cost in C. */
export function findNetcat(): Contender | Missing {
  const name = 'nc'
  const path = findProgram('nc') ?? findProgram('ncat')
  if (path === null) return { name, install: INSTALL.nc }
  const flavour = flavourOf(path)
  return {
    name,
    async transfer(meter, source, target) {
      const port = String(await freePort())
      const output = join(target, basename(source))
      const receiver = shell(meter, `exec "$1" ${flavour.listen} > "$3"`, path, port, output)
      // Its port may be taken in the meantime, and then it ends at once.
      await Promise.race([waitForListener(Number(port), LISTEN_TIMEOUT_MS), receiver])
      const sender = shell(meter, `exec "$1" ${flavour.send} 127.0.0.1 "$2" < "$3"`, path, port, source)
      await Promise.all([receiver, sender])
    },
  }
}

function flavourOf(path: string): { readonly listen: string; readonly send: string } {
  const help = spawnSync(path, ['-h'], { encoding: 'utf8' })
  const text = help.stdout + help.stderr
  if (text.includes('OpenBSD')) return { listen: '-l 127.0.0.1 "$2"', send: '-N' }
  if (text.includes('Ncat')) return { listen: '-l 127.0.0.1 "$2" --recv-only', send: '--send-only' }
  if (text.includes('apple') || process.platform === 'darwin') return { listen: '-l 127.0.0.1 "$2"', send: '' }
  return { listen: '-l -p "$2"', send: '-q 0' }
}

/** `scp`, which is SFTP in newer versions, `tar` piped through `ssh`, and `rsync` over `ssh`. */
export function makeSshContenders(server: SshServer): { scp: Contender; tar: Contender; rsync: Contender | Missing } {
  const { destination, options } = server
  const port = String(server.port)
  const ssh = ['ssh', ...options, '-p', port]
  const scp: Contender = {
    name: 'scp',
    async transfer(meter, source, target) {
      meter.attach(server.pid)
      await meter.spawn(['scp', '-q', '-r', ...options, '-P', port, source, `${destination}:${target}/`]).done
    },
  }
  const tar: Contender = {
    name: 'tar | ssh',
    async transfer(meter, source, target) {
      meter.attach(server.pid)
      const line = 'folder=$1 name=$2 remote=$3; shift 3; tar cf - -C "$folder" "$name" | "$@" "$remote"'
      const remote = `tar xf - -C ${quote(target)}`
      await shell(meter, line, dirname(source), basename(source), remote, ...ssh, destination)
    },
  }
  if (findProgram('rsync') === null) return { scp, tar, rsync: { name: 'rsync', install: INSTALL.rsync } }
  const rsync: Contender = {
    name: 'rsync',
    async transfer(meter, source, target) {
      meter.attach(server.pid)
      await meter.spawn(['rsync', '-a', '-e', ssh.map(quoteForRsync).join(' '), source, `${destination}:${target}/`])
        .done
    },
  }
  return { scp, tar, rsync }
}

/** The names of what cannot run without an SSH server. */
export function missingSsh(reason: string): Missing[] {
  return ['scp', 'tar | ssh', 'rsync'].map((name) => ({ name, install: `${INSTALL.ssh} (${reason})` }))
}

/** `croc` through a relay of its own on loopback, whose processor time is not counted: it is at neither end. */
export async function startCroc(folder: string): Promise<Contender | Missing> {
  const name = 'croc'
  const croc = findProgram('croc')
  if (croc === null) return { name, install: INSTALL.croc }
  const ports = await Promise.all([freePort(), freePort(), freePort()])
  const home = join(folder, 'croc')
  mkdirSync(home, { recursive: true })
  startGroup([croc, 'relay', '--host', '127.0.0.1', '--ports', ports.join(',')], ['ignore', 'ignore', 'ignore'])
  if (!(await waitForListener(ports[0], LISTEN_TIMEOUT_MS))) return { name, install: 'its relay does not start here' }
  const relay = ['--relay', `127.0.0.1:${ports[0]}`]
  let run = 0
  return {
    name,
    async transfer(meter, source, target) {
      const code = `bench-${process.pid}-code-${run++}`
      const env = { ...process.env, HOME: home, CROC_SECRET: code, CROC_PASS: 'pass123' }
      const sender = meter.spawn([croc, '--yes', ...relay, 'send', '--no-local', source], { env })
      await saysOnStderr(sender, /code is/i)
      const receiver = meter.spawn([croc, '--yes', ...relay, '--out', target], { env })
      await Promise.all([sender.done, receiver.done])
    },
  }
}

/** `magic-wormhole` with a mailbox server of its own on loopback; the files go straight from one end to the other. */
export async function startWormhole(folder: string): Promise<Contender | Missing> {
  const name = 'wormhole'
  const wormhole = findProgram('wormhole')
  const twist = findProgram('twist')
  if (wormhole === null || twist === null) return { name, install: INSTALL.wormhole }
  const port = await freePort()
  const state = join(folder, 'wormhole')
  mkdirSync(state, { recursive: true })
  const endpoint = `--port=tcp:${port}:interface=127.0.0.1`
  const database = `--channel-db=${join(state, 'channels.sqlite')}`
  startGroup([twist, 'wormhole-mailbox', endpoint, database], ['ignore', 'ignore', 'ignore'])
  if (!(await waitForListener(port, LISTEN_TIMEOUT_MS)))
    return { name, install: 'its mailbox server does not start here' }
  const servers = ['--relay-url', `ws://127.0.0.1:${port}/v1`, '--transit-helper', 'tcp:127.0.0.1:1']
  let run = 0
  return {
    name,
    async transfer(meter, source, target) {
      const code = `${++run}-bench-code`
      const common = ['--hide-progress']
      const sender = meter.spawn([wormhole, ...servers, 'send', ...common, '--code', code, source])
      const output = join(target, basename(source))
      const receiver = meter.spawn([wormhole, ...servers, 'receive', ...common, '--accept-file', '-o', output, code])
      await Promise.all([sender.done, receiver.done])
    },
  }
}

/** Runs a line of shell; `"$1"` and so on are the arguments. */
async function shell(meter: Meter, line: string, ...args: readonly string[]): Promise<void> {
  await meter.spawn(['/bin/sh', '-c', line, 'sh', ...args]).done
}

async function saysOnStderr(
  end: { readonly stderr: string; readonly done: Promise<void> },
  what: RegExp,
): Promise<void> {
  const over = end.done.then(
    () => true,
    () => true,
  )
  const pause = (): Promise<boolean> => new Promise((resolve) => setTimeout(() => resolve(false), 2))
  while (!what.test(end.stderr)) if (await Promise.race([over, pause()])) return
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}

/** rsync splits the command of `-e` at spaces and knows quotes, but no backslash. */
function quoteForRsync(text: string): string {
  return /[\s"']/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
