/**
 * What several connections bring: the built program over a long path with small windows, by one stream and by four, and
 * without such a path, where they are to cost little.
 *
 * Owns the path, and what a run does. Knows no tables.
 */

import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'

import { SlowPath } from '../test/rigs/slow-path.ts'
import { say } from './cases.ts'
import { makeLargeFile } from './fixtures.ts'
import { measure, type Meter } from './measure.ts'
import { parseEvent, SEALIFT } from './sealift.ts'
import type { ServerFigure, ServerResult } from './server-bench.ts'
import { ServerProcess } from './server-process.ts'

/** 50 ms there and back, and 256 KiB under way in each connection: 5.2 MB/s for one, whatever the line carries. */
const PATH = { oneWayMs: 25, windowBytes: 256 << 10 }
const STREAMS = 4

type Way = 'push' | 'direct'

export class StreamRows {
  readonly #folder: string
  readonly #pathBytes: number
  readonly #source: string
  readonly #near: string
  #made = 0

  /** @param folder an empty one @param pathBytes of what goes over the path @param nearBytes of what does not */
  constructor(folder: string, pathBytes: number, nearBytes: number) {
    this.#folder = folder
    this.#pathBytes = pathBytes
    this.#source = join(folder, 'path.bin')
    this.#near = join(folder, 'near.bin')
    makeLargeFile(this.#source, pathBytes)
    makeLargeFile(this.#near, nearBytes)
  }

  /** Each row once, and all of them again. */
  async measure(runs: number): Promise<ServerResult> {
    const rates: Record<Way, { one: number; four: number }[]> = { push: [], direct: [] }
    const near: number[] = []
    const failed: string[] = []
    for (let run = 1; run <= runs; run++) {
      say(`streams: run ${run} of ${runs}`)
      try {
        for (const way of ['push', 'direct'] as const) {
          const seconds = async (streams: number): Promise<number> => this.#run(way, streams, this.#source, PATH)
          rates[way].push({
            one: this.#pathBytes / (await seconds(1)),
            four: this.#pathBytes / (await seconds(STREAMS)),
          })
        }
        const alone = await this.#run('push', 1, this.#near, null)
        near.push((await this.#run('push', STREAMS, this.#near, null)) / alone)
      } catch (error) {
        failed.push(error instanceof Error ? error.message : String(error))
      }
    }
    const figures = (['push', 'direct'] as const).flatMap((way): ServerFigure[] => {
      const name = way === 'push' ? 'to a server' : 'direct'
      return [
        { what: `${name}, one stream`, values: rates[way].map(({ one }) => one), format: asRate },
        { what: `${name}, ${STREAMS} streams`, values: rates[way].map(({ four }) => four), format: asRate },
        {
          what: `${name}: ${STREAMS} streams / one`,
          values: rates[way].map(({ one, four }) => four / one),
          format: asRatio,
          goal: { isMost: false, limit: 3 },
        },
      ]
    })
    figures.push({ what: `loopback, to a server: time of ${STREAMS} streams / one`, values: near, format: asRatio })
    return { figures, failed }
  }

  /** @returns seconds from acceptance to the end */
  async #run(way: Way, streams: number, source: string, path: typeof PATH | null): Promise<number> {
    const folder = join(this.#folder, `run-${this.#made++}`)
    mkdirSync(join(folder, 'home'), { recursive: true })
    try {
      return await (way === 'push'
        ? this.#push(folder, streams, source, path)
        : this.#direct(folder, streams, source, path))
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }

  async #push(folder: string, streams: number, source: string, slow: typeof PATH | null): Promise<number> {
    const server = await ServerProcess.start(join(folder, 'server'), ['--rate-limit', '0'])
    const path = slow === null ? null : await SlowPath.start({ ...slow, port: server.port })
    try {
      const to = path === null ? server.address : `127.0.0.1:${path.port}`
      const env = { ...environment(folder), SEALIFT_TOKEN: server.token }
      return await this.#timed(async (meter) => {
        const sender = meter.spawn([...SEALIFT, 'send', source, '--to', to, ...options(streams)], { env })
        await sender.done
        return sender.lines
      })
    } finally {
      await path?.close()
      await server.stop()
    }
  }

  async #direct(folder: string, streams: number, source: string, slow: typeof PATH | null): Promise<number> {
    let path: SlowPath | null = null
    try {
      return await this.#timed(async (meter) => {
        const sending = [...SEALIFT, 'send', source, '--pod', '--port', '0', ...options(streams)]
        const sender = meter.spawn(sending, { env: environment(folder) })
        const { port, token } = await sender.line((line) => {
          const event = parseEvent(line)
          return event?.event === 'listening' ? event : undefined
        })
        path = slow === null ? null : await SlowPath.start({ ...slow, port: port ?? 0 })
        const connect = `127.0.0.1:${path?.port ?? port ?? 0}:${token ?? ''}`
        const receiving = [...SEALIFT, 'receive', connect, '-o', join(folder, 'out'), ...options(1)]
        const receiver = meter.spawn(receiving, { env: environment(folder) })
        await Promise.all([sender.done, receiver.done])
        return receiver.lines
      })
    } finally {
      await (path as SlowPath | null)?.close()
    }
  }

  async #timed(run: (meter: Meter) => Promise<readonly string[]>): Promise<number> {
    let lines: readonly string[] = []
    await measure(async (meter) => {
      lines = await run(meter)
    })
    const done = lines.map(parseEvent).find((event) => event?.event === 'done')
    if (done?.seconds === undefined) throw new Error('sealift printed no done event')
    return done.seconds
  }
}

function options(streams: number): string[] {
  return ['--json', '--yes', ...(streams === 1 ? [] : ['--streams', String(streams)])]
}

function environment(folder: string): NodeJS.ProcessEnv {
  return { ...process.env, HOME: join(folder, 'home'), DB_PATH: join(folder, 'ledger', 'l.db'), NO_COLOR: '1' }
}

const asRatio = (value: number): string => value.toFixed(2)
const asRate = (value: number): string => `${(value / 1e6).toFixed(1)} MB/s`
