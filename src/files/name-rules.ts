/**
 * Which names one file system can hold beyond the rules of the manifest: asked of the file system itself, or forced
 * by `--portable-names` (PROTOCOL 4.1; S-30, S-31, S-32).
 *
 * Owns what makes a name unusable or two names the same. What happens then is the plan's business.
 */

import { MAX_NAME_BYTES } from '../protocol/limits.ts'
import { KIND_FOLDER } from '../protocol/manifest.ts'
import type { Manifest } from '../protocol/manifest.ts'
import { escapeForDisplay } from '../protocol/names.ts'
import { diskFault, errnoOf } from './disk-faults.ts'
import type { FileSystem } from './file-system.ts'
import { nodeFileSystem } from './file-system.ts'
import { cutToBytes, nextFreeName } from './free-names.ts'

export interface NameRules {
  /** `A` and `a` are one name, or two Unicode forms of one text are. */
  readonly folds: boolean
  /** Names must hold everywhere: no `:`, `\`, control characters, reserved names, trailing dots or spaces. */
  readonly portable: boolean
}

/** A file system that holds every name as it is: what Linux has as a rule. */
export const PLAIN_NAMES: NameRules = { folds: false, portable: false }
export const PORTABLE_NAMES: NameRules = { folds: true, portable: true }

/** Names that file systems of other kinds refuse or change. */
const TRIAL_NAMES = ['a:b', 'a\\b', 'a\u0001b', 'a.', 'a ', 'nul']

let trials = 0

/** What a file system did with names that were tried. */
export interface NameTrial {
  /** `A` and `a` are one name. */
  readonly foldsCase: boolean
  /** `é` as one character and as two are one name. */
  readonly foldsForms: boolean
  /** Names that it refused or changed. */
  readonly notHeld: readonly string[]
}

/** The rules of the file system below a folder, found as {@link tryNames} does. @throws SealiftError as there */
export function probeNameRules(folder: string, fs: FileSystem = nodeFileSystem): NameRules {
  const { foldsCase, foldsForms, notHeld } = tryNames(folder, fs)
  return { folds: foldsCase || foldsForms, portable: notHeld.length > 0 }
}

/**
 * Tries out what the file system below a folder can hold, in a private folder that is removed again.
 * @param folder an existing folder that may be written
 * @throws SealiftError `disk_full`, `target_read_only`, …
 */
export function tryNames(folder: string, fs: FileSystem = nodeFileSystem): NameTrial {
  try {
    const trial = makeTrialFolder(folder, fs)
    try {
      const made = TRIAL_NAMES.filter((name) => holdsName(fs, trial, name))
      const kept = new Set(fs.readdirSync(trial))
      fs.mkdirSync(`${trial}/\u00e9e`, 0o700)
      const foldsCase = isThere(fs, `${trial}/\u00c9E`)
      const foldsForms = isThere(fs, `${trial}/e\u0301e`)
      fs.rmdirSync(`${trial}/\u00e9e`)
      for (const name of made) fs.rmdirSync(`${trial}/${name}`)
      return { foldsCase, foldsForms, notHeld: TRIAL_NAMES.filter((name) => !kept.has(name)) }
    } finally {
      fs.rmSync(trial, { recursive: true, force: true })
    }
  } catch (error) {
    throw diskFault(error, `cannot write to ${escapeForDisplay(folder)}`)
  }
}

/** Named like staging, so that one left by a killed process is removed with stale staging. */
function makeTrialFolder(folder: string, fs: FileSystem): string {
  for (;;) {
    const path = `${folder}/.sealift-names-${process.pid}-${++trials}.part`
    try {
      fs.mkdirSync(path, 0o700)
      return path
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error
    }
  }
}

function holdsName(fs: FileSystem, folder: string, name: string): boolean {
  try {
    fs.mkdirSync(`${folder}/${name}`, 0o700)
    return true
  } catch (error) {
    if (['EINVAL', 'ENOENT', 'EEXIST', 'EILSEQ', 'ENOTDIR', 'EACCES'].includes(errnoOf(error))) return false
    throw error
  }
}

function isThere(fs: FileSystem, path: string): boolean {
  return fs.lstatSync(path, { throwIfNoEntry: false }) !== undefined
}

const RESERVED =
  /^(?:con|prn|aux|nul|clock\$|conin\$|conout\$|com[1-9\u00b9\u00b2\u00b3]|lpt[1-9\u00b9\u00b2\u00b3]) *(?:\.|:|$)/i
// eslint-disable-next-line no-control-regex -- these are what some file systems cannot hold
const FORBIDDEN = /[\u0000-\u001f\u007f-\u009f"*/:<>?\\|]/
const FORBIDDEN_ALL = new RegExp(FORBIDDEN.source, 'g')

/** Why one component of a path cannot be held everywhere; `null` where it can. */
export function portableFault(name: string): string | null {
  if (FORBIDDEN.test(name)) return 'has a character that not every file system can hold'
  if (/[. ]$/.test(name)) return 'ends in a dot or a space'
  if (RESERVED.test(name)) return 'is reserved on Windows'
  return null
}

/** Two names with one key are one name where case or Unicode form is folded; JavaScript has no case fold. */
export function collisionKey(name: string): string {
  return name.normalize('NFKC').toLowerCase().toUpperCase().normalize('NFKC')
}

/** A name near the given one that holds everywhere. */
export function portableName(name: string): string {
  let safe = name.replace(FORBIDDEN_ALL, '_').replace(/[. ]+$/, (tail) => '_'.repeat(tail.length))
  if (RESERVED.test(safe)) safe = `_${safe}`
  return cutToBytes(safe, MAX_NAME_BYTES)
}

/** An entry that the file system cannot hold under its name. */
export interface NameProblem {
  readonly entry: number
  /** A name that it can have instead, unlike all beside it. */
  readonly instead: string
}

/**
 * Finds the entries whose names cannot be held, each once; nothing and no time where the rules are plain. Of two
 * that are one name the first keeps it.
 * @param rename whether the names given instead are taken, so that no later entry may have them
 */
export function* findNameProblems(manifest: Manifest, rules: NameRules, rename: boolean): Generator<NameProblem> {
  if (!rules.folds && !rules.portable) return
  const keyOf = rules.folds ? collisionKey : (name: string): string => name
  // The open folders from a root down to the entry before, with the keys that are used in each.
  const open: { readonly folder: number; readonly used: Set<string> }[] = [{ folder: -1, used: new Set() }]
  for (let entry = 0; entry < manifest.count; entry++) {
    const parent = manifest.parent(entry)
    while (open.at(-1)?.folder !== parent) open.pop()
    const { used } = open.at(-1) as { used: Set<string> }
    const isFolder = manifest.kind(entry) === KIND_FOLDER
    if (isFolder) open.push({ folder: entry, used: new Set() })
    const name = manifest.name(entry)
    const isTaken = (candidate: string): boolean => used.has(keyOf(candidate))
    if (!isTaken(name) && !(rules.portable && portableFault(name) !== null)) {
      used.add(keyOf(name))
      continue
    }
    const wanted = portableName(name)
    const instead = isTaken(wanted) ? nextFreeName(wanted, !isFolder, isTaken) : wanted
    if (rename) used.add(keyOf(instead))
    yield { entry, instead }
  }
}
