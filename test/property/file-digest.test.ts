/** Whatever the order, repeats, restarts and slow disks: a digest is that of the file, and it always comes. */

import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FrontierDigests } from '../../src/files/file-digest.ts'
import { KIND_FILE, Manifest } from '../../src/protocol/manifest.ts'
import { RangeSet } from '../../src/protocol/ranges.ts'

const STEP = 1 << 20

/** One file, in units so large that reading back takes several steps. */
const scenario = fc.record({
  units: fc.integer({ min: 1, max: 12 }),
  unitBytes: fc.constantFrom(1, 1000, 400_000),
  seed: fc.integer({ min: 1, max: 0xffff }),
  acts: fc.array(
    fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          kind: fc.constant('add' as const),
          from: fc.nat(11),
          count: fc.integer({ min: 1, max: 4 }),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          kind: fc.constant('stored' as const),
          from: fc.nat(11),
          count: fc.integer({ min: 1, max: 6 }),
        }),
      },
      { weight: 4, arbitrary: fc.record({ kind: fc.constant('answer' as const), cut: fc.boolean() }) },
      { weight: 1, arbitrary: fc.constant({ kind: 'restart' as const }) },
      { weight: 1, arbitrary: fc.constant({ kind: 'drop' as const }) },
    ),
    { maxLength: 40 },
  ),
})

function fill(bytes: number, seed: number): Buffer {
  const file = Buffer.alloc(bytes)
  let state = seed
  for (let at = 0; at < bytes; at += 97) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    file[at] = state >>> 24
  }
  return file
}

test('digests equal one-shot SHA-256 for any order of arrival', { timeout: 60_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(scenario, async ({ units, unitBytes, seed, acts }) => {
      const size = units * unitBytes
      const file = fill(size, seed)
      const manifest = new Manifest()
      const name = new TextEncoder().encode('f')
      manifest.add({
        kind: KIND_FILE,
        parent: -1,
        name,
        mode: 0o600,
        mtimeNs: 0n,
        sizeBytes: size,
        priority: 5,
        target: '',
      })

      let waiting: ((cut: boolean) => void)[] = []
      let written = new RangeSet()
      let reports = 0
      const start = (): FrontierDigests => {
        // Reads of an earlier process or of a dropped file may end late or never.
        const readable = written
        let reading = 0
        return new FrontierDigests({
          manifest,
          readBack: async (_entry, offset, into) => {
            expect(++reading).toBe(1)
            expect(into.length).toBeLessThanOrEqual(STEP)
            if (readable === written) expect(readable.contains(offset, offset + into.length)).toBe(true)
            const cut = await new Promise<boolean>((resolve) => waiting.push(resolve))
            reading--
            return file.copy(into, 0, offset, offset + (cut ? Math.ceil(into.length / 3) : into.length))
          },
          onDigest: () => reports++,
          onFailed: (_entry, error) => {
            throw error
          },
        })
      }
      let digests = start()
      const answer = async (cut: boolean): Promise<void> => {
        waiting.shift()?.(cut)
        for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate)
      }
      const add = (from: number, to: number): void => {
        written.add(from, to)
        digests.add(0, from, file.subarray(from, to))
        expect(digests.frontier(0)).toBeLessThanOrEqual(written.runEnd(0))
      }

      for (const act of acts) {
        if (act.kind === 'answer') await answer(act.cut)
        else if (act.kind === 'restart') {
          void digests.close()
          waiting = []
          reports = 0
          digests = start()
          for (const range of written) digests.addStored(0, range.start, range.end)
        } else if (act.kind === 'drop') {
          digests.drop(0)
          reports = 0
          written.clear()
        } else {
          const from = Math.min(act.from, units - 1) * unitBytes
          const to = Math.min(from + act.count * unitBytes, size)
          if (act.kind === 'add') add(from, to)
          else {
            written.add(from, to)
            digests.addStored(0, from, to)
          }
        }
        if (digests.digest(0) !== null) expect(written.contains(0, size)).toBe(true)
      }
      for (const range of written.missing(0, size)) add(range.start, range.end)
      for (let turn = 0; turn < 100 && digests.digest(0) === null; turn++) await answer(false)
      expect(Buffer.from(digests.digest(0) ?? []).toString('hex')).toBe(createHash('sha256').update(file).digest('hex'))
      expect(reports).toBe(1)
      written = new RangeSet()
    }),
    { numRuns: 300 },
  )
})
