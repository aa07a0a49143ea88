import { describe, expect, test } from 'vitest'

import { ByteWriter, concatBytes, encodeUtf8, toHex } from '../../../src/protocol/bytes.ts'
import { MAX_PAGE_BYTES } from '../../../src/protocol/limits.ts'
import { KIND_FILE, KIND_FOLDER, KIND_LINK, Manifest } from '../../../src/protocol/manifest.ts'
import { encodeManifestPages, ManifestDecoder } from '../../../src/protocol/manifest-pages.ts'
import { file, folder, link, manifestOf } from './entries.ts'

function decode(pages: Iterable<Uint8Array>): Manifest {
  const decoder = new ManifestDecoder()
  for (const page of pages) decoder.push(page)
  return decoder.manifest
}

function refuses(page: Uint8Array, code: string): void {
  expect(() => new ManifestDecoder().push(page)).toThrow(
    expect.objectContaining({ name: 'SealiftError', code }) as Error,
  )
}

/** One entry as bytes, with whatever a test wants to be wrong. */
function entry(
  fields: {
    kind?: number
    priority?: number
    mode?: number
    parent?: number
    name?: Uint8Array
    rest?: Uint8Array
  } = {},
): Uint8Array {
  const { kind = KIND_FILE, priority = 0, mode = 0o644, parent = 0, name = encodeUtf8('a'), rest } = fields
  const writer = new ByteWriter()
  writer.u8(kind).u8(priority).u16(mode).i64(5n).u32(parent).u8(name.length).bytes(name)
  return writer.bytes(rest ?? new Uint8Array(kind === KIND_FILE ? 8 : 0)).finish()
}

describe('pages of a manifest', () => {
  test('the form of each kind of entry, byte by byte', () => {
    const manifest = manifestOf(folder(-1, 'r'), link(0, 'l', 'é'), file(0, 'm', 258, { priority: 9, mtimeNs: -2n }))
    const page = concatBytes([...encodeManifestPages(manifest)])
    expect(toHex(page)).toBe(
      [
        ...['01', '00', '01ed', '17979cfe3d85cd15', '00000000', '01', '72'],
        ...['02', '00', '01ff', '17979cfe3d85cd15', '00000001', '01', '6c', '0002', 'c3a9'],
        ...['00', '09', '01a4', 'fffffffffffffffe', '00000001', '01', '6d', '0000000000000102'],
      ].join(''),
    )
  })

  test('an unknown size is all ones', () => {
    const [page] = [...encodeManifestPages(manifestOf(file(-1, '-', null)))]
    expect(toHex(page?.subarray(-8) ?? new Uint8Array())).toBe('ffffffffffffffff')
    expect(decode([page as Uint8Array]).totalBytes).toBe(null)
  })

  test('an empty manifest has no page', () => {
    expect([...encodeManifestPages(new Manifest())]).toEqual([])
  })

  test('pages fit their limit, hold whole entries, and are the caller’s own', () => {
    const manifest = manifestOf(folder(-1, 'r'))
    const names = Array.from({ length: 3000 }, (_, at) => `${String(at).padStart(4, '0')}${'x'.repeat(240)}`)
    for (const name of names) manifest.add(link(0, name, 't'.repeat(4000)))
    const pages = [...encodeManifestPages(manifest)]
    expect(pages.length).toBeGreaterThan(40)
    for (const page of pages) expect(page.length).toBeLessThanOrEqual(MAX_PAGE_BYTES)
    const back = decode(pages)
    expect([back.count, back.name(3000), back.target(1)]).toEqual([3001, names[2999], 't'.repeat(4000)])
  })

  test('paging changes nothing of the bytes, over which the digest goes', () => {
    const manifest = manifestOf(
      folder(-1, 'r'),
      ...Array.from({ length: 500 }, (_, at) => file(0, `f${1000 + at}`, at)),
    )
    const whole = concatBytes([...encodeManifestPages(manifest)])
    const small = [...encodeManifestPages(manifest, 5000)]
    expect(small.length).toBeGreaterThan(5)
    expect(concatBytes(small)).toEqual(whole)
    expect(concatBytes([...encodeManifestPages(decode(small))])).toEqual(whole)
  })
})

describe('pages of a peer that lies', () => {
  test('an entry cut anywhere is refused', () => {
    const page = concatBytes([
      entry({ kind: KIND_FOLDER, name: encodeUtf8('r') }),
      entry({ kind: KIND_LINK, parent: 1, name: encodeUtf8('l'), rest: Uint8Array.of(0, 1, 0x78) }),
      entry({ parent: 1, name: encodeUtf8('m') }),
    ])
    decode([page])
    const ends = new Set([0, 18, 39, page.length])
    for (let at = 0; at < page.length; at++) if (!ends.has(at)) refuses(page.subarray(0, at), 'protocol_violation')
  })

  test.each([
    ['a kind that does not exist', entry({ kind: 3, rest: new Uint8Array(8) })],
    ['a priority over 9', entry({ priority: 10 })],
    ['a mode over 0o7777', entry({ mode: 0o10000 })],
    ['a parent that is not there', entry({ parent: 1 })],
    ['the parent of all ones', entry({ parent: 0xffff_ffff })],
    ['an empty name', entry({ name: new Uint8Array() })],
    ['a dot path', entry({ name: encodeUtf8('..') })],
    ['a separator', entry({ name: encodeUtf8('a/b') })],
    ['a name that is not UTF-8', entry({ name: Uint8Array.of(0xc0, 0xaf) })],
    ['a name twice', concatBytes([entry(), entry()])],
    ['names out of order', concatBytes([entry({ name: encodeUtf8('b') }), entry()])],
    ['a file as a parent', concatBytes([entry(), entry({ parent: 1 })])],
    ['a size that cannot be counted', entry({ rest: Uint8Array.of(0, 0x20, 0, 0, 0, 0, 0, 0) })],
    ['sizes that cannot be counted together', concatBytes([largest('a'), largest('b')])],
    ['an unknown size beside another', concatBytes([entry(), entry({ name: encodeUtf8('b'), rest: ones() })])],
    ['a link as a root', entry({ kind: KIND_LINK, rest: Uint8Array.of(0, 1, 0x78) })],
    ['a link out of its root', linkIn('..')],
    ['an absolute link', linkIn('/etc/passwd')],
    ['a link that climbs behind a name', linkIn('x/..')],
    ['an empty link', linkIn('')],
    ['a link over 4,096 bytes', linkIn('x'.repeat(4097))],
  ])('%s is refused', (_, page) => {
    refuses(page, 'manifest_invalid')
  })

  test('a link that is not UTF-8 is refused', () => {
    const root = entry({ kind: KIND_FOLDER, name: encodeUtf8('r') })
    const rest = Uint8Array.of(0, 1, 0xff)
    refuses(concatBytes([root, entry({ kind: KIND_LINK, parent: 1, rest })]), 'manifest_invalid')
  })

  test('an offer of no entries leaves no room to go wrong', () => {
    const decoder = new ManifestDecoder(0)
    decoder.push(concatBytes([entry({ name: encodeUtf8('a') }), entry({ name: encodeUtf8('b') })]))
    expect([decoder.manifest.path(0), decoder.manifest.path(1)]).toEqual(['a', 'b'])
    expect(() => decoder.push(entry({ name: encodeUtf8('b') }))).toThrow(
      expect.objectContaining({ code: 'manifest_invalid' }) as Error,
    )
  })

  test('256 MiB is all that is looked at', () => {
    const decoder = new ManifestDecoder()
    const page = new Uint8Array(100 << 20)
    const codes = [1, 2, 3].map(() => {
      try {
        decoder.push(page)
        return null
      } catch (error) {
        return (error as { code: string }).code
      }
    })
    expect(codes).toEqual(['manifest_invalid', 'manifest_invalid', 'limit_exceeded'])
  })
})

function ones(): Uint8Array {
  return new Uint8Array(8).fill(0xff)
}

function largest(name: string): Uint8Array {
  return entry({ name: encodeUtf8(name), rest: Uint8Array.of(0, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff) })
}

function linkIn(target: string): Uint8Array {
  const bytes = encodeUtf8(target)
  const rest = new ByteWriter().u16(bytes.length).bytes(bytes).finish()
  return concatBytes([
    entry({ kind: KIND_FOLDER, name: encodeUtf8('r') }),
    entry({ kind: KIND_LINK, parent: 1, name: encodeUtf8('l'), rest }),
  ])
}
