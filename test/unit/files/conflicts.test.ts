import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { failedEntries, planReceive, replacedEntries, skippedEntries } from '../../../src/files/conflicts.ts'
import { PORTABLE_NAMES } from '../../../src/files/name-rules.ts'
import { surveyTarget } from '../../../src/files/target-survey.ts'
import type { ConflictPolicy } from '../../../src/protocol/choices.ts'
import type { Manifest } from '../../../src/protocol/manifest.ts'
import type { Tree } from './tree-place.ts'
import { makePlace, manifestOf, MTIME_NS, plant, planFor } from './tree-place.ts'

const INCOMING: Tree = {
  tree: { folder: { 'a.txt': 'new', b: { folder: { 'c.txt': 'same' } }, d: { link: 'a.txt' } } },
}
const EARLIER = MTIME_NS - 60_000_000_000n
const LATER = MTIME_NS + 60_000_000_000n

/** What is there already, by a name for the situation. */
const SITUATIONS: Record<string, Tree> = {
  nothing: {},
  'another root': { other: 'x' },
  'the same': INCOMING,
  'a part': { tree: { folder: { b: { folder: {} }, 'more.txt': 'mine' } } },
  'an older file': { tree: { folder: { 'a.txt': { text: 'old', mtimeNs: EARLIER }, b: { folder: {} } } } },
  'a newer file': { tree: { folder: { 'a.txt': { text: 'newer', mtimeNs: LATER } } } },
  'another time': { tree: { folder: { 'a.txt': { text: 'new', mtimeNs: MTIME_NS + 2000n } } } },
  'a folder for a file': { tree: { folder: { 'a.txt': { folder: {} } } } },
  'a file for a folder': { tree: { folder: { b: 'x' } } },
  'a link for a file': { tree: { folder: { 'a.txt': { link: 'b' } } } },
  'another link': { tree: { folder: { d: { link: 'b' } } } },
  'a file for the root': { tree: 'x' },
  'a dangling link for the root': { tree: { link: 'nowhere' } },
}

const ALL_SENT = 'new tree'
const BOTH_KEPT = 'new tree (1)'
const REFUSED = 'conflict'

/** Layout and name of the root, then what is not simply received. */
const EXPECTED: Record<string, Record<ConflictPolicy, string>> = {
  nothing: same(ALL_SENT),
  'another root': same(ALL_SENT),
  'the same': {
    ...same('merge tree | = tree a.txt b b/c.txt d'),
    rename: BOTH_KEPT,
  },
  'a part': { ...same('merge tree | = tree b'), rename: BOTH_KEPT },
  'an older file': {
    auto: BOTH_KEPT,
    rename: BOTH_KEPT,
    skip: 'merge tree | = tree b | exists a.txt',
    overwrite: 'merge tree | = tree b | replaced a.txt',
    update: 'merge tree | = tree b | replaced a.txt',
    fail: REFUSED,
  },
  'a newer file': {
    auto: BOTH_KEPT,
    rename: BOTH_KEPT,
    skip: 'merge tree | = tree | exists a.txt',
    overwrite: 'merge tree | = tree | replaced a.txt',
    update: 'merge tree | = tree | newer a.txt',
    fail: REFUSED,
  },
  'another time': {
    auto: BOTH_KEPT,
    rename: BOTH_KEPT,
    skip: 'merge tree | = tree | exists a.txt',
    overwrite: 'merge tree | = tree | replaced a.txt',
    update: 'merge tree | = tree | newer a.txt',
    fail: REFUSED,
  },
  'a folder for a file': inTheWay('= tree', 'a.txt'),
  'a file for a folder': inTheWay('= tree', 'b b/c.txt'),
  'a link for a file': inTheWay('= tree', 'a.txt'),
  'another link': inTheWay('= tree', 'd'),
  'a file for the root': inTheWay('', 'tree a.txt b b/c.txt d'),
  'a dangling link for the root': inTheWay('', 'tree a.txt b b/c.txt d'),
}

function same(text: string): Record<ConflictPolicy, string> {
  return { auto: text, rename: text, skip: text, overwrite: text, update: text, fail: text }
}

function inTheWay(unchanged: string, names: string): Record<ConflictPolicy, string> {
  const merge = ['merge tree', ...(unchanged === '' ? [] : [unchanged])].join(' | ')
  const failed = `${merge} | failed ${names}`
  return {
    auto: BOTH_KEPT,
    rename: BOTH_KEPT,
    skip: `${merge} | exists ${names}`,
    overwrite: failed,
    update: failed,
    fail: REFUSED,
  }
}

function describePlan(manifest: Manifest, outputDir: string, policy: ConflictPolicy): string {
  const plan = planFor(manifest, outputDir, { policy })
  const groups = new Map<string, string[]>()
  const put = (group: string, entry: number): void => {
    const path = manifest.path(entry).replace(/^tree\//, '')
    groups.set(group, [...(groups.get(group) ?? []), path])
  }
  for (const { entry, reason } of skippedEntries(plan)) put(reason === 'unchanged' ? '=' : reason, entry)
  for (const entry of replacedEntries(plan)) put('replaced', entry)
  for (const { entry, code } of failedEntries(manifest, plan)) put(code === 'entry_in_the_way' ? 'failed' : code, entry)
  const roots = plan.roots.map(({ layout, savedAs }) => `${layout} ${savedAs}`)
  return [...roots, ...[...groups].map(([group, paths]) => `${group} ${paths.join(' ')}`)].join(' | ')
}

describe.each(Object.keys(SITUATIONS))('in the way: %s', (situation) => {
  test.each(['auto', 'rename', 'skip', 'overwrite', 'update', 'fail'] as const)('%s', (policy) => {
    const place = makePlace()
    plant(place, SITUATIONS[situation] as Tree)
    const manifest = manifestOf(INCOMING)
    const expected = EXPECTED[situation]?.[policy]
    if (expected === REFUSED) {
      expect(() => describePlan(manifest, place, policy)).toThrow(expect.objectContaining({ code: 'conflict' }))
    } else {
      expect(describePlan(manifest, place, policy)).toBe(expected)
    }
  })
})

test('links among the unchanged count only with the same target, and nothing is followed', () => {
  const place = makePlace()
  plant(place, { real: { folder: { 'a.txt': 'new' } }, tree: { link: 'real' } })
  const survey = surveyTarget(manifestOf(INCOMING), place)
  expect(survey.roots[0]?.found).toBe('link')
  expect([...survey.states]).toEqual([4, 5, 5, 5, 5])
})

test('what is not the own of a sender is in the way, whatever it is, and nothing is told of it', () => {
  const place = makePlace()
  plant(place, INCOMING)
  const manifest = manifestOf(INCOMING)
  const survey = surveyTarget(manifest, place, undefined, { isOwn: () => false })
  expect(survey).toMatchObject({ unchanged: 0, differing: 0, otherKind: 1, unchangedBytes: 0 })
  expect([...survey.states]).toEqual([4, 5, 5, 5, 5])
  expect(planReceive(manifest, survey, 'auto').roots[0]).toMatchObject({ layout: 'new', savedAs: 'tree (1)' })
  for (const policy of ['overwrite', 'update'] as const) {
    const plan = planReceive(manifest, survey, policy)
    expect([...failedEntries(manifest, plan)].map(({ code }) => code)).toEqual(Array(5).fill('entry_in_the_way'))
  }
})

test('an output folder that is not there has nothing in the way', () => {
  const survey = surveyTarget(manifestOf(INCOMING), join(makePlace(), 'not', 'yet'))
  expect(survey).toMatchObject({ unchanged: 0, differing: 0, otherKind: 0 })
})

test('a time within a microsecond is the same time, one beyond is not', () => {
  const place = makePlace()
  // Whole microseconds, so that what is planted is exact.
  const base = 1_700_000_000_000_000_000n
  plant(place, { file: { text: 'x', mtimeNs: base } })
  const stateAt = (mtimeNs: bigint): number =>
    surveyTarget(manifestOf({ file: { text: 'x', mtimeNs } }), place).states[0] as number
  for (const apart of [0n, 500n, 1000n, -500n, -1000n]) expect(stateAt(base + apart), `${apart} ns`).toBe(1)
  for (const apart of [1001n, 2000n, 1_000_000n]) expect(stateAt(base + apart), `${apart} ns`).toBe(2)
  for (const apart of [-1001n, -2000n]) expect(stateAt(base + apart), `${apart} ns`).toBe(3)
})

test('roots do not take the names of each other', () => {
  const place = makePlace()
  plant(place, { 'a.txt': 'older', 'a (2).txt': 'x' })
  const manifest = manifestOf({ 'a (1).txt': 'one', 'a.txt': 'two' })
  const names = planFor(manifest, place).roots.map(({ savedAs }) => savedAs)
  expect(names).toEqual(['a (1).txt', 'a (3).txt'])
})

test('what fails names the first things in the way, escaped', () => {
  const place = makePlace()
  const names = ['a\u001b[31m', 'b', 'c', 'd', 'e']
  plant(place, Object.fromEntries(names.map((name) => [name, 'old'])))
  const manifest = manifestOf(Object.fromEntries(names.map((name) => [name, 'incoming'])))
  expect(() => planFor(manifest, place, { policy: 'fail' })).toThrow('different: a\\x1b[31m, b, c and 2 more')
})

test('names that cannot be held fail with all that is inside, or are renamed', () => {
  const place = makePlace()
  const manifest = manifestOf({
    tree: { folder: { 'a:b': { folder: { x: '1' } }, a_b: '2', README: '3', readme: '4', nul: '5' } },
  })
  const survey = surveyTarget(manifest, place)
  const failing = planReceive(manifest, survey, 'auto', PORTABLE_NAMES)
  expect([...failedEntries(manifest, failing)].map(({ entry, code }) => [manifest.path(entry), code])).toEqual([
    ['tree/a:b', 'name_unusable'],
    ['tree/a:b/x', 'name_unusable'],
    ['tree/nul', 'name_unusable'],
    ['tree/readme', 'name_unusable'],
  ])
  const renaming = planReceive(manifest, survey, 'rename', PORTABLE_NAMES)
  expect(renaming.runs).toEqual([])
  expect(renaming.renamed.map(([entry, name]) => [manifest.path(entry), name])).toEqual([
    ['tree/a:b', 'a_b'],
    ['tree/a_b', 'a_b (1)'],
    ['tree/nul', '_nul'],
    ['tree/readme', 'readme (1)'],
  ])
})

test('a plan of a large unchanged tree stays small', () => {
  const place = makePlace()
  const tree = { tree: { folder: Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`f${n}`, 'x'])) } }
  plant(place, tree)
  expect(JSON.stringify(planFor(manifestOf(tree), place)).length).toBeLessThan(200)
})
