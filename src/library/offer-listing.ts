/**
 * What a person should know of an offer before taking it: what stands at the top, what is hidden or can be run, what is in
 * the way and what becomes of it.
 *
 * One pass over the manifest, and few of its paths become text: an offer of 10^6 files is listed as quickly as it is read.
 * Says nothing by itself; the words are those of whoever shows it.
 */

import { lstatSync, type Stats } from 'node:fs'
import { join } from 'node:path'
import { failedEntries, type ReceivePlan, replacedEntries, skippedEntries } from '../files/conflicts.ts'
import { FOUND_NEWER, FOUND_OLDER, FOUND_OTHER, type Survey } from '../files/target-survey.ts'
import type { ConflictPolicy } from '../protocol/choices.ts'
import { KIND_FILE, KIND_FOLDER, type Manifest } from '../protocol/manifest.ts'

/** A path that is shown for itself or for all that is in it. */
export interface ListedPath {
  /** As in the manifest; that of a folder ends with `/`. */
  readonly path: string
  /** Files and links: 1, or as many as the folder holds. */
  readonly files: number
}

/** Some of many paths: those nearest to the top. */
export interface PathSample {
  readonly first: readonly ListedPath[]
  /** How many paths there are, with those that are not in `first`. */
  readonly paths: number
  /** How many files and links they stand for. */
  readonly files: number
}

/** What becomes of an entry: saved; saved over what is there; not sent, because it is there or what is there stays; or it cannot be saved. */
export type EntryFate = 'save' | 'replace' | 'unchanged' | 'keep' | 'fail'

export type EntryKindName = 'file' | 'folder' | 'link'

/** One entry of an offer. */
export interface OfferedEntry {
  /** As in the manifest. */
  readonly path: string
  readonly kind: EntryKindName
  /** `null` while unknown; 0 for what is no file. */
  readonly sizeBytes: number | null
  /** Milliseconds since 1970. */
  readonly modifiedMs: number
  /** Its name, or that of a folder it is in, begins with a dot. */
  readonly isHidden: boolean
  readonly isExecutable: boolean
  /** Under the policy of the offer. */
  readonly fate: EntryFate
}

/** Something of the receiver's that differs from what is offered under its name. */
export interface Conflict {
  readonly path: string
  /** What is offered. */
  readonly theirs: EntryLook
  /** What is there; `null` where it is gone again. */
  readonly mine: EntryLook | null
}

export interface EntryLook {
  readonly kind: EntryKindName | 'other'
  readonly sizeBytes: number | null
  /** Milliseconds since 1970. */
  readonly modifiedMs: number
}

/** What an offer holds and meets. All lists but that of `entries` are short. */
export interface OfferListing {
  /** The policy that `savedAs`, the fates and the counts of them go by. */
  readonly policy: ConflictPolicy
  /** The roots, or what is in the one folder that is offered; without what is hidden. */
  readonly top: PathSample
  /** What is hidden, or is in a hidden folder: one path for each topmost hidden name. */
  readonly hidden: PathSample
  readonly executable: PathSample
  /** Files of the receiver that would be replaced. */
  readonly replaced: PathSample
  /** The first roots that are saved under another name than theirs, and how many there are. */
  readonly renamed: readonly { readonly path: string; readonly savedAs: string }[]
  readonly renamedRoots: number
  /** Files that are there already and need not be sent. */
  readonly unchanged: number
  /** Files that are not sent because what is there stays. */
  readonly kept: number
  /** Files and links that cannot be saved. */
  readonly failing: number
  /** What is there already with other content: how many, and of these files that are older, and files that are not. The others are no files, and are never replaced. */
  readonly differing: number
  readonly older: number
  readonly newer: number
  /** The first of those that differ. */
  readonly conflicts: readonly Conflict[]
  /** All entries, in the order of the manifest. */
  entries(): IterableIterator<OfferedEntry>
  /** All that differs. Looks at each on the disk, as it is asked for. */
  allConflicts(): IterableIterator<Conflict>
}

/** How many paths of one kind are named. */
const SAMPLE_PATHS = 12
const ANY_EXECUTE = 0o111
const DOT = 0x2e

const IS_HIDDEN = 1
const FATES: readonly EntryFate[] = ['save', 'replace', 'unchanged', 'keep', 'fail']
const FATE_SHIFT = 1

/** @internal @param plan made from `survey` for `manifest` */
export function listOffer(manifest: Manifest, survey: Survey, plan: ReceivePlan): OfferListing {
  const marks = new Uint8Array(manifest.count)
  const count = countFates(manifest, plan, marks)
  const scan = scanEntries(manifest, marks)
  const states = { [FOUND_OLDER]: 0, [FOUND_NEWER]: 0 }
  for (const state of survey.states) if (state === FOUND_OLDER || state === FOUND_NEWER) states[state]++
  return {
    policy: plan.policy,
    top: scan.top.sample(),
    hidden: scan.hidden.sample(),
    executable: scan.executable.sample(),
    replaced: scan.replaced.sample(),
    ...renamedRoots(manifest, plan),
    unchanged: count.unchanged,
    kept: count.keep,
    failing: count.fail,
    differing: survey.differing + survey.otherKind,
    older: states[FOUND_OLDER],
    newer: states[FOUND_NEWER],
    conflicts: [...firstOf(conflictsOf(manifest, survey), SAMPLE_PATHS)],
    *entries() {
      for (let entry = 0; entry < manifest.count; entry++) yield entryOf(manifest, entry, marks[entry] as number)
    },
    allConflicts: () => conflictsOf(manifest, survey),
  }
}

/** Marks what becomes of each entry. @returns how many files have which fate, and with `fail` also links */
function countFates(manifest: Manifest, plan: ReceivePlan, marks: Uint8Array): Record<EntryFate, number> {
  const count = { save: 0, replace: 0, unchanged: 0, keep: 0, fail: 0 }
  const mark = (entry: number, fate: EntryFate): void => {
    marks[entry] = FATES.indexOf(fate) << FATE_SHIFT
    const kind = manifest.kind(entry)
    if (kind === KIND_FILE || (kind !== KIND_FOLDER && fate === 'fail')) count[fate]++
  }
  for (const entry of replacedEntries(plan)) mark(entry, 'replace')
  for (const { entry, reason } of skippedEntries(plan)) mark(entry, reason === 'unchanged' ? 'unchanged' : 'keep')
  for (const { entry } of failedEntries(manifest, plan)) mark(entry, 'fail')
  return count
}

function renamedRoots(manifest: Manifest, plan: ReceivePlan): Pick<OfferListing, 'renamed' | 'renamedRoots'> {
  const renamed: { path: string; savedAs: string }[] = []
  let count = 0
  for (const { root, savedAs } of plan.roots) {
    const path = manifest.name(root)
    if (path === savedAs) continue
    count++
    if (renamed.length < SAMPLE_PATHS) renamed.push({ path, savedAs })
  }
  return { renamed, renamedRoots: count }
}

interface Scan {
  readonly top: Nearest
  readonly hidden: Nearest
  readonly executable: Nearest
  readonly replaced: Nearest
}

/** A path that goes on while what is in it follows. */
interface OpenGroup {
  readonly entry: number
  readonly depth: number
  /** The first file or link in it, or itself. */
  firstFile: number
  files: number
}

function scanEntries(manifest: Manifest, marks: Uint8Array): Scan {
  const scan = {
    top: new Nearest(manifest),
    hidden: new Nearest(manifest),
    executable: new Nearest(manifest),
    replaced: new Nearest(manifest),
  }
  const depths = new Uint16Array(manifest.count)
  // Where one folder is all there is, what is in it tells more than its name.
  const isOneFolder =
    manifest.count > 0 && manifest.kind(0) === KIND_FOLDER && manifest.subtreeEnd(0) === manifest.count
  const topDepth = isOneFolder ? 1 : 0
  let hidden: OpenGroup | null = null
  let top: OpenGroup | null = null
  for (let entry = 0; entry < manifest.count; entry++) {
    const parent = manifest.parent(entry)
    const depth = parent < 0 ? 0 : (depths[parent] as number) + 1
    depths[entry] = depth
    if (hidden !== null && depth <= hidden.depth) hidden = scan.hidden.close(hidden)
    if (top !== null && depth <= top.depth) top = scan.top.close(top)
    const begins: OpenGroup = { entry, depth, firstFile: -1, files: 0 }
    if (hidden === null && manifest.nameBytes(entry)[0] === DOT) hidden = begins
    else if (hidden === null && depth === topDepth) top = begins
    if (hidden !== null) marks[entry] = (marks[entry] as number) | IS_HIDDEN
    if (manifest.kind(entry) === KIND_FOLDER) continue
    for (const group of [hidden, top]) {
      if (group === null) continue
      if (group.files++ === 0) group.firstFile = entry
    }
    const single = { entry, depth, firstFile: entry, files: 1 }
    if (isExecutable(manifest, entry)) scan.executable.close(single)
    if (fateOf(marks[entry] as number) === 'replace') scan.replaced.close(single)
  }
  if (hidden !== null) scan.hidden.close(hidden)
  if (top !== null) scan.top.close(top)
  return scan
}

/** Keeps the paths that are nearest to the top, in the manifest's order where they are as near. */
class Nearest {
  readonly #manifest: Manifest
  readonly #kept: OpenGroup[] = []
  #paths = 0
  #files = 0

  constructor(manifest: Manifest) {
    this.#manifest = manifest
  }

  /** Takes a path with all that is in it, where that is anything. */
  close(group: OpenGroup): null {
    if (group.files === 0) return null
    this.#paths++
    this.#files += group.files
    const kept = this.#kept
    if (kept.length === SAMPLE_PATHS && group.depth >= (kept.at(-1) as OpenGroup).depth) return null
    let at = kept.length
    while (at > 0 && (kept[at - 1] as OpenGroup).depth > group.depth) at--
    kept.splice(at, 0, group)
    if (kept.length > SAMPLE_PATHS) kept.pop()
    return null
  }

  sample(): PathSample {
    const manifest = this.#manifest
    const first = this.#kept.map(({ entry, firstFile, files }) => ({
      path: files === 1 ? manifest.path(firstFile) : `${manifest.path(entry)}/`,
      files,
    }))
    return { first, paths: this.#paths, files: this.#files }
  }
}

function fateOf(mark: number): EntryFate {
  return FATES[mark >> FATE_SHIFT] as EntryFate
}

function isExecutable(manifest: Manifest, entry: number): boolean {
  return manifest.kind(entry) === KIND_FILE && (manifest.mode(entry) & ANY_EXECUTE) !== 0
}

function entryOf(manifest: Manifest, entry: number, mark: number): OfferedEntry {
  return {
    path: manifest.path(entry),
    ...lookOf(manifest, entry),
    isHidden: (mark & IS_HIDDEN) !== 0,
    isExecutable: isExecutable(manifest, entry),
    fate: fateOf(mark),
  }
}

function lookOf(manifest: Manifest, entry: number): EntryLook & { readonly kind: EntryKindName } {
  const kind = manifest.kind(entry)
  return {
    kind: kind === KIND_FILE ? 'file' : kind === KIND_FOLDER ? 'folder' : 'link',
    sizeBytes: manifest.sizeBytes(entry),
    modifiedMs: Number(manifest.mtimeNs(entry)) / 1e6,
  }
}

function* conflictsOf(manifest: Manifest, { states, outputDir }: Survey): Generator<Conflict> {
  for (let entry = 0; entry < manifest.count; entry++) {
    const state = states[entry]
    if (state !== FOUND_OLDER && state !== FOUND_NEWER && state !== FOUND_OTHER) continue
    const path = manifest.path(entry)
    yield { path, theirs: lookOf(manifest, entry), mine: lookAt(join(outputDir, path)) }
  }
}

function lookAt(path: string): EntryLook | null {
  let stats: Stats | undefined
  try {
    stats = lstatSync(path, { throwIfNoEntry: false })
  } catch {
    // What cannot be looked at is in the way all the same.
  }
  if (stats === undefined) return null
  const kind = stats.isFile() ? 'file' : stats.isDirectory() ? 'folder' : stats.isSymbolicLink() ? 'link' : 'other'
  return { kind, sizeBytes: stats.size, modifiedMs: stats.mtimeMs }
}

function* firstOf<T>(items: Iterable<T>, count: number): Generator<T> {
  let left = count
  for (const item of items) {
    if (left-- === 0) return
    yield item
  }
}
