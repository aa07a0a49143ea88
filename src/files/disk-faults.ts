/**
 * What an error of the operating system means while a tree is written: the one place where errno becomes a
 * {@link SealiftError}.
 *
 * Knows nothing of who asked. A caller says in a few words what it was doing, with names already escaped.
 */

import type { ErrorCode } from '../protocol/errors.ts'
import { SealiftError, toSealiftError } from '../protocol/errors.ts'

interface Meaning {
  readonly code: ErrorCode
  readonly says: string
  readonly hint?: string
  readonly retryable?: boolean
}

const FULL: Meaning = {
  code: 'disk_full',
  says: 'the disk is full',
  hint: 'Free some space and run the same command again: what is safe is kept.',
}
const READ_ONLY: Meaning = { code: 'target_read_only', says: 'permission denied' }
const GONE: Meaning = { code: 'target_gone', says: 'a folder disappeared or was replaced' }
const NAME: Meaning = { code: 'name_unusable', says: 'the file system cannot hold this name' }
const HANDLES: Meaning = {
  code: 'limit_exceeded',
  says: 'too many open files',
  hint: 'Raise the limit (ulimit -n) and run the same command again.',
  retryable: true,
}

const MEANINGS: Readonly<Record<string, Meaning>> = {
  ENOSPC: FULL,
  EDQUOT: { ...FULL, says: 'the quota is used up' },
  EROFS: { ...READ_ONLY, says: 'the file system is read-only' },
  EACCES: READ_ONLY,
  EPERM: { ...READ_ONLY, says: 'operation not permitted' },
  ENOENT: GONE,
  ENOTDIR: GONE,
  EISDIR: GONE,
  ELOOP: GONE,
  ESTALE: GONE,
  ENODEV: GONE,
  ENXIO: GONE,
  ENAMETOOLONG: NAME,
  EILSEQ: NAME,
  EMFILE: HANDLES,
  ENFILE: HANDLES,
  EFBIG: { code: 'limit_exceeded', says: 'the file is larger than this file system can hold' },
}

/** Calls that take a new name: to these, EINVAL says that the name cannot be held (FAT, exFAT, NTFS). */
const NAMING_CALLS: ReadonlySet<string> = new Set(['open', 'mkdir', 'rename', 'link', 'symlink'])

/** The errno name of what was thrown, such as `ENOENT`; empty where it has none. */
export function errnoOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return ''
  const { code } = thrown as NodeJS.ErrnoException
  return typeof code === 'string' ? code : ''
}

/**
 * A failed call as a {@link SealiftError}; one that is already typed is passed on.
 *
 * `disk_full`, `target_read_only`, `target_gone`, `limit_exceeded` and `disk_fault` concern the whole transfer,
 * `name_unusable` the one entry that has the name.
 *
 * @param doing what was tried, such as `cannot write tree/a.txt`; names in it escaped
 */
export function diskFault(thrown: unknown, doing: string): SealiftError {
  if (thrown instanceof SealiftError) return thrown
  const errno = errnoOf(thrown)
  if (errno === '' || errno.startsWith('ERR_')) return toSealiftError(thrown)
  let meaning: Meaning = MEANINGS[errno] ?? { code: 'disk_fault', says: `the disk reported ${errno}` }
  const call = (thrown as NodeJS.ErrnoException).syscall ?? ''
  if (errno === 'EINVAL' && NAMING_CALLS.has(call)) meaning = NAME
  return new SealiftError(meaning.code, `${doing}: ${meaning.says}`, {
    cause: thrown,
    ...(meaning.hint === undefined ? {} : { hint: meaning.hint }),
    ...(meaning.retryable === undefined ? {} : { retryable: meaning.retryable }),
  })
}
