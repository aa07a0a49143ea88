/**
 * What is moved: a large random file, and a real tree of many small files made from the npm packages that are
 * installed here.
 *
 * Owns the making of both and the comparison of what arrived. Knows nothing of who moves them.
 */

import { createHash, hash, randomFillSync } from 'node:crypto'
import {
  closeSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
  writeSync,
} from 'node:fs'
import { dirname, join, relative } from 'node:path'

const PIECE_BYTES = 1 << 20
/** A package whose files are larger than this on average holds programs rather than sources. */
const LARGE_AVERAGE_BYTES = 16 << 10
/** No single file of the tree is larger: the tree is there to measure many small files. */
const LARGE_FILE_BYTES = 512 << 10

export interface Tree {
  readonly path: string
  readonly files: number
  readonly bytes: number
}

/** Writes a file that no codec can shrink. */
export function makeLargeFile(path: string, sizeBytes: number): void {
  const piece = Buffer.allocUnsafeSlow(PIECE_BYTES)
  const file = openSync(path, 'wx', 0o644)
  try {
    for (let done = 0; done < sizeBytes; done += PIECE_BYTES) {
      randomFillSync(piece)
      writeSync(file, piece, 0, Math.min(PIECE_BYTES, sizeBytes - done))
    }
  } finally {
    closeSync(file)
  }
}

/**
 * Copies installed packages, in the order of their names and with all they contain, until there are `files` files. One
 * pass over what is installed may not be enough: then it begins again in another folder.
 */
export function makeTree(path: string, nodeModules: string, files: number): Tree {
  const packages = findPackages(nodeModules)
  if (packages.length === 0) throw new Error(`no npm packages in ${nodeModules}: run npm ci first`)
  let made = 0
  let bytes = 0
  for (let pass = 1; made < files; pass++) {
    const before = made
    for (const source of packages) {
      for (const file of filesBelow(source, 'node_modules')) {
        if (made === files) break
        const size = statSync(file).size
        if (size > LARGE_FILE_BYTES) continue
        const target = join(path, `set-${pass}`, relative(nodeModules, file))
        mkdirSync(dirname(target), { recursive: true })
        copyFileSync(file, target)
        made++
        bytes += size
      }
    }
    if (made === before) throw new Error(`no files in the npm packages of ${nodeModules}`)
  }
  return { path, files: made, bytes }
}

/**
 * What a tree or a file holds, as one digest over paths and contents. Times and modes are left out: not every contender
 * keeps them.
 */
export function digestOf(root: string): string {
  const digest = createHash('sha256')
  if (lstatSync(root).isFile()) return digestOfFile(root)
  for (const file of filesBelow(root, null)) digest.update(`${relative(root, file)}\0${digestOfFile(file)}\n`)
  return digest.digest('hex')
}

function digestOfFile(path: string): string {
  if (statSync(path).size <= PIECE_BYTES) return hash('sha256', readFileSync(path))
  const digest = createHash('sha256')
  const piece = Buffer.allocUnsafeSlow(PIECE_BYTES)
  const file = openSync(path, 'r')
  try {
    for (let size = readSync(file, piece); size > 0; size = readSync(file, piece))
      digest.update(piece.subarray(0, size))
  } finally {
    closeSync(file)
  }
  return digest.digest('hex')
}

function findPackages(nodeModules: string): string[] {
  const found: string[] = []
  for (const name of readdirSync(nodeModules).sort()) {
    const path = join(nodeModules, name)
    if (name.startsWith('@'))
      found.push(
        ...readdirSync(path)
          .sort()
          .map((inner) => join(path, inner)),
      )
    else found.push(path)
  }
  // Links are workspaces: the project itself.
  return found.filter(
    (path) => lstatSync(path).isDirectory() && existsSync(join(path, 'package.json')) && isSmall(path),
  )
}

function isSmall(folder: string): boolean {
  let files = 0
  let bytes = 0
  for (const file of filesBelow(folder, 'node_modules')) {
    files++
    bytes += statSync(file).size
  }
  return files > 0 && bytes / files <= LARGE_AVERAGE_BYTES
}

/** Plain files in a fixed order; `skip` names folders that are left out. */
function* filesBelow(folder: string, skip: string | null): Generator<string> {
  const entries = readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))
  for (const entry of entries) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) {
      if (entry.name !== skip) yield* filesBelow(path, skip)
    } else if (entry.isFile()) yield path
  }
}
