/**
 * Where this machine's Tailscale can be asked: the sockets at which its daemon answers, and the `tailscale` command for
 * where none is found.
 *
 * Owns the places only; nothing is asked here. A socket that another user could have put there is none.
 */

import { lstatSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'

/** One place at which tailscaled may answer. */
export type Door =
  | { readonly kind: 'socket'; readonly path: string }
  /** The macOS app answers on loopback, to whoever can read its password. */
  | { readonly kind: 'loopback'; readonly port: number; readonly password: string }

/** How Tailscale is reached; what is absent is not tried. */
export interface TailscaleAccess {
  /** Tried in this order until one answers. */
  readonly doors: readonly Door[]
  /** Programs, by name or path, tried in this order where no door answers. */
  readonly commands: readonly string[]
  readonly env: NodeJS.ProcessEnv
}

const MAC_FOLDER = '/Library/Tailscale'
const MAC_APP = '/Applications/Tailscale.app/Contents/MacOS/Tailscale'

/** Of the daemon's own packages and of those of Synology (DSM 7, DSM 6) and QNAP. */
const UNIX_SOCKETS = [
  '/var/run/tailscale/tailscaled.sock',
  '/var/packages/Tailscale/var/tailscaled.sock',
  '/var/packages/Tailscale/etc/tailscaled.sock',
  '/tmp/tailscale/tailscaled.sock',
]
const MAC_SOCKET = '/var/run/tailscaled.socket'
const WINDOWS_PIPE = String.raw`\\.\pipe\ProtectedPrefix\Administrators\Tailscale\tailscaled`

/** `TS_SOCKET` where that is set, and then nothing else; else what the platform has. */
export function defaultAccess(env: NodeJS.ProcessEnv = process.env, platform = process.platform): TailscaleAccess {
  const named = env['TS_SOCKET'] ?? ''
  if (named !== '') return { doors: [{ kind: 'socket', path: named }], commands: [], env }
  switch (platform) {
    case 'win32':
      // The current folder comes first in a search by name there: a path is safer.
      return {
        doors: [{ kind: 'socket', path: WINDOWS_PIPE }],
        commands: [join(env['ProgramFiles'] ?? String.raw`C:\Program Files`, 'Tailscale', 'tailscale.exe')],
        env,
      }
    case 'darwin':
      return { doors: [...trusted([MAC_SOCKET]), ...macAppDoors()], commands: ['tailscale', MAC_APP], env }
    default:
      return { doors: trusted(UNIX_SOCKETS), commands: ['tailscale'], env }
  }
}

/** Sockets that are there and belong to root or to this user. */
function trusted(paths: readonly string[]): Door[] {
  return paths.filter(isTrusted).map((path) => ({ kind: 'socket', path }))
}

function isTrusted(path: string): boolean {
  const found = lstatSync(path, { throwIfNoEntry: false })
  return found?.isSocket() === true && (found.uid === 0 || found.uid === process.getuid?.())
}

/** The standalone app of macOS: its port is the target of a link, the password is in a file that admins may read. */
function macAppDoors(): Door[] {
  try {
    const port = Number(readlinkSync(join(MAC_FOLDER, 'ipnport')))
    const password = readFileSync(join(MAC_FOLDER, `sameuserproof-${port}`), 'utf8').trim()
    return Number.isInteger(port) && port > 0 && password !== '' ? [{ kind: 'loopback', port, password }] : []
  } catch {
    // Another kind of Tailscale, or none: the command may know.
    return []
  }
}
