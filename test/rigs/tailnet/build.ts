/**
 * What a tailnet on this machine needs: whether it is there, and Tailscale built from its sources, once.
 *
 * Owns the folder of the built programs, named after what they were built from.
 */

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const HERE = fileURLToPath(new URL('.', import.meta.url))
const PROGRAMS = ['tailscale', 'tailscaled', 'tailnet-control']
const PROBE = 'sealift-tailnet-probe'

/** Why there can be no tailnet here; `null` where there can. */
export function whyNoTailnet(): string | null {
  if (process.platform !== 'linux') return 'it needs Linux'
  if (process.getuid?.() !== 0) return 'it needs root, for network namespaces'
  if (!fs.existsSync('/dev/net/tun')) return 'there is no /dev/net/tun'
  const made = spawnSync('ip', ['netns', 'add', PROBE], { encoding: 'utf8' })
  if (made.error !== undefined) return 'there is no ip (package iproute2)'
  if (made.status !== 0) return `no network namespace can be made: ${made.stderr.trim()}`
  spawnSync('ip', ['netns', 'delete', PROBE])
  return null
}

/**
 * Builds what is not built yet.
 * @param say is told what takes long
 * @returns the folder of the programs
 * @throws Error with the reason, as one line
 */
export function buildTailscale(say: (line: string) => void): string {
  const sources = ['go.mod', 'go.sum', 'main.go'].map((file) => fs.readFileSync(join(HERE, file)))
  const version = /tailscale\.com (v\S+)/.exec(String(sources[0]))?.[1] ?? ''
  const name = `${version}-${createHash('sha256').update(Buffer.concat(sources)).digest('hex').slice(0, 12)}`
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache')
  const folder = join(cache, 'sealift', 'tailnet', name)
  if (PROGRAMS.every((program) => fs.existsSync(join(folder, program)))) return folder
  if (spawnSync('go', ['version']).error !== undefined) throw new Error('there is no Go to build Tailscale with')
  say(`building Tailscale ${version} into ${folder}: this takes some minutes, once`)
  fs.mkdirSync(folder, { recursive: true })
  const commands = ['tailscale', 'tailscaled'].map((command) => `tailscale.com/cmd/${command}@${version}`)
  go(['install', ...commands], { GOBIN: folder })
  go(['build', '-o', join(folder, 'tailnet-control'), '.'], {})
  return folder
}

function go(args: readonly string[], env: NodeJS.ProcessEnv): void {
  const run = spawnSync('go', args, { cwd: HERE, env: { ...process.env, ...env }, encoding: 'utf8' })
  if (run.status === 0) return
  throw new Error(`go ${args[0] ?? ''} failed: ${run.stderr.trim().split('\n').at(-1) ?? 'without a word'}`)
}
