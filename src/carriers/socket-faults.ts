/**
 * What goes wrong with sockets, in the words of Sealift: system error codes of connecting, listening and reading.
 *
 * Owns messages and hints. Knows no socket.
 */

import { SealiftError } from '../protocol/errors.ts'
import type { ErrorCode } from '../protocol/errors.ts'

/** Host and port for a message; IPv6 in brackets. */
export function placeOf(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** For a signal that called off connecting or listening: its reason where that is a SealiftError. */
export function calledOff(signal: AbortSignal | undefined): SealiftError {
  const reason: unknown = signal?.reason
  return reason instanceof SealiftError
    ? reason
    : new SealiftError('interrupted', 'connecting was called off', { cause: reason })
}

/** For a connection that was up. */
export function connectionLost(
  peer: { readonly address: string; readonly port: number },
  cause: Error | undefined,
): SealiftError {
  const why = systemCode(cause)
  const message = `the connection to ${placeOf(peer.address, peer.port)} broke off${why === '' ? '' : ` (${why})`}`
  return new SealiftError('connection_lost', message, cause === undefined ? {} : { cause })
}

function systemCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}

const DIAL_WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  EHOSTUNREACH: 'there is no way to the host',
  ENETUNREACH: 'there is no way to the network',
  ETIMEDOUT: 'no answer',
  ECONNRESET: 'the connection was reset at once',
}

export function noAnswer(host: string, port: number, timeoutMs: number): SealiftError {
  return new SealiftError(
    'connect_failed',
    `no answer from ${placeOf(host, port)} within ${Math.ceil(timeoutMs / 1000)} s`,
    {
      hint: 'is the other side running, and does a firewall let the port through?',
    },
  )
}

export function dialFault(host: string, port: number, error: Error): SealiftError {
  const code = systemCode(error)
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN' || code === 'ENODATA') {
    const hint =
      code === 'EAI_AGAIN'
        ? 'the name server does not answer: is this machine online?'
        : 'check the spelling, or give the IP address'
    return new SealiftError('host_unknown', `no address is known for ${host}`, { cause: error, hint })
  }
  const why = DIAL_WORDS[code] ?? (code === '' ? error.message : code)
  return new SealiftError('connect_failed', `cannot connect to ${placeOf(host, port)}: ${why}`, {
    cause: error,
    hint: 'is the other side running, and are the address and the port right?',
  })
}

export function listenFault(host: string, port: number, error: Error): SealiftError {
  const at = placeOf(host, port)
  const row = listenRow(systemCode(error))
  return new SealiftError(row.code, `cannot listen on ${at}: ${row.why ?? error.message}`, {
    cause: error,
    ...(row.hint === undefined ? {} : { hint: row.hint }),
  })
}

function listenRow(systemErrorCode: string): { code: ErrorCode; why?: string; hint?: string } {
  switch (systemErrorCode) {
    case 'EADDRINUSE':
      return { code: 'port_in_use', why: 'the port is in use', hint: '`--port 0` takes any free port' }
    case 'EACCES':
    case 'EPERM':
      return {
        code: 'address_unavailable',
        why: 'not allowed',
        hint: 'ports under 1024 need root; `--port 0` takes any free port',
      }
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
    case 'ENODATA':
      return { code: 'host_unknown', why: 'the host name has no address' }
    case 'EADDRNOTAVAIL':
      return { code: 'address_unavailable', why: 'this machine does not have that address' }
    default:
      return { code: 'address_unavailable' }
  }
}
