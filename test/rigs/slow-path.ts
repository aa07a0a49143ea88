/**
 * A long path with small windows between two sides, over real sockets, for tests and for the bench: every byte arrives a
 * fixed time later, and of each connection and direction only so many bytes are under way at once, as with a sender who
 * waits for word from the far end.
 */

import net from 'node:net'

export interface SlowPathOptions {
  /** Where it leads to, on 127.0.0.1. */
  readonly port: number
  /** From one end to the other; a byte and the word that it came take twice as long. */
  readonly oneWayMs: number
  /** Of one connection in one direction, sent and not yet known to have come. */
  readonly windowBytes: number
}

/** What a test has to do when something has happened; once. */
interface Watch {
  readonly isDue: () => boolean
  readonly call: () => void
}

interface Connection {
  readonly near: net.Socket
  readonly far: net.Socket
  /** From whoever made it. */
  carriedBytes: number
  isHeld: boolean
}

export class SlowPath {
  readonly port: number
  /** Bytes that have come out at the far end. */
  arrivedBytes = 0
  /** Connections that were broken as soon as they were made. */
  refused = 0
  readonly #options: SlowPathOptions
  readonly #server: net.Server
  readonly #connections: Connection[] = []
  readonly #sockets = new Set<net.Socket>()
  #watches: Watch[] = []
  #mostConnections = Number.MAX_SAFE_INTEGER

  private constructor(server: net.Server, options: SlowPathOptions) {
    this.#server = server
    this.#options = options
    this.port = (server.address() as net.AddressInfo).port
    server.on('connection', (near) => this.#connect(near))
  }

  static async start(options: SlowPathOptions): Promise<SlowPath> {
    const server = net.createServer({ allowHalfOpen: true, noDelay: true, highWaterMark: PIECE_BYTES })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return new SlowPath(server, options)
  }

  /** Connections that were made, and not refused. */
  get connections(): number {
    return this.#connections.length
  }

  /** Bytes that a connection has carried from whoever made it. */
  carriedBytes(connection: number): number {
    return this.#connections[connection]?.carriedBytes ?? 0
  }

  /** Calls once, as soon as that is so. */
  when(isDue: () => boolean, call: () => void): void {
    this.#watches.push({ isDue, call })
  }

  /** Breaks every connection after so many at once. */
  refuseAfter(connections: number): void {
    this.#mostConnections = connections
  }

  /** Breaks one of them. */
  cut(connection: number): void {
    const { near, far } = this.#connections[connection] as Connection
    near.resetAndDestroy()
    far.resetAndDestroy()
  }

  /** Takes nothing more from whoever made that connection, until {@link SlowPath.goOn}. */
  hold(number: number): void {
    const connection = this.#connections[number] as Connection
    connection.isHeld = true
    connection.near.pause()
  }

  /** Lets all go on that are held. */
  goOn(): void {
    for (const connection of this.#connections.filter(({ isHeld }) => isHeld)) {
      connection.isHeld = false
      connection.near.resume()
    }
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #look(): void {
    const due = this.#watches.filter(({ isDue }) => isDue())
    this.#watches = this.#watches.filter((watch) => !due.includes(watch))
    for (const { call } of due) call()
  }

  #connect(near: net.Socket): void {
    near.on('error', () => undefined)
    if (this.connections >= this.#mostConnections) {
      this.refused++
      near.resetAndDestroy()
      this.#look()
      return
    }
    const far = net.connect({ host: '127.0.0.1', port: this.#options.port, allowHalfOpen: true, noDelay: true })
    const connection = { near, far, carriedBytes: 0, isHeld: false }
    this.#connections.push(connection)
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(from)
      from.on('error', () => to.destroy())
      from.on('close', () => this.#sockets.delete(from))
      this.#carry(connection, from, to)
    }
    this.#look()
  }

  #carry(connection: Connection, from: net.Socket, to: net.Socket): void {
    const { oneWayMs, windowBytes } = this.#options
    const isUp = from === connection.near
    let underWay = 0
    from.on('data', (bytes: Buffer) => {
      underWay += bytes.length
      if (underWay >= windowBytes) from.pause()
      setTimeout(() => {
        to.write(bytes)
        if (isUp) this.arrivedBytes += bytes.length
      }, oneWayMs)
      setTimeout(() => {
        underWay -= bytes.length
        if (underWay < windowBytes && !(isUp && connection.isHeld)) from.resume()
      }, 2 * oneWayMs)
      if (!isUp) return
      connection.carriedBytes += bytes.length
      this.#look()
    })
    from.on('end', () => setTimeout(() => to.end(), oneWayMs))
  }
}

/** As small as makes the window sharp. */
const PIECE_BYTES = 16 << 10
