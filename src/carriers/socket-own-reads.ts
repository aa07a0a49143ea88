/**
 * An accepted socket that reads straight into buffers of ours, as one that dials does.
 *
 * Node takes `onread` only where a socket is made, and it makes accepted ones itself, without. So another one is made on the
 * same handle. The handle is a field that Node does not document: all that is known of it stands in this file, and
 * where any of it is not as it was, the caller is told to copy (docs/decisions/024-accepted-sockets-read-in-place.md).
 */

import net from 'node:net'

/** As `onread` of `net.connect`. */
export interface OwnReads {
  /** Asked once when the socket is made, then right after each callback. */
  readonly buffer: () => Uint8Array
  /** So many bytes are in the buffer that was asked for last. @returns whether more may come */
  readonly callback: (bytes: number, buffer: Uint8Array) => boolean
}

export interface TakenSocket {
  /** To be used from here on: the one that was accepted, or one in its place. It reads nothing before `resume`. */
  readonly socket: net.Socket
  /** Whether what comes goes to the reads; where not, it comes as `data`. */
  readonly readsInPlace: boolean
}

/** What a socket of Node has of its own. */
interface Inside {
  _handle?: unknown
}

/** @param accepted paused, and nobody listens to it yet */
export function readInPlace(accepted: net.Socket, reads: OwnReads): TakenSocket {
  const husk = accepted as unknown as Inside
  const handle = husk._handle
  if (!isReadable(handle)) return { socket: accepted, readsInPlace: false }
  let isAsked = false
  const onread = {
    buffer: () => {
      isAsked = true
      return reads.buffer()
    },
    callback: reads.callback,
  }
  const { allowHalfOpen } = accepted
  const options = { handle, onread, allowHalfOpen, readable: true, writable: true }
  const socket = new net.Socket(options as net.SocketConstructorOpts)
  // made with a handle, it reads at once; nothing has come before this turn of the event loop is over
  socket.pause()
  if ((socket as unknown as Inside)._handle !== handle) return { socket: accepted, readsInPlace: false }
  // what was accepted goes, so that its server counts it no longer, and leaves the connection alone
  husk._handle = null
  accepted.destroy()
  return { socket, readsInPlace: isAsked }
}

/** Whether it can be told to read into a buffer, as `onread` does. */
function isReadable(handle: unknown): boolean {
  return (
    typeof handle === 'object' &&
    handle !== null &&
    typeof (handle as { useUserBuffer?: unknown }).useUserBuffer === 'function'
  )
}
