/**
 * What an error of the operating system means for a source: it is gone, it is another than it was, or it cannot
 * be read (PROTOCOL 3.2, F-08). Knows nothing of what is done about it.
 */

import type { ErrorCode } from '../protocol/errors.ts'
import { errnoOf } from './disk-faults.ts'

/** Why one entry cannot be sent; all others can. */
export interface SourceFault {
  readonly code: ErrorCode
  /** Says it without the path: `disappeared before it was read`. */
  readonly message: string
}

export const CHANGED: SourceFault = { code: 'source_changed', message: 'changed after the transfer began' }
const VANISHED: SourceFault = { code: 'source_vanished', message: 'disappeared before it was read' }

/** @throws what it was given, where that is no error of the system */
export function sourceFault(error: unknown): SourceFault {
  const errno = errnoOf(error)
  if (errno === '' || errno.startsWith('ERR_')) throw error
  switch (errno) {
    case 'ENOENT':
      return VANISHED
    // A link, a folder, a file, a socket or a pipe stands where something else was.
    case 'ELOOP':
    case 'ENOTDIR':
    case 'EISDIR':
    case 'ENXIO':
    case 'ESPIPE':
      return CHANGED
    case 'EACCES':
    case 'EPERM':
      return { code: 'source_unreadable', message: 'may not be read' }
    default:
      return { code: 'source_unreadable', message: `cannot be read (${errno})` }
  }
}
