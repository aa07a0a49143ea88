/** How tests run: in processes of their own (`forks`), since tests start children, change folders and open ledgers. */

import { defineConfig } from 'vitest/config'

/** The slow set (`npm run test:slow`): browsers, large inputs, long fault matrices. */
const slow = process.env['SEALIFT_SLOW'] === '1'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: slow ? [] : ['test/slow/**', 'test/browser/**'],
    pool: 'forks',
    // No test meets the Tailscale of the machine: those about Tailscale name a socket of their own.
    env: { TS_SOCKET: '/nonexistent/tailscaled.sock' },
    maxWorkers: 2,
    testTimeout: slow ? 300_000 : 20_000,
    hookTimeout: slow ? 300_000 : 20_000,
    allowOnly: false,
    reporters: [['default', { summary: false }], './scripts/final-line-reporter.ts'],
  },
})
