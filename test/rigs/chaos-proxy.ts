/**
 * A TCP proxy between receiver and sender that does what bad networks do, at a chosen byte of a chosen connection.
 *
 * Knows the outer shape of what passes (frames and records have their length in front), so that a place can be named as
 * "border n of this direction", and nothing of what is inside. Its own waits run on real time.
 */

import net from 'node:net'
import { setImmediate } from 'node:timers/promises'

/** `up`: from the receiver, which dials, to the sender. */
export type Direction = 'up' | 'down'

/** A byte offset in one direction of one connection, or so many bytes behind its n-th border (0: before the first byte). */
export type Spot = number | { readonly border: number; readonly delta: number }

export type Fault =
  /** The connection ends in both directions: by FIN, by RST, or by nothing more ever passing. */
  | { readonly kind: 'cut'; readonly how: 'fin' | 'reset' | 'silence' }
  /** This direction ends by FIN, the other one lives. */
  | { readonly kind: 'half-close' }
  /** This direction stands still, and its source with it; the other one lives. */
  | { readonly kind: 'stall' }
  | { readonly kind: 'flip'; readonly bit: number }
  | { readonly kind: 'duplicate' | 'drop'; readonly bytes: number }
  /** Two neighbouring stretches of so many bytes change places. */
  | { readonly kind: 'swap'; readonly bytes: number }
  | { readonly kind: 'insert'; readonly content: Uint8Array }
  /** Calls, and goes on when that is done. */
  | { readonly kind: 'call'; readonly run: () => void | Promise<void> }

export interface Planned {
  readonly direction: Direction
  readonly spot: Spot
  readonly fault: Fault
}

export interface ChaosProxyOptions {
  /** Where the sender listens. */
  readonly port: number
  /** What happens to the n-th connection, from 0. */
  readonly plan?: (connection: number) => readonly Planned[]
  /** Passes on pieces of at most so many bytes. */
  readonly sliceBytes?: number
}

/** What passed on one connection. */
export interface Passage {
  /** Offsets at which frames and records begin and end, in each direction. */
  readonly borders: Readonly<Record<Direction, readonly number[]>>
  /** Bytes that came from the source of each direction. */
  readonly bytes: Readonly<Record<Direction, number>>
  /** Bytes that were handed on. */
  readonly passed: Readonly<Record<Direction, number>>
}

export class ChaosProxy {
  readonly port: number
  readonly #server: net.Server
  readonly #options: ChaosProxyOptions
  readonly #sockets = new Set<net.Socket>()
  readonly #pipes: Record<Direction, Pipe>[] = []
  #moves = 0
  #senderPort: number

  private constructor(server: net.Server, options: ChaosProxyOptions) {
    this.#server = server
    this.#options = options
    this.#senderPort = options.port
    this.port = (server.address() as net.AddressInfo).port
    server.on('connection', (socket) => this.#connect(socket))
  }

  static async start(options: ChaosProxyOptions): Promise<ChaosProxy> {
    const server = net.createServer({ allowHalfOpen: true, noDelay: true })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return new ChaosProxy(server, options)
  }

  /** Where the sender listens from now on. */
  set senderPort(port: number) {
    this.#senderPort = port
  }

  /** Grows with whatever passes or happens: an idle network does not change it. */
  get moves(): number {
    return this.#moves
  }

  get connections(): readonly Passage[] {
    return this.#pipes.map(({ up, down }) => ({
      borders: { up: up.borders, down: down.borders },
      bytes: { up: up.bytes, down: down.bytes },
      passed: { up: up.passed, down: down.passed },
    }))
  }

  /** Resets every connection that there is now. */
  cutAll(): void {
    this.#moves++
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #connect(near: net.Socket): void {
    this.#moves++
    const plan = this.#options.plan?.(this.#pipes.length) ?? []
    const far = net.connect({ host: '127.0.0.1', port: this.#senderPort, allowHalfOpen: true, noDelay: true })
    const end = (how: 'fin' | 'reset' | 'silence'): void => {
      up.silence()
      down.silence()
      for (const socket of [near, far]) {
        if (how === 'fin') socket.end()
        if (how === 'reset') socket.resetAndDestroy()
      }
    }
    const moved = (): void => {
      this.#moves++
    }
    const of = (direction: Direction): Planned[] => plan.filter((planned) => planned.direction === direction)
    const { sliceBytes = Number.MAX_SAFE_INTEGER } = this.#options
    const up = new Pipe({ from: near, to: far, plan: of('up'), sliceBytes, cut: end, moved })
    const down = new Pipe({ from: far, to: near, plan: of('down'), sliceBytes, cut: end, moved })
    this.#pipes.push({ up, down })
    for (const socket of [near, far]) {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    }
    near.on('error', () => far.destroy())
    far.on('error', () => near.resetAndDestroy())
  }
}

interface PipeOptions {
  readonly from: net.Socket
  readonly to: net.Socket
  readonly plan: Planned[]
  readonly sliceBytes: number
  cut(how: 'fin' | 'reset' | 'silence'): void
  moved(): void
}

/** One direction of one connection. */
class Pipe {
  readonly borders: number[] = [0]
  bytes = 0
  passed = 0
  readonly #options: PipeOptions
  readonly #plan: Planned[]
  /** The head of the frame that is under way. */
  #head: number[] = []
  #untilBorder = 0
  #silent = false
  /** Collects so many bytes, then passes on what becomes of them. */
  #held: { readonly wanted: number; readonly bytes: number[]; readonly become: (bytes: number[]) => number[] } | null =
    null

  constructor(options: PipeOptions) {
    this.#options = options
    this.#plan = [...options.plan]
    const { from, to } = options
    let turn = Promise.resolve()
    from.on('data', (bytes: Uint8Array) => {
      options.moved()
      from.pause()
      turn = turn
        .then(() => this.#pass(bytes))
        .then(() => {
          if (!this.#silent) from.resume()
        })
    })
    from.on('end', () => {
      options.moved()
      turn = turn.then(async () => {
        if (this.#held !== null) await this.#write(Uint8Array.from(this.#release()))
        if (!this.#silent) to.end()
      })
    })
  }

  /** Passes nothing more and reads nothing more. */
  silence(): void {
    this.#silent = true
    this.#options.from.pause()
  }

  async #pass(bytes: Uint8Array): Promise<void> {
    const start = this.bytes
    this.#trackBorders(bytes)
    this.bytes += bytes.length
    let done = 0
    for (;;) {
      if (this.#silent) return
      const next = this.#dueBefore(start + bytes.length)
      if (next === null) break
      const at = Math.max(0, next.offset - start)
      if (at > done) await this.#hand(bytes.subarray(done, at))
      done = Math.max(done, at)
      this.#plan.splice(this.#plan.indexOf(next.planned), 1)
      done += await this.#happen(next.planned.fault, bytes, done)
    }
    if (done < bytes.length) await this.#hand(bytes.subarray(done))
  }

  /** The first planned fault whose offset is known and lies before `end`. */
  #dueBefore(end: number): { planned: Planned; offset: number } | null {
    let first: { planned: Planned; offset: number } | null = null
    for (const planned of this.#plan) {
      const offset = this.#offsetOf(planned.spot)
      // The place right behind the last byte counts as reached: a cut there keeps nothing back.
      if (offset === null || offset > end || (offset === end && !isEnd(planned.fault))) continue
      if (first === null || offset < first.offset) first = { planned, offset }
    }
    return first
  }

  #offsetOf(spot: Spot): number | null {
    if (typeof spot === 'number') return spot
    const border = this.borders[spot.border]
    return border === undefined ? null : Math.max(0, border + spot.delta)
  }

  /** @returns how many bytes of the piece are used up by it */
  async #happen(fault: Fault, bytes: Uint8Array, at: number): Promise<number> {
    this.#options.moved()
    switch (fault.kind) {
      case 'cut':
        // What was passed on gets time to leave: a reset would take it back.
        await setImmediate()
        this.#options.cut(fault.how)
        return bytes.length - at
      case 'half-close':
        this.#silent = true
        this.#options.to.end()
        return bytes.length - at
      case 'stall':
        this.silence()
        return bytes.length - at
      case 'flip':
        await this.#hand(Uint8Array.of((bytes[at] as number) ^ (1 << fault.bit)))
        return 1
      case 'insert':
        await this.#write(fault.content)
        return 0
      case 'duplicate':
        this.#hold(fault.bytes, (held) => [...held, ...held])
        return 0
      case 'drop':
        this.#hold(fault.bytes, () => [])
        return 0
      case 'swap':
        this.#hold(2 * fault.bytes, (held) => [...held.slice(fault.bytes), ...held.slice(0, fault.bytes)])
        return 0
      case 'call':
        await fault.run()
        return 0
    }
  }

  #hold(wanted: number, become: (bytes: number[]) => number[]): void {
    this.#held = { wanted, bytes: [], become }
  }

  #release(): number[] {
    const held = this.#held
    this.#held = null
    return held === null ? [] : held.become(held.bytes)
  }

  async #hand(bytes: Uint8Array): Promise<void> {
    const held = this.#held
    if (held === null) return this.#write(bytes)
    const taken = Math.min(bytes.length, held.wanted - held.bytes.length)
    for (const byte of bytes.subarray(0, taken)) held.bytes.push(byte)
    if (held.bytes.length < held.wanted) return
    await this.#write(Uint8Array.from(this.#release()))
    if (taken < bytes.length) await this.#write(bytes.subarray(taken))
  }

  async #write(bytes: Uint8Array): Promise<void> {
    const { to, sliceBytes, moved } = this.#options
    for (let at = 0; at < bytes.length; at += sliceBytes) {
      if (this.#silent || to.destroyed || to.writableEnded) return
      const slice = bytes.subarray(at, at + sliceBytes)
      this.passed += slice.length
      await new Promise<void>((resolve) => {
        to.write(slice, () => resolve())
      })
      moved()
      if (sliceBytes < 64) await setImmediate()
    }
  }

  /** Handshake frames: magic `SLFT`, two bytes, a u16 length. Records: a u32 length. */
  #trackBorders(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      if (this.#untilBorder > 0) {
        const step = Math.min(this.#untilBorder, bytes.length - at)
        this.#untilBorder -= step
        at += step
        continue
      }
      const head = this.#head
      head.push(bytes[at++] as number)
      const isFrame = head[0] === 0x53 && head[1] === 0x4c
      if (head.length < (isFrame ? 8 : 4)) continue
      const [a = 0, b = 0, c = 0, d = 0] = head
      const length = isFrame ? ((head[6] as number) << 8) + (head[7] as number) : a * 2 ** 24 + (b << 16) + (c << 8) + d
      this.borders.push((this.borders.at(-1) as number) + head.length + length)
      this.#untilBorder = length
      this.#head = []
    }
  }
}

function isEnd({ kind }: Fault): boolean {
  return kind === 'cut' || kind === 'half-close' || kind === 'stall' || kind === 'call' || kind === 'insert'
}
