/** A small file system of its own, for what happens when one is full. */

import { spawnSync } from 'node:child_process'
import { onTestFinished, type TestContext } from 'vitest'

/** Mounts a file system in memory; skips the test where this process may not. */
export function mountSmall(context: TestContext, folder: string, options: string): void {
  const run = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder], { encoding: 'utf8' })
  if (run.status !== 0) context.skip(`cannot mount a small file system: ${run.error?.message ?? run.stderr.trim()}`)
  onTestFinished(() => void spawnSync('umount', ['--lazy', folder]))
}
