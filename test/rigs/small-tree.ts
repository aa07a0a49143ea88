/** A small source tree with one of each kind of file, and the comparison of what arrived with it. */

import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { join, relative } from 'node:path'
import type { Chance } from './seeds.ts'

export interface TreeOptions {
  /** Files of a few bytes or kilobytes beside the fixed ones. */
  readonly files?: number
  /** Size of one large file; 0 leaves it out. */
  readonly largeBytes?: number
}

/** Makes `folder` with files in it; the same chance makes the same tree. */
export function makeTree(folder: string, chance: Chance, { files = 3, largeBytes = 0 }: TreeOptions = {}): void {
  fs.mkdirSync(join(folder, 'sub', 'empty folder'), { recursive: true })
  write(join(folder, 'empty'), new Uint8Array(), chance)
  write(join(folder, 'one'), Uint8Array.of(chance.integer(0, 256)), chance)
  for (let file = 0; file < files; file++) {
    const path = join(folder, chance.pick(['.', 'sub']), `file ${file} – ü`)
    write(path, chance.bytes(chance.integer(1, 3000)), chance)
  }
  if (largeBytes > 0) write(join(folder, 'large'), longBytes(chance, largeBytes), chance)
  fs.symlinkSync('../one', join(folder, 'sub', 'link'))
}

function write(path: string, bytes: Uint8Array, chance: Chance): void {
  fs.writeFileSync(path, bytes)
  fs.utimesSync(path, 1_600_000_000, 1_600_000_000 + chance.integer(0, 1_000_000))
}

/** Much faster than {@link Chance.bytes}, as repeatable, and without a period that a wrong offset could hide in. */
export function longBytes(chance: Chance, length: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4))
  let state = chance.integer(1, 2 ** 32) | 1
  for (let at = 0; at < words.length; at++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    words[at] = state
  }
  return new Uint8Array(words.buffer, 0, length)
}

/** Everything under a folder, as lines that are equal when it is: kind, size, content, time, target. */
export function listTree(folder: string, { times = true }: { times?: boolean } = {}): Map<string, string> {
  const found = new Map<string, string>()
  const visit = (path: string): void => {
    try {
      look(path)
    } catch (error) {
      // What goes away while it is looked at, under a process that still works, is not there.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  const look = (path: string): void => {
    const stat = fs.lstatSync(path)
    const name = relative(folder, path)
    if (stat.isSymbolicLink()) found.set(name, `link to ${fs.readlinkSync(path)}`)
    else if (stat.isDirectory()) {
      found.set(name, 'folder')
      for (const child of fs.readdirSync(path)) visit(join(path, child))
    } else {
      const time = times ? ` of ${Math.round(stat.mtimeMs * 1000)}` : ''
      found.set(name, `${stat.size} bytes ${sha256Of(path)}${time}`)
    }
  }
  if (fs.existsSync(folder)) visit(folder)
  return found
}

/** Digests by which file it was, and what: trees of megabytes are looked at many times in a test, and change little. */
const digests = new Map<string, string>()
/** In so short a time a file may change twice and show one time of change. */
const UNSURE_MS = 100

function sha256Of(path: string): string {
  const { dev, ino, size, ctimeNs, ctimeMs } = fs.lstatSync(path, { bigint: true })
  const key = [dev, ino, size, ctimeNs].join(' ')
  const known = digests.get(key)
  if (known !== undefined) return known
  const digest = createHash('sha256').update(fs.readFileSync(path)).digest('hex')
  if (Date.now() - Number(ctimeMs) > UNSURE_MS) digests.set(key, digest)
  return digest
}

/** Times to the microsecond, in which what was rounded may differ (PROTOCOL 3.11). */
function isSame(line: string, other: string): boolean {
  const [[what, time = 0], [otherWhat, otherTime = 0]] = [line.split(' of '), other.split(' of ')]
  return what === otherWhat && Math.abs(Number(time) - Number(otherTime)) <= 1
}

/** What differs between two listings, in words; empty where nothing does. */
export function differences(wanted: ReadonlyMap<string, string>, found: ReadonlyMap<string, string>): string[] {
  const lines: string[] = []
  for (const [name, line] of wanted) {
    const other = found.get(name)
    if (other === undefined) lines.push(`missing: ${name} (${line})`)
    else if (!isSame(line, other)) lines.push(`${name}: ${other} instead of ${line}`)
  }
  for (const [name, line] of found) if (!wanted.has(name)) lines.push(`unexpected: ${name} (${line})`)
  return lines
}
