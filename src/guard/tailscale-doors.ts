/**
 * Where this machine's Tailscale can be asked: the sockets at which its daemon answers, and the `tailscale` command for
 * where none is found.
 *
 * Owns the places only; nothing is asked here. A socket that another user could have put there is none.
 */

import { accessSync, constants, lstatSync, readFileSync, readlinkSync } from 'node:fs'
import { delimiter, isAbsolute, join } from 'node:path'

/** One place at which tailscaled may answer. */
export type Door =
  | { readonly kind: 'socket'; readonly path: string }
  /** The macOS app answers on loopback, to whoever can read its password. */
  | { readonly kind: 'loopback'; readonly port: number; readonly password: string }

/** How Tailscale is reached; what is absent is not tried. */
export interface TailscaleAccess {
  /** Tried in this order until one answers. */
  readonly doors: readonly Door[]
  /** Paths of programs, tried in this order where no door answers. */
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
      return {
        doors: [{ kind: 'socket', path: WINDOWS_PIPE }],
        commands: programs([join(env['ProgramFiles'] ?? String.raw`C:\Program Files`, 'Tailscale', 'tailscale.exe')]),
        env,
      }
    case 'darwin':
      return {
        doors: [...trusted([MAC_SOCKET]), ...macAppDoors()],
        commands: programs([...onPath(env), MAC_APP]),
        env,
      }
    default:
      return { doors: trusted(UNIX_SOCKETS), commands: programs(onPath(env)), env }
  }
}

/** Whether there is anything to ask at all. */
export function hasTailscale({ doors, commands }: TailscaleAccess): boolean {
  return doors.length > 0 || commands.length > 0
}

/** Sockets that are there and belong to root or to this user. */
function trusted(paths: readonly string[]): Door[] {
  return paths.filter(isTrusted).map((path) => ({ kind: 'socket', path }))
}

function isTrusted(path: string): boolean {
  const found = lstatSync(path, { throwIfNoEntry: false })
  return found?.isSocket() === true && (found.uid === 0 || found.uid === process.getuid?.())
}

/** Where the command could be. Folders that depend on the current one are passed over: what lies there is anybody's. */
function onPath(env: NodeJS.ProcessEnv): string[] {
  return (env['PATH'] ?? '')
    .split(delimiter)
    .filter(isAbsolute)
    .map((folder) => join(folder, 'tailscale'))
}

/** Of these, the first that can be run. */
function programs(paths: readonly string[]): string[] {
  const first = paths.find((path) => {
    try {
      accessSync(path, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
  return first === undefined ? [] : [first]
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
