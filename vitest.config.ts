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

/** Tests of parts in this process. They leave nothing behind, so that one worker takes many of their files. */
const PARTS = ['unit/!(library|server)', 'property', 'vectors'].map((folder) => `test/${folder}/**/*.test.ts`)
const REST = ['test/**/*.test.ts']

export default defineConfig({
  test: {
    projects: [
      ...(alone === null ? [{ extends: true as const, test: { name: 'parts', include: PARTS, isolate: false } }] : []),
      {
        extends: true,
        test: {
          name: 'wholes',
          include: alone === null ? REST : [`${alone}/*.test.ts`],
          exclude:
            alone === null
              ? [...PARTS, 'test/tailnet/**', 'test/docker/**', ...(slow ? [] : ['test/slow/**', 'test/browser/**'])]
              : [],
        },
      },
    ],
    pool: 'forks',
    env: {
      // No test meets the Tailscale of the machine: those about Tailscale name a socket of their own.
      TS_SOCKET: '/nonexistent/tailscaled.sock',
      // For the processes that tests start by the hundred: compiling what they load is most of what each of them does.
      NODE_COMPILE_CACHE: join(tmpdir(), 'sealift-test-code'),
    },
    globalSetup: './scripts/test-bundle.ts',
    // One more than two processors: some of the longest files wait for most of their time.
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    testTimeout: isPatient ? 300_000 : 20_000,
    hookTimeout: isPatient ? 300_000 : 20_000,
    allowOnly: false,
    reporters: [['default', { summary: false }], './scripts/final-line-reporter.ts'],
  },
})
