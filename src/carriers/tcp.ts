/**
 * TCP as a stream carrier.
 *
 * Owns how what arrives at a socket gets to its stream. What it reads and writes it does not look at.
 *
 * Reading: Node lets a socket that dials read straight into a buffer of ours (`onread`), so bytes land where the
 * record is assembled. On accepted sockets Node ignores that option; there each piece is copied, and its memory given back at
 * once (docs/performance.md, "What was tried").
 */

import { releaseBuffer } from '../protocol/bytes.ts'
import type { ByteStream, StreamListener } from './carrier.ts'
import { Delivery } from './socket-delivery.ts'
import { dialSocket, type DialOptions } from './socket-dialling.ts'
import { listenForSockets, type ListenOptions } from './socket-listening.ts'
import { peerOf, SocketStream } from './socket-stream.ts'

/** Read here while the sink has no room to offer: before the start and for the first read after a pause. */
const LANDING_BYTES = 64 << 10

/**
 * @throws SealiftError `connect_failed`, `host_unknown`; the signal's reason where that is a SealiftError, else `interrupted`
 */
export async function dialTcp(options: DialOptions): Promise<ByteStream> {
  const delivery = new Delivery()
  const landing = new Uint8Array(LANDING_BYTES)
  const socket = await dialSocket(options, {
    // asked once when the socket is made, then right after each callback: the room is held until it is filled
    buffer: () => (delivery.flowing ? delivery.space() : landing),
    callback: (bytes, room) => (room === landing ? delivery.push(landing.subarray(0, bytes)) : delivery.landed(bytes)),
  })
  return new SocketStream(socket, delivery, peerOf(socket) ?? { address: options.host, port: options.port })
}

export interface ListenTcpOptions extends ListenOptions {
  /** Called for each connection; the stream is the callee's, to start or to destroy. */
  readonly onStream: (stream: ByteStream) => void
}

/**
 * @throws SealiftError `port_in_use`, `address_unavailable`, `host_unknown`; the signal's reason where that is a SealiftError, else `interrupted`
 */
export function listenTcp(options: ListenTcpOptions): Promise<StreamListener> {
  return listenForSockets(options, (socket, peer) => {
    const delivery = new Delivery(releaseBuffer)
    const stream = new SocketStream(socket, delivery, peer)
    socket.on('data', (piece: Uint8Array) => {
      if (!delivery.push(piece)) socket.pause()
    })
    options.onStream(stream)
  })
}
