/**
 * The order of test files: those that take long first, so that no worker is left with one of them at the end. How long a
 * file took is known only where it ran before; its folder says enough.
 */

import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** The longest of all, whole transfers under faults, then processes, then all that is over in a moment. */
const FOLDERS = [
  '/test/cli/packed',
  '/test/faults/',
  '/test/cli/',
  '/test/hostile/',
  '/test/tls/',
  '/test/second-reader/',
  '/test/conformance/',
]

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    return sorted.sort((a, b) => rankOf(a) - rankOf(b))
  }
}

function rankOf({ moduleId }: TestSpecification): number {
  const rank = FOLDERS.findIndex((folder) => moduleId.replaceAll('\\', '/').includes(folder))
  return rank === -1 ? FOLDERS.length : rank
}
