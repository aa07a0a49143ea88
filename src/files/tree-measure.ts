/**
 * How much is in a folder that is left out: said to the user, sent nowhere. Follows no links; what cannot be
 * looked at is not counted.
 */

import type { Dirent } from 'node:fs'

import type { FileSystem } from './file-system.ts'
import type { TurnTaking } from './turn-taking.ts'

/** @returns how many files and links are inside, at any depth, and the bytes of the files */
export async function measureTree(
  fs: FileSystem,
  path: string,
  turns: TurnTaking,
): Promise<{ files: number; bytes: number }> {
  let files = 0
  let bytes = 0
  const folders = [path]
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for (const entry of listOrNothing(fs, folder)) {
      if (turns.isDue()) await turns.rest()
      if (entry.isDirectory()) {
        folders.push(`${folder}/${entry.name}`)
        continue
      }
      files++
      if (entry.isFile()) bytes += sizeOrNothing(fs, `${folder}/${entry.name}`)
    }
  }
  return { files, bytes }
}

function listOrNothing(fs: FileSystem, path: string): Dirent[] {
  try {
    return fs.readdirSync(path, { withFileTypes: true })
  } catch {
    return []
  }
}

function sizeOrNothing(fs: FileSystem, path: string): number {
  try {
    return fs.lstatSync(path).size
  } catch {
    return 0
  }
}
