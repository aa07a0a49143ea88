/**
 * Bundles the sources once a run for the processes that tests start by the hundred: to load the bundle takes half of what
 * the sources take. Its folder is named by what is in it, so that no test ever meets an older one, runs beside each other
 * do not disturb each other, and the code that Node compiled is found again.
 */

import { createHash } from 'node:crypto'
import { readdirSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { TestProject } from 'vitest/node'
import { type Bundle, makeBundle, writeBundle } from './bundle.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Folder of the bundle: `cli/main.js`, `kill-child.js` and what they load. */
    bundle: string
  }
}

const root = fileURLToPath(new URL('..', import.meta.url))
/** Inside the project, so that dependencies are found. */
const HOME = join(root, 'node_modules', '.cache', 'sealift-test')
const LONGEST_UNUSED_MS = 24 * 3600 * 1000

/** Called by vitest before all tests. */
export async function setup(project: TestProject): Promise<void> {
  const bundle = await makeBundle(root, { 'kill-child': 'test/rigs/kill-child.ts' })
  const folder = join(HOME, digestOf(bundle))
  if (!isThere(folder)) place(bundle, folder)
  const now = new Date()
  utimesSync(folder, now, now)
  for (const name of readdirSync(HOME)) {
    const other = join(HOME, name)
    const usedMs = statSync(other, { throwIfNoEntry: false })?.mtimeMs ?? 0
    if (usedMs < now.getTime() - LONGEST_UNUSED_MS) rmSync(other, { recursive: true, force: true })
  }
  project.provide('bundle', folder)
}

function digestOf({ files }: Bundle): string {
  const hash = createHash('sha256')
  for (const [name, contents] of files) hash.update(`${name} ${String(contents.length)}\n`).update(contents)
  return hash.digest('hex').slice(0, 16)
}

/** Whole or not at all. */
function place(bundle: Bundle, folder: string): void {
  const draft = `${folder}.${String(process.pid)}`
  writeBundle(root, draft, bundle)
  try {
    renameSync(draft, folder)
  } catch (error) {
    // Another run was faster.
    rmSync(draft, { recursive: true, force: true })
    if (!isThere(folder)) throw error
  }
}

function isThere(folder: string): boolean {
  return statSync(folder, { throwIfNoEntry: false }) !== undefined
}
