/**
 * The manifest as bytes: pages of whole entries (protocol.md, "Manifest"). The digest is over the entries' bytes
 * end to end, so that paging does not change it.
 *
 * Entry: u8 kind, u8 priority, u16 mode, i64 mtime in ns, u32 parent index + 1, u8 name length, name,
 * then for a file u64 size (all ones: unknown), for a link u16 target length and target.
 */

import { ByteReader, ByteWriter, decodeUtf8, encodeUtf8 } from './bytes.ts'
import { SealiftError } from './errors.ts'
import { MAX_MANIFEST_BYTES, MAX_PAGE_BYTES } from './limits.ts'
import { KIND_FILE, KIND_FOLDER, KIND_LINK, Manifest } from './manifest.ts'

const UNKNOWN_SIZE_WORD = 0xffff_ffff
/** The largest entry: fixed fields, a name, a link target. */
const MAX_ENTRY_BYTES = 17 + 255 + 2 + 4096

function encodeEntry(writer: ByteWriter, manifest: Manifest, index: number): void {
  const kind = manifest.kind(index)
  const name = manifest.nameBytes(index)
  writer.u8(kind).u8(manifest.priority(index)).u16(manifest.mode(index)).i64(manifest.mtimeNs(index))
  writer
    .u32(manifest.parent(index) + 1)
    .u8(name.length)
    .bytes(name)
  if (kind === KIND_FILE) {
    const size = manifest.sizeBytes(index)
    // A manifest never changes: a size that became known later is not in it.
    if (size === null || manifest.isOpenEnded) writer.u32(UNKNOWN_SIZE_WORD).u32(UNKNOWN_SIZE_WORD)
    else writer.u64(size)
  } else if (kind === KIND_LINK) {
    const target = encodeUtf8(manifest.target(index))
    writer.u16(target.length).bytes(target)
  }
}

/** @returns pages of at most `maxPageBytes`, each of whole entries; none for an empty manifest. Each page is the caller's own. */
export function* encodeManifestPages(manifest: Manifest, maxPageBytes = MAX_PAGE_BYTES): Generator<Uint8Array> {
  const writer = new ByteWriter(maxPageBytes)
  for (let index = 0; index < manifest.count; index++) {
    encodeEntry(writer, manifest, index)
    if (writer.length > maxPageBytes - MAX_ENTRY_BYTES) {
      yield writer.finish()
      writer.reset()
    }
  }
  if (writer.length > 0) yield writer.finish()
}

/** Reads pages into a manifest; every rule is checked as it goes, in linear time. */
export class ManifestDecoder {
  readonly #manifest: Manifest
  #bytes = 0

  constructor(capacity = 64) {
    this.#manifest = new Manifest(capacity)
  }

  /** What has been read so far. */
  get manifest(): Manifest {
    return this.#manifest
  }

  /**
   * @param page whole entries; borrowed
   * @throws SealiftError `manifest_invalid`, `limit_exceeded`, or `protocol_violation` where an entry is cut
   */
  push(page: Uint8Array): void {
    this.#bytes += page.length
    if (this.#bytes > MAX_MANIFEST_BYTES) throw new SealiftError('limit_exceeded', 'the manifest is too large')
    const reader = new ByteReader(page)
    while (reader.left > 0) this.#readEntry(reader)
  }

  #readEntry(reader: ByteReader): void {
    const kind = reader.u8()
    if (kind !== KIND_FILE && kind !== KIND_FOLDER && kind !== KIND_LINK) {
      throw new SealiftError('manifest_invalid', 'the manifest has an entry of unknown kind')
    }
    const priority = reader.u8()
    const mode = reader.u16()
    const mtimeNs = reader.i64()
    const parent = reader.u32() - 1
    const name = reader.bytes(reader.u8())
    let sizeBytes: number | null = 0
    let target: string | null = ''
    if (kind === KIND_FILE) sizeBytes = readSize(reader)
    else if (kind === KIND_LINK) target = decodeUtf8(reader.bytes(reader.u16()))
    if (target === null) throw new SealiftError('manifest_invalid', 'the manifest has a link that is not UTF-8')
    this.#manifest.add({ kind, parent, name, mode, mtimeNs, sizeBytes, priority, target })
  }
}

function readSize(reader: ByteReader): number | null {
  const high = reader.u32()
  const low = reader.u32()
  if (high === UNKNOWN_SIZE_WORD && low === UNKNOWN_SIZE_WORD) return null
  const size = high * 0x1_0000_0000 + low
  if (!Number.isSafeInteger(size))
    throw new SealiftError('manifest_invalid', 'the manifest has sizes beyond what can be counted')
  return size
}
