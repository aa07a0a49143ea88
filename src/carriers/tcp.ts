/**
 * TCP as a stream carrier.
 *
 * Owns how sockets are made and their options. What it reads and writes it does not look at.
 *
 * Reading: sockets read straight into a buffer of ours (`onread`), so bytes land where the record is assembled. Where an
 * accepted one cannot be made to, each piece is copied, and its memory given back at once.
 */

import net from 'node:net'

import { releaseBuffer } from '../protocol/bytes.ts'
import { SealiftError } from '../protocol/errors.ts'
import { type OwnReads, readInPlace } from './socket-own-reads.ts'
import type { ByteStream, StreamListener } from './carrier.ts'
import { Delivery } from './socket-delivery.ts'
import { calledOff, dialFault, listenFault, noAnswer, placeOf } from './socket-faults.ts'
import { ignoreErrors, peerOf, type SocketPeer, SocketStream } from './socket-stream.ts'

/** A connection that died without a word is found by the kernel after this long without traffic. */
const KEEP_ALIVE_MS = 10_000
/** A host name with several addresses: so long for each but the last. Node's 250 ms is too short for a relayed path. */
const ADDRESS_ATTEMPT_MS = 2000
/** Read here while the sink has no room to offer: before the start and for the first read after a pause. */
const LANDING_BYTES = 16 << 10

export interface DialTcpOptions {
  /** Host name or address; IPv6 without brackets. */
  readonly host: string
  readonly port: number
  /** For name lookup and connecting together. */
  readonly timeoutMs: number
  /** Calls the dialling off; a stream that was handed out lives on. */
  readonly signal?: AbortSignal | undefined
}

/**
 * @throws SealiftError `connect_failed`, `host_unknown`; the signal's reason where that is a SealiftError, else `interrupted`
 */
export function dialTcp({ host, port, timeoutMs, signal }: DialTcpOptions): Promise<ByteStream> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(calledOff(signal))
      return
    }
    const delivery = new Delivery()
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
        onread: readsInto(delivery),
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
      resolve(new SocketStream(socket, delivery, peerOf(socket) ?? { address: host, port }))
    }
    const timer = setTimeout(() => {
      giveUp(noAnswer(host, port, timeoutMs))
    }, timeoutMs)
    signal?.addEventListener('abort', abort)
    socket.on('error', fail)
    socket.on('connect', connected)
  })
}

function readsInto(delivery: Delivery): OwnReads {
  const landing = new Uint8Array(LANDING_BYTES)
  return {
    // the room is held until it is filled
    buffer: () => (delivery.flowing ? delivery.space() : landing),
    callback: (bytes, room) => (room === landing ? delivery.push(landing.subarray(0, bytes)) : delivery.landed(bytes)),
  }
}

export interface ListenTcpOptions {
  /** Address or host name to listen on; IPv6 without brackets. */
  readonly host: string
  /** 0: any free port. */
  readonly port: number
  /** Called for each connection; the stream is the callee's, to start or to destroy. */
  readonly onStream: (stream: ByteStream) => void
  /** Closes the listener. */
  readonly signal?: AbortSignal | undefined
  /** @internal For tests: `false` copies what comes, as where an accepted socket cannot read in place. */
  readonly inPlace?: boolean
}

/**
 * @throws SealiftError `port_in_use`, `address_unavailable`, `host_unknown`; the signal's reason where that is a SealiftError, else `interrupted`
 */
export function listenTcp({ host, port, onStream, signal, inPlace = true }: ListenTcpOptions): Promise<StreamListener> {
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
      (accepted) => {
        const peer = peerOf(accepted)
        if (peer === null) {
          // gone before it was accepted
          ignoreErrors(accepted)
          accepted.destroy()
          return
        }
        onStream(inPlace ? readingStream(accepted, peer) : copyingStream(accepted, peer))
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

function readingStream(accepted: net.Socket, peer: SocketPeer): SocketStream {
  const delivery = new Delivery()
  const { socket, readsInPlace } = readInPlace(accepted, readsInto(delivery))
  return readsInPlace ? new SocketStream(socket, delivery, peer) : copyingStream(socket, peer)
}

function copyingStream(socket: net.Socket, peer: SocketPeer): SocketStream {
  const delivery = new Delivery(releaseBuffer)
  const stream = new SocketStream(socket, delivery, peer)
  socket.on('data', (piece: Uint8Array) => {
    if (!delivery.push(piece)) socket.pause()
  })
  return stream
}
