/**
 * What stands in for the published image of Node where no registry can be reached: a Debian made by debootstrap, the
 * project's own Node, npm, and npm's cache with all that the lockfile names, so that the build needs no network.
 *
 * Owns the archive of that image, made once for each lockfile and Node.
 */

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const PROJECT = fileURLToPath(new URL('../../..', import.meta.url))
const SUITE = 'bookworm'
const FROM_PROJECT = ['package.json', 'package-lock.json', '.npmrc', 'runtime/package.json']
const LONGEST_MS = 900_000

/** Settings of the image: npm finds everything in the cache and asks nobody. */
export const BASE_IMAGE_CHANGE =
  'ENV PATH=/usr/local/bin:/usr/bin:/bin npm_config_offline=true npm_config_cache=/opt/npm-cache'

/**
 * Makes what is not made yet.
 * @param say is told what takes long
 * @returns the path of the archive
 * @throws Error with the reason, as one line
 */
export function makeBaseImage(say: (line: string) => void): string {
  const lockfile = fs.readFileSync(join(PROJECT, 'package-lock.json'))
  const name = createHash('sha256').update(lockfile).update(process.version).digest('hex').slice(0, 16)
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'sealift', 'docker')
  const archive = join(cache, `${name}.tar`)
  if (fs.existsSync(archive)) return archive
  say(`making the base image ${archive}: this takes some minutes, once`)
  // It is large: only the newest stays.
  fs.rmSync(cache, { recursive: true, force: true })
  const root = join(cache, 'root')
  fs.mkdirSync(root, { recursive: true })
  run('debootstrap', ['--variant=minbase', '--include=libatomic1', SUITE, root])
  fs.rmSync(join(root, 'var/cache/apt'), { recursive: true, force: true })
  fs.copyFileSync(process.execPath, join(root, 'usr/local/bin/node'))
  fs.cpSync(npmFolder(), join(root, 'usr/local/lib/node_modules/npm'), { recursive: true, dereference: true })
  fs.symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(root, 'usr/local/bin/npm'))
  fillNpmCache(join(cache, 'project'), join(root, 'opt/npm-cache'))
  run('tar', ['-C', root, '-cf', `${archive}.part`, '.'])
  fs.renameSync(`${archive}.part`, archive)
  for (const folder of ['root', 'project']) fs.rmSync(join(cache, folder), { recursive: true, force: true })
  return archive
}

/** Where npm is: what runs this knows, else the shell does. */
function npmFolder(): string {
  const script = process.env['npm_execpath'] ?? run('sh', ['-c', 'command -v npm']).trim()
  return dirname(dirname(fs.realpathSync(script)))
}

/** What this user has in npm's cache is taken from there, the rest from the registry. */
function fillNpmCache(project: string, npmCache: string): void {
  for (const file of FROM_PROJECT) {
    fs.mkdirSync(dirname(join(project, file)), { recursive: true })
    fs.copyFileSync(join(PROJECT, file), join(project, file))
  }
  const own = join(run('npm', ['config', 'get', 'cache']).trim(), '_cacache')
  if (fs.existsSync(own)) fs.cpSync(own, join(npmCache, '_cacache'), { recursive: true })
  run('npm', ['ci', '--prefer-offline', '--ignore-scripts', '--cache', npmCache], project)
}

/** @throws Error with the last line of what it said */
function run(command: string, args: readonly string[], cwd?: string): string {
  const ended = spawnSync(command, args, { cwd, encoding: 'utf8', timeout: LONGEST_MS, maxBuffer: 64 << 20 })
  if (ended.status === 0) return ended.stdout
  const said = `${ended.stdout}\n${ended.stderr}`.trim().split('\n').at(-1)
  throw new Error(`${command} ${args[0] ?? ''} failed: ${ended.error?.message ?? said ?? 'without a word'}`)
}
