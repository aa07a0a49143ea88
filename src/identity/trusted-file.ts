/**
 * Files that are believed: keys, and lists of keys. Nobody else may have written them, and secret ones nobody else may
 * read (S-55).
 *
 * Owns how they are opened, judged and made. What is judged is what was opened, so nothing can be swapped in between.
 */

import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import type { Stats } from 'node:fs'
import { dirname } from 'node:path'
import { makeFolders } from '../files/folder-making.ts'
import { decodeUtf8 } from '../protocol/bytes.ts'
import { type ErrorCode, SealiftError } from '../protocol/errors.ts'
import { escapeForDisplay } from '../protocol/names.ts'

export interface TrustedFileRules {
  /** What it is, for messages: `the key file`. */
  readonly what: string
  /** No other user may read it, and it is no link. */
  readonly isSecret: boolean
  readonly maxBytes: number
}

const HAS_MODES = process.platform !== 'win32'

/**
 * @returns its text; `null` where there is no such file
 * @throws SealiftError `settings_invalid` where it is no regular file, of another user, open to others, too long, not
 *   UTF-8, or cannot be read
 */
export function readTrustedFile(path: string, rules: TrustedFileRules): string | null {
  const file = openForReading(path, rules)
  if (file === null) return null
  const room = new Uint8Array(rules.maxBytes + 1)
  try {
    judge(path, fstatSync(file), rules)
    let length = 0
    for (let read = -1; read !== 0 && length < room.length; length += read)
      read = readSync(file, room, length, room.length - length, null)
    if (length > rules.maxBytes) throw refusal(`${rules.what} is too long`, path)
    const text = decodeUtf8(room.subarray(0, length))
    if (text === null) throw refusal(`${rules.what} is not UTF-8`, path)
    return text
  } catch (error) {
    throw fileFault(error, `${rules.what} cannot be read`, path)
  } finally {
    room.fill(0)
    closeSync(file)
  }
}

function openForReading(path: string, { what, isSecret }: TrustedFileRules): number | null {
  try {
    // A pipe in its place must not hold us up.
    const flags = constants.O_RDONLY | constants.O_NONBLOCK | (isSecret ? constants.O_NOFOLLOW : 0)
    return openSync(path, HAS_MODES ? flags : 'r')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    if (errnoOf(error) === 'ELOOP') throw refusal(`${what} must not be a link`, path)
    throw fileFault(error, `${what} cannot be read`, path)
  }
}

/** @throws SealiftError `settings_invalid` where somebody else may have written it, or may read a secret */
export function judge(path: string, found: Stats, { what, isSecret }: Omit<TrustedFileRules, 'maxBytes'>): void {
  if (!found.isFile()) throw refusal(`${what} is no regular file`, path)
  if (!HAS_MODES) return
  const isOwn = found.uid === process.geteuid?.()
  if (!isOwn && (isSecret || found.uid !== 0)) {
    throw refusal(`${what} belongs to another user`, path, `make it yours (chown) if you trust what is in it`)
  }
  if ((found.mode & (isSecret ? 0o077 : 0o022)) === 0) return
  throw isSecret
    ? refusal(`others may read or write ${what}`, path, `close it: chmod 600 ${quoted(path)}`)
    : refusal(`others may write ${what}`, path, `take that from them: chmod go-w ${quoted(path)}`)
}

/**
 * Makes the file, durably, and its folder (0700) where that is missing. Never replaces anything.
 *
 * @param mode before the umask
 * @throws SealiftError `conflict` where something has that name; `target_read_only`, `disk_full`, `disk_fault`
 */
export function createTrustedFile(path: string, text: string, mode: number, what: string): void {
  let file: number | null = null
  try {
    makeFolders(dirname(path), 0o700, { statSync, mkdirSync })
    file = openSync(path, 'wx', mode)
    writeSync(file, text)
    fsyncSync(file)
  } catch (error) {
    if (file !== null) unlinkSync(path)
    throw fileFault(error, `${what} cannot be made`, path, 'target_read_only')
  } finally {
    if (file !== null) closeSync(file)
  }
  syncFolder(dirname(path))
}

/** Makes new names in the folder durable, where the system can. */
export function syncFolder(folder: string): void {
  try {
    const handle = openSync(folder, 'r')
    try {
      fsyncSync(handle)
    } finally {
      closeSync(handle)
    }
  } catch {
    // Not every system lets a folder be opened; the file itself is synced.
  }
}

/**
 * A failed call as a {@link SealiftError}; one that is already typed is passed on.
 * @param denied what it is that the system does not allow it
 */
export function fileFault(
  thrown: unknown,
  doing: string,
  path: string,
  denied: ErrorCode = 'settings_invalid',
): SealiftError {
  if (thrown instanceof SealiftError) return thrown
  const errno = errnoOf(thrown)
  const isDenied = errno === 'EACCES' || errno === 'EPERM'
  const [code, says] = isDenied
    ? ([denied, 'permission denied'] as const)
    : (FAULTS[errno] ?? (['disk_fault', errno === '' ? String(thrown) : `the system says ${errno}`] as const))
  return new SealiftError(code, `${doing}: ${says}: ${escapeForDisplay(path)}`, { cause: thrown })
}

const FAULTS: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  EEXIST: ['conflict', 'something has that name already'],
  EROFS: ['target_read_only', 'the file system is read-only'],
  ENOTDIR: ['settings_invalid', 'a part of the path is no folder'],
  EISDIR: ['settings_invalid', 'it is a folder'],
  ENOSPC: ['disk_full', 'the disk is full'],
  EDQUOT: ['disk_full', 'the quota is used up'],
}

export function refusal(message: string, path: string, hint?: string): SealiftError {
  return new SealiftError(
    'settings_invalid',
    `${message}: ${escapeForDisplay(path)}`,
    hint === undefined ? {} : { hint },
  )
}

function errnoOf(thrown: unknown): string {
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : ''
}

/** For a shell. */
function quoted(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`
}
