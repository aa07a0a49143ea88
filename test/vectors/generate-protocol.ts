/**
 * Writes `records.json`, `messages.json`, `manifest.json` and `ranges.json`: `node test/vectors/generate-protocol.ts`.
 * Run it again only when the protocol changes; nothing in it is random. Byte strings are hex.
 */

import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'

import { nodeCrypto } from '../../src/crypto/node.ts'
import { ByteWriter, concatBytes, encodeUtf8, fromHex, toHex } from '../../src/protocol/bytes.ts'
import type { CipherName } from '../../src/protocol/crypto-port.ts'
import { SealiftError } from '../../src/protocol/errors.ts'
import { RECORDS_PER_KEY } from '../../src/protocol/limits.ts'
import { type EntryKind, Manifest } from '../../src/protocol/manifest.ts'
import { encodeManifestPages, ManifestDecoder } from '../../src/protocol/manifest-pages.ts'
import { encodeChunkHeader, encodeMessage, MESSAGE, type Message } from '../../src/protocol/messages.ts'
import { decodeRangePage, encodeRangePages, RangeSet } from '../../src/protocol/ranges.ts'
import { RecordSealer } from '../../src/protocol/records.ts'

export interface RecordVectors {
  readonly description: Readonly<Record<string, string>>
  readonly cases: readonly {
    readonly name: string
    readonly cipher: CipherName
    readonly secret: string
    readonly records: readonly { readonly counter: number; readonly plaintext: string; readonly record: string }[]
  }[]
}

export interface MessageVectors {
  readonly description: Readonly<Record<string, string>>
  readonly messages: readonly {
    readonly name: string
    readonly type: number
    readonly fields: unknown
    readonly plaintext: string
  }[]
  readonly refused: readonly { readonly name: string; readonly plaintext: string }[]
}

export interface EntryFields {
  readonly kind: EntryKind
  readonly parent: number
  readonly name: string
  readonly mode: number
  readonly mtimeNs: string
  readonly sizeBytes: number | null
  readonly priority: number
  readonly target: string
}

export interface ManifestVectors {
  readonly description: Readonly<Record<string, string>>
  readonly cases: readonly {
    readonly name: string
    readonly entries: readonly EntryFields[]
    readonly bytes: string
    readonly digest: string
  }[]
  readonly refused: readonly { readonly name: string; readonly code: string; readonly bytes: string }[]
}

export interface RangeVectors {
  readonly description: Readonly<Record<string, string>>
  readonly cases: readonly {
    readonly name: string
    readonly ranges: readonly (readonly [number, number])[]
    readonly page: string
  }[]
  readonly limit: number
  readonly refused: readonly { readonly name: string; readonly page: string }[]
}

/** `Uint8Array` as hex and `bigint` as digits, so that fields can stand in JSON. */
export function toJson(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, field: unknown) => (field instanceof Uint8Array ? toHex(field) : field)),
  ) as unknown
}

const RECORD_PLAINTEXTS = ['0f', '110000', toHex(Uint8Array.from({ length: 100 }, (_, at) => at))]

function recordCase(cipher: CipherName, secretByte: number): RecordVectors['cases'][number] {
  const secret = new Uint8Array(32).fill(secretByte)
  const sealer = new RecordSealer(nodeCrypto, cipher, secret.slice())
  const records: { counter: number; plaintext: string; record: string }[] = []
  for (let counter = 0; counter <= RECORDS_PER_KEY; counter++) {
    const plaintext = RECORD_PLAINTEXTS[counter] ?? '0f'
    const record = sealer.seal([fromHex(plaintext)])
    const isKept = counter < RECORD_PLAINTEXTS.length || counter >= RECORDS_PER_KEY - 1
    if (isKept) records.push({ counter, plaintext, record: toHex(concatBytes(record)) })
  }
  return {
    name: `${cipher}, from the first record to the first under the second key`,
    cipher,
    secret: toHex(secret),
    records,
  }
}

export function recordVectors(): RecordVectors {
  return {
    description: {
      about: 'Records of one direction. All records between those that are listed hold the plaintext 0f (PING).',
      secret: 'traffic secret of the direction, 32 bytes',
      counter: 'number of the record in its direction, from 0; it runs on when the key changes at 65,536',
      record: 'length word, ciphertext, tag; the length word is the associated data',
    },
    cases: [recordCase('aes-256-gcm', 0x11), recordCase('chacha20-poly1305', 0x22)],
  }
}

const ID = '01234567-89ab-4def-8123-456789abcdef'
const OLD_ID = 'fedcba98-7654-4321-8fed-cba987654321'
const DIGEST = 'a5'.repeat(32)

const MESSAGES: Readonly<Record<string, Message>> = {
  hello: { type: 'hello', hello: { name: 'box', maxChunkBytes: 1_048_576, known: null } },
  'hello of a receiver that has the manifest': {
    type: 'hello',
    hello: { name: 'Büro', maxChunkBytes: 65_536, known: { transferId: ID, digest: DIGEST } },
  },
  offer: {
    type: 'offer',
    offer: {
      transferId: ID,
      replaces: OLD_ID,
      name: 'laptop',
      maxChunkBytes: 1_048_576,
      entries: 3,
      files: 2,
      bytes: 5_000_000_000,
      digest: DIGEST,
      manifestFollows: true,
      conflict: 'rename',
      priority: 9,
    },
  },
  'offer of unknown length': {
    type: 'offer',
    offer: {
      transferId: ID,
      replaces: null,
      name: '',
      maxChunkBytes: 65_536,
      entries: 1,
      files: 1,
      bytes: null,
      digest: DIGEST,
      manifestFollows: false,
      conflict: null,
    },
  },
  manifest: { type: 'manifest', last: false, page: Uint8Array.of(1, 2, 3) },
  'last page of a manifest': { type: 'manifest', last: true, page: new Uint8Array() },
  accept: { type: 'accept', accept: { epoch: 2 } },
  'accept that limits the sender': { type: 'accept', accept: { epoch: 1, bytesPerSecond: 10_000_000 } },
  reject: { type: 'reject', code: 21, roomBytes: null },
  states: {
    type: 'states',
    runs: [
      { first: 0, count: 12, state: 4, code: 0 },
      { first: 20, count: 1, state: 6, code: 83 },
    ],
  },
  safe: { type: 'safe', last: true, page: fromHex('00000000000000000000000000100000') },
  chunk: { type: 'chunk', codec: 0, epoch: 2, offset: 0x1_0000_0000, rawBytes: 5, packed: encodeUtf8('hello') },
  digests: { type: 'digests', digests: [{ entry: 258, sha256: fromHex(DIGEST) }] },
  ack: { type: 'ack', page: fromHex('00000001000000000000000100000005') },
  nack: { type: 'nack', entry: 258 },
  entryFailed: { type: 'entryFailed', entry: 258, code: 81 },
  entryEnd: { type: 'entryEnd', sizeBytes: 0x1_0000_0005 },
  done: { type: 'done', done: { published: 12, skipped: 0, failed: 1 } },
  ping: { type: 'ping' },
  pong: { type: 'pong' },
  close: { type: 'close', code: 90 },
  'admit that asks': { type: 'admit', admit: { needs: 'token' } },
  'admit that lets in': { type: 'admit', admit: { needs: 'nothing' } },
  'queued, the third in line': { type: 'queued', place: 3 },
  auth: { type: 'auth', frame: fromHex(`534c465401040020${'c3'.repeat(32)}`) },
}

export function encodeAny(message: Message): Uint8Array {
  return message.type === 'chunk' ? concatBytes([encodeChunkHeader(message), message.packed]) : encodeMessage(message)
}

export function messageVectors(): MessageVectors {
  return {
    description: {
      about: 'One plaintext of a record for every kind of message. Byte strings in fields are hex.',
      type: 'the first byte',
      fields: 'what it says; JSON messages may have their fields in any order and more of them',
      refused: 'plaintexts that are no message',
    },
    messages: Object.entries(MESSAGES).map(([name, message]) => ({
      name,
      type: MESSAGE[message.type],
      fields: toJson(message),
      plaintext: toHex(encodeAny(message)),
    })),
    refused: [
      { name: 'nothing', plaintext: '' },
      { name: 'an unknown type', plaintext: '7f' },
      { name: 'a ping with a byte too many', plaintext: '0f00' },
      { name: 'a NACK that is cut', plaintext: '0b000001' },
      { name: 'a flag that is neither 0 nor 1', plaintext: '0302' },
      { name: 'a run of no states', plaintext: '060000000000000000040000' },
      { name: 'a chunk of no bytes', plaintext: `08${'00'.repeat(63)}` },
      {
        name: 'a chunk with a reserved byte',
        plaintext: `0800000100000001000000000000000000000001${'00'.repeat(44)}61`,
      },
      { name: 'a HELLO that is not JSON', plaintext: '017b' },
      { name: 'a place in line before the first', plaintext: '1400000000' },
      { name: 'an AUTH without a header', plaintext: '13534c4654010400' },
    ],
  }
}

function entry(kind: EntryKind, parent: number, name: string, changes: Partial<EntryFields> = {}): EntryFields {
  const mode = [0o644, 0o755, 0o777][kind] as number
  const common = { kind, parent, name: toHex(encodeUtf8(name)), mode, mtimeNs: '1700000000123456789', sizeBytes: 0 }
  return { ...common, priority: 0, target: '', ...changes }
}

const TREES: Readonly<Record<string, readonly EntryFields[]>> = {
  'one file': [entry(0, -1, 'note.txt', { sizeBytes: 5 })],
  'a tree with a link, and a root behind it': [
    entry(1, -1, 'tree', { mode: 0o2750, priority: 9 }),
    entry(1, 0, 'a'),
    entry(2, 1, 'link', { target: '../b' }),
    entry(0, 1, 'one', { sizeBytes: 4_294_967_296, mtimeNs: '-1' }),
    entry(0, 0, 'b'),
    entry(0, -1, 'z', { sizeBytes: 1, mode: 0o7777 }),
  ],
  'names in the order of their bytes': ['B', 'a', 'a ', 'aa', 'é', '\uffee', '😀'].map((name) => entry(0, -1, name)),
  'one file of unknown size': [entry(0, -1, '-', { sizeBytes: null })],
}

export function buildManifest(entries: readonly EntryFields[]): Manifest {
  const manifest = new Manifest()
  for (const fields of entries) manifest.add({ ...fields, name: fromHex(fields.name), mtimeNs: BigInt(fields.mtimeNs) })
  return manifest
}

/** An entry without any check, for manifests that break the rules. */
function raw({ kind, parent, name, mode, mtimeNs, sizeBytes, priority, target }: EntryFields): Uint8Array {
  const bytes = fromHex(name)
  const writer = new ByteWriter().u8(kind).u8(priority).u16(mode).i64(BigInt(mtimeNs))
  writer
    .u32(parent + 1)
    .u8(bytes.length)
    .bytes(bytes)
  if (kind === 0) writer.u64(sizeBytes ?? 0)
  if (kind === 2) writer.u16(encodeUtf8(target).length).bytes(encodeUtf8(target))
  return writer.finish()
}

const BROKEN: Readonly<Record<string, readonly EntryFields[]>> = {
  'a name twice': [entry(0, -1, 'a'), entry(0, -1, 'a')],
  'names out of order': [entry(0, -1, 'b'), entry(0, -1, 'a')],
  'names in the order of UTF-16': [entry(0, -1, '😀'), entry(0, -1, '\uffee')],
  'a file as a parent': [entry(0, -1, 'a'), entry(0, 0, 'b')],
  'a folder that was left': [entry(1, -1, 'a'), entry(1, -1, 'b'), entry(0, 0, 'c')],
  'a parent that is not there': [entry(0, 5, 'a')],
  'an empty name': [entry(0, -1, '')],
  'a dot path': [entry(0, -1, '..')],
  'a separator': [entry(0, -1, 'a/b')],
  'a NUL': [entry(0, -1, 'a\0b')],
  'a name that is not UTF-8': [entry(0, -1, '', { name: 'ff' })],
  'a mode out of bounds': [entry(0, -1, 'a', { mode: 0o10000 })],
  'a priority out of bounds': [entry(0, -1, 'a', { priority: 10 })],
  'a link as a root': [entry(2, -1, 'a', { target: 'b' })],
  'a link out of its root': [entry(1, -1, 'r'), entry(2, 0, 'l', { target: '..' })],
  'an absolute link': [entry(1, -1, 'r'), entry(2, 0, 'l', { target: '/etc' })],
  'a link that climbs behind a name': [entry(1, -1, 'r'), entry(2, 0, 'l', { target: 'x/..' })],
}

function manifestCode(bytes: Uint8Array): string {
  try {
    new ManifestDecoder().push(bytes)
  } catch (error) {
    if (error instanceof SealiftError) return error.code
    throw error
  }
  throw new Error('a manifest that must be refused is taken')
}

export function manifestVectors(): ManifestVectors {
  return {
    description: {
      about: 'Manifests: entries and their bytes, which may be cut into pages between any two entries.',
      kind: '0 file, 1 folder, 2 link',
      parent: 'index of the folder, -1 for a root; on the wire it is one more',
      name: 'as hex, since names are bytes',
      mtimeNs: 'nanoseconds since 1970, as text, since they need 64 bits',
      sizeBytes: 'null where it is unknown: all ones on the wire',
      digest: 'SHA-256 of the bytes, as OFFER has it',
      refused: 'manifests that must be refused as a whole, and the error',
    },
    cases: Object.entries(TREES).map(([name, entries]) => {
      const bytes = concatBytes([...encodeManifestPages(buildManifest(entries))])
      return { name, entries, bytes: toHex(bytes), digest: createHash('sha256').update(bytes).digest('hex') }
    }),
    refused: Object.entries(BROKEN).map(([name, entries]) => {
      const bytes = concatBytes(entries.map(raw))
      return { name, code: manifestCode(bytes), bytes: toHex(bytes) }
    }),
  }
}

function rangePage(...ranges: readonly (readonly [number, number])[]): string {
  const writer = new ByteWriter()
  for (const [start, end] of ranges) writer.u64(start).u64(end)
  return toHex(writer.finish())
}

const RANGE_SETS: Readonly<Record<string, readonly (readonly [number, number])[]>> = {
  nothing: [],
  'the first mebibyte': [[0, 1_048_576]],
  'two with a hole of one byte': [
    [0, 5],
    [6, 7],
  ],
  'the largest offsets': [
    [4_294_967_295, 4_294_967_297],
    [Number.MAX_SAFE_INTEGER - 1, Number.MAX_SAFE_INTEGER],
  ],
}
const LIMIT = 1000

export function rangeVectors(): RangeVectors {
  const refused = {
    'an empty range': rangePage([5, 5]),
    'a range backwards': rangePage([9, 5]),
    'ranges that overlap': rangePage([0, 10], [9, 20]),
    'ranges that touch': rangePage([0, 10], [10, 20]),
    'ranges out of order': rangePage([20, 30], [0, 10]),
    'a range beyond the content': rangePage([990, 1001]),
    'half a range': rangePage([0, 10]).slice(0, 16),
    'an offset over 2^53 - 1': '00200000000000000020000000000001',
  }
  for (const page of Object.values(refused)) {
    let isTaken = true
    try {
      decodeRangePage(fromHex(page), new RangeSet(), LIMIT)
    } catch {
      isTaken = false
    }
    if (isTaken) throw new Error('a page that must be refused is taken')
  }
  return {
    description: {
      about: 'Pages of ranges: start and end of each, 8 bytes big-endian, half-open, ascending and apart.',
      limit: 'end of the content for the pages that are refused',
      refused: 'pages that must be refused',
    },
    cases: Object.entries(RANGE_SETS).map(([name, ranges]) => {
      const set = RangeSet.of(ranges.map(([start, end]) => ({ start, end })))
      return { name, ranges, page: toHex(concatBytes([...encodeRangePages(set)])) }
    }),
    limit: LIMIT,
    refused: Object.entries(refused).map(([name, page]) => ({ name, page })),
  }
}

function write(name: string, vectors: unknown): void {
  writeFileSync(new URL(name, import.meta.url), `${JSON.stringify(vectors, null, 2)}\n`)
}

if (import.meta.main) {
  write('records.json', recordVectors())
  write('messages.json', messageVectors())
  write('manifest.json', manifestVectors())
  write('ranges.json', rangeVectors())
}
