/** Why one file of a call was not sent. */

import { type ErrorCode, SealiftError } from '../protocol/errors.ts'
import { escapeForDisplay } from '../protocol/names.ts'

/** It failed in a transfer that may have gone well for others. */
export function fileFailure(path: string, code: ErrorCode, transferId: string | undefined): SealiftError {
  return new SealiftError(code, `${escapeForDisplay(path)} could not be sent`, {
    ...(transferId === undefined ? {} : { transferId }),
  })
}

/** What was given is no file. */
export function folderGiven(path: string): SealiftError {
  return new SealiftError('usage', `this is a folder: ${escapeForDisplay(path)}`, { hint: 'sendFiles sends folders' })
}
