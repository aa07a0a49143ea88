/**
 * Listening for sockets: what TCP and what runs on it do alike. Owns the options of accepted sockets, and how a port is let
 * go of.
 */

import net from 'node:net'

import { SealiftError } from '../protocol/errors.ts'
import type { StreamListener } from './carrier.ts'
import { KEEP_ALIVE_MS } from './socket-dialling.ts'
import { calledOff, listenFault, placeOf } from './socket-faults.ts'
import { ignoreErrors, peerOf, type SocketPeer } from './socket-stream.ts'

export interface ListenOptions {
  /** Address or host name to listen on; IPv6 without brackets. */
  readonly host: string
  /** 0: any free port. */
  readonly port: number
  /** Closes the listener. */
  readonly signal?: AbortSignal | undefined
}

/**
 * @param onSocket called for each connection; the socket is paused, and the callee's
 * @throws SealiftError `port_in_use`, `address_unavailable`, `host_unknown`; the signal's reason where that is a SealiftError, else `interrupted`
 */
export function listenForSockets(
  { host, port, signal }: ListenOptions,
  onSocket: (socket: net.Socket, peer: SocketPeer) => void,
): Promise<StreamListener> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(calledOff(signal))
      return
    }
    const server = net.createServer(
      {
        allowHalfOpen: true,
        pauseOnConnect: true,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: KEEP_ALIVE_MS,
      },
      (socket) => {
        const peer = peerOf(socket)
        if (peer === null) {
          // gone before it was accepted
          ignoreErrors(socket)
          socket.destroy()
          return
        }
        onSocket(socket, peer)
      },
    )

    let closing: Promise<void> | null = null
    const close = (): Promise<void> => {
      signal?.removeEventListener('abort', abort)
      // the callback of server.close waits for all connections, but these live on. The port itself is free at once;
      // one turn lets the system's handle finish closing
      closing ??= new Promise((done) => {
        server.close()
        setImmediate(done)
      })
      return closing
    }
    const abort = (): void => {
      void close()
      // before 'listening' the promise is still open; afterwards this does nothing
      reject(calledOff(signal))
    }
    signal?.addEventListener('abort', abort)

    const failed = (error: Error): void => {
      signal?.removeEventListener('abort', abort)
      reject(listenFault(host, port, error))
    }
    server.once('error', failed)
    try {
      server.listen({ host, port }, () => {
        server.off('error', failed)
        // one connection that could not be accepted (no file descriptors left) is no reason to stop listening
        ignoreErrors(server)
        const bound = server.address()
        resolve({ address: host, port: typeof bound === 'object' && bound !== null ? bound.port : port, close })
      })
    } catch (error) {
      signal?.removeEventListener('abort', abort)
      reject(
        new SealiftError('settings_invalid', `${placeOf(host, port)} is no address to listen on`, { cause: error }),
      )
    }
  })
}
