/**
 * What is measured of the receiving server: one function a row, each of them one run of it.
 *
 * Owns what a run does, and which servers and senders it has. Knows no goals and no tables.
 */

import { linkSync, mkdirSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { makeLargeFile } from './fixtures.ts'
import { fillLedger } from './full-ledger.ts'
import { measure } from './measure.ts'
import { Pusher } from './pusher.ts'
import type { SealiftContender } from './sealift.ts'
import { ServerProcess } from './server-process.ts'
import { sampleReads, worstSecond } from './throttle-samples.ts'

/** How much of everything, so that a short look is short. */
export interface ServerSizes {
  readonly largeBytes: number
  readonly senders: number
  /** Of each sender. */
  readonly eachBytes: number
  readonly throttledSeconds: number
  readonly stalledSockets: number
  readonly finishedTransfers: number
}

export const FULL_SIZES: ServerSizes = {
  largeBytes: 1 << 30,
  senders: 50,
  eachBytes: 32 << 20,
  throttledSeconds: 20,
  stalledSockets: 1000,
  finishedTransfers: 10_000,
}

export const QUICK_SIZES: ServerSizes = {
  largeBytes: 64 << 20,
  senders: 10,
  eachBytes: 4 << 20,
  throttledSeconds: 4,
  stalledSockets: 200,
  finishedTransfers: 1000,
}

const UNLIMITED = ['--rate-limit', '0']
const RATE_BYTES = 10_000_000
/** Before a throttled sender is looked at: the compiler has seen its code by then, and the buffers are full. */
const WARM_UP_SECONDS = 3
const SMALL_BYTES = 1 << 20

export class ServerRows {
  readonly #folder: string
  readonly sizes: ServerSizes
  readonly #direct: SealiftContender
  #made = 0

  /** @param folder an empty one @param direct a transfer without a server */
  constructor(folder: string, sizes: ServerSizes, direct: SealiftContender) {
    this.#folder = folder
    this.sizes = sizes
    this.#direct = direct
    makeLargeFile(this.#source('large'), sizes.largeBytes)
    makeLargeFile(this.#source('sum'), sizes.senders * sizes.eachBytes)
    makeLargeFile(this.#source('each'), sizes.eachBytes)
    makeLargeFile(this.#source('slow'), (sizes.throttledSeconds + WARM_UP_SECONDS + 2) * RATE_BYTES)
    makeLargeFile(this.#source('small'), SMALL_BYTES)
  }

  #source(name: string): string {
    return join(this.#folder, `${name}.bin`)
  }

  #newFolder(): string {
    const folder = join(this.#folder, `run-${this.#made++}`)
    mkdirSync(folder)
    return folder
  }

  /** Another file of the same content: what is there already would not be sent. */
  #another(name: string): string {
    const path = join(this.#folder, `${name}-${this.#made++}.bin`)
    linkSync(this.#source(name), path)
    return path
  }

  /** Runs with a server and senders, and ends them. */
  async #with<T>(
    options: readonly string[],
    senders: number,
    run: (server: ServerProcess, pushers: readonly Pusher[]) => Promise<T>,
    folder = this.#newFolder(),
  ): Promise<T> {
    const server = await ServerProcess.start(folder, options)
    const pushers: Pusher[] = []
    try {
      for (let i = 0; i < senders; i++) pushers.push(await Pusher.start(join(folder, `sender-${i}`)))
      return await run(server, pushers)
    } finally {
      for (const pusher of pushers) pusher.stop()
      await server.stop()
      rmSync(folder, { recursive: true, force: true })
    }
  }

  /** From acceptance to the end, as the receiver says it in both cases; and of the server what it took. */
  async large(): Promise<{ direct: number; server: number; cpuSeconds: number; peakBytes: number }> {
    const source = this.#source('large')
    const target = this.#newFolder()
    this.#direct.forget()
    let direct = Number.NaN
    await measure(async (meter) => {
      direct = (await this.#direct.ask(meter, source, target)).seconds
    })
    rmSync(target, { recursive: true })
    return await this.#with(UNLIMITED, 1, async (server, pushers) => {
      const cpuBefore = server.cpuSeconds
      await pushers[0]?.push(server, source)
      const { seconds = Number.NaN } = await server.next('done')
      return { direct, server: seconds, cpuSeconds: server.cpuSeconds - cpuBefore, peakBytes: server.peakBytes }
    })
  }

  /** The same content by one sender, and in parts by many at once. Seconds from the start to the last end. */
  async many(): Promise<{ one: number; all: number; fairness: number; peakBytes: number }> {
    const { senders } = this.sizes
    const options = [...UNLIMITED, '--layout', 'by-sender', '--max-concurrent-per-ip', String(senders)]
    const one = await this.#with(options, 1, async (server, pushers) => {
      await this.#meet(server, pushers)
      return (await pushers[0]?.push(server, this.#source('sum'))) ?? Number.NaN
    })
    return await this.#with(options, senders, async (server, pushers) => {
      await this.#meet(server, pushers)
      const seconds = await Promise.all(pushers.map((pusher) => pusher.push(server, this.#source('each'))))
      const all = Math.max(...seconds)
      return { one, all, fairness: Math.min(...seconds) / all, peakBytes: server.peakBytes }
    })
  }

  /** The first meeting of two is slower than all others: a small push by each, one after another. */
  async #meet(server: ServerProcess, pushers: readonly Pusher[]): Promise<void> {
    for (const pusher of pushers) await pusher.push(server, this.#source('small'))
  }

  /** A sender at 10 MB/s: the second that is furthest from it, as a share, and the part of a core that the server takes. */
  async throttled(): Promise<{ deviation: number; core: number }> {
    return await this.#with(['--rate-limit', String(RATE_BYTES)], 1, async (server, [pusher]) => {
      const pushed = pusher?.push(server, this.#source('slow'))
      await server.next('connected')
      await delay(WARM_UP_SECONDS * 1000)
      const [cpuBefore, startedMs] = [server.cpuSeconds, performance.now()]
      const samples = await sampleReads(() => server.readBytes, this.sizes.throttledSeconds)
      const core = (server.cpuSeconds - cpuBefore) / ((performance.now() - startedMs) / 1000)
      await pushed
      return { deviation: worstSecond(samples, RATE_BYTES), core }
    })
  }

  /**
   * A small push while sockets stall that come from an address: seconds beyond one without them.
   * @param when the push begins when all of them have been opened, or in the moment in which they are
   */
  async stalled(from: string, when: 'after' | 'beside'): Promise<number> {
    return await this.#with(UNLIMITED, 1, async (server, [pusher]) => {
      if (pusher === undefined) return Number.NaN
      await this.#meet(server, [pusher])
      const quiet = await pusher.push(server, this.#another('small'))
      const opened = openStalled(server.port, from, this.sizes.stalledSockets)
      try {
        if (when === 'after') await opened.all
        return (await pusher.push(server, this.#another('small'))) - quiet
      } finally {
        for (const socket of opened.sockets) socket.destroy()
      }
    })
  }

  /** A small push to a server that has seen nothing yet, and to one with many transfers behind it. */
  async finished(): Promise<{ empty: number; full: number }> {
    const folder = this.#newFolder()
    const full = await this.#with(
      UNLIMITED,
      1,
      async (server, [pusher]) => {
        await pusher?.push(server, this.#another('small'))
        await server.stop()
        fillLedger(server.ledger, this.sizes.finishedTransfers)
        const again = await ServerProcess.start(folder, UNLIMITED)
        try {
          return await this.#pushSeveral(again, pusher)
        } finally {
          await again.stop()
        }
      },
      folder,
    )
    const empty = await this.#with(UNLIMITED, 1, async (server, [pusher]) => {
      await pusher?.push(server, this.#another('small'))
      return await this.#pushSeveral(server, pusher)
    })
    return { empty, full }
  }

  /** The median: one push is short. */
  async #pushSeveral(server: ServerProcess, pusher: Pusher | undefined): Promise<number> {
    const seconds: number[] = []
    for (let i = 0; i < SEVERAL; i++) seconds.push((await pusher?.push(server, this.#another('small'))) ?? Number.NaN)
    return seconds.sort((a, b) => a - b)[SEVERAL >> 1] ?? Number.NaN
  }
}

const SEVERAL = 9

/** Sockets that connect and say nothing; those that the server drops stay dropped. */
function openStalled(port: number, from: string, count: number): { sockets: readonly Socket[]; all: Promise<unknown> } {
  const sockets: Socket[] = []
  const opened: Promise<void>[] = []
  for (let i = 0; i < count; i++) {
    const socket = connect({ port, host: '127.0.0.1', localAddress: from })
    sockets.push(socket)
    opened.push(
      new Promise((resolve) => {
        socket.once('connect', resolve).once('error', () => resolve())
      }),
    )
    socket.resume()
  }
  return { sockets, all: Promise.all(opened) }
}
