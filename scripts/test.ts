/**
 * Runs the tests; arguments go to vitest. The last line of the output is `N passed, N failed`, with `, N skipped`
 * behind it when tests were skipped, also when vitest itself breaks down.
 *
 *   npm test [-- FILTER…]     all but test/slow and test/browser
 *   npm run test:slow         everything
 *   npm run test:tailnet      test/tailnet alone, by way of test-tailnet.ts
 *   npm run test:docker       test/docker alone, by way of test-docker.ts
 */

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { formatCounts, type TestCounts } from './final-line-reporter.ts'
import { installTestPackages } from './test-setup.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const vitest = fileURLToPath(new URL('vitest.mjs', import.meta.resolve('vitest/package.json')))
const slow = process.argv.includes('--slow')
/** Tests of their own, which may all be skipped. */
const tailnet = process.argv.includes('--tailnet')
const docker = process.argv.includes('--docker')
const args = process.argv.slice(2).filter((argument) => !['--slow', '--tailnet', '--docker'].includes(argument))

installTestPackages()

const folder = mkdtempSync(join(tmpdir(), 'sealift-test-'))
const countsFile = join(folder, 'counts.json')
try {
  const run = spawnSync(process.execPath, [vitest, 'run', ...args], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      ...process.env,
      SEALIFT_TEST_COUNTS: countsFile,
      ...(slow ? { SEALIFT_SLOW: '1' } : {}),
      ...(tailnet ? { SEALIFT_TAILNET: '1' } : {}),
      ...(docker ? { SEALIFT_DOCKER: '1' } : {}),
    },
  })
  const counts = readCounts(countsFile, run.status === 0)
  process.exitCode = run.status === 0 && counts.failed === 0 ? 0 : 1
  process.stdout.write(`\n${formatCounts(counts)}\n`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/** What the reporter counted. A run that fails in a way no test shows is one failure, and so is a run of no tests. */
function readCounts(file: string, exitedWell: boolean): TestCounts {
  let counts: TestCounts = { passed: 0, failed: 0, skipped: 0 }
  try {
    counts = JSON.parse(readFileSync(file, 'utf8')) as TestCounts
  } catch {
    process.stdout.write('vitest ended without counting its tests\n')
  }
  const fine = counts.failed > 0 || (exitedWell && (counts.passed > 0 || ((tailnet || docker) && counts.skipped > 0)))
  return fine ? counts : { ...counts, failed: 1 }
}
