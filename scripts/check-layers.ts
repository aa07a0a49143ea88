/**
 * Who imports whom: runs dependency-cruiser with the rules of `.dependency-cruiser.cjs`, and sees that it looked at
 * every module of `src/`. (With a TypeScript that it does not know it looks at none and finds no fault.)
 */

import { spawnSync } from 'node:child_process'
import { existsSync, globSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

interface Cruise {
  readonly modules: readonly { readonly source: string; readonly dependencies: readonly unknown[] }[]
  readonly summary: {
    readonly violations: readonly {
      readonly from: string
      readonly to: string
      readonly rule: { readonly name: string }
    }[]
    readonly ruleSetUsed: { readonly forbidden: readonly { readonly name: string; readonly comment: string }[] }
  }
}

const root = fileURLToPath(new URL('..', import.meta.url))
const folders = ['src', 'web', 'test', 'bench', 'scripts'].filter((folder) => existsSync(`${root}${folder}`))
const cruiser = fileURLToPath(new URL('../node_modules/dependency-cruiser/bin/dependency-cruise.mjs', import.meta.url))
const run = spawnSync(
  process.execPath,
  [cruiser, '--config', '.dependency-cruiser.cjs', '--output-type', 'json', ...folders],
  {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 256 << 20,
  },
)
if (!run.stdout.startsWith('{')) {
  process.stderr.write(`layers: dependency-cruiser broke down\n${run.stderr}${run.stdout}\n`)
  process.exit(1)
}
const cruise = JSON.parse(run.stdout) as Cruise
const reasons = new Map(cruise.summary.ruleSetUsed.forbidden.map((rule) => [rule.name, rule.comment]))
const faults = cruise.summary.violations.map(
  ({ rule, from, to }) => `${from}${to === from ? '' : ` -> ${to}`}\n    ${rule.name}: ${reasons.get(rule.name) ?? ''}`,
)

const seen = new Set(cruise.modules.map((module) => module.source))
const unseen = globSync('src/**/*.ts', { cwd: root }).filter((file) => !seen.has(file.replaceAll('\\', '/')))
if (unseen.length > 0)
  faults.push(`dependency-cruiser did not look at ${unseen.length} modules, among them ${unseen[0] ?? ''}`)
const imports = cruise.modules.reduce((sum, module) => sum + module.dependencies.length, 0)
if (imports === 0) faults.push('dependency-cruiser found no import at all: it cannot read these sources')

process.stdout.write(faults.map((fault) => `${fault}\n`).join(''))
process.exitCode = faults.length > 0 ? 1 : 0
