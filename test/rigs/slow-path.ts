/**
 * A long path with small windows between two sides, over real sockets: every byte arrives a fixed time later, and of each
 * connection and direction only so many bytes are under way at once, like a sender who waits for word from the far end.
 */

import net from 'node:net'
import { onTestFinished } from 'vitest'

export interface SlowPathOptions {
  /** Where it leads to, on 127.0.0.1. */
  port: number
  /** From one end to the other; a byte and the word that it came take twice as long. */
  readonly oneWayMs: number
  /** Of one connection in one direction, sent and not yet known to have come. */
  readonly windowBytes: number
}

export class SlowPath {
  readonly options: SlowPathOptions
  readonly port: number
  readonly #server: net.Server
  readonly #pairs: (readonly [net.Socket, net.Socket])[] = []
  readonly #sockets = new Set<net.Socket>()
  readonly #spots: { readonly connection: number; readonly bytes: number; readonly call: () => void }[] = []
  #mostConnections = Number.MAX_SAFE_INTEGER

  private constructor(server: net.Server, options: SlowPathOptions) {
    this.#server = server
    this.options = options
    this.port = (server.address() as net.AddressInfo).port
    server.on('connection', (near) => this.#connect(near))
  }

  static async start(options: SlowPathOptions): Promise<SlowPath> {
    const server = net.createServer({ allowHalfOpen: true, noDelay: true, highWaterMark: PIECE_BYTES })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const path = new SlowPath(server, options)
    onTestFinished(() => path.close())
    return path
  }

  /** Bytes that have come out at the far end. */
  arrivedBytes = 0

  /** Connections that were ever made. */
  get connections(): number {
    return this.#pairs.length
  }

  /** Calls once, when a connection has carried so many bytes from whoever made it. */
  onBytes(connection: number, bytes: number, call: () => void): void {
    this.#spots.push({ connection, bytes, call })
  }

  /** Breaks every later connection at once. */
  refuseAfter(connections: number): void {
    this.#mostConnections = connections
  }

  /** Breaks one of them. */
  cut(connection: number): void {
    for (const socket of this.#pairs[connection] ?? []) socket.resetAndDestroy()
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #connect(near: net.Socket): void {
    if (this.#pairs.length >= this.#mostConnections) {
      near.on('error', () => undefined)
      near.resetAndDestroy()
      return
    }
    const connection = this.#pairs.length
    const far = net.connect({
      host: '127.0.0.1',
      port: this.options.port,
      allowHalfOpen: true,
      noDelay: true,
    })
    this.#pairs.push([near, far])
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(from)
      from.on('error', () => to.destroy())
      from.on('close', () => this.#sockets.delete(from))
      this.#carry(from, to, from === near ? connection : null)
    }
  }

  /** @param connection `null` for the way back */
  #carry(from: net.Socket, to: net.Socket, connection: number | null): void {
    const { oneWayMs, windowBytes } = this.options
    let [underWay, carried] = [0, 0]
    from.on('data', (bytes: Buffer) => {
      underWay += bytes.length
      carried += bytes.length
      const due = this.#spots.findIndex((spot) => spot.connection === connection && spot.bytes <= carried)
      if (due >= 0) this.#spots.splice(due, 1)[0]?.call()
      if (underWay >= windowBytes) from.pause()
      later(oneWayMs, () => {
        to.write(bytes)
        if (connection !== null) this.arrivedBytes += bytes.length
      })
      later(2 * oneWayMs, () => {
        underWay -= bytes.length
        if (underWay < windowBytes) from.resume()
      })
    })
    from.on('end', () => later(oneWayMs, () => to.end()))
  }
}

/** As small as makes the window sharp. */
const PIECE_BYTES = 16 << 10

function later(ms: number, call: () => void): void {
  setTimeout(call, ms)
}
