/** Where to connect, as people write it: `HOST`, `HOST:PORT`, `HOST:TOKEN`, `HOST:PORT:TOKEN`, IPv6 in brackets. */

import { SealiftError } from '../protocol/errors.ts'
import { DEFAULT_PORT } from '../protocol/limits.ts'

export interface ConnectAddress {
  readonly host: string
  readonly port: number
  /** As typed; `null` where it is absent. */
  readonly token: string | null
}

const HINT = 'an address looks like 192.168.1.20:coral-magnet, host:15820:coral-magnet or [fe80::1]:15820:coral-magnet'

/** Words with a colon between them, as some people would write a token; words that are all hex may be a part of IPv6. */
const COLON_TOKEN = /^\s*(?=.*[g-z])[a-z]+(?:\s*:\s*[a-z]+)+\s*$/i

/** @throws SealiftError `usage`; the message repeats the host only, as the rest may be secret */
export function parseConnectAddress(text: string): ConnectAddress {
  const match = /^(?:\[([^\]]*)\]|([^:[\]\s]*))\s*(?::(.*))?$/s.exec(text.trim())
  const host = match?.[1] ?? match?.[2] ?? ''
  if (match === null || host === '' || host.startsWith('-'))
    throw new SealiftError('usage', 'this is no address to receive from', { hint: HINT })
  const rest = match[3]
  if (rest === undefined) return { host, port: DEFAULT_PORT, token: null }
  // A port is all digits, and a token never is.
  const withPort = /^\s*(\d+)\s*(?::(.*))?$/s.exec(rest)
  const portText = withPort?.[1]
  const token = withPort === null ? rest : withPort[2]
  const port = portText === undefined ? DEFAULT_PORT : parsePort(portText, 'the port')
  // Mostly this is IPv6 without its brackets, of which nobody can tell where it ends.
  if (token?.includes(':') === true && !COLON_TOKEN.test(token))
    throw new SealiftError('usage', 'this is no address to receive from', { hint: HINT })
  if (port === 0) throw new SealiftError('usage', 'nothing can be received from port 0', { hint: HINT })
  return { host, port, token: token === undefined || token.trim() === '' ? null : token }
}

/**
 * `HOST[:PORT]` of a server, IPv6 in brackets where a port follows.
 * @throws SealiftError `usage`; the message does not repeat the text, which may hold a token
 */
export function parseServerAddress(
  text: string,
  defaultPort: number,
): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([^\]\s]+)\]|([^:[\]\s]+))(?::(\d{1,5}))?$/.exec(text.trim())
  const bare = /^[0-9a-f:]+(?:%\w+)?$/i.test(text.trim()) && text.includes('::') ? text.trim() : undefined
  const host = match?.[1] ?? match?.[2] ?? bare ?? ''
  if (host === '' || host.startsWith('-'))
    throw new SealiftError('usage', 'this is no address of a server', {
      hint: 'it looks like server.example.com, 192.168.1.20:9000 or [fe80::1]:9000; a token is asked for, or set as SEALIFT_TOKEN',
    })
  const port = match?.[3] === undefined ? defaultPort : parsePort(match[3], 'the port')
  if (port === 0) throw new SealiftError('usage', 'nothing can be sent to port 0')
  return { host, port }
}

/** @returns 0 … 65535 @throws SealiftError `usage` */
export function parsePort(text: string, setting: string): number {
  const port = /^\d{1,5}$/.test(text.trim()) ? Number(text) : Number.NaN
  if (!(port <= 65_535))
    throw new SealiftError('usage', `${setting} is no port: ${JSON.stringify(text)}`, {
      hint: 'ports go from 1 to 65535; 0 takes any free one',
    })
  return port
}

/** `HOST:PORT` with IPv6 in brackets; the default port is left out where `short` is asked for. */
export function formatAddress(host: string, port: number, short = false): string {
  const shown = host.includes(':') ? `[${host}]` : host
  return short && port === DEFAULT_PORT ? shown : `${shown}:${port}`
}
