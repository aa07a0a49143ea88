/** Death and disk faults at every step of a receive: nothing partial under a final name, and the next try ends well. */

import fs from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { FileSystem } from '../../src/files/file-system.ts'
import { probeNameRules } from '../../src/files/name-rules.ts'
import type { Intent } from '../../src/files/publish.ts'
import { surveyTarget } from '../../src/files/target-survey.ts'
import { SealiftError } from '../../src/protocol/errors.ts'
import type { ReceiveOptions, Tree } from '../unit/files/tree-place.ts'
import {
  loosen,
  lookAt,
  makePlace,
  manifestOf,
  MTIME_NS,
  plant,
  planFor,
  receive,
  unsynced,
} from '../unit/files/tree-place.ts'

const EARLIER = MTIME_NS - 60_000_000_000n
const TREE: Tree = {
  'root.txt': 'a file of its own',
  tree: {
    folder: {
      'a.txt': { text: 'alpha', mode: 0o444 },
      empty: { folder: {}, mode: 0o555 },
      link: { link: 'sub/deep.txt' },
      sub: { folder: { 'deep.txt': 'deep', none: '' } },
    },
    mode: 0o550,
  },
}
const SEEN: Record<string, string> = {
  'root.txt': 'a file of its own',
  tree: '/',
  'tree/a.txt': 'alpha',
  'tree/empty': '/',
  'tree/link': '-> sub/deep.txt',
  'tree/sub': '/',
  'tree/sub/deep.txt': 'deep',
  'tree/sub/none': '',
}

interface Scenario {
  readonly there: Tree
  readonly options: ReceiveOptions
  /** What stands at the end, besides {@link SEEN}. */
  readonly besides: Record<string, string>
}

const SCENARIOS: Record<string, Scenario> = {
  'new roots': { there: {}, options: {}, besides: {} },
  'new roots beside others': {
    there: { tree: { folder: { 'a.txt': 'mine, longer' } } },
    options: { policy: 'rename' },
    besides: {},
  },
  merged: {
    there: { tree: { folder: { sub: { folder: { mine: 'mine' } } } } },
    options: {},
    besides: { 'tree/sub/mine': 'mine' },
  },
  overwritten: {
    there: {
      'root.txt': { text: 'old', mtimeNs: EARLIER },
      tree: { folder: { 'a.txt': { text: 'old', mtimeNs: EARLIER } } },
    },
    options: { policy: 'overwrite' },
    besides: {},
  },
}

/** Where each path ends: beside others, the tree has another name. */
function expectedOf(name: string): Record<string, string> {
  if (name !== 'new roots beside others') return { ...SEEN, ...(SCENARIOS[name] as Scenario).besides }
  const renamed = Object.entries(SEEN).map(([path, text]) => [path.replace(/^tree/, 'tree (1)'), text])
  return { tree: '/', 'tree/a.txt': 'mine, longer', ...Object.fromEntries(renamed) } as Record<string, string>
}

function rootOf(name: string): string {
  return name === 'new roots beside others' ? 'tree (1)' : 'tree'
}

/** No file under a final name is other than it was before or is to be, placeholders without hard links aside. */
function expectNothingPartial(
  place: string,
  old: Record<string, string>,
  expected: Record<string, string>,
  mayBeEmpty = false,
): void {
  for (const [path, text] of Object.entries(lookAt(place))) {
    if (path.startsWith('.sealift-')) continue
    if (mayBeEmpty && text === '') continue
    expect([old[path], expected[path]], path).toContain(text)
  }
  for (const name of ['tree', 'tree (1)']) {
    // A new root is there whole, or as an empty folder that is ours.
    const root = join(place, name)
    if (old[name] !== undefined || expected[name] === undefined || !fs.existsSync(root)) continue
    const inside = Object.keys(expected).filter((path) => path.startsWith(`${name}/`))
    expect([0, inside.length]).toContain(Object.keys(lookAt(root)).length)
  }
}

const withoutHardLinks: FileSystem = {
  ...unsynced,
  linkSync: () => {
    throw Object.assign(new Error('EPERM'), { code: 'EPERM', syscall: 'link' })
  },
}

function lookAtPlanted(there: Tree): Record<string, string> {
  const place = makePlace()
  plant(place, there)
  return lookAt(place)
}

class Killed extends Error {}

describe.each(Object.keys(SCENARIOS))('killed at each stage, %s', (name) => {
  test.each(['with hard links', 'without hard links'])('%s', async (how) => {
    const { there, options } = SCENARIOS[name] as Scenario
    const port = how === 'with hard links' ? unsynced : withoutHardLinks
    const expected = expectedOf(name)
    const old = lookAtPlanted(there)
    let strikes = 0
    for (let killAt = 1; ; killAt++) {
      const place = makePlace()
      plant(place, there)
      const plan = planFor(manifestOf(TREE), place, options)
      const committed: Intent[] = []
      let left = killAt
      const probe = (): void => {
        if (--left === 0) throw new Killed()
      }
      try {
        await receive(place, TREE, { ...options, plan, fs: port, probe, committed, partBytes: 3 })
        break
      } catch (error) {
        if (!isKilled(error)) throw error
        strikes++
      }
      expectNothingPartial(place, old, expected, port === withoutHardLinks)
      await receive(place, TREE, { ...options, plan, fs: port, committed, partBytes: 3 })
      expect(lookAt(place), `killed at stage call ${killAt}`).toEqual(expected)
      const modes = ['empty', 'a.txt'].map((path) => fs.statSync(join(place, rootOf(name), path)).mode & 0o777)
      expect(modes, `killed at stage call ${killAt}`).toEqual([0o555, 0o444])
      const rootMode = fs.statSync(join(place, rootOf(name))).mode & 0o777
      expect(rootMode, `killed at stage call ${killAt}`).toBe(
        there['tree'] === undefined || rootOf(name) !== 'tree' ? 0o550 : 0o755,
      )
    }
    expect(strikes).toBeGreaterThan(5)
  })
})

function isKilled(error: unknown): boolean {
  return error instanceof Killed || (error instanceof Error && error.cause instanceof Killed)
}

const ERRNOS = ['ENOSPC', 'EIO', 'EACCES', 'EROFS', 'EMFILE']
const CODES = ['disk_full', 'disk_fault', 'target_read_only', 'limit_exceeded', 'target_gone', 'target_not_folder']

/** Real calls, of which the n-th fails; syncing takes no time. Closing always works. */
function failing(failAt: number, errno: string): { readonly port: FileSystem; readonly hasFailed: () => boolean } {
  let calls = 0
  const port = new Proxy(unsynced, {
    get(target, key: keyof FileSystem) {
      const call = target[key] as (...parameters: unknown[]) => unknown
      if (key === 'closeSync' || key === 'existsSync') return call
      return (...parameters: unknown[]): unknown => {
        if (++calls !== failAt) return call(...parameters)
        const error = Object.assign(new Error(errno), { code: errno, syscall: key.replace('Sync', '') })
        const done = parameters.at(-1)
        if (typeof done !== 'function') throw error
        return setImmediate(() => (done as (error: Error) => void)(error))
      }
    },
  })
  return { port, hasFailed: () => calls >= failAt }
}

describe.each(Object.keys(SCENARIOS))('every call fails once, %s', (name) => {
  // All faults where most calls are made; elsewhere one that ends the transfer, and one that concerns an entry.
  test.each(name === 'new roots' || name === 'merged' ? ERRNOS : ['EIO', 'EACCES'])('%s', async (errno) => {
    const { there, options } = SCENARIOS[name] as Scenario
    const expected = expectedOf(name)
    const old = lookAtPlanted(there)
    const descriptors = fs.readdirSync('/proc/self/fd').length
    for (let failAt = 1; ; failAt++) {
      const place = makePlace()
      plant(place, there)
      const plan = planFor(manifestOf(TREE), place, options)
      const committed: Intent[] = []
      const { port, hasFailed } = failing(failAt, errno)
      let entryFailed = false
      try {
        const { outcomes } = await receive(place, TREE, { ...options, plan, fs: port, committed, partBytes: 3 })
        entryFailed = [...outcomes.values()].some(({ outcome }) => outcome === 'failed')
      } catch (error) {
        expect(error, `${errno} at call ${failAt}`).toBeInstanceOf(SealiftError)
        expect(CODES, `${errno} at call ${failAt}: ${String(error)}`).toContain((error as SealiftError).code)
      }
      if (!hasFailed()) break
      expectNothingPartial(place, old, expected)
      if (!entryFailed) {
        await receive(place, TREE, { ...options, plan, fs: unsynced, committed, partBytes: 3 })
        expect(lookAt(place), `${errno} at call ${failAt}`).toEqual(expected)
      }
      loosen(place)
      fs.rmSync(place, { recursive: true })
      expect(failAt).toBeLessThan(2000)
    }
    expect(fs.readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(descriptors + 2)
  })
})

test.each(ERRNOS)('looking and trying out names: every call fails once with %s', (errno) => {
  const place = makePlace()
  plant(place, TREE)
  for (const act of [
    (port: FileSystem) => surveyTarget(manifestOf(TREE), place, port),
    (port: FileSystem) => probeNameRules(place, port),
  ]) {
    for (let failAt = 1; failAt < 500; failAt++) {
      const { port, hasFailed } = failing(failAt, errno)
      try {
        act(port)
      } catch (error) {
        expect(error).toBeInstanceOf(SealiftError)
        expect(CODES).toContain((error as SealiftError).code)
      }
      if (!hasFailed()) break
    }
  }
})
