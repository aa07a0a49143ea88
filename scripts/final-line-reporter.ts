/**
 * Counts tests for the closing line and says why each skipped test was skipped.
 *
 * Under `scripts/test.ts` the counts go to the file named by SEALIFT_TEST_COUNTS, so that the closing line comes
 * after everything vitest itself has to say; alone (`vitest run`) the reporter prints that line.
 */

import { writeFileSync } from 'node:fs'
import type { Reporter, SerializedError, TestCase, TestModule, Vitest } from 'vitest/node'

export interface TestCounts {
  readonly passed: number
  /** Failed tests, files that could not be loaded, unhandled errors, and skips without a reason. */
  readonly failed: number
  readonly skipped: number
}

/** The closing line, for instance `12 passed, 0 failed, 1 skipped`. */
export function formatCounts(counts: TestCounts): string {
  const line = `${counts.passed} passed, ${counts.failed} failed`
  return counts.skipped > 0 ? `${line}, ${counts.skipped} skipped` : line
}

export default class FinalLineReporter implements Reporter {
  #filtered = false

  onInit(vitest: Vitest): void {
    this.#filtered = vitest.config.testNamePattern !== undefined
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    let passed = 0
    let failed = unhandled.length
    let skipped = 0
    const skips: string[] = []
    for (const module of modules) {
      const tests = [...module.children.allTests()]
      const failedTests = tests.filter((test) => test.result().state === 'failed').length
      failed += failedTests
      // A file or a hook that broke, with no failed test to show for it.
      if (!module.ok() && failedTests === 0) failed++
      passed += tests.filter((test) => test.result().state === 'passed').length
      for (const test of tests.filter((test) => !['passed', 'failed'].includes(test.result().state))) {
        const reason = reasonOf(test)
        if (reason === undefined && this.#filtered) continue
        skips.push(
          `skipped: ${test.module.relativeModuleId} > ${test.fullName}: ${reason ?? "no reason given, so it counts as failed: use context.skip('why')"}`,
        )
        if (reason === undefined) failed++
        else skipped++
      }
    }
    if (skips.length > 0) process.stdout.write(`\n${skips.join('\n')}\n`)
    const counts: TestCounts = { passed, failed, skipped }
    const file = process.env['SEALIFT_TEST_COUNTS']
    if (file === undefined) process.stdout.write(`\n${formatCounts(counts)}\n`)
    else writeFileSync(file, JSON.stringify(counts))
  }
}

function reasonOf(test: TestCase): string | undefined {
  const result = test.result()
  return result.state === 'skipped' ? result.note : undefined
}
