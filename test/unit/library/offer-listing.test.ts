import { utimesSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { planReceive } from '../../../src/files/conflicts.ts'
import { surveyTarget } from '../../../src/files/target-survey.ts'
import { listOffer, type OfferListing, type PathSample } from '../../../src/library/offer-listing.ts'
import type { ConflictPolicy } from '../../../src/protocol/choices.ts'
import { encodeUtf8 } from '../../../src/protocol/bytes.ts'
import { KIND_FILE, KIND_FOLDER, Manifest } from '../../../src/protocol/manifest.ts'
import { makePlace, manifestOf, MTIME_NS, plant, type Tree } from '../files/tree-place.ts'

function listed(incoming: Tree, there: Tree = {}, policy: ConflictPolicy = 'auto'): OfferListing & { place: string } {
  const place = makePlace()
  plant(place, there)
  const manifest = manifestOf(incoming)
  const survey = surveyTarget(manifest, place)
  return { ...listOffer(manifest, survey, planReceive(manifest, survey, policy)), place }
}

/** `.git/ 3, .env`: paths, with counts where there is more than one file. */
function text({ first, paths, files }: PathSample): string {
  const shown = first.map((one) => (one.files === 1 ? one.path : `${one.path} ${one.files}`)).join(', ')
  return `${shown} (${paths} paths, ${files} files)`
}

describe('what stands at the top', () => {
  test('are the roots, or what is in the one folder there is, without what is hidden', () => {
    const inside: Tree = { 'a.txt': '1', src: { folder: { b: '1', c: { folder: { d: '1' } } } }, '.env': '1' }
    expect(text(listed({ tree: { folder: inside } }).top)).toBe('tree/a.txt, tree/src/ 2 (2 paths, 3 files)')
    expect(text(listed({ tree: { folder: inside }, one: '1' }).top)).toBe('one, tree/ 4 (2 paths, 5 files)')
    expect(text(listed({ only: '1' }).top)).toBe('only (1 paths, 1 files)')
  })

  test('a folder with one file is that file, and one with none is nothing', () => {
    const { top } = listed({
      tree: { folder: { a: { folder: { b: { folder: { c: '1' } } } }, empty: { folder: {} } } },
    })
    expect(text(top)).toBe('tree/a/b/c (1 paths, 1 files)')
  })
})

describe('what is hidden', () => {
  test('is named once for each topmost hidden name, the nearest to the top first, and counted', () => {
    const { hidden } = listed({
      '.bashrc': '1',
      '.ssh': { folder: { authorized_keys: '1', config: '1' } },
      a: {
        folder: { b: { folder: { '.deep': '1' } }, '.git': { folder: { '.x': '1', hooks: { folder: { run: '1' } } } } },
      },
    })
    expect(text(hidden)).toBe('.bashrc, .ssh/ 2, a/.git/ 2, a/b/.deep (4 paths, 6 files)')
  })

  test('cannot be pushed out of sight by a crowd further down', () => {
    const crowd: Tree = Object.fromEntries(Array.from({ length: 50 }, (_, at) => [`.a${at}`, '1']))
    const { hidden } = listed({
      a: { folder: { b: { folder: crowd } } },
      z: { folder: { '.ssh': { folder: { authorized_keys: '1' } } } },
    })
    expect(hidden.first[0]).toEqual({ path: 'z/.ssh/authorized_keys', files: 1 })
    expect([hidden.first.length, hidden.paths, hidden.files]).toEqual([12, 51, 51])
  })
})

test('what can be run is known by any of its execute bits; folders are not', () => {
  const { executable } = listed({
    tree: {
      folder: { run: { text: '1', mode: 0o755 }, odd: { text: '1', mode: 0o601 }, not: '1', link: { link: 'run' } },
    },
  })
  expect(text(executable)).toBe('tree/odd, tree/run (2 paths, 2 files)')
})

const EARLIER = MTIME_NS - 60_000_000_000n
const LATER = MTIME_NS + 60_000_000_000n

describe('what is in the way', () => {
  const incoming: Tree = { tree: { folder: { a: 'new', b: 'new', c: 'new', d: 'same', e: 'new' } } }
  const there: Tree = {
    tree: {
      folder: {
        a: { text: 'older', mtimeNs: EARLIER },
        b: { text: 'newer', mtimeNs: LATER },
        c: { folder: {} },
        d: { text: 'same', mtimeNs: MTIME_NS },
      },
    },
  }

  test.each([
    ['auto', { replaced: 0, kept: 0, unchanged: 0, failing: 0, renamedRoots: 1 }],
    ['rename', { replaced: 0, kept: 0, unchanged: 0, failing: 0, renamedRoots: 1 }],
    ['skip', { replaced: 0, kept: 3, unchanged: 1, failing: 0, renamedRoots: 0 }],
    ['overwrite', { replaced: 2, kept: 0, unchanged: 1, failing: 1, renamedRoots: 0 }],
    ['update', { replaced: 1, kept: 1, unchanged: 1, failing: 1, renamedRoots: 0 }],
  ] as const)('is counted as %s has it, and the same for every policy by what it is', (policy, counts) => {
    const { replaced, ...rest } = listed(incoming, there, policy)
    expect({ ...rest, replaced: replaced.files }).toMatchObject({ policy, differing: 3, older: 1, newer: 1, ...counts })
  })

  test('is named with what each side has', () => {
    const { conflicts, place } = listed(incoming, there)
    utimesSync(join(place, 'tree/a'), 1, 1)
    const theirs = { kind: 'file', sizeBytes: 3, modifiedMs: Number(MTIME_NS) / 1e6 }
    expect(conflicts.map(({ path }) => path)).toEqual(['tree/a', 'tree/b', 'tree/c'])
    expect(conflicts[0]).toEqual({
      path: 'tree/a',
      theirs,
      mine: { kind: 'file', sizeBytes: 5, modifiedMs: expect.closeTo(Number(EARLIER) / 1e6, 2) as number },
    })
    expect(conflicts[2]?.mine?.kind).toBe('folder')
  })

  test('is listed whole where that is asked for, as the disk has it then', () => {
    const many: Tree = Object.fromEntries(Array.from({ length: 40 }, (_, at) => [`f${at}`, 'new']))
    const mine: Tree = Object.fromEntries(Object.keys(many).map((name) => [name, 'mine here']))
    const { conflicts, allConflicts, differing } = listed(many, mine)
    expect([conflicts.length, differing, [...allConflicts()].length]).toEqual([12, 40, 40])
  })

  test('a root that keeps its own name is not among the renamed', () => {
    const { renamed, renamedRoots } = listed({ a: 'new', b: 'new' }, { b: 'mine' })
    expect([renamed, renamedRoots]).toEqual([[{ path: 'b', savedAs: 'b (1)' }], 1])
  })
})

test('every entry is there with what becomes of it', () => {
  const { entries } = listed(
    { tree: { folder: { '.x': '12', run: { text: '1', mode: 0o755 }, l: { link: 'run' } } } },
    { tree: { folder: { run: 'mine' } } },
    'overwrite',
  )
  expect(
    [...entries()].map(({ path, kind, sizeBytes, isHidden, isExecutable, fate }) => [
      path,
      kind,
      sizeBytes,
      isHidden,
      isExecutable,
      fate,
    ]),
  ).toEqual([
    ['tree', 'folder', 0, false, false, 'unchanged'],
    ['tree/.x', 'file', 2, true, false, 'save'],
    ['tree/l', 'link', 0, false, false, 'save'],
    ['tree/run', 'file', 1, false, true, 'replace'],
  ])
})

test('of 100,000 files only those that are named become text, so that it takes no time', () => {
  const manifest = new Manifest(100_200)
  const entry = { mode: 0o755, mtimeNs: MTIME_NS, priority: 5, target: '' }
  manifest.add({ ...entry, kind: KIND_FOLDER, parent: -1, name: encodeUtf8('tree'), sizeBytes: 0 })
  for (let folder = 0; folder < 100; folder++) {
    const parent = manifest.add({
      ...entry,
      kind: KIND_FOLDER,
      parent: 0,
      name: encodeUtf8(`.d${String(folder).padStart(3, '0')}`),
      sizeBytes: 0,
    })
    for (let file = 0; file < 1000; file++)
      manifest.add({
        ...entry,
        kind: KIND_FILE,
        parent,
        name: encodeUtf8(`f${String(file).padStart(4, '0')}`),
        sizeBytes: 1,
      })
  }
  const place = makePlace()
  const survey = surveyTarget(manifest, place)
  const plan = planReceive(manifest, survey, 'auto')
  const named = vi.spyOn(manifest, 'name')
  const { hidden, executable } = listOffer(manifest, survey, plan)
  expect([hidden.paths, hidden.files, executable.paths]).toEqual([100, 100_000, 100_000])
  expect(named.mock.calls.length).toBeLessThan(200)
})
