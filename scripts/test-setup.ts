/**
 * Installs the Debian packages that tests need, where this process may (root, apt). Elsewhere it says which tests
 * will be skipped; those tests look for the program themselves and skip with a reason.
 */

import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

interface DebianPackage {
  readonly name: string
  /** A program of the package: it is installed when this is found on PATH. */
  readonly program: string
  /** The tests that need it, in words. */
  readonly neededBy: string
}

const PACKAGES: readonly DebianPackage[] = [
  { name: 'tmux', program: 'tmux', neededBy: 'tests of the command line on a real terminal' },
  { name: 'zsh', program: 'zsh', neededBy: 'the test of completion in zsh' },
  { name: 'fish', program: 'fish', neededBy: 'the test of completion in fish' },
  { name: 'openssl', program: 'openssl', neededBy: 'tests of TLS against openssl' },
]

const UPDATE_TIMEOUT_MS = 60_000
const INSTALL_TIMEOUT_MS = 180_000

/** Never throws: a package that cannot be had costs its tests, not the run. */
export function installTestPackages(): void {
  installPackages(PACKAGES)
}

/** The same for what one kind of test alone needs. */
export function installPackage(wanted: DebianPackage): void {
  installPackages([wanted])
}

function installPackages(packages: readonly DebianPackage[]): void {
  const missing = packages.filter((wanted) => !isOnPath(wanted.program))
  if (missing.length === 0) return
  const fault = install(missing.map((wanted) => wanted.name))
  for (const wanted of missing.filter((wanted) => !isOnPath(wanted.program)))
    process.stdout.write(
      `will be skipped: ${wanted.neededBy} (no ${wanted.program}: ${fault ?? 'not in its package'})\n`,
    )
}

/** @returns why nothing was installed, or `null`. */
function install(names: readonly string[]): string | null {
  if (process.getuid?.() !== 0) return `not root, cannot install ${names.join(', ')}`
  if (!isOnPath('apt-get')) return 'no apt-get here'
  const fault = aptGet(['update'], UPDATE_TIMEOUT_MS)
  return aptGet(['install', '--yes', '--no-install-recommends', ...names], INSTALL_TIMEOUT_MS) ?? fault
}

function aptGet(args: readonly string[], timeoutMs: number): string | null {
  const run = spawnSync('apt-get', ['-q', ...args], {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
    timeout: timeoutMs,
  })
  if (run.status === 0) return null
  if (run.error !== undefined) return `apt-get ${args[0] ?? ''}: ${run.error.message}`
  return `apt-get ${args[0] ?? ''}: ${run.stderr.trim().split('\n').at(-1) ?? 'failed'}`
}

function isOnPath(program: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}
