/** For random trees and random cuts, what is read end to end is the files' bytes in manifest order, and so are the digests. */

import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FrontierDigests } from '../../src/files/file-digest.ts'
import { SourceReader } from '../../src/files/source-reader.ts'
import { walkSources } from '../../src/files/walk.ts'
import { KIND_FILE } from '../../src/protocol/manifest.ts'
import { encodeManifestPages, ManifestDecoder } from '../../src/protocol/manifest-pages.ts'
import { temporaryFolder } from '../unit/files/source-tree.ts'

const MIB = 1 << 20

const name = fc.oneof(
  fc.constantFrom('a', 'b', 'a.b', 'a-b', 'A', 'é', '漢', '\u{1f389}', '\u{ff5e}', ' ', '\\', ':', '…', '-'),
  fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 6 })
    .filter((text) => !/[/\0]/.test(text) && !/^\.{1,2}$/.test(text) && text.isWellFormed()),
)
const size = fc.oneof(
  { weight: 20, arbitrary: fc.nat(300) },
  { weight: 1, arbitrary: fc.constantFrom(0, MIB - 1, MIB, MIB + 1, 2 * MIB + 3) },
)
const plan = fc.array(fc.record({ path: fc.array(name, { minLength: 1, maxLength: 4 }), size, seed: fc.nat(255) }), {
  maxLength: 15,
})

test('reads end to end are the files in order', { timeout: 60_000 }, async () => {
  const home = temporaryFolder()
  let trees = 0
  await fc.assert(
    fc.asyncProperty(
      plan,
      fc.array(fc.integer({ min: 1, max: MIB }), { minLength: 1, maxLength: 8 }),
      async (files, cuts) => {
        const root = join(home, `t${trees++}`)
        fs.mkdirSync(root)
        for (const { path, size, seed } of files) {
          try {
            fs.mkdirSync(join(root, ...path.slice(0, -1)), { recursive: true })
            fs.writeFileSync(join(root, ...path), Buffer.alloc(size, `${seed}:${path.join()}`), { flag: 'wx' })
          } catch {
            // The plan wants a file and a folder of one name: the first wins.
          }
        }
        const walked = await walkSources([root])
        const { manifest, sources } = walked
        expect([walked.failed, walked.warnings]).toEqual([[], []])
        const decoder = new ManifestDecoder()
        for (const page of encodeManifestPages(manifest)) decoder.push(page)

        const reader = new SourceReader({ manifest, sources })
        const digests = new FrontierDigests({
          manifest,
          readBack: (entry, offset, into) => reader.readBack(entry, offset, into),
        })
        const parts: Buffer[] = []
        for (let at = 0, turn = 0; at < manifest.endOffset; turn++) {
          const into = Buffer.alloc(Math.min(cuts[turn % cuts.length]!, manifest.endOffset - at))
          expect(await reader.read(at, at + into.length, into)).toEqual({ bytes: into.length, failed: null })
          digests.addContent(at, into)
          parts.push(into)
          at += into.length
        }
        const content = Buffer.concat(parts)
        let found = 0
        for (let entry = 0; entry < manifest.count; entry++) {
          if (manifest.kind(entry) !== KIND_FILE) continue
          const truth = fs.readFileSync(sources.sourcePath(entry))
          expect(content.subarray(manifest.startOffset(entry), manifest.endOffsetOf(entry)).equals(truth)).toBe(true)
          expect(Buffer.from(digests.digest(entry) ?? []).equals(createHash('sha256').update(truth).digest())).toBe(
            true,
          )
          found += truth.length
        }
        expect(content.length).toBe(found)
        reader.close()
        fs.rmSync(root, { recursive: true })
      },
    ),
    { numRuns: 40 },
  )
})
