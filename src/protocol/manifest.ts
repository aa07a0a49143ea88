/**
 * The manifest: the ordered list of entries of a transfer, held in columns.
 *
 * Order (protocol.md, "Manifest"): depth first, a folder before what is in it, siblings by the bytes of their
 * names. So duplicates and files as parents are found while reading, with memory for one path only, and one tree
 * has one manifest. Columns, because a million entries as objects would take half a gigabyte.
 */

import { compareBytes, decodeUtf8 } from './bytes.ts'
import { SealiftError } from './errors.ts'
import { MAX_CONTENT_BYTES, MAX_ENTRIES, MAX_PATH_BYTES, MAX_PRIORITY } from './limits.ts'
import { linkFault, nameFault } from './names.ts'

export const KIND_FILE = 0
export const KIND_FOLDER = 1
export const KIND_LINK = 2
export type EntryKind = typeof KIND_FILE | typeof KIND_FOLDER | typeof KIND_LINK

/** What is said of one entry when it is added. */
export interface NewEntry {
  readonly kind: EntryKind
  /** Index of the folder that holds it; -1 for a root. */
  readonly parent: number
  /** One component, as bytes; copied. */
  readonly name: Uint8Array
  /** Permission bits, 0 … 0o7777. */
  readonly mode: number
  readonly mtimeNs: bigint
  /** Bytes of a file, `null` while unknown (standard input); 0 for folders and links. */
  readonly sizeBytes: number | null
  /** 0 (last) … 9 (first). */
  readonly priority: number
  /** Where a link leads; empty for all else. */
  readonly target: string
}

const UNKNOWN_SIZE = -1

export class Manifest {
  #count = 0
  #kinds: Uint8Array<ArrayBuffer>
  #priorities: Uint8Array<ArrayBuffer>
  #modes: Uint16Array<ArrayBuffer>
  #parents: Int32Array<ArrayBuffer>
  #mtimes: BigInt64Array<ArrayBuffer>
  #sizes: Float64Array<ArrayBuffer>
  #offsets: Float64Array<ArrayBuffer>
  #nameEnds: Uint32Array<ArrayBuffer>
  #names: Uint8Array<ArrayBuffer> = new Uint8Array(1024)
  readonly #targets = new Map<number, string>()
  #fileCount = 0
  #totalBytes = 0
  #unknown = false
  #openEnded = false
  /** Folders from a root down to the last entry: index, bytes of the path, and the last name given in it. */
  readonly #open: { index: number; pathBytes: number; lastChild: number }[] = [
    { index: -1, pathBytes: 0, lastChild: -1 },
  ]
  #cachedFolder = -1
  #cachedPath = ''

  /** @param capacity entries to make room for at first */
  constructor(capacity = 64) {
    this.#kinds = new Uint8Array(capacity)
    this.#priorities = new Uint8Array(capacity)
    this.#modes = new Uint16Array(capacity)
    this.#parents = new Int32Array(capacity)
    this.#mtimes = new BigInt64Array(capacity)
    this.#sizes = new Float64Array(capacity)
    this.#offsets = new Float64Array(capacity)
    this.#nameEnds = new Uint32Array(capacity)
  }

  /** How many entries there are. */
  get count(): number {
    return this.#count
  }

  /** How many of the entries are files. */
  get fileCount(): number {
    return this.#fileCount
  }

  /** Bytes of the content; `null` while a size is unknown. */
  get totalBytes(): number | null {
    return this.#unknown ? null : this.#totalBytes
  }

  /** End of the content as far as it is known: {@link MAX_CONTENT_BYTES} while a size is unknown. */
  get endOffset(): number {
    return this.#unknown ? MAX_CONTENT_BYTES : this.#totalBytes
  }

  kind(index: number): EntryKind {
    return this.#kinds[this.#checked(index)] as EntryKind
  }

  priority(index: number): number {
    return this.#priorities[this.#checked(index)] as number
  }

  mode(index: number): number {
    return this.#modes[this.#checked(index)] as number
  }

  /** Index of the folder that holds the entry, -1 for a root. */
  parent(index: number): number {
    return this.#parents[this.#checked(index)] as number
  }

  mtimeNs(index: number): bigint {
    return this.#mtimes[this.#checked(index)] as bigint
  }

  /** Bytes of a file, 0 for all else; `null` while unknown. */
  sizeBytes(index: number): number | null {
    const size = this.#sizes[this.#checked(index)] as number
    return size === UNKNOWN_SIZE ? null : size
  }

  /** Where the entry's bytes begin in the content. */
  startOffset(index: number): number {
    return this.#offsets[this.#checked(index)] as number
  }

  /** Where the entry's bytes end in the content; {@link MAX_CONTENT_BYTES} while its size is unknown. */
  endOffsetOf(index: number): number {
    const size = this.#sizes[this.#checked(index)] as number
    return size === UNKNOWN_SIZE ? MAX_CONTENT_BYTES : (this.#offsets[index] as number) + size
  }

  /** The last component of the path, as bytes; a view. */
  nameBytes(index: number): Uint8Array {
    const start = this.#checked(index) === 0 ? 0 : (this.#nameEnds[index - 1] as number)
    return this.#names.subarray(start, this.#nameEnds[index])
  }

  /** The last component of the path. */
  name(index: number): string {
    return decodeUtf8(this.nameBytes(index)) as string
  }

  /** The path from its root on, `tree/a/b.txt`. */
  path(index: number): string {
    const parent = this.parent(index)
    if (parent < 0) return this.name(index)
    if (parent !== this.#cachedFolder) {
      this.#cachedPath = `${this.path(parent)}/`
      this.#cachedFolder = parent
    }
    return this.#cachedPath + this.name(index)
  }

  /** Where a link leads; empty for all else. */
  target(index: number): string {
    return this.#targets.get(index) ?? ''
  }

  /** Indexes of the roots, in order. */
  *roots(): Generator<number> {
    for (let index = 0; index < this.#count; index = this.subtreeEnd(index)) yield index
  }

  /** The index behind the last entry inside this one: its own plus one where nothing is inside. */
  subtreeEnd(index: number): number {
    // Depth first: the subtree ends at the first later entry whose parent lies before it.
    let end = index + 1
    while (end < this.#count && (this.#parents[end] as number) >= index) end++
    return end
  }

  /** Index of the file that holds the byte at `offset`; `count` where the offset is the content's end or beyond. */
  fileAt(offset: number): number {
    let low = 0
    let high = this.#count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.endOffsetOf(middle) > offset) high = middle
      else low = middle + 1
    }
    return low
  }

  /**
   * Appends an entry and checks all rules.
   * @returns its index
   * @throws SealiftError `manifest_invalid` with the rule that is broken; `limit_exceeded` over 10^6 entries
   */
  add(entry: NewEntry): number {
    const index = this.#count
    if (index >= MAX_ENTRIES) throw new SealiftError('limit_exceeded', `more than ${MAX_ENTRIES} files and folders`)
    const fault = nameFault(entry.name)
    if (fault !== null) throw new SealiftError('manifest_invalid', `the manifest has ${fault}`)
    const folder = this.#openFolder(entry)
    const pathBytes = folder.pathBytes + (folder.index < 0 ? 0 : 1) + entry.name.length
    if (pathBytes > MAX_PATH_BYTES)
      throw new SealiftError('manifest_invalid', `the manifest has a path over ${MAX_PATH_BYTES} bytes`)
    this.#checkFields(entry, this.#open.length - 2)

    if (index === this.#kinds.length) this.#grow()
    const end = this.#appendName(entry.name)
    this.#kinds[index] = entry.kind
    this.#priorities[index] = entry.priority
    this.#modes[index] = entry.mode
    this.#parents[index] = entry.parent
    this.#mtimes[index] = entry.mtimeNs
    this.#sizes[index] = entry.sizeBytes ?? UNKNOWN_SIZE
    this.#offsets[index] = this.#totalBytes
    this.#nameEnds[index] = end
    if (entry.kind === KIND_LINK) this.#targets.set(index, entry.target)
    this.#totalBytes += entry.sizeBytes ?? 0
    if (entry.sizeBytes === null) this.#unknown = this.#openEnded = true
    if (entry.kind === KIND_FILE) this.#fileCount++
    folder.lastChild = index
    if (entry.kind === KIND_FOLDER) this.#open.push({ index, pathBytes, lastChild: -1 })
    this.#count = index + 1
    return index
  }

  /** The open folder that the entry says it is in; deeper ones are closed by this. */
  #openFolder(entry: NewEntry): { index: number; pathBytes: number; lastChild: number } {
    let folder = this.#open.at(-1)
    while (folder !== undefined && folder.index !== entry.parent) {
      this.#open.pop()
      folder = this.#open.at(-1)
    }
    if (folder === undefined) throw new SealiftError('manifest_invalid', 'the manifest has an entry outside its folder')
    if (folder.lastChild >= 0 && compareBytes(this.nameBytes(folder.lastChild), entry.name) >= 0) {
      throw new SealiftError('manifest_invalid', 'the manifest has a name twice or out of order')
    }
    return folder
  }

  #checkFields(entry: NewEntry, depth: number): void {
    const { kind, sizeBytes } = entry
    if (this.#openEnded || (sizeBytes === null && (this.#count > 0 || kind !== KIND_FILE))) {
      throw new SealiftError('manifest_invalid', 'the manifest has something beside a file of unknown size')
    }
    const size = sizeBytes ?? 0
    if (!Number.isSafeInteger(size) || size < 0 || this.#totalBytes + size > MAX_CONTENT_BYTES) {
      throw new SealiftError('manifest_invalid', 'the manifest has sizes beyond what can be counted')
    }
    if (kind !== KIND_FILE && size !== 0)
      throw new SealiftError('manifest_invalid', 'the manifest has a folder or link with a size')
    if (entry.mode < 0 || entry.mode > 0o7777 || entry.priority < 0 || entry.priority > MAX_PRIORITY) {
      throw new SealiftError('manifest_invalid', 'the manifest has a mode or priority out of bounds')
    }
    if (kind === KIND_LINK) {
      // A link that is a root of its own has nothing to stay inside of.
      const fault = entry.parent < 0 ? 'a link as a root' : linkFault(entry.target, depth)
      if (fault !== null) throw new SealiftError('manifest_invalid', `the manifest has ${fault}`)
    } else if (entry.target !== '') {
      throw new SealiftError('manifest_invalid', 'the manifest has a target on what is no link')
    }
  }

  #appendName(name: Uint8Array): number {
    const start = this.#count === 0 ? 0 : (this.#nameEnds[this.#count - 1] as number)
    const end = start + name.length
    if (end > this.#names.length) {
      const grown = new Uint8Array(Math.max(end, this.#names.length * 2))
      grown.set(this.#names)
      this.#names = grown
    }
    this.#names.set(name, start)
    return end
  }

  #grow(): void {
    const capacity = Math.max(64, this.#kinds.length * 2)
    const grow = <T extends { set(from: T): void }>(grown: T, old: T): T => {
      grown.set(old)
      return grown
    }
    this.#kinds = grow(new Uint8Array(capacity), this.#kinds)
    this.#priorities = grow(new Uint8Array(capacity), this.#priorities)
    this.#modes = grow(new Uint16Array(capacity), this.#modes)
    this.#parents = grow(new Int32Array(capacity), this.#parents)
    this.#mtimes = grow(new BigInt64Array(capacity), this.#mtimes)
    this.#sizes = grow(new Float64Array(capacity), this.#sizes)
    this.#offsets = grow(new Float64Array(capacity), this.#offsets)
    this.#nameEnds = grow(new Uint32Array(capacity), this.#nameEnds)
  }

  #checked(index: number): number {
    if (!(index >= 0 && index < this.#count)) throw new RangeError(`index ${index} is not in the manifest`)
    return index
  }

  /** Whether this is one file whose size was unknown when it was listed; it stays so when {@link settleSize} says the size. */
  get isOpenEnded(): boolean {
    return this.#openEnded
  }

  /**
   * Closes a file of unknown size once it is known; the same once more changes nothing.
   * @throws SealiftError `protocol_violation` where its size was known from the start, or is another
   */
  settleSize(sizeBytes: number): void {
    const isSettled = this.#openEnded && !this.#unknown
    if (isSettled && sizeBytes === this.#totalBytes) return
    if (!this.#unknown) throw new SealiftError('protocol_violation', 'an end for a file whose size is known')
    this.#sizes[0] = sizeBytes
    this.#totalBytes = sizeBytes
    this.#unknown = false
  }
}
