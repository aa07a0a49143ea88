/** How tests run: in processes of their own (`forks`), since tests start children, change folders and open ledgers. */

import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import { LongestFirst } from './scripts/longest-first.ts'

/** The slow set (`npm run test:slow`): browsers, large inputs, long fault matrices. */
const slow = process.env['SEALIFT_SLOW'] === '1'

/** A real tailnet (`npm run test:tailnet`), and nothing else. */
const tailnet = process.env['SEALIFT_TAILNET'] === '1'

/** A Docker daemon (`npm run test:docker`), and nothing else. */
const docker = process.env['SEALIFT_DOCKER'] === '1'
const isPatient = slow || tailnet || docker

/** Sets that are run by themselves, and left out of all others. */
const alone = tailnet ? 'test/tailnet' : docker ? 'test/docker' : null

export default defineConfig({
  test: {
    include: [alone === null ? 'test/**/*.test.ts' : `${alone}/*.test.ts`],
    exclude:
      alone !== null ? [] : ['test/tailnet/**', 'test/docker/**', ...(slow ? [] : ['test/slow/**', 'test/browser/**'])],
    pool: 'forks',
    env: {
      // No test meets the Tailscale of the machine: those about Tailscale name a socket of their own.
      TS_SOCKET: '/nonexistent/tailscaled.sock',
      // For the processes that tests start by the hundred: compiling what they load is most of what each of them does.
      NODE_COMPILE_CACHE: join(tmpdir(), 'sealift-test-code'),
    },
    globalSetup: './scripts/test-bundle.ts',
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    testTimeout: isPatient ? 300_000 : 20_000,
    hookTimeout: isPatient ? 300_000 : 20_000,
    allowOnly: false,
    reporters: [['default', { summary: false }], './scripts/final-line-reporter.ts'],
  },
})
