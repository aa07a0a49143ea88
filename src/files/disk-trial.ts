/**
 * Tries out what a file system can do, and how fast: each in a private folder that is removed again, whatever happens.
 *
 * Owns that folder. Knows nothing of what the answers mean.
 */

import { SealiftError } from '../protocol/errors.ts'
import { escapeForDisplay } from '../protocol/names.ts'
import { diskFault, errnoOf } from './disk-faults.ts'
import { NO_HARD_LINKS } from './file-placing.ts'
import type { FileSystem } from './file-system.ts'
import { nodeFileSystem } from './file-system.ts'
import { writableTime } from './file-times.ts'
import { type Anchor, closeAnchor, openAnchor } from './folder-handles.ts'
import { type NameTrial, tryNames } from './name-rules.ts'
import { removeTree } from './staging.ts'

/** How long small files are made durable, one after another. */
const SYNC_TRIAL_MS = 400
/** How long ever larger files are written; none is begun that would likely end later. */
const WRITE_TRIAL_MS = 800
const MAX_SYNCS = 5
/** One small file of a sync trial. */
const SMALL_FILE_BYTES = 4096
/** Written in all, at most. */
const MAX_SAMPLE_BYTES = 63 << 20
const PIECE_BYTES = 1 << 20
/** An odd second and all digits behind it, so that coarse clocks show. */
const TRIAL_TIME_NS = 1_700_000_001_987_654_000n
/** The steps of modification times that file systems have. */
const TIME_STEPS_NS = [1000, 1_000_000, 10_000_000, 1_000_000_000] as const

export interface FileTrial {
  /** Whether a file can have a second name. */
  readonly hardLinks: boolean
  /** Whether a file that is there can be kept from being made again. */
  readonly exclusive: boolean
  /** What is kept of a modification time, in nanoseconds: 1000 is all that Sealift asks for. */
  readonly mtimeStepNs: number
  /** How far the clock of the file system is ahead of the system's. */
  readonly clockAheadMs: number
}

/** What can be asked of a disk; each answer costs writing a little. */
export interface DiskTrial {
  /** @throws SealiftError `disk_full`, `target_read_only`, … */
  names(): NameTrial
  /** @throws SealiftError as {@link DiskTrial.names} */
  files(): FileTrial
  /** How long it takes to make one small file durable: the median of a few. @throws SealiftError as {@link DiskTrial.names} */
  syncMs(): Promise<number>
  /**
   * Bytes a second, durable. Stops early on a slow disk.
   * @param maxBytes written at most
   * @throws SealiftError as {@link DiskTrial.names}
   */
  writeBytesPerSecond(maxBytes: number): Promise<number>
  /** Removes all that was made. */
  close(): void
}

let trials = 0

/**
 * @param folder an existing folder
 * @param signal removes at once what was made
 * @throws SealiftError `target_read_only`, `disk_full`, …
 */
export function openDiskTrial(folder: string, signal: AbortSignal, fs: FileSystem = nodeFileSystem): DiskTrial {
  return new FolderTrial(folder, signal, fs)
}

class FolderTrial implements DiskTrial {
  readonly #fs: FileSystem
  readonly #folder: string
  readonly #signal: AbortSignal
  readonly #parent: Anchor
  /** Named like staging, so that one left by a killed process is removed with stale staging. */
  readonly #name = `.sealift-doctor-${process.pid}-${++trials}.part`
  readonly #anchor: Anchor
  readonly #stop = (): void => this.close()
  #open = true
  #files = 0

  constructor(folder: string, signal: AbortSignal, fs: FileSystem) {
    this.#fs = fs
    this.#folder = folder
    this.#signal = signal
    signal.throwIfAborted()
    const parts = this.#guard(() => {
      const realPath = fs.realpathSync(folder)
      const parent = openAnchor(fs, realPath, realPath)
      try {
        fs.mkdirSync(`${parent.path}/${this.#name}`, 0o700)
        return { parent, anchor: openAnchor(fs, `${parent.path}/${this.#name}`, `${realPath}/${this.#name}`) }
      } catch (error) {
        closeAnchor(fs, parent)
        throw error
      }
    })
    this.#parent = parts.parent
    this.#anchor = parts.anchor
    signal.addEventListener('abort', this.#stop)
  }

  names(): NameTrial {
    return this.#guard(() => tryNames(this.#anchor.path, this.#fs))
  }

  files(): FileTrial {
    return this.#guard(() => {
      const fs = this.#fs
      const path = this.#nextPath()
      const startMs = Date.now()
      const fd = fs.openSync(path, 'wx', 0o600)
      try {
        fs.writeSync(fd, new Uint8Array(1))
        const madeMs = fs.fstatSync(fd).mtimeMs
        const clockAheadMs = aheadMs(madeMs, startMs, Date.now())
        const seconds = writableTime(TRIAL_TIME_NS)
        fs.futimesSync(fd, seconds, seconds)
        const keptNs = fs.fstatSync(fd, { bigint: true }).mtimeNs
        return {
          hardLinks: this.#canLink(path),
          exclusive: this.#refusesSecond(path),
          mtimeStepNs: stepOf(Number(TRIAL_TIME_NS - keptNs)),
          clockAheadMs,
        }
      } finally {
        fs.closeSync(fd)
      }
    })
  }

  async syncMs(): Promise<number> {
    const content = new Uint8Array(SMALL_FILE_BYTES)
    const endsAt = performance.now() + SYNC_TRIAL_MS
    const taken: number[] = []
    do {
      const startMs = performance.now()
      await this.#writeDurably(content, 1)
      taken.push(performance.now() - startMs)
    } while (taken.length < MAX_SYNCS && performance.now() < endsAt)
    return taken.sort((a, b) => a - b)[taken.length >> 1] as number
  }

  async writeBytesPerSecond(maxBytes: number): Promise<number> {
    const piece = new Uint8Array(PIECE_BYTES)
    // Not zeros: some disks and file systems save themselves the writing of those.
    for (let at = 0; at < piece.length; at++) piece[at] = (at * 2_654_435_761) >>> 13
    const limit = Math.min(maxBytes, MAX_SAMPLE_BYTES)
    const startMs = performance.now()
    let written = 0
    let rate = 0
    // Each file twice as large as the one before, as long as the next one is likely to end in time: a sync cannot be
    // called off, and what it costs at the least counts less in a larger one.
    for (let pieces = 1; written + pieces * PIECE_BYTES <= limit; pieces *= 2) {
      const fileStartMs = performance.now()
      await this.#writeDurably(piece, pieces)
      const tookMs = performance.now() - fileStartMs
      written += pieces * PIECE_BYTES
      rate = (pieces * PIECE_BYTES * 1000) / Math.max(tookMs, 0.001)
      if (performance.now() - startMs + 2 * tookMs > WRITE_TRIAL_MS) break
    }
    return rate
  }

  close(): void {
    if (!this.#open) return
    this.#open = false
    this.#signal.removeEventListener('abort', this.#stop)
    try {
      removeTree(this.#fs, this.#parent, this.#name)
    } catch {
      // What cannot be removed now goes with stale staging.
    }
    closeAnchor(this.#fs, this.#anchor)
    closeAnchor(this.#fs, this.#parent)
  }

  /** Writes a file in pieces and syncs it, off this thread, so that a slow disk does not hold it. */
  async #writeDurably(piece: Uint8Array, pieces: number): Promise<void> {
    this.#signal.throwIfAborted()
    const fs = this.#fs
    try {
      const fd = fs.openSync(this.#nextPath(), 'wx', 0o600)
      try {
        for (let count = 0; count < pieces; count++) {
          await this.#call((done) => fs.write(fd, piece, 0, piece.length, null, (error) => done(error)))
        }
        await this.#call((done) => fs.fsync(fd, done))
      } finally {
        fs.closeSync(fd)
      }
    } catch (error) {
      throw this.#fault(error)
    }
  }

  async #call(start: (done: (error: Error | null) => void) => void): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      start((error) => {
        if (error === null) resolve()
        else reject(error)
      })
    })
    this.#signal.throwIfAborted()
  }

  #canLink(path: string): boolean {
    try {
      this.#fs.linkSync(path, this.#nextPath())
      return true
    } catch (error) {
      if (NO_HARD_LINKS.has(errnoOf(error))) return false
      throw error
    }
  }

  #refusesSecond(path: string): boolean {
    try {
      this.#fs.closeSync(this.#fs.openSync(path, 'wx', 0o600))
      return false
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') return true
      throw error
    }
  }

  #nextPath(): string {
    if (!this.#open) throw new SealiftError('interrupted', 'the trial of the disk is over')
    return `${this.#anchor.path}/${++this.#files}`
  }

  #guard<T>(work: () => T): T {
    try {
      return work()
    } catch (error) {
      throw this.#fault(error)
    }
  }

  #fault(error: unknown): SealiftError {
    if (this.#signal.aborted) return new SealiftError('interrupted', 'stopped', { cause: error })
    return diskFault(error, `cannot write to ${escapeForDisplay(this.#folder)}`)
  }
}

/** The coarsest step that explains what was lost of the time; FAT keeps every other second. */
function stepOf(lostNs: number): number {
  return TIME_STEPS_NS.find((step) => Math.abs(lostNs) < step) ?? 2_000_000_000
}

/** Between two looks at the system's clock a file was written: outside of them is how far the other clock is off. */
function aheadMs(fileMs: number, beforeMs: number, afterMs: number): number {
  if (fileMs > afterMs) return fileMs - afterMs
  return fileMs < beforeMs ? fileMs - beforeMs : 0
}
