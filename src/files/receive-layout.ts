/**
 * Where each entry of a planned transfer stands: in which root, under which name in staging and in the end, with
 * which permissions. Joins manifest and plan; touches no disk.
 */

import type { ConflictPolicy } from '../protocol/choices.ts'
import type { Manifest } from '../protocol/manifest.ts'
import { KIND_FILE } from '../protocol/manifest.ts'
import type { ReceivePlan, RootPlan } from './conflicts.ts'
import { FATE_RECEIVE, FATE_REPLACE, fatesOf } from './conflicts.ts'

/** A root with where its entries end. */
export interface RootSpan extends RootPlan {
  /** Index behind the last entry inside. */
  readonly end: number
}

export class ReceiveLayout {
  readonly manifest: Manifest
  readonly policy: ConflictPolicy
  readonly roots: readonly RootSpan[]
  readonly #fates: Uint8Array
  readonly #renamed: ReadonlyMap<number, string>
  readonly #umask: number
  #last: RootSpan | undefined

  /** @param umask permission bits that no file and folder gets */
  constructor(manifest: Manifest, plan: ReceivePlan, umask: number) {
    this.manifest = manifest
    this.policy = plan.policy
    this.#fates = fatesOf(plan, manifest.count)
    this.#renamed = new Map(plan.renamed)
    this.#umask = umask
    this.roots = plan.roots.map((root, index) => {
      const next = plan.roots[index + 1]
      return { ...root, end: next === undefined ? manifest.count : next.root }
    })
  }

  /** The root that holds an entry. */
  rootOf(entry: number): RootSpan {
    const last = this.#last
    if (last !== undefined && entry >= last.root && entry < last.end) return last
    let low = 0
    let high = this.roots.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if ((this.roots[middle] as RootSpan).root <= entry) low = middle
      else high = middle - 1
    }
    const found = this.roots[low]
    if (found === undefined || entry < found.root || entry >= found.end) {
      throw new RangeError(`entry ${entry} is in no root of the plan`)
    }
    this.#last = found
    return found
  }

  isNew(entry: number): boolean {
    return this.rootOf(entry).layout === 'new'
  }

  /** Whether the entry is to be received: neither skipped nor failed by the plan. */
  isReceived(entry: number): boolean {
    const fate = this.#fates[entry] as number
    return fate === FATE_RECEIVE || fate === FATE_REPLACE
  }

  /** The name of an entry in a tree whose roots are called by `rootName`. */
  nameIn(entry: number, rootName: (root: RootSpan) => string): string {
    if (this.manifest.parent(entry) < 0) return rootName(this.rootOf(entry))
    return this.#renamed.get(entry) ?? this.manifest.name(entry)
  }

  /** Final path of an entry, from the output folder on. @param rootName name of its root, where it is not the planned one */
  savedPath(entry: number, rootName?: string): string {
    const name = this.nameIn(entry, (root) => rootName ?? root.savedAs)
    const parent = this.manifest.parent(entry)
    return parent < 0 ? name : `${this.savedPath(parent, rootName)}/${name}`
  }

  /** Permissions in the end: what was sent, without the umask, never setuid, setgid or sticky (S-34). */
  finalMode(entry: number): number {
    return this.manifest.mode(entry) & 0o777 & ~this.#umask
  }

  isFile(entry: number): boolean {
    return this.manifest.kind(entry) === KIND_FILE
  }
}
