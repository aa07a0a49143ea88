/**
 * TCP as a stream carrier.
 *
 * Owns how what arrives at a socket gets to its stream. What it reads and writes it does not look at.
 *
 * Reading: sockets read straight into a buffer of ours (`onread`), so bytes land where the record is assembled. Where an
 * accepted one cannot be made to, each piece is copied, and its memory given back at once.
 */

import type net from 'node:net'

import { releaseBuffer } from '../protocol/bytes.ts'
import type { ByteStream, StreamListener } from './carrier.ts'
import { Delivery } from './socket-delivery.ts'
import { dialSocket, type DialOptions } from './socket-dialling.ts'
import { listenForSockets, type ListenOptions } from './socket-listening.ts'
import { type OwnReads, readInPlace } from './socket-own-reads.ts'
import { peerOf, type SocketPeer, SocketStream } from './socket-stream.ts'

/** Read here while the sink has no room to offer: before the start and for the first read after a pause. */
const LANDING_BYTES = 16 << 10

/**
 * @throws SealiftError `connect_failed`, `host_unknown`; the signal's reason where that is a SealiftError, else `interrupted`
 */
export async function dialTcp(options: DialOptions): Promise<ByteStream> {
  const delivery = new Delivery()
  const socket = await dialSocket(options, readsInto(delivery))
  return new SocketStream(socket, delivery, peerOf(socket) ?? { address: options.host, port: options.port })
}

function readsInto(delivery: Delivery): OwnReads {
  const landing = new Uint8Array(LANDING_BYTES)
  return {
    // the room is held until it is filled
    buffer: () => (delivery.flowing ? delivery.space() : landing),
    callback: (bytes, room) => (room === landing ? delivery.push(landing.subarray(0, bytes)) : delivery.landed(bytes)),
  }
}

export interface ListenTcpOptions extends ListenOptions {
  /** Called for each connection; the stream is the callee's, to start or to destroy. */
  readonly onStream: (stream: ByteStream) => void
  /** @internal For tests: `false` copies what comes, as where an accepted socket cannot read in place. */
  readonly inPlace?: boolean
}

/**
 * @throws SealiftError `port_in_use`, `address_unavailable`, `host_unknown`; the signal's reason where that is a SealiftError, else `interrupted`
 */
export function listenTcp({ onStream, inPlace = true, ...options }: ListenTcpOptions): Promise<StreamListener> {
  return listenForSockets(options, (accepted, peer) =>
    onStream(inPlace ? readingStream(accepted, peer) : copyingStream(accepted, peer)),
  )
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
