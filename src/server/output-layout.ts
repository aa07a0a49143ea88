/** Where in the output folder of a server the files of a transfer go: all together, by sender, or by day. */

import { join } from 'node:path'
import type { Layout } from '../config/server-settings.ts'
import type { Guest } from './guest.ts'

/**
 * @param nowMs wall clock; the day is that of UTC, so that it is the same wherever it is looked at
 * @returns absolute path of the folder below which the roots of a transfer land; it may not be there
 */
export function layOut(
  outputDir: string,
  layout: Layout,
  guest: Pick<Guest, 'folder' | 'label'>,
  nowMs: number,
): string {
  const own = guest.folder === null ? outputDir : join(outputDir, guest.folder)
  switch (layout) {
    case 'flat':
      return own
    case 'by-sender':
      return join(own, guest.label)
    case 'by-date':
      return join(own, new Date(nowMs).toISOString().slice(0, 10))
  }
}
