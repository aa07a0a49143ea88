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

const FOLDERS = ['', 'a', 'a/b', 'b'] as const
const NAMES = ['l', 'm', 'n'] as const
const part = fc.constantFrom('.', '..', '..', 'a', 'b', 'l', 'm', '')
const target = fc.oneof(
  fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('/')),
  // Through a link, and up from where it leads: what no single target shows.
  fc.constantFrom('.', '..', '..', 'l/..', 'm/..', 'a/l/..', '../l/..', 'b/m/../..', 'l/m'),
)
/** A target for every name in every folder. */
const links = fc
  .tuple(...FOLDERS.flatMap((folder) => NAMES.map((name) => target.map((text) => ({ folder, name, target: text })))))
  .map((all): { folder: string; name: string; target: string }[] => all)

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
          // not realpathSync alone: that takes `..` out of a target as text, which the system does not
          real = realpathSync.native(path.join(root, folder, name))
        } catch {
          continue // leads nowhere, or in a circle
        }
        resolved++
        expect(real === root || real.startsWith(`${root}/`), `${folder}/${name} -> ${target} is ${real}`).toBe(true)
      }
      rmSync(path.dirname(path.dirname(root)), { recursive: true })
    }),
    { numRuns: 120 },
  )
  expect(resolved).toBeGreaterThan(60)
  expect(refused).toBeGreaterThan(60)
})
