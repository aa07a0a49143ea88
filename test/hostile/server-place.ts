/** A server in this process to which strangers come, and an honest sender who comes after them. */

import net from 'node:net'
import { expect, onTestFinished } from 'vitest'
import { RawPeer } from '../rigs/loopback-pair.ts'
import { ServerPlace } from '../rigs/server-place.ts'

/** Open to everybody, so that strangers get as far as they can. */
export async function openServer(
  settings: Record<string, string> = {},
  options: ConstructorParameters<typeof ServerPlace>[1] = {},
): Promise<ServerPlace> {
  const place = new ServerPlace({ ST_OPEN: 'yes', ...settings }, options)
  await place.start()
  return place
}

/** A stranger who was let in, and greeted. */
export async function letIn(place: ServerPlace): Promise<RawPeer> {
  const peer = await RawPeer.dialServer(place.server.port)
  await peer.until('hello')
  return peer
}

export interface RawSocket {
  readonly socket: net.Socket
  /** Resolves when the server has ended it, in whatever way. */
  readonly over: Promise<void>
}

/** A connection without any protocol. What comes back is dropped. */
export async function connectRaw(place: ServerPlace): Promise<RawSocket> {
  const socket = net.connect(place.server.port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  const over = new Promise<void>((resolve) => {
    socket
      .on('error', () => undefined)
      .on('end', resolve)
      .on('close', () => resolve())
  })
  socket.resume()
  await new Promise((resolve) => socket.once('connect', resolve))
  return { socket, over }
}

/** An honest sender gets its own through, and there is nothing else: no file, no staging. */
export async function expectServes(place: ServerPlace, sender = 'honest'): Promise<void> {
  const { error } = await place.pushed(sender, place.plant(sender, `${sender}.txt`, sender))
  expect(error).toBeNull()
  expect([place.list(), place.read(`${sender}.txt`)]).toEqual([[`${sender}.txt`], sender])
}
