/** When a connection is tried again, how often, and for how long (PROTOCOL 1.9, 2.8). */

import { expect, test } from 'vitest'
import { Redialling, type RediallingOptions, type SessionOutcome } from '../../../src/library/redialling.ts'
import { type ErrorCode, SealiftError } from '../../../src/protocol/errors.ts'
import type { DialledSession } from '../../../src/transfer/dialling.ts'
import { VirtualClock } from '../transfer/virtual-time.ts'

/** What each try comes to: a code with which connecting fails, or how the session goes. */
type Try = ErrorCode | SessionOutcome['kind']

interface Played {
  readonly tries: number
  readonly end: ErrorCode | 'done' | 'goes on'
}

async function play(tries: readonly Try[], options: Partial<RediallingOptions> = {}, forMs = 60_000): Promise<Played> {
  const clock = new VirtualClock()
  let made = 0
  const next = (): Try => tries[Math.min(made++, tries.length - 1)] as Try
  let went: Try = 'done'
  const redialling = new Redialling({
    clock,
    connect: () => {
      went = next()
      if (went === 'done' || went === 'broken' || went === 'ended') return Promise.resolve({} as DialledSession)
      return Promise.reject(new SealiftError(went, 'no connection'))
    },
    session: () => {
      const kind = went as SessionOutcome['kind']
      return Promise.resolve(kind === 'done' ? { kind } : { kind, error: new SealiftError('connection_lost', 'cut') })
    },
    isOver: () => false,
    onRetry: () => undefined,
    ...options,
  })
  let end: Played['end'] = 'goes on'
  const stop = new AbortController()
  const run = redialling.run(stop.signal).then(
    (error) => (end = error?.code ?? 'done'),
    () => undefined,
  )
  await clock.pass(forMs)
  const played = { tries: made, end }
  stop.abort(new SealiftError('interrupted', 'stopped'))
  await run
  return played
}

test('a refusal at the first try is the end at once, a cut handshake is tried three times more', async () => {
  expect(await play(['connect_failed'])).toEqual({ tries: 1, end: 'connect_failed' })
  expect(await play(['connection_lost'])).toEqual({ tries: 4, end: 'connection_lost' })
  expect(await play(['connection_lost', 'connection_lost', 'done'])).toEqual({ tries: 3, end: 'done' })
})

test('one who takes the connection and says nothing is tried again only where that may be a busy server', async () => {
  expect(await play(['peer_silent'])).toEqual({ tries: 1, end: 'peer_silent' })
  expect(await play(['peer_silent', 'done'], { retriesSilence: true })).toEqual({ tries: 2, end: 'done' })
  expect(await play(['peer_silent'], { retriesSilence: true })).toEqual({ tries: 4, end: 'peer_silent' })
})

test('after a session it is tried for half a minute, more and more seldom', async () => {
  const { tries, end } = await play(['broken', 'connect_failed'])
  expect(end).toBe('connect_failed')
  expect(tries).toBeGreaterThan(8)
  expect(tries).toBeLessThan(30)
  expect((await play(['broken', 'connect_failed'], {}, 25_000)).end).toBe('goes on')
})

test('what this side ended, and what time does not heal, is not tried again', async () => {
  expect(await play(['ended'])).toEqual({ tries: 1, end: 'connection_lost' })
  expect(await play(['broken', 'auth_failed'])).toEqual({ tries: 2, end: 'auth_failed' })
  expect(await play(['broken'], { isOver: () => true })).toEqual({ tries: 1, end: 'connection_lost' })
})

test('sessions that move nothing do not go on for ever', async () => {
  expect((await play(['broken'], {}, 300_000)).end).toBe('connection_lost')
})
