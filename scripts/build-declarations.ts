/**
 * Keeps of the type declarations what `dist/index.d.ts` reaches, and sees that users can resolve all of it: without the
 * types of Node too, which not every program has.
 */

import { globSync, readFileSync, rmSync, rmdirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'

const COMMENT = /\/\*[\s\S]*?\*\/|\/\/.*/g
const IMPORT = /\b(?:from|import)\s*\(?\s*['"]([^'"]+)['"]/g

/** @returns what is wrong, or `null`. */
export function pruneDeclarations(dist: string, dependencies: readonly string[]): string | null {
  const reached = new Set<string>()
  const waiting = [join(dist, 'index.d.ts')]
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (reached.has(file)) continue
    reached.add(file)
    for (const match of readFileSync(file, 'utf8').replaceAll(COMMENT, '').matchAll(IMPORT)) {
      const wanted = match[1] ?? ''
      if (wanted.startsWith('.')) waiting.push(resolve(dirname(file), wanted.replace(/\.(ts|js)$/, '.d.ts')))
      else if (!dependencies.some((name) => wanted === name || wanted.startsWith(`${name}/`)))
        return `the types of the library reach ${wanted} (in ${file}), which users do not have: write the type out`
    }
  }
  for (const file of globSync('**/*.d.ts', { cwd: dist })) {
    const path = join(dist, file)
    if (!reached.has(path)) rmSync(path)
  }
  removeEmptyFolders(dist)
  return null
}

function removeEmptyFolders(dist: string): void {
  const folders = globSync('**/', { cwd: dist }).map((folder) => join(dist, folder))
  for (const folder of folders.sort((a, b) => b.length - a.length)) {
    try {
      rmdirSync(folder)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOTEMPTY') throw error
    }
  }
}
