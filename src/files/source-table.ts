/**
 * Where the entries of a manifest lie on this machine, and what each was when it was listed, so that one that
 * changed since is never sent as if it had not (PROTOCOL 3.2, S-41).
 *
 * Columns beside those of the manifest: 24 bytes an entry. Opens and reads nothing.
 */

import type { BigIntStats } from 'node:fs'

import type { Manifest } from '../protocol/manifest.ts'

const MIN_I64 = -(2n ** 63n)
const MAX_I64 = 2n ** 63n - 1n

/** A time that fits the manifest: some file systems keep years beyond 2262, where 64 bits of nanoseconds end. */
export function clampNs(timeNs: bigint): bigint {
  return timeNs > MAX_I64 ? MAX_I64 : timeNs < MIN_I64 ? MIN_I64 : timeNs
}

export class SourceTable {
  readonly #manifest: Manifest
  readonly #roots = new Map<number, string>()
  #count = 0
  // Signed, because Node reads these words as signed ones.
  #devs: BigInt64Array<ArrayBuffer>
  #inos: BigInt64Array<ArrayBuffer>
  #ctimes: BigInt64Array<ArrayBuffer>
  #cachedFolder = -1
  #cachedPrefix = ''

  /** @param capacity entries to make room for at first, at least 1 */
  constructor(manifest: Manifest, capacity = 64) {
    this.#manifest = manifest
    this.#devs = new BigInt64Array(capacity)
    this.#inos = new BigInt64Array(capacity)
    this.#ctimes = new BigInt64Array(capacity)
  }

  /** Appends the entry that was added to the manifest last. */
  add(stats: BigIntStats): void {
    if (this.#count === this.#devs.length) this.#grow()
    this.#devs[this.#count] = stats.dev
    this.#inos[this.#count] = stats.ino
    this.#ctimes[this.#count] = clampNs(stats.ctimeNs)
    this.#count++
  }

  /** Says where a root lies: its path with all links followed. */
  setRoot(index: number, path: string): void {
    this.#roots.set(index, path)
  }

  /** Index of the root that the entry is in, or is. */
  rootOf(index: number): number {
    let at = index
    for (let parent = this.#manifest.parent(at); parent >= 0; parent = this.#manifest.parent(at)) at = parent
    return at
  }

  /** Where the entry lies on this machine: its root's real path and its own path from there. */
  sourcePath(index: number): string {
    const folder = this.#manifest.parent(index)
    if (folder < 0) return this.#rootPath(index)
    if (folder !== this.#cachedFolder) {
      const names: string[] = []
      let at = folder
      for (let parent = this.#manifest.parent(at); parent >= 0; parent = this.#manifest.parent(at)) {
        names.push(this.#manifest.name(at))
        at = parent
      }
      names.push(this.#rootPath(at))
      this.#cachedPrefix = `${names.reverse().join('/')}/`
      this.#cachedFolder = folder
    }
    return this.#cachedPrefix + this.#manifest.name(index)
  }

  /** Whether a file is still the one that was listed, and unchanged: device, inode, size, mtime and ctime. */
  isUnchanged(index: number, stats: BigIntStats): boolean {
    return (
      clampNs(stats.ctimeNs) === this.#ctimes[index] &&
      stats.ino === this.#inos[index] &&
      stats.dev === this.#devs[index] &&
      Number(stats.size) === this.#manifest.sizeBytes(index) &&
      clampNs(stats.mtimeNs) === this.#manifest.mtimeNs(index)
    )
  }

  #rootPath(index: number): string {
    const path = this.#roots.get(index)
    if (path === undefined) throw new RangeError(`index ${index} is no root of the sources`)
    return path
  }

  #grow(): void {
    const grow = (old: BigInt64Array): BigInt64Array<ArrayBuffer> => {
      const grown = new BigInt64Array(old.length * 2)
      grown.set(old)
      return grown
    }
    this.#devs = grow(this.#devs)
    this.#inos = grow(this.#inos)
    this.#ctimes = grow(this.#ctimes)
  }
}
