/**
 * The file of a server's log, `server.log`, and those before it, `server-TIME.log`, named by the time of their last line.
 *
 * Owns its mode, rotation by size, and how long old files are kept. What the lines say is not its business. A disk that
 * takes no line costs that line, never the server: how many were lost is the first thing that is written when it can be.
 */

import fs from 'node:fs'
import { join } from 'node:path'
import { makeFolders } from '../files/folder-making.ts'
import { reasonOf } from './audit-files.ts'
import { SealiftError } from '../protocol/errors.ts'
import { escapeForDisplay } from '../protocol/names.ts'

const CURRENT_FILE = 'server.log'
const ROTATED = /^server-(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}Z)(?:-\d+)?\.log$/
const NEWLINE = 0x0a

export interface LogFileOptions {
  readonly folder: string
  /** A file that would grow over this is put aside first. */
  readonly rotationBytes: number
  /** How long a file is kept after it was put aside. */
  readonly retentionMs: number
  /** Milliseconds since 1970. */
  readonly wallMs: () => number
}

export class LogFile {
  readonly #options: LogFileOptions
  #descriptor: number
  #sizeBytes: number
  /** Whether the last line has no end: the process was killed in it, or the disk was full. */
  #isTorn: boolean
  #lostLines = 0

  private constructor(options: LogFileOptions) {
    this.#options = options
    this.#descriptor = openAppending(options.folder)
    this.#sizeBytes = fs.fstatSync(this.#descriptor).size
    this.#isTorn = this.#sizeBytes > 0 && lastByte(this.#descriptor, this.#sizeBytes) !== NEWLINE
    this.#removeOld()
  }

  /**
   * Makes folder and file where they are missing, and removes what is too old.
   * @throws SealiftError `settings_invalid` where nothing can be written there
   */
  static open(options: LogFileOptions): LogFile {
    const { folder } = options
    try {
      makeFolders(folder, 0o700, fs)
      return new LogFile(options)
    } catch (cause) {
      const why = reasonOf(cause)
      throw new SealiftError('settings_invalid', `the log cannot be kept in ${escapeForDisplay(folder)}: ${why}`, {
        cause,
        hint: 'Let ST_LOG_PATH name a folder in which the server may write, or leave it out.',
      })
    }
  }

  /** Adds a line, its end included. Never throws. */
  write(line: string): void {
    try {
      const bytes = Buffer.from((this.#isTorn ? '\n' : '') + this.#lossNote + line)
      if (this.#sizeBytes > 0 && this.#sizeBytes + bytes.length > this.#options.rotationBytes) this.#rotate()
      this.#append(bytes)
      this.#lostLines = 0
    } catch {
      this.#lostLines++
    }
  }

  close(): void {
    fs.closeSync(this.#descriptor)
  }

  get #time(): string {
    return new Date(this.#options.wallMs()).toISOString()
  }

  get #lossNote(): string {
    if (this.#lostLines === 0) return ''
    return `${JSON.stringify({ level: 'warn', time: this.#time, lines: this.#lostLines, msg: 'lines were lost' })}\n`
  }

  #append(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) {
      const written = fs.writeSync(this.#descriptor, bytes, done)
      done += written
      this.#sizeBytes += written
      this.#isTorn = done < bytes.length
    }
  }

  /** Where the file cannot be put aside, it grows on. */
  #rotate(): void {
    const { folder } = this.#options
    const stem = join(folder, `server-${this.#time.replaceAll(':', '-')}`)
    let target = `${stem}.log`
    for (let count = 1; fs.existsSync(target); count++) target = `${stem}-${count}.log`
    try {
      fs.renameSync(join(folder, CURRENT_FILE), target)
    } catch {
      return
    }
    const next = openAppending(folder)
    fs.closeSync(this.#descriptor)
    this.#descriptor = next
    this.#sizeBytes = 0
    this.#isTorn = false
    this.#removeOld()
  }

  #removeOld(): void {
    const { folder, retentionMs, wallMs } = this.#options
    for (const name of fs.readdirSync(folder)) {
      const time = ROTATED.exec(name)?.[1]?.replace(/T(\d\d)-(\d\d)-/, 'T$1:$2:')
      if (time !== undefined && Date.parse(time) < wallMs() - retentionMs) fs.unlinkSync(join(folder, name))
    }
  }
}

/** A link is not followed, and nobody but this user reads what is made. */
function openAppending(folder: string): number {
  const { O_RDWR, O_APPEND, O_CREAT, O_NOFOLLOW } = fs.constants
  return fs.openSync(join(folder, CURRENT_FILE), O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW, 0o600)
}

function lastByte(descriptor: number, sizeBytes: number): number | undefined {
  const byte = new Uint8Array(1)
  fs.readSync(descriptor, byte, 0, 1, sizeBytes - 1)
  return byte[0]
}
