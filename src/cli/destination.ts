/** Where a sender sends to, from its options: a server that it goes to, or a place where it waits. */

import { formatAddress } from '../config/address.ts'
import type { SendOptions } from '../library/options.ts'
import { SealiftError } from '../protocol/errors.ts'
import { DEFAULT_SERVER_PORT } from '../protocol/limits.ts'
import type { Output } from './output.ts'
import { askSecret } from './secret-prompt.ts'
import { findPassword, identityPasswordFinder, tokenOfEnvironment } from './secrets.ts'
import { type PlaceOptions, readPlace, readPort } from './settings.ts'

/** What concerns a server, as commander gives it. */
export interface ServerOptions {
  readonly to?: string
  readonly host?: string
  readonly identity?: string
  readonly serverKey?: string
  readonly passwordFile?: string
  readonly tls?: boolean
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  readonly serverName?: string
}

/** How a secret that is missing may be asked for. */
export interface Asking {
  /** Whether at all. */
  readonly asks: boolean
  readonly output: Output
  readonly signal: AbortSignal
  /** Takes away what is drawn where the question will stand. */
  readonly clear: () => void
}

/**
 * Where to send: to the server that is named, else to whoever comes.
 * @throws SealiftError `usage`, `settings_invalid`
 */
export function readDestination(given: PlaceOptions & ServerOptions, asking: Asking): Partial<SendOptions> {
  const to = readServer(given)
  if (to !== undefined) {
    const { port: _, waitMs, ...place } = readPlace(given)
    if (waitMs === undefined) return { ...place, to, ...readEntrance(given, asking) }
    throw new SealiftError('usage', '--wait is for a sender that listens', { hint: 'leave out --wait or --to' })
  }
  const only = {
    '--identity': given.identity,
    '--server-key': given.serverKey,
    '--password-file': given.passwordFile,
    '--tls': given.tls,
    '--ca': given.ca,
    '--cert': given.cert,
    '--key': given.key,
    '--server-name': given.serverName,
  }
  const [name] = Object.entries(only).find(([, value]) => value !== undefined) ?? []
  if (name === undefined) return readPlace(given)
  throw new SealiftError('usage', `${name} is for a server, and none is named`, { hint: 'name it with --to HOST' })
}

/** What may be needed to be let in by a server. @throws SealiftError `settings_invalid` */
export function readEntrance(given: ServerOptions, { asks, output, signal, clear }: Asking): Partial<SendOptions> {
  const { tls, ca, cert, key, serverName } = given
  return {
    tls,
    ca,
    cert,
    key,
    serverName,
    identity: given.identity,
    serverKey: given.serverKey,
    token: tokenOfEnvironment(),
    password: findPassword(given.passwordFile),
    identityPassword: identityPasswordFinder(output, signal),
    askSecret: asks
      ? (what, stop) => {
          clear()
          return askSecret(what === 'token' ? 'Token of the server:' : 'Password of the server:', stop)
        }
      : undefined,
  }
}

/** `HOST:PORT` of the server that is named; `undefined` where none is. @throws SealiftError `usage` */
export function readServer({ to, host, port }: PlaceOptions & ServerOptions): string | undefined {
  if (to !== undefined) {
    if (host === undefined && port === undefined) return to
    throw new SealiftError('usage', '--to names host and port together', {
      hint: 'leave out --host and --port: --to HOST:PORT',
    })
  }
  if (host === undefined) return undefined
  return formatAddress(host.replace(/^\[(.*)\]$/, '$1'), readPort(port) ?? DEFAULT_SERVER_PORT)
}
