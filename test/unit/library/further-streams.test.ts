/** How further streams are opened, and opened anew, and when it is said that there are none. */

import { describe, expect, test } from 'vitest'
import { FurtherStreams } from '../../../src/library/further-streams.ts'
import { type ErrorCode, SealiftError } from '../../../src/protocol/errors.ts'
import type { Session } from '../../../src/transfer/session.ts'
import { VirtualClock } from '../transfer/virtual-time.ts'

const MOVED = 1 << 20

/** What each try comes to: a code with which connecting fails, or with which the other side ends it at once, or a stream. */
type Try = { readonly fails: ErrorCode } | { readonly ended: ErrorCode } | { readonly livesMs: number }

class Played {
  readonly clock = new VirtualClock()
  readonly said: string[] = []
  readonly triedMs: number[] = []
  dialling = 0
  mostDialling = 0
  open = 0
  isOver = false
  readonly #stop = new AbortController()
  readonly #run: Promise<void>

  constructor(streams: number, tries: (time: number) => Try, dialMs = 0) {
    const startMs = this.clock.nowMs()
    const further = new FurtherStreams({
      clock: this.clock,
      streams,
      connect: async (signal) => {
        const what = tries(this.triedMs.length)
        this.triedMs.push(this.clock.nowMs() - startMs)
        this.mostDialling = Math.max(this.mostDialling, ++this.dialling)
        await new Promise<void>((resolve) => {
          this.clock.after(dialMs, resolve)
          signal.addEventListener('abort', () => resolve())
        })
        this.dialling--
        if ('fails' in what) throw new SealiftError(what.fails, 'no connection')
        return streamOf(what)
      },
      use: async (stream) => {
        this.open++
        await stream.end
        this.open--
      },
      onFailed: ({ code }) => this.said.push(code),
    })
    const streamOf = (what: { ended: ErrorCode } | { livesMs: number }): Session => {
      if ('ended' in what) {
        const code = new SealiftError(what.ended, '').wireCode
        const refused: unknown = { wireBytes: 2000, end: Promise.resolve({ code, error: null }) }
        return refused as Session
      }
      const end = new Promise((resolve) => {
        this.clock.after(what.livesMs, () => resolve({ code: 0, error: null }))
        this.#stop.signal.addEventListener('abort', () => resolve({ code: 0, error: null }))
      })
      const stream: unknown = { wireBytes: MOVED, end }
      return stream as Session
    }
    this.#run = further.run(this.#stop.signal).then(() => void (this.isOver = true))
  }

  async end(): Promise<void> {
    this.#stop.abort(new SealiftError('connection_lost', 'the session is over'))
    await this.#run
    expect(this.open).toBe(0)
  }
}

test('so many are kept open, three of them dialled at once at most, until the session is over', async () => {
  const played = new Played(7, () => ({ livesMs: 1e6 }), 50)
  await played.clock.pass(200)
  expect([played.open, played.mostDialling, played.triedMs.length]).toEqual([7, 3, 7])
  await played.end()
  expect(played.said).toEqual([])
})

test('one that breaks is opened anew after a moment', async () => {
  const played = new Played(2, (time) => ({ livesMs: time === 0 ? 1000 : 1e6 }))
  await played.clock.pass(900)
  expect(played.triedMs).toHaveLength(2)
  await played.clock.pass(500)
  expect(played.triedMs).toHaveLength(3)
  expect(played.open).toBe(2)
  await played.end()
})

test('ones that end at once are tried for more and more seldom', async () => {
  const played = new Played(1, () => ({ ended: 'session_taken' }))
  await played.clock.pass(60_000)
  expect(played.triedMs.length).toBeGreaterThan(10)
  expect(played.triedMs.length).toBeLessThan(35)
  await played.end()
})

describe('that none can be had', () => {
  test('is said once, after three in a row', async () => {
    const played = new Played(3, () => ({ fails: 'connect_failed' }))
    await played.clock.pass(250)
    expect(played.said).toEqual([])
    await played.clock.pass(60_000)
    expect(played.said).toEqual(['connect_failed'])
    await played.end()
  })

  test('is said with the word of the other side, where that refuses them', async () => {
    const played = new Played(1, () => ({ ended: 'server_busy' }))
    await played.clock.pass(5000)
    expect(played.said).toEqual(['server_busy'])
    await played.end()
  })

  test('is not said while there is one, or was', async () => {
    const played = new Played(2, (time) => (time === 0 ? { livesMs: 20_000 } : { fails: 'connect_failed' }))
    await played.clock.pass(60_000)
    expect(played.said).toEqual([])
    await played.end()
  })

  test('is said at once, and they are tried for no more, where time does not heal it', async () => {
    const played = new Played(3, () => ({ fails: 'auth_failed' }))
    await played.clock.pass(1000)
    expect(played.said).toEqual(['auth_failed'])
    expect([played.triedMs.length, played.isOver]).toEqual([3, true])
    await played.end()
  })
})
