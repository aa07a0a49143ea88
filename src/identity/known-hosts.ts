/**
 * Keys of servers that were met before, by host and port (docs/identities.md): one line each,
 * `HOST:PORT sealift-x25519 BASE64`.
 *
 * The file only grows, by whole lines that are appended in one write, and the first line of a host counts. So processes
 * that meet a server at the same time need no lock: each appends what it saw and reads back what counts. A line that is
 * cut at the end of the file, by a full disk say, was never believed, and the next one begins on a line of its own.
 */

import { closeSync, fstatSync, fsyncSync, mkdirSync, openSync, readSync, statSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { makeFolders } from '../files/folder-making.ts'
import { compareBytes } from '../protocol/bytes.ts'
import { SealiftError } from '../protocol/errors.ts'
import { escapeForDisplay } from '../protocol/names.ts'
import { fingerprintOf, formatPublicKey, splitKeyLine } from './public-key.ts'
import { fileFault, judge, readTrustedFile, syncFolder } from './trusted-file.ts'

const RULES = { what: 'the list of known servers', isSecret: false, maxBytes: 4 << 20 } as const
const NEW_LINE = 0x0a

export interface KnownHost {
  /** 32 bytes. */
  readonly key: Uint8Array
  /** Line of the file that says so, from 1. */
  readonly line: number
}

export class KnownHosts {
  readonly path: string

  /** @param path of the file, which may not be there */
  constructor(path: string) {
    this.path = path
  }

  /**
   * @returns `null` where the server was not met before
   * @throws SealiftError `settings_invalid` where the file cannot be believed, or a line of it says nothing
   */
  find(host: string, port: number): KnownHost | null {
    const text = readTrustedFile(this.path, RULES)
    if (text === null) return null
    const wanted = nameOf(host, port)
    const lines = text.split('\n')
    // Whole lines end with a line break; what stands behind the last one is cut.
    lines.pop()
    for (const [index, line] of lines.entries()) {
      if (line.trim() === '' || line.startsWith('#')) continue
      const [name, rest] = splitOnce(line.trim())
      if (name === wanted) return { key: this.#keyOf(rest, index + 1), line: index + 1 }
    }
    return null
  }

  #keyOf(text: string, line: number): Uint8Array {
    try {
      const { key, rest } = splitKeyLine(text)
      if (rest.length === 0) return key
    } catch (error) {
      if (!(error instanceof SealiftError)) throw error
    }
    throw new SealiftError('settings_invalid', `line ${line} of ${escapeForDisplay(this.path)} names no key`, {
      hint: 'put the line right or remove it',
    })
  }

  /**
   * Remembers the key of a server that was met for the first time, durably.
   * @throws SealiftError `key_changed` where another process remembered another one meanwhile; as {@link find}, and
   *   those of a disk
   */
  remember(host: string, port: number, key: Uint8Array): void {
    if (this.find(host, port) === null) this.#append(`${nameOf(host, port)} ${formatPublicKey(key)}\n`)
    const known = this.find(host, port)
    if (known === null)
      throw new SealiftError('disk_fault', `a line that was written is not there: ${escapeForDisplay(this.path)}`)
    if (compareBytes(known.key, key) !== 0) throw keyChanged(host, port, known, key, this.path)
  }

  #append(line: string): void {
    try {
      makeFolders(dirname(this.path), 0o700, { statSync, mkdirSync })
      const file = openSync(this.path, 'a+', 0o600)
      try {
        const found = fstatSync(file)
        judge(this.path, found, RULES)
        writeSync(file, endsLine(file, found.size) ? line : `\n${line}`)
        fsyncSync(file)
      } finally {
        closeSync(file)
      }
    } catch (error) {
      throw fileFault(error, `${RULES.what} cannot be written`, this.path, 'target_read_only')
    }
    syncFolder(dirname(this.path))
  }
}

function endsLine(file: number, size: number): boolean {
  const last = new Uint8Array(1)
  return size === 0 || readSync(file, last, 0, 1, size - 1) === 0 || last[0] === NEW_LINE
}

function splitOnce(line: string): [string, string] {
  const at = line.search(/\s/)
  return at < 0 ? [line, ''] : [line.slice(0, at), line.slice(at).trim()]
}

/** @throws SealiftError `usage` where a host could not be told from what stands behind it in the file */
function nameOf(host: string, port: number): string {
  if (host === '' || /[\s#\p{C}]/u.test(host)) throw new SealiftError('usage', 'this is no name of a host')
  const name = host.toLowerCase()
  return name.includes(':') ? `[${name}]:${port}` : `${name}:${port}`
}

/** What a changed key is told as: a stop, with both fingerprints. */
export function keyChanged(
  host: string,
  port: number,
  known: KnownHost,
  found: Uint8Array,
  path: string,
): SealiftError {
  const message = `the key of ${escapeForDisplay(nameOf(host, port))} has changed: it was ${fingerprintOf(known.key)}, it is ${fingerprintOf(found)}`
  return new SealiftError('key_changed', message, {
    hint: [
      'somebody may be between you and the server: ask whoever runs it, by a way you trust, for its fingerprint',
      `if it is ${fingerprintOf(found)}, remove line ${known.line} of ${escapeForDisplay(path)}`,
    ].join('\n'),
  })
}
