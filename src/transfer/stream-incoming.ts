/**
 * One file as it arrives, handed on in order and never to disk: to a pipe, or into memory.
 *
 * Owns the order, the digest, and what is acknowledged: what the target took. Knows neither target nor session.
 */

import { createHash, type Hash } from 'node:crypto'
import { ENTRY_FAILED, ENTRY_PENDING, ENTRY_PUBLISHED, ENTRY_VERIFIED, type EntryState } from '../ledger/entry-state.ts'
import { compareBytes } from '../protocol/bytes.ts'
import { type ErrorCode, SealiftError } from '../protocol/errors.ts'
import { MAX_UNACKNOWLEDGED_BYTES, STALL_TIMEOUT_MS } from '../protocol/limits.ts'
import type { Manifest } from '../protocol/manifest.ts'
import { RangeSet } from '../protocol/ranges.ts'
import type { Clock } from './clock.ts'
import type { Teller } from './incoming.ts'
import type { IncomingFiles } from './receiver-session.ts'
import type { StageProbe } from './stage.ts'

/** Where content goes. */
export interface StreamTarget {
  /** Takes bytes; all that follows waits for the promise. @throws where it takes no more */
  write(bytes: Uint8Array): void | Promise<void>
  /** Whether it is done with the bytes then; else they are its own. */
  readonly borrows: boolean
  /** All of it came, and is what was sent. @throws SealiftError where that is not good */
  finish(): void
}

export interface StreamIncomingOptions {
  /** One file. */
  readonly manifest: Manifest
  readonly clock: Clock
  readonly probe: StageProbe
  readonly target: StreamTarget
  /** So much more was taken. */
  readonly onProgress: (bytes: number) => void
  /** The size of content of unknown length is known at last. */
  readonly onSize: (sizeBytes: number) => void
}

/** Bytes that wait for the target, at most: more, and the sender is held back. */
const MAX_WAITING_BYTES = 4 << 20
/** Pieces that came before what lies in front of them, at most. */
const MAX_PIECES_AHEAD = 256
/** A target that takes nothing is not a receiver that hangs: the sender is told so this often. */
const HELD_BACK_MS = STALL_TIMEOUT_MS / 4

interface Piece {
  readonly start: number
  readonly bytes: Uint8Array
}

export class StreamIncoming implements IncomingFiles {
  readonly #options: StreamIncomingOptions
  readonly #manifest: Manifest
  readonly #hash: Hash = createHash('sha256')
  readonly #complete = Promise.withResolvers<undefined>()
  /** Where the bytes end that were given to the target or wait for it. */
  #nextOffset = 0
  /** Where the bytes end that the target took. */
  #takenEnd = 0
  /** Came before what lies in front of it: nothing that this program sends, but allowed. */
  #ahead: Piece[] = []
  readonly #aheadRanges = new RangeSet()
  #turn: Promise<void> = Promise.resolve()
  #wake: (() => void) | null = null
  #expected: Uint8Array | null = null
  #digest: Uint8Array | null = null
  #state: EntryState = ENTRY_PENDING
  #failure: SealiftError | null = null
  #teller: Teller | null = null
  #cancelTimer: (() => void) | null = null

  constructor(options: StreamIncomingOptions) {
    this.#options = options
    this.#manifest = options.manifest
  }

  get complete(): Promise<unknown> {
    return this.#complete.promise
  }

  get state(): EntryState {
    return this.#state
  }

  /** Why it failed; `null` where it did not. */
  get failure(): SealiftError | null {
    return this.#failure
  }

  /** 32 bytes; `null` before it is verified. */
  get sha256(): Uint8Array | null {
    return this.#digest
  }

  /** What the target took; a copy. */
  get safeRanges(): RangeSet {
    return RangeSet.of([{ start: 0, end: this.#takenEnd }])
  }

  begin(): void {
    this.#settle()
  }

  tell(teller: Teller | null): void {
    this.#teller = teller
  }

  chunk(offset: number, bytes: Uint8Array, release: () => void): void | Promise<void> {
    const end = offset + bytes.length
    if (end > this.#manifest.endOffset) throw new SealiftError('protocol_violation', 'a chunk lies beyond the content')
    if (end > this.#takenEnd + MAX_UNACKNOWLEDGED_BYTES)
      throw new SealiftError('protocol_violation', 'a chunk lies far beyond what has come')
    this.#options.probe('chunk')
    if (this.#state !== ENTRY_PENDING || end <= this.#nextOffset) return undefined
    if (offset > this.#nextOffset) {
      this.#holdAhead(offset, bytes)
      return undefined
    }
    this.#give(bytes.subarray(this.#nextOffset - offset), this.#options.target.borrows ? release : null)
    this.#giveAhead()
    if (this.#nextOffset - this.#takenEnd <= MAX_WAITING_BYTES) return undefined
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  #holdAhead(start: number, bytes: Uint8Array): void {
    const end = start + bytes.length
    // What is not held is not acknowledged either: it comes again.
    if (this.#aheadRanges.intersects(start, end) || this.#ahead.length === MAX_PIECES_AHEAD) return
    this.#aheadRanges.add(start, end)
    this.#ahead.push({ start, bytes })
  }

  #giveAhead(): void {
    while (this.#aheadRanges.runEnd(this.#nextOffset) > this.#nextOffset) {
      const at = this.#ahead.findIndex(({ start, bytes }) => {
        return start <= this.#nextOffset && start + bytes.length > this.#nextOffset
      })
      const [piece] = this.#ahead.splice(at, 1) as [Piece]
      this.#give(piece.bytes.subarray(this.#nextOffset - piece.start), null)
    }
    this.#aheadRanges.remove(0, this.#nextOffset)
    this.#ahead = this.#ahead.filter(({ start, bytes }) => start + bytes.length > this.#nextOffset)
  }

  /** @param release to be called when the target has taken the bytes; `null` where it keeps them */
  #give(bytes: Uint8Array, release: (() => void) | null): void {
    const start = this.#nextOffset
    const end = start + bytes.length
    this.#nextOffset = end
    this.#hash.update(bytes)
    this.#watch()
    this.#turn = this.#turn.then(async () => {
      if (this.#state !== ENTRY_PENDING) return
      try {
        await this.#options.target.write(bytes)
      } catch (thrown) {
        this.#fail(targetFault(thrown))
        return
      }
      release?.()
      this.#taken(start, end)
    })
  }

  #taken(start: number, end: number): void {
    this.#takenEnd = end
    this.#teller?.acknowledge(RangeSet.of([{ start, end }]))
    this.#options.onProgress(end - start)
    this.#watch()
    if (this.#nextOffset - end <= MAX_WAITING_BYTES / 2) this.#wakeUp()
    this.#settle()
  }

  #wakeUp(): void {
    this.#wake?.()
    this.#wake = null
  }

  /** While the target holds everything back, nothing can be acknowledged, and the sender would take this side for dead. */
  #watch(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = null
    if (this.#takenEnd === this.#nextOffset || this.#state !== ENTRY_PENDING) return
    this.#cancelTimer = this.#options.clock.after(HELD_BACK_MS, () => {
      this.#teller?.acknowledge(new RangeSet())
      this.#watch()
    })
  }

  digest(entry: number, sha256: Uint8Array): void {
    if (entry !== 0) throw new SealiftError('protocol_violation', 'a digest for what is no file')
    this.#expected = sha256.slice()
    this.#settle()
  }

  end(sizeBytes: number): void {
    const hasCome = Math.max(this.#nextOffset, this.#aheadRanges.end)
    if (this.#manifest.totalBytes === null && this.#state === ENTRY_PENDING && sizeBytes < hasCome)
      throw new SealiftError('protocol_violation', 'the content ends before what has come of it')
    this.#manifest.settleSize(sizeBytes)
    this.#options.onSize(sizeBytes)
    this.#settle()
  }

  fail(entry: number, code: ErrorCode, message: string): void {
    if (entry !== 0) throw new SealiftError('protocol_violation', 'a failure of an entry that is not there')
    if (this.#state === ENTRY_PENDING) this.#fail(new SealiftError(code, message, { retryable: false }))
  }

  #settle(): void {
    const size = this.#manifest.totalBytes
    if (this.#state !== ENTRY_PENDING || size !== this.#takenEnd || (size > 0 && this.#expected === null)) return
    const digest = this.#hash.digest()
    if (this.#expected === null || compareBytes(digest, this.#expected) === 0) {
      this.#digest = digest
      this.#end(ENTRY_VERIFIED)
    } else this.#fail(new SealiftError('digest_mismatch', 'what came is not what was sent: its SHA-256 is another one'))
  }

  #fail(error: SealiftError): void {
    this.#failure = error
    this.#teller?.failed(0, error.code)
    this.#end(ENTRY_FAILED)
  }

  #end(state: EntryState): void {
    this.#state = state
    this.#ahead = []
    this.#aheadRanges.clear()
    this.#wakeUp()
    this.#watch()
    this.#complete.resolve(undefined)
  }

  /** All was handed on for good. */
  publish(): void {
    if (this.#state === ENTRY_VERIFIED) this.#state = ENTRY_PUBLISHED
  }

  /** Takes no more, and tells nobody. */
  close(): void {
    this.#teller = null
    if (this.#state === ENTRY_PENDING) this.#end(ENTRY_FAILED)
  }
}

function targetFault(thrown: unknown): SealiftError {
  if (thrown instanceof SealiftError) return thrown
  const why = thrown instanceof Error ? thrown.message : String(thrown)
  return new SealiftError('target_gone', `the output took no more: ${why}`, { cause: thrown })
}
