/** Trees on the real disk for tests, and file systems that fail where they are told to. */

import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { FileSystem } from '../../../src/files/file-system.ts'
import { nodeFileSystem } from '../../../src/files/file-system.ts'
import type { WalkResult } from '../../../src/files/walk.ts'

/** A folder of its own, by its real path; removed when the test ends. */
export function temporaryFolder(): string {
  const path = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'sealift-source-')))
  onTestFinished(() => fs.rmSync(path, { recursive: true, force: true }))
  return path
}

/** Makes files (text or bytes), folders (`null`) and links (`{ link }`), with all folders above them. */
export function plant(root: string, tree: Record<string, string | Uint8Array | null | { link: string }>): string {
  for (const [name, what] of Object.entries(tree)) {
    const path = join(root, name)
    fs.mkdirSync(what === null ? path : dirname(path), { recursive: true })
    if (typeof what === 'string' || what instanceof Uint8Array) fs.writeFileSync(path, what)
    else if (what !== null) fs.symlinkSync(what.link, path)
  }
  return root
}

/** Paths in the manifest, in order. */
export function pathsOf({ manifest }: WalkResult): string[] {
  return Array.from({ length: manifest.count }, (_, index) => manifest.path(index))
}

/** Index of the entry with this path. */
export function entryAt(result: WalkResult, path: string): number {
  const index = pathsOf(result).indexOf(path)
  if (index < 0) throw new Error(`${path} is not in the manifest`)
  return index
}

/** A file system whose calls of one name fail with an errno where the first argument ends so. */
export function failingFileSystem(call: keyof FileSystem, ending: string, errno: string): FileSystem {
  const real = nodeFileSystem[call] as (...args: unknown[]) => unknown
  const fake = (...args: unknown[]): unknown => {
    if (String(args[0]).endsWith(ending)) {
      throw Object.assign(new Error(`${errno}: made up`), { code: errno, syscall: call })
    }
    return real.apply(nodeFileSystem, args)
  }
  return { ...nodeFileSystem, [call]: fake }
}

/** Changes a file until its ctime shows it: changes within one tick of the system's clock are not told apart. */
export function changeVisibly(path: string, change: () => void): void {
  const before = fs.statSync(path, { bigint: true }).ctimeNs
  do change()
  while (fs.statSync(path, { bigint: true }).ctimeNs === before)
}

/** How many descriptors this process has open; -1 where that is not to be known. */
export function openDescriptors(): number {
  return fs.existsSync('/proc/self/fd') ? fs.readdirSync('/proc/self/fd').length : -1
}
