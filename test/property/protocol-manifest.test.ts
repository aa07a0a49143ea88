/** Any tree is one manifest and comes back from its bytes the same; any bytes are refused or are the one form of what they say. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { compareBytes, concatBytes, encodeUtf8 } from '../../src/protocol/bytes.ts'
import { SealiftError } from '../../src/protocol/errors.ts'
import { KIND_FILE, KIND_FOLDER, KIND_LINK, Manifest } from '../../src/protocol/manifest.ts'
import { encodeManifestPages, ManifestDecoder } from '../../src/protocol/manifest-pages.ts'
import { linkFault, nameFault } from '../../src/protocol/names.ts'

interface Node {
  readonly name: string
  readonly mode: number
  readonly mtimeNs: bigint
  readonly priority: number
  readonly what: number | string | readonly Node[]
}

const name = fc.oneof(
  fc.string({ unit: 'binary', minLength: 1, maxLength: 8 }),
  fc.constantFrom('a', 'B', '\uffee', '😀', 'é'),
)
const fields = {
  name: name.filter((text) => nameFault(encodeUtf8(text)) === null),
  mode: fc.nat(0o7777),
  mtimeNs: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  priority: fc.nat(9),
}
const target = fc
  .array(fc.constantFrom('..', '.', 'a', 'é'), { minLength: 1, maxLength: 4 })
  .map((parts) => parts.join('/'))
const { tree } = fc.letrec<{ node: Node; tree: readonly Node[] }>((tie) => ({
  node: fc.record({
    ...fields,
    what: fc.oneof({ depthSize: 'small' }, fc.nat(5000), target, tie('tree')),
  }),
  tree: fc.uniqueArray(tie('node'), { selector: (node) => node.name, maxLength: 6 }),
}))

/** Adds a tree in the order of a manifest; links that may not be kept are left out. */
function add(manifest: Manifest, nodes: readonly Node[], parent: number, depth: number): void {
  const sorted = nodes
    .map((node) => ({ node, bytes: encodeUtf8(node.name) }))
    .sort((a, b) => compareBytes(a.bytes, b.bytes))
  for (const { node, bytes } of sorted) {
    const { what, mode, mtimeNs, priority } = node
    const common = { parent, name: bytes, mode, mtimeNs, priority }
    if (typeof what === 'number') manifest.add({ ...common, kind: KIND_FILE, sizeBytes: what, target: '' })
    else if (typeof what !== 'string') {
      const index = manifest.add({ ...common, kind: KIND_FOLDER, sizeBytes: 0, target: '' })
      add(manifest, what, index, depth + 1)
    } else if (depth > 0 && linkFault(what, depth - 1) === null)
      manifest.add({ ...common, kind: KIND_LINK, sizeBytes: 0, target: what })
  }
}

function manifestOf(nodes: readonly Node[]): Manifest {
  const manifest = new Manifest(1)
  add(manifest, nodes, -1, 0)
  return manifest
}

function bytesOf(manifest: Manifest): Uint8Array {
  return concatBytes([...encodeManifestPages(manifest)])
}

function rows(manifest: Manifest): unknown[] {
  return Array.from({ length: manifest.count }, (_, at) => [
    manifest.path(at),
    manifest.kind(at),
    manifest.mode(at),
    manifest.mtimeNs(at),
    manifest.priority(at),
    manifest.sizeBytes(at),
    manifest.startOffset(at),
    manifest.target(at),
    manifest.subtreeEnd(at),
  ])
}

describe('a manifest', () => {
  test('comes back from its pages the same, entry by entry', () => {
    let entries = 0
    fc.assert(
      fc.property(tree, fc.integer({ min: 4370, max: 4600 }), (nodes, pageBytes) => {
        const manifest = manifestOf(nodes)
        entries += manifest.count
        const decoder = new ManifestDecoder(manifest.count)
        for (const page of encodeManifestPages(manifest, pageBytes)) decoder.push(page)
        expect(rows(decoder.manifest)).toEqual(rows(manifest))
        expect(bytesOf(decoder.manifest)).toEqual(bytesOf(manifest))
      }),
    )
    expect(entries).toBeGreaterThan(300)
  })

  test('finds the file of every byte', () => {
    fc.assert(
      fc.property(tree, fc.nat(), (nodes, at) => {
        const manifest = manifestOf(nodes)
        const total = manifest.totalBytes ?? 0
        fc.pre(total > 0)
        const offset = at % total
        const found = manifest.fileAt(offset)
        expect(manifest.kind(found)).toBe(KIND_FILE)
        expect(manifest.startOffset(found) <= offset && offset < manifest.endOffsetOf(found)).toBe(true)
      }),
    )
  })

  test('with any bytes changed, cut or put in, is refused with a typed error or is the one form of what it says', () => {
    let taken = 0
    let refused = 0
    const change = fc.record({ at: fc.nat(), cut: fc.nat(2), put: fc.uint8Array({ maxLength: 2 }) })
    fc.assert(
      fc.property(tree, fc.array(change, { minLength: 1, maxLength: 3 }), (nodes, changes) => {
        let bytes = bytesOf(manifestOf(nodes))
        for (const { at, cut, put } of changes) {
          const from = at % (bytes.length + 1)
          bytes = concatBytes([bytes.subarray(0, from), put, bytes.subarray(Math.min(bytes.length, from + cut))])
        }
        const decoder = new ManifestDecoder()
        try {
          decoder.push(bytes)
        } catch (error) {
          expect(error).toBeInstanceOf(SealiftError)
          expect((error as SealiftError).code).not.toBe('internal')
          refused++
          return
        }
        taken++
        expect(bytesOf(decoder.manifest)).toEqual(bytes)
        for (let at = 0; at < decoder.manifest.count; at++) {
          const path = decoder.manifest.path(at)
          expect(path.split('/').some((part) => part === '' || part === '.' || part === '..')).toBe(false)
        }
      }),
      { numRuns: 2000 },
    )
    expect(taken).toBeGreaterThan(100)
    expect(refused).toBeGreaterThan(100)
  })
})
