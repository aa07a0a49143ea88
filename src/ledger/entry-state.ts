/**
 * What has become of each entry of a transfer, in memory: one byte a state, 32 bytes a digest, in pages of 1,024
 * entries, so that a checkpoint writes the pages that changed and not a row for each file (a row each would double
 * the time of a tree of 12,000 files).
 *
 * Knows which pages changed; not where they are kept.
 */

/** Not complete here. */
export const ENTRY_PENDING = 0
/** All its bytes are in staging. */
export const ENTRY_STAGED = 1
/** Staged, and its SHA-256 is that of the source. */
export const ENTRY_VERIFIED = 2
// 3 is left out: an entry on its way to its final name has a row among the publish intents.
/** Under its final name. */
export const ENTRY_PUBLISHED = 4
/** Left out, by the conflict policy or by the user. */
export const ENTRY_SKIPPED = 5
/** Given up; the others go on. */
export const ENTRY_FAILED = 6

export type EntryState = 0 | 1 | 2 | 3 | 4 | 5 | 6

/** Entries of one page of the ledger. */
const ENTRIES_PER_PAGE = 1024
/** Bytes of a SHA-256. */
const DIGEST_BYTES = 32

const STATE_COUNT = 7

/** One page as it is kept: a byte an entry, and the digests (zeros where there is none) or `null`. */
export interface EntryPage {
  readonly page: number
  readonly states: Uint8Array
  readonly digests: Uint8Array | null
}

export class EntryStates {
  readonly count: number
  readonly #states: Uint8Array
  readonly #tallies: number[]
  /** Digests of one page each, made when the first of them comes. */
  readonly #digests: (Uint8Array | undefined)[] = []
  readonly #dirty = new Set<number>()

  /** All entries begin as pending. */
  constructor(count: number) {
    this.count = count
    this.#states = new Uint8Array(count)
    this.#tallies = new Array<number>(STATE_COUNT).fill(0)
    this.#tallies[ENTRY_PENDING] = count
  }

  /** @throws RangeError where there is no such entry */
  get(index: number): EntryState {
    return this.#states[this.#checked(index)] as EntryState
  }

  /** SHA-256 of the entry's bytes (32 bytes, a view); `null` while it is not known. */
  digest(index: number): Uint8Array | null {
    const page = this.#digests[pageOf(this.#checked(index))]
    if (page === undefined) return null
    const at = (index % ENTRIES_PER_PAGE) * DIGEST_BYTES
    const digest = page.subarray(at, at + DIGEST_BYTES)
    // No input is known whose SHA-256 is all zeros; so zeros mean that there is none.
    return digest.some((byte) => byte !== 0) ? digest : null
  }

  /** @param sha256 32 bytes, copied; `null` forgets the digest, leaving it out keeps it */
  set(index: number, state: EntryState, sha256?: Uint8Array | null): void {
    const before = this.get(index)
    const page = pageOf(index)
    if (before !== state) {
      this.#states[index] = state
      this.#tallies[before] = this.tally(before) - 1
      this.#tallies[state] = this.tally(state) + 1
      this.#dirty.add(page)
    }
    if (sha256 === undefined) return
    if (sha256 !== null && sha256.length !== DIGEST_BYTES) throw new RangeError('a SHA-256 has 32 bytes')
    if (sha256 === null && this.#digests[page] === undefined) return
    const digests = (this.#digests[page] ??= new Uint8Array(this.#pageEntries(page) * DIGEST_BYTES))
    const at = (index % ENTRIES_PER_PAGE) * DIGEST_BYTES
    if (sha256 === null) digests.fill(0, at, at + DIGEST_BYTES)
    else digests.set(sha256, at)
    this.#dirty.add(page)
  }

  /** How many entries are in this state. */
  tally(state: EntryState): number {
    return this.#tallies[state] as number
  }

  /** Whether every entry is in a last state: published, skipped or failed. */
  get isEnded(): boolean {
    return this.tally(ENTRY_PUBLISHED) + this.tally(ENTRY_SKIPPED) + this.tally(ENTRY_FAILED) === this.count
  }

  /** Copies of the pages that changed since they were last taken; the caller keeps them or calls {@link markDirty}. */
  takeDirty(): EntryPage[] {
    const pages = [...this.#dirty].map((page) => ({
      page,
      states: this.#states.slice(page * ENTRIES_PER_PAGE, (page + 1) * ENTRIES_PER_PAGE),
      digests: this.#digests[page]?.slice() ?? null,
    }))
    this.#dirty.clear()
    return pages
  }

  /** Says that a page could not be kept and is to be taken again. */
  markDirty(page: number): void {
    this.#dirty.add(page)
  }

  /**
   * Puts back a page that was kept.
   * @param digests taken over as it is
   * @returns whether it fits this many entries and holds known states; where not, nothing changes
   */
  restore({ page, states, digests }: EntryPage): boolean {
    const entries = this.#pageEntries(page)
    if (page < 0 || entries <= 0 || states.length !== entries || states.some((state) => state >= STATE_COUNT))
      return false
    if (digests !== null && digests.length !== entries * DIGEST_BYTES) return false
    for (const [at, state] of states.entries()) {
      const before = this.get(page * ENTRIES_PER_PAGE + at)
      this.#tallies[before] = this.tally(before) - 1
      this.#tallies[state] = this.tally(state as EntryState) + 1
    }
    this.#states.set(states, page * ENTRIES_PER_PAGE)
    this.#digests[page] = digests ?? undefined
    return true
  }

  #pageEntries(page: number): number {
    return Math.min(ENTRIES_PER_PAGE, this.count - page * ENTRIES_PER_PAGE)
  }

  #checked(index: number): number {
    if (!Number.isInteger(index) || index < 0 || index >= this.count) throw new RangeError(`no entry ${index}`)
    return index
  }
}

function pageOf(index: number): number {
  return Math.floor(index / ENTRIES_PER_PAGE)
}
