/** A folder of its own for each test, removed afterwards. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

export function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sealift-identity-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Why a file cannot be given to another user here; `null` where it can. */
export const noOtherUser = process.geteuid?.() === 0 ? null : 'only root can give files to another user'
