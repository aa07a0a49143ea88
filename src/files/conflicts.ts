/**
 * What becomes of each entry, decided once, at acceptance, from what was found in the way and the receiver's policy
 * (PROTOCOL 4.6). Pure: the plan is plain data that the ledger keeps.
 */

import type { ConflictPolicy } from '../protocol/choices.ts'
import { SealiftError } from '../protocol/errors.ts'
import type { ErrorCode } from '../protocol/errors.ts'
import { KIND_FILE, KIND_FOLDER } from '../protocol/manifest.ts'
import type { Manifest } from '../protocol/manifest.ts'
import { escapeForDisplay } from '../protocol/names.ts'
import { nextFreeName } from './free-names.ts'
import type { NameRules } from './name-rules.ts'
import { collisionKey, findNameProblems, PLAIN_NAMES } from './name-rules.ts'
import type { RootSurvey, Survey } from './target-survey.ts'
import { FOUND_NEWER, FOUND_NOTHING, FOUND_OLDER, FOUND_OTHER, FOUND_UNCHANGED } from './target-survey.ts'

/** It is received and gets a name that was free. */
export const FATE_RECEIVE = 0
/** It is received and replaces a regular file. */
export const FATE_REPLACE = 1
/** Skipped: it is there, the same. */
const FATE_UNCHANGED = 2
/** Skipped: what is there stays. */
const FATE_EXISTS = 3
/** Skipped: what is there is newer, or as new. */
const FATE_NEWER = 4
/** Failed, `entry_in_the_way`. */
const FATE_IN_THE_WAY = 5
/** Failed, `name_unusable`. */
const FATE_NAME = 6

export interface RootPlan {
  /** Entry index of the root. */
  readonly root: number
  /** `new`: published whole under a free name. `merge`: entry by entry into what is there. */
  readonly layout: 'new' | 'merge'
  /** Final name in the output folder. */
  readonly savedAs: string
}

/** Plain data: `JSON.parse(JSON.stringify(plan))` is the plan again. */
export interface ReceivePlan {
  readonly policy: ConflictPolicy
  readonly roots: readonly RootPlan[]
  /** Entries with another fate than {@link FATE_RECEIVE}, as runs `[start, end, fate]`, ascending. */
  readonly runs: readonly (readonly [start: number, end: number, fate: number])[]
  /** Entries that get another name than the manifest says, `[entry, name]`, ascending; roots are not among them. */
  readonly renamed: readonly (readonly [entry: number, name: string])[]
}

export type SkipReason = 'unchanged' | 'exists' | 'newer'
const SKIP_REASONS: Readonly<Record<number, SkipReason>> = {
  [FATE_UNCHANGED]: 'unchanged',
  [FATE_EXISTS]: 'exists',
  [FATE_NEWER]: 'newer',
}

/** How many names an error lists. */
const MAX_NAMES_SHOWN = 3

/**
 * Decides what becomes of each entry.
 * @param rules what the file system can hold, from `probeNameRules`; the default holds everything
 * @throws SealiftError `conflict` where the policy is `fail` and something is in the way
 */
export function planReceive(
  manifest: Manifest,
  survey: Survey,
  policy: ConflictPolicy,
  rules: NameRules = PLAIN_NAMES,
): ReceivePlan {
  if (policy === 'fail') refuseConflicts(manifest, survey)
  const fates = new Uint8Array(manifest.count)
  const renamed: [number, string][] = []
  const rootNames = new Map<number, string>()
  for (const { entry, instead } of findNameProblems(manifest, rules, policy === 'rename')) {
    if (policy !== 'rename') fates.fill(FATE_NAME, entry, manifest.subtreeEnd(entry))
    else if (manifest.parent(entry) < 0) rootNames.set(entry, instead)
    else renamed.push([entry, instead])
  }
  const keyOf = rules.folds ? collisionKey : (name: string): string => name
  const named = survey.roots.map(({ root }) => rootNames.get(root) ?? manifest.name(root))
  const used = new Set(named.map(keyOf))
  const roots = survey.roots.map((found, index): RootPlan => {
    const { root } = found
    const name = named[index] as string
    const isTaken = (candidate: string): boolean => used.has(keyOf(candidate)) || survey.isTaken(candidate)
    const keepsBoth = policy === 'rename' || (policy === 'auto' && found.differing + found.otherKind > 0)
    const taken = name === manifest.name(root) ? found.found !== 'absent' : survey.isTaken(name)
    if (!taken) return { root, layout: 'new', savedAs: name }
    if (keepsBoth) {
      const savedAs = nextFreeName(name, manifest.kind(root) === KIND_FILE, isTaken)
      used.add(keyOf(savedAs))
      return { root, layout: 'new', savedAs }
    }
    mergeFates(manifest, survey.states, policy, found, fates)
    return { root, layout: 'merge', savedAs: name }
  })
  return { policy, roots, runs: runsOf(fates), renamed }
}

function mergeFates(
  manifest: Manifest,
  states: Uint8Array,
  policy: ConflictPolicy,
  { root }: RootSurvey,
  fates: Uint8Array,
): void {
  const end = manifest.subtreeEnd(root)
  for (let entry = root; entry < end; entry++) {
    if (fates[entry] === FATE_RECEIVE) fates[entry] = fateOf(states[entry] as number, policy)
  }
}

function fateOf(state: number, policy: ConflictPolicy): number {
  if (state === FOUND_NOTHING) return FATE_RECEIVE
  if (state === FOUND_UNCHANGED) return FATE_UNCHANGED
  if (policy === 'skip') return FATE_EXISTS
  if (state === FOUND_OLDER && (policy === 'overwrite' || policy === 'update')) return FATE_REPLACE
  if (state === FOUND_NEWER && policy === 'overwrite') return FATE_REPLACE
  if (state === FOUND_NEWER && policy === 'update') return FATE_NEWER
  return FATE_IN_THE_WAY
}

function refuseConflicts(manifest: Manifest, survey: Survey): void {
  const inTheWay = survey.differing + survey.otherKind
  if (inTheWay === 0) return
  const names: string[] = []
  for (let entry = 0; entry < manifest.count && names.length < MAX_NAMES_SHOWN; entry++) {
    const state = survey.states[entry] as number
    if (state >= FOUND_OLDER && state <= FOUND_OTHER) {
      names.push(escapeForDisplay(manifest.path(entry)))
    }
  }
  const more = inTheWay > names.length ? ` and ${inTheWay - names.length} more` : ''
  throw new SealiftError('conflict', `already there and different: ${names.join(', ')}${more}`, {
    hint: 'Choose what to do with --conflict rename, skip, overwrite or update, or another --output-dir.',
  })
}

function runsOf(fates: Uint8Array): [number, number, number][] {
  const runs: [number, number, number][] = []
  let start = 0
  for (let entry = 1; entry <= fates.length; entry++) {
    if (entry < fates.length && fates[entry] === fates[start]) continue
    if (fates[start] !== FATE_RECEIVE) runs.push([start, entry, fates[start] as number])
    start = entry
  }
  return runs
}

/** One `FATE_*` for each entry. */
export function fatesOf(plan: ReceivePlan, count: number): Uint8Array {
  const fates = new Uint8Array(count)
  for (const [start, end, fate] of plan.runs) fates.fill(fate, start, end)
  return fates
}

/** The entries that are not sent, and why. */
export function* skippedEntries(plan: ReceivePlan): Generator<{ entry: number; reason: SkipReason }> {
  for (const [start, end, fate] of plan.runs) {
    const reason = SKIP_REASONS[fate]
    if (reason === undefined) continue
    for (let entry = start; entry < end; entry++) yield { entry, reason }
  }
}

/** The entries that fail before a byte is sent. Messages are one line and safe to show. */
export function* failedEntries(
  manifest: Manifest,
  plan: ReceivePlan,
): Generator<{ entry: number; code: ErrorCode; message: string }> {
  for (const [start, end, fate] of plan.runs) {
    if (fate !== FATE_IN_THE_WAY && fate !== FATE_NAME) continue
    for (let entry = start; entry < end; entry++) {
      const path = escapeForDisplay(manifest.path(entry))
      if (fate === FATE_NAME) {
        yield { entry, code: 'name_unusable', message: `${path}: the file system cannot hold this name` }
      } else {
        const what = manifest.kind(entry) === KIND_FOLDER ? 'folder' : 'entry'
        yield { entry, code: 'entry_in_the_way', message: `${path}: what is there may not be replaced by this ${what}` }
      }
    }
  }
}

/** The entries that will replace a file. */
export function* replacedEntries(plan: ReceivePlan): Generator<number> {
  for (const [start, end, fate] of plan.runs) {
    for (let entry = start; fate === FATE_REPLACE && entry < end; entry++) yield entry
  }
}
