/**
 * What of a tree is left out: what the user's patterns name (gitignore syntax), and by default Python environments
 * and caches, which are made anew where they are needed (PROTOCOL 4.7).
 *
 * Judges names only. The walk asks it, reports what it left out, and never descends there.
 */

/** Why something is left out. `links`: links were not wanted. */
export type ExclusionReason = 'venv' | 'cache' | 'pattern' | 'links'

/** The user's patterns, ready to be asked. */
export interface Excluder {
  /**
   * The pattern that leaves the path out; `null` where none does. Folders above it must have been asked before
   * and be in, as git has it: nothing inside a folder that is out can come in again.
   * @param path `/`-separated, from inside its root (`a/b.txt` for `tree/a/b.txt`), or a root's own name
   */
  ruleFor(path: string, isFolder: boolean): string | null
}

/** The library keeps each answer for ever; after so many it starts with none. */
const MAX_KEPT_ANSWERS = 20_000

/**
 * @param exclude single patterns; they come after, so they win over, those of `excludeFrom`
 * @param excludeFrom texts of pattern files, a pattern a line
 * @returns `null` where there is no pattern at all
 */
export async function loadExcluder(
  exclude: readonly string[],
  excludeFrom: readonly string[] = [],
): Promise<Excluder | null> {
  if (exclude.length === 0 && excludeFrom.length === 0) return null
  const { default: ignore } = await import('ignore')
  // Names are bytes to Sealift, so their case counts whatever machine this is.
  const options = { ignorecase: false }
  let rules = ignore(options)
  for (const text of excludeFrom) rules.add(text)
  rules.add(exclude)
  let answers = 0
  return {
    ruleFor(path, isFolder): string | null {
      if (++answers > MAX_KEPT_ANSWERS) {
        rules = ignore(options).add(rules)
        answers = 0
      }
      return rules.test(isFolder ? `${path}/` : path).rule?.pattern ?? null
    },
  }
}

/** Folders with these names are caches whatever is in them. */
const CACHE_FOLDERS: ReadonlySet<string> = new Set([
  '__pycache__',
  '.ipynb_checkpoints',
  '.mypy_cache',
  '.nox',
  '.pyre',
  '.pytest_cache',
  '.pytype',
  '.ruff_cache',
  '.tox',
])

/** The file that makes a folder a Python virtual environment (PEP 405). */
const ENVIRONMENT_MARK = 'pyvenv.cfg'

/** Whether a folder is one that is left out unless it is asked for. @param inside names of what is in it */
export function defaultExclusion(name: string, inside: readonly string[]): 'venv' | 'cache' | null {
  if (CACHE_FOLDERS.has(name)) return 'cache'
  return inside.includes(ENVIRONMENT_MARK) ? 'venv' : null
}
