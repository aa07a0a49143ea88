/**
 * One connected socket as a {@link ByteStream}: what TCP and what runs on it do alike.
 *
 * Owns writing, ending and dropping, and that no error of the socket goes unheard. How bytes get from the socket
 * into the {@link Delivery} is for whoever made the socket; nothing may flow before the start.
 */

import type net from 'node:net'

import type { SealiftError } from '../protocol/errors.ts'
import type { ByteSink, ByteStream } from './carrier.ts'
import type { Delivery } from './socket-delivery.ts'
import { connectionLost } from './socket-faults.ts'

const NOTHING = new Uint8Array(0)

export type SocketPeer = ByteStream['peer']

export class SocketStream implements ByteStream {
  readonly peer: SocketPeer
  readonly seal: ByteStream['seal'] = undefined
  readonly #socket: net.Socket
  readonly #delivery: Delivery
  /** Set once the connection is gone, for whatever reason. */
  #lost: SealiftError | null = null
  #writesUnderWay = 0
  #resuming = false
  #ending: Promise<void> | null = null
  readonly #reset: () => void

  /** @param reset drops the connection so that the other side sees a cut, where the socket cannot do it by itself */
  constructor(
    socket: net.Socket,
    delivery: Delivery,
    peer: SocketPeer,
    reset: () => void = () => socket.resetAndDestroy(),
  ) {
    this.#socket = socket
    this.#reset = reset
    this.#delivery = delivery
    this.peer = peer
    socket.on('error', (error) => {
      this.#lose(error)
    })
    socket.on('end', () => {
      delivery.end(null)
    })
    socket.on('close', () => {
      // after an orderly end on both sides nobody listens any more, and this says nothing
      this.#lose(undefined)
    })
  }

  start(sink: ByteSink): void {
    this.#delivery.start(sink)
    this.#socket.resume()
  }

  resume(): void {
    if (this.#resuming || this.#delivery.flowing) return
    // not within the caller's own stack: the sink may be in the middle of something
    this.#resuming = true
    queueMicrotask(() => {
      this.#resuming = false
      if (this.#delivery.resume()) this.#socket.resume()
    })
  }

  write(parts: readonly Uint8Array[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = this.#socket
      if (this.#lost !== null || this.#ending !== null || socket.destroyed) {
        reject(this.#lost ?? connectionLost(this.peer, undefined))
        return
      }
      this.#writesUnderWay++
      const written = (error?: Error | null): void => {
        this.#writesUnderWay--
        // a socket that was destroyed meanwhile is lost, whatever Node says of the write it was busy with
        if ((error === undefined || error === null) && this.#lost === null && !socket.destroyed) resolve()
        else reject(this.#lost ?? connectionLost(this.peer, error ?? undefined))
      }
      const last = parts.findLastIndex((part) => part.length > 0)
      if (last < 0) {
        // keeps its place behind the writes before it
        socket.write(NOTHING, written)
        return
      }
      socket.cork()
      for (let at = 0; at < last; at++) {
        const part = parts[at]
        if (part !== undefined && part.length > 0) socket.write(part)
      }
      socket.write(parts[last] as Uint8Array, written)
      socket.uncork()
    })
  }

  end(): Promise<void> {
    this.#ending ??= new Promise((resolve) => {
      if (this.#lost !== null || this.#socket.destroyed) {
        resolve()
        return
      }
      // a lost connection has nothing left to end; the writes and the sink tell of the loss
      this.#socket.once('close', resolve)
      this.#socket.end(resolve)
    })
    return this.#ending
  }

  destroy(): void {
    this.#delivery.close()
    if (this.#socket.destroyed) return
    this.#lost ??= connectionLost(this.peer, undefined)
    // A reset where bytes are lost, so that the other side does not take the cut for an orderly end. Where all was
    // written, the kernel goes on delivering it: the reason for the end, in the last record, still arrives. Where an
    // orderly end is under way the system refuses to reset, and Node would keep the handle open for ever
    if (this.#writesUnderWay > 0 && this.#ending === null) this.#reset()
    else this.#socket.destroy()
  }

  #lose(cause: Error | undefined): void {
    this.#lost ??= connectionLost(this.peer, cause)
    this.#delivery.end(this.#lost)
  }
}

/** Errors of what is being dropped: nobody waits for them, and unheard they would end the process. */
export function ignoreErrors(emitter: net.Socket | net.Server): void {
  emitter.on('error', () => {})
}

/** `null` where the connection is gone already. IPv4 addresses never in their `::ffff:` form. */
export function peerOf(socket: net.Socket): SocketPeer | null {
  const { remoteAddress, remotePort } = socket
  if (remoteAddress === undefined || remotePort === undefined) return null
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(remoteAddress)
  return { address: mapped?.[1] ?? remoteAddress, port: remotePort }
}
