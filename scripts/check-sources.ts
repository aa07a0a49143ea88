/**
 * Rules about files as text: none of src and test is too long to be read, and none of the project holds a secret or
 * a path of the machine that it was written on.
 */

import { spawnSync } from 'node:child_process'
import { globSync, lstatSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const MAX_LINES = 500
const MAX_BYTES = 8 << 20

/** Written so that no pattern finds itself. */
const FORBIDDEN: readonly { readonly pattern: RegExp; readonly what: string }[] = [
  { pattern: /(?<![\w.~)}-])\/work[/]/, what: 'a path of one machine' },
  { pattern: /(?<!\w)\.librar[y]\b/, what: 'a path of one machine' },
  { pattern: /"resolved": "http[s]?:/, what: 'the address of a registry' },
  { pattern: /-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}/, what: 'a private key' },
  { pattern: /\b(?:npm_[A-Za-z0-9]{36}|gh[pousr]_[A-Za-z0-9]{36}|AKIA[0-9A-Z]{16})\b/, what: 'an access token' },
]

const root = fileURLToPath(new URL('..', import.meta.url))
const faults: string[] = []

for (const file of projectFiles()) {
  const path = join(root, file)
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (stats?.isFile() !== true) continue
  if (stats.size > MAX_BYTES) {
    faults.push(`${file}: ${stats.size} bytes, more than a source file should have`)
    continue
  }
  const text = readFileSync(path, 'utf8')
  for (const { pattern, what } of FORBIDDEN) {
    const match = pattern.exec(text)
    if (match !== null) faults.push(`${file}:${text.slice(0, match.index).split('\n').length}: ${what}`)
  }
  if (/^(src|test)\/.*\.ts$/.test(file)) {
    const lines = text.split('\n').length - 1
    if (lines > MAX_LINES) faults.push(`${file}: ${lines} lines, more than ${MAX_LINES}: it holds more than one idea`)
  }
}

process.stdout.write(faults.map((fault) => `${fault}\n`).join(''))
process.exitCode = faults.length > 0 ? 1 : 0

/** What git has or would take; without git, everything but what is installed or built. */
function projectFiles(): readonly string[] {
  const git = spawnSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
  })
  if (git.status === 0) return git.stdout.split('\0').filter((file) => file !== '')
  return globSync(['**/*', '**/.*', '.ci/*'], {
    cwd: root,
    exclude: (file) => /(^|[/\\])(node_modules|dist|coverage|\.git)$/.test(file),
  })
}
