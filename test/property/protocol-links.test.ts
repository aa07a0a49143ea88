/**
 * The rule for links, on a real disk: in any tree of folders and links, a link that the rule lets pass never leads out
 * of its root, however links lead through other links (S-33).
 */

import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { linkFault } from '../../src/protocol/names.ts'

const FOLDERS = ['', 'a', 'a/b', 'a/b/c', 'b', 'b/a'] as const
const part = fc.constantFrom('.', '..', '..', 'a', 'b', 'c', 'l', 'm', '')
const links = fc.uniqueArray(
  fc.record({
    folder: fc.constantFrom(...FOLDERS),
    name: fc.constantFrom('l', 'm', 'n'),
    target: fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('/')),
  }),
  { selector: ({ folder, name }) => `${folder}/${name}`, minLength: 1, maxLength: 8 },
)

let place = ''
let runs = 0

beforeAll(() => {
  place = realpathSync(mkdtempSync(path.join(tmpdir(), 'sealift-links-')))
})
afterAll(() => rmSync(place, { recursive: true, force: true }))

test('no link that is kept resolves to anything outside its root', () => {
  let resolved = 0
  let refused = 0
  fc.assert(
    fc.property(links, (all) => {
      const root = path.join(place, String(runs++), 'outside', 'root')
      for (const folder of FOLDERS) mkdirSync(path.join(root, folder), { recursive: true })
      const kept = all.filter(
        ({ folder, target }) => linkFault(target, folder === '' ? 0 : folder.split('/').length) === null,
      )
      refused += all.length - kept.length
      for (const { folder, name, target } of kept) symlinkSync(target, path.join(root, folder, name))
      for (const { folder, name, target } of kept) {
        let real: string
        try {
          real = realpathSync(path.join(root, folder, name))
        } catch {
          continue // leads nowhere, or in a circle
        }
        resolved++
        expect(real === root || real.startsWith(`${root}/`), `${folder}/${name} -> ${target} is ${real}`).toBe(true)
      }
      rmSync(path.dirname(path.dirname(root)), { recursive: true })
    }),
    { numRuns: 150 },
  )
  expect(resolved).toBeGreaterThan(60)
  expect(refused).toBeGreaterThan(60)
})
