/**
 * Every check that needs no running of the program, each with its name and time; output only of those that fail.
 *
 *   npm run check [-- STEP…]
 */

import { spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

interface Step {
  readonly name: string
  /** Commands of `node_modules/.bin`, one after another. */
  readonly commands: readonly (readonly string[])[]
}

/** The longest first: two run at a time. */
const STEPS: readonly Step[] = [
  { name: 'lint', commands: [['eslint', '--max-warnings', '0', '.']] },
  {
    name: 'types',
    commands: [['tsc', '-p', 'tsconfig.json', '--incremental', '--tsBuildInfoFile', 'node_modules/.cache/tsc.json']],
  },
  { name: 'layers', commands: [['node', 'scripts/check-layers.ts']] },
  {
    name: 'format',
    commands: [['prettier', '--check', '--log-level', 'warn', '--cache', '--cache-strategy', 'content', '.']],
  },
  { name: 'dead-code', commands: [['knip', '--no-progress', '--no-config-hints']] },
  {
    name: 'package',
    commands: [
      ['node', 'scripts/build.ts'],
      ['publint', '--strict'],
    ],
  },
  { name: 'sources', commands: [['node', 'scripts/check-sources.ts']] },
  { name: 'docs', commands: [['node', 'scripts/docs.ts', '--check']] },
]

const root = fileURLToPath(new URL('..', import.meta.url))
const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !STEPS.some((step) => step.name === name))
if (unknown.length > 0) {
  process.stderr.write(`check: no step ${unknown.join(', ')}; there are ${STEPS.map((step) => step.name).join(', ')}\n`)
  process.exit(2)
}

const waiting = STEPS.filter((step) => wanted.length === 0 || wanted.includes(step.name))
const failed: string[] = []
const started = performance.now()
await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, runWaiting))
process.stdout.write(
  failed.length === 0 ? `check: all is well, ${secondsSince(started)}\n` : `check: failed: ${failed.join(', ')}\n`,
)
process.exitCode = failed.length === 0 ? 0 : 1

async function runWaiting(): Promise<void> {
  for (let step = waiting.shift(); step !== undefined; step = waiting.shift()) {
    const stepStarted = performance.now()
    const output = await runStep(step)
    process.stdout.write(
      `check: ${step.name.padEnd(9)} ${output === null ? 'ok' : 'FAILED'} ${secondsSince(stepStarted)}\n`,
    )
    if (output === null) continue
    failed.push(step.name)
    process.stdout.write(`${output.trim()}\n\n`)
  }
}

/** @returns what the failing command wrote, or `null` where all went well. */
async function runStep(step: Step): Promise<string | null> {
  for (const command of step.commands) {
    const { status, output } = await run(command)
    if (status !== 0) return output
  }
  return null
}

function run([program = '', ...args]: readonly string[]): Promise<{ status: number | null; output: string }> {
  const bin = join(root, 'node_modules', '.bin')
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, PATH: `${bin}${delimiter}${process.env['PATH'] ?? ''}` },
      // Programs of npm are .cmd files there.
      shell: process.platform === 'win32',
    })
    const output: string[] = []
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => output.push(text))
    child.on('error', (error) => resolve({ status: null, output: error.message }))
    child.on('close', (status) => resolve({ status, output: output.join('') }))
  })
}

function secondsSince(startedMs: number): string {
  return `${((performance.now() - startedMs) / 1000).toFixed(1)} s`
}
