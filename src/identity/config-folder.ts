/**
 * Where a user's own key and known servers lie when nobody says so.
 *
 * Reads no environment by itself: it is given one, so that tests and the library decide.
 */

import { homedir } from 'node:os'
import { posix, win32 } from 'node:path'

const FOLDER = 'sealift'

export interface ConfigFolderOptions {
  readonly platform?: NodeJS.Platform
  /** The user's home folder. */
  readonly home?: string
}

/** Absolute path of the folder, which may not be there (XDG Base Directory Specification on Linux). */
export function configFolder(
  env: Readonly<Record<string, string | undefined>>,
  options: ConfigFolderOptions = {},
): string {
  const platform = options.platform ?? process.platform
  const { join, isAbsolute } = platform === 'win32' ? win32 : posix
  const home = options.home ?? homedir()
  if (platform === 'darwin') return join(home, 'Library', 'Application Support', FOLDER)
  const named = platform === 'win32' ? env['APPDATA'] : env['XDG_CONFIG_HOME']
  // The specification says that a relative XDG_CONFIG_HOME is to be ignored.
  if (named !== undefined && isAbsolute(named)) return join(named, FOLDER)
  return platform === 'win32' ? join(home, 'AppData', 'Roaming', FOLDER) : join(home, '.config', FOLDER)
}
