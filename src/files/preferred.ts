/**
 * Which files of a tree go in front of the others: those that the user's patterns name (gitignore syntax), in the order of
 * the patterns. Where a pattern names a folder, all that is in it.
 *
 * Judges names only, and changes nothing of what is sent: that, its digest and how it is gone on with stay what they were.
 */

import { SealiftError } from '../protocol/errors.ts'
import { KIND_FOLDER, type Manifest } from '../protocol/manifest.ts'
import { RangeSet } from '../protocol/ranges.ts'
import { loadExcluder } from './exclude.ts'
import { TurnTaking } from './turn-taking.ts'

/** Stretches that may go in front: each is a range of its own on both sides until what lies between them has come. */
const MAX_STRETCHES = 10_000
/** Each pattern costs a look at each name. */
const MAX_PATTERNS = 100

export interface Preferred {
  /** The content of the files, a set for each pattern that names any; none is in two of them. */
  readonly ranges: readonly RangeSet[]
  /** Patterns that name nothing. */
  readonly unmatched: readonly string[]
  /** Files that stay in their place, because they lie too scattered. */
  readonly leftBehind: number
}

/**
 * @param patterns as {@link loadExcluder} takes them, each for itself
 * @throws SealiftError `settings_invalid`; the signal's reason
 */
export async function findPreferred(
  manifest: Manifest,
  patterns: readonly string[],
  signal?: AbortSignal,
): Promise<Preferred> {
  if (patterns.length > MAX_PATTERNS)
    throw new SealiftError('settings_invalid', `first takes ${String(MAX_PATTERNS)} patterns at the most`)
  const rules = await Promise.all(patterns.map((pattern) => loadPattern(pattern)))
  const sets = patterns.map(() => new RangeSet())
  const matched = new Set<number>()
  /** Of each entry the first pattern that names it or a folder above it; as many as there are where none does. */
  const ranks = new Uint8Array(manifest.count)
  const turns = new TurnTaking({ signal, stepsPerLook: 64 })
  let leftBehind = 0
  for (let entry = 0; entry < manifest.count && patterns.length > 0; entry++) {
    if (turns.isDue()) await turns.rest()
    const parent = manifest.parent(entry)
    const above = parent === -1 ? patterns.length : (ranks[parent] as number)
    const isFolder = manifest.kind(entry) === KIND_FOLDER
    const path = pathInRoot(manifest, entry)
    const own = rules.findIndex((rule, at) => at < above && rule.ruleFor(path, isFolder) !== null)
    const rank = own === -1 ? above : own
    ranks[entry] = rank
    const set = sets[rank]
    if (set === undefined) continue
    matched.add(rank)
    const [start, end] = [manifest.startOffset(entry), manifest.endOffsetOf(entry)]
    if (end > start && !addStretch(set, sets, start, end)) leftBehind++
  }
  return {
    ranges: sets.filter(({ count }) => count > 0),
    unmatched: patterns.filter((_, at) => !matched.has(at)),
    leftBehind,
  }
}

/** @returns whether there is room for it */
function addStretch(set: RangeSet, sets: readonly RangeSet[], start: number, end: number): boolean {
  if (set.end !== start && sets.reduce((sum, { count }) => sum + count, 0) >= MAX_STRETCHES) return false
  set.add(start, end)
  return true
}

async function loadPattern(pattern: string): Promise<NonNullable<Awaited<ReturnType<typeof loadExcluder>>>> {
  const rule = pattern.startsWith('!') ? null : await loadExcluder([pattern])
  if (rule === null)
    throw new SealiftError('settings_invalid', 'a pattern of first names what goes in front, without a !')
  return rule
}

/** As patterns see it: from inside its root, or a root's own name. */
function pathInRoot(manifest: Manifest, entry: number): string {
  const path = manifest.path(entry)
  return manifest.parent(entry) === -1 ? path : path.slice(path.indexOf('/') + 1)
}
