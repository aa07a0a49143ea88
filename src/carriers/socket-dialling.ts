/**
 * Connecting a socket: what TCP and what runs on it do alike. Owns its options, its deadline, and how it is called off.
 */

import net from 'node:net'

import { SealiftError } from '../protocol/errors.ts'
import { calledOff, dialFault, noAnswer, placeOf } from './socket-faults.ts'
import { ignoreErrors } from './socket-stream.ts'

/** A connection that died without a word is found by the kernel after this long without traffic. */
export const KEEP_ALIVE_MS = 10_000
/** A host name with several addresses: so long for each but the last. Node's 250 ms is too short for a relayed path. */
const ADDRESS_ATTEMPT_MS = 2000

export interface DialOptions {
  /** Host name or address; IPv6 without brackets. */
  readonly host: string
  readonly port: number
  /** For name lookup and connecting together. */
  readonly timeoutMs: number
  /** Calls the dialling off; a stream that was handed out lives on. */
  readonly signal?: AbortSignal | undefined
}

/**
 * @param onread where what arrives is to lie, if that is known
 * @returns connected, and paused: nothing is read yet. Its errors are the caller's from now on
 * @throws SealiftError `connect_failed`, `host_unknown`; the signal's reason where that is a SealiftError, else `interrupted`
 */
export function dialSocket(
  { host, port, timeoutMs, signal }: DialOptions,
  onread: net.OnReadOpts | null = null,
): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(calledOff(signal))
      return
    }
    let socket: net.Socket
    try {
      socket = net.connect({
        host,
        port,
        allowHalfOpen: true,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: KEEP_ALIVE_MS,
        autoSelectFamilyAttemptTimeout: ADDRESS_ATTEMPT_MS,
        ...(onread === null ? {} : { onread }),
      })
    } catch (error) {
      // a port out of range and the like is thrown, not emitted
      reject(
        new SealiftError('settings_invalid', `${placeOf(host, port)} is no address to connect to`, { cause: error }),
      )
      return
    }
    // nothing is read before the start
    socket.pause()

    const settle = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
      socket.off('error', fail)
      socket.off('connect', connected)
    }
    const giveUp = (error: SealiftError): void => {
      settle()
      // a socket that is being dropped may still emit an error, which nobody waits for
      ignoreErrors(socket)
      socket.destroy()
      reject(error)
    }
    const fail = (error: Error): void => {
      giveUp(dialFault(host, port, error))
    }
    const abort = (): void => {
      giveUp(calledOff(signal))
    }
    const connected = (): void => {
      settle()
      resolve(socket)
    }
    const timer = setTimeout(() => {
      giveUp(noAnswer(host, port, timeoutMs))
    }, timeoutMs)
    signal?.addEventListener('abort', abort)
    socket.on('error', fail)
    socket.on('connect', connected)
  })
}
