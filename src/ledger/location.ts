/**
 * Where the ledger lies when nobody says so: the user's own data folder, as each system has it.
 *
 * Reads no environment by itself: it is given one, so that tests and the library decide.
 */

import { homedir } from 'node:os'
import { posix, win32 } from 'node:path'
import { SealiftError } from '../protocol/errors.ts'

const FOLDER = 'sealift'
const FILE = 'ledger.db'

export interface LocationOptions {
  readonly platform?: NodeJS.Platform
  /** The user's home folder. */
  readonly home?: string
  /** What a relative `DB_PATH` starts from. */
  readonly workingFolder?: string
}

/**
 * Absolute path of the ledger file: `DB_PATH`, else the data folder (XDG Base Directory Specification on Linux).
 * @throws SealiftError `settings_invalid` where `DB_PATH` cannot be a path
 */
export function ledgerPath(env: Readonly<Record<string, string | undefined>>, options: LocationOptions = {}): string {
  const platform = options.platform ?? process.platform
  const { join, isAbsolute, resolve } = platform === 'win32' ? win32 : posix
  const chosen = env['DB_PATH']
  if (chosen !== undefined && chosen !== '') {
    if (chosen.includes('\0')) throw new SealiftError('settings_invalid', 'DB_PATH holds a NUL character')
    return resolve(options.workingFolder ?? process.cwd(), chosen)
  }
  const home = options.home ?? homedir()
  if (platform === 'darwin') return join(home, 'Library', 'Application Support', FOLDER, FILE)
  const named = platform === 'win32' ? env['LOCALAPPDATA'] : env['XDG_DATA_HOME']
  // The specification says that a relative XDG_DATA_HOME is to be ignored.
  if (named !== undefined && isAbsolute(named)) return join(named, FOLDER, FILE)
  return platform === 'win32'
    ? join(home, 'AppData', 'Local', FOLDER, FILE)
    : join(home, '.local', 'share', FOLDER, FILE)
}
