/** Somebody swaps folders for links while a tree is written: whatever becomes of the receive, nothing outside changes. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { FileSystem } from '../../src/files/file-system.ts'
import { TreeWriter } from '../../src/files/tree-writer.ts'
import { SealiftError } from '../../src/protocol/errors.ts'
import type { Tree } from '../unit/files/tree-place.ts'
import {
  contentsOf,
  lookAt,
  makePlace,
  manifestOf,
  plant,
  planFor,
  receive,
  TRANSFER_ID,
  unsynced,
} from '../unit/files/tree-place.ts'

const OUTSIDE: Tree = {
  outside: { folder: { 'deep.txt': 'precious', sub: { folder: { 'deep.txt': 'precious' } } }, mode: 0o750 },
}
const TREE: Tree = {
  tree: { folder: { sub: { folder: { 'deep.txt': 'deep', 'other.txt': '', x: { link: 'deep.txt' } } } } },
}

/** Everything about the outside that a write could change. */
function stateOf(folder: string): unknown {
  const { mode, mtimeMs } = fs.statSync(folder)
  const file = fs.statSync(join(folder, 'deep.txt'))
  return [mode, mtimeMs, file.mode, file.mtimeMs, file.ino, lookAt(folder)]
}

/** Real calls; before the n-th that changes something, a folder is exchanged for a link to the outside. */
function swapping(swapAt: number, swap: () => void): { readonly port: FileSystem; readonly hasSwapped: () => boolean } {
  let calls = 0
  const port = new Proxy(unsynced, {
    get(target, key: keyof FileSystem) {
      const call = target[key] as (...parameters: unknown[]) => unknown
      return (...parameters: unknown[]): unknown => {
        if (++calls === swapAt) swap()
        return call(...parameters)
      }
    },
  })
  return { port, hasSwapped: () => calls >= swapAt }
}

/** Which folder is exchanged, by the layout it matters for. */
const SWAPPED = {
  'a staged folder': { there: {}, folder: `out/.sealift-${TRANSFER_ID}.part/root-0/sub` },
  'a staged root': { there: {}, folder: `out/.sealift-${TRANSFER_ID}.part/root-0` },
  'the staging folder': { there: {}, folder: `out/.sealift-${TRANSFER_ID}.part` },
  'a folder that is merged into': { there: { tree: { folder: { sub: { folder: {} } } } }, folder: 'out/tree/sub' },
  'a root that is merged into': { there: { tree: { folder: {} } }, folder: 'out/tree' },
  'the output folder': { there: {}, folder: 'out' },
} as const

test.each(Object.keys(SWAPPED) as (keyof typeof SWAPPED)[])('%s, before each call', async (which) => {
  const { there, folder } = SWAPPED[which]
  let swaps = 0
  // A link that is there from the start is one that the user gave: the first two calls look at it and resolve it.
  for (let swapAt = which === 'the output folder' ? 3 : 1; ; swapAt++) {
    const place = makePlace()
    plant(place, { ...OUTSIDE, out: { folder: there } })
    const before = stateOf(join(place, 'outside'))
    const manifest = manifestOf(TREE)
    const plan = planFor(manifest, join(place, 'out'), { policy: 'auto' })
    const { port, hasSwapped } = swapping(swapAt, () => {
      const path = join(place, folder)
      if (fs.lstatSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return
      fs.renameSync(path, join(place, 'away'))
      fs.symlinkSync(join(place, 'outside'), path)
      swaps++
    })
    try {
      await receive(join(place, 'out'), TREE, { plan, fs: port, partBytes: 2 })
    } catch (error) {
      expect(error, `swapped at call ${swapAt}`).toBeInstanceOf(SealiftError)
      expect((error as SealiftError).code, `swapped at call ${swapAt}: ${String(error)}`).not.toBe('internal')
    }
    expect(stateOf(join(place, 'outside')), `swapped at call ${swapAt}`).toEqual(before)
    if (!hasSwapped()) break
  }
  expect(swaps).toBeGreaterThan(10)
})

const TOGGLES = 10_000
const TOGGLER = `
  const fs = require('node:fs')
  const [folder, away, outside, toggles] = process.argv.slice(1)
  for (let done = 0; done < Number(toggles);) {
    try {
      fs.renameSync(folder, away)
      fs.symlinkSync(outside, folder)
      fs.unlinkSync(folder)
      fs.renameSync(away, folder)
      done++
    } catch (error) {
      if (error.code === 'ENOENT') continue
      if (error.code === 'EEXIST' || error.code === 'ENOTEMPTY') fs.rmSync(away, { recursive: true, force: true })
      else throw error
    }
  }
`

test('a staged folder is a link every other moment, ten thousand times', async () => {
  const place = makePlace()
  plant(place, { ...OUTSIDE, out: { folder: {} } })
  const before = stateOf(join(place, 'outside'))
  const files = Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`f${n}`, `content ${n}`]))
  const tree: Tree = { tree: { folder: { sub: { folder: { ...files, 'deep.txt': 'overwritten?' } } } } }
  const manifest = manifestOf(tree)
  const contents = contentsOf(manifest, tree)
  const plan = planFor(manifest, join(place, 'out'))
  const sub = join(place, `out/.sealift-${TRANSFER_ID}.part/root-0/sub`)
  fs.mkdirSync(sub, { recursive: true })
  const args = ['-e', TOGGLER, sub, join(place, 'away'), join(place, 'outside'), String(TOGGLES)]
  const toggler = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] })
  let running = true
  const ended = once(toggler, 'exit').then(() => (running = false))
  let written = 0
  let refused = 0
  while (running) {
    // A new writer each time, so that every folder is opened anew.
    const writer = TreeWriter.open({ outputDir: join(place, 'out'), transferId: TRANSFER_ID, manifest, plan })
    for (const [entry, bytes] of contents) {
      try {
        await writer.write(entry, 0, entry % 2 === 0 ? bytes : bytes.subarray(1))
        written++
      } catch (error) {
        expect(error).toBeInstanceOf(SealiftError)
        refused++
      }
    }
    writer.close()
    await new Promise(setImmediate)
  }
  await ended
  expect(toggler.exitCode).toBe(0)
  expect(stateOf(join(place, 'outside'))).toEqual(before)
  expect(written).toBeGreaterThan(0)
  expect(refused).toBeGreaterThan(0)
})
