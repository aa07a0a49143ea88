/** What a session says of why nothing comes. */

import { afterEach, expect, test } from 'vitest'
import { memoryPipe } from '../../../src/carriers/memory.ts'
import { SealiftError } from '../../../src/protocol/errors.ts'
import type { MessageHandler, Session } from '../../../src/transfer/session.ts'
import { HELLO, newSession, RawPeer, secretPair } from './session-pair.ts'
import { settle, until, VirtualClock } from './virtual-time.ts'

let clock = new VirtualClock()

afterEach(async () => {
  await clock.pass(5000)
  expect(clock.timers).toBe(0)
  clock = new VirtualClock()
})

function facing(handler: MessageHandler): { session: Session; peer: RawPeer } {
  const [near, far] = memoryPipe()
  const [own, theirs] = secretPair()
  const session = newSession(near, own, 'sender', clock)
  session.listen(handler)
  return { session, peer: new RawPeer(far, theirs) }
}

test('it is told from its third second on, and a PING tells a slow peer from a dead network', async () => {
  const { session, peer } = facing(() => undefined)
  await clock.pass(2900)
  expect(session.lull).toBe(null)
  await clock.pass(200)
  expect(session.lull).toEqual({ reason: 'network', forMs: 3100, remainingMs: null })
  await peer.say({ type: 'ping' })
  await until(() => session.lull?.reason === 'peer', 'the PING')
  expect(session.lull).toMatchObject({ forMs: 3100 })
  // The next PING is long overdue.
  await clock.pass(13_100)
  expect(session.lull).toMatchObject({ reason: 'network', forMs: 16_200 })
  await peer.say(HELLO)
  await until(() => session.lull === null, 'a word')
  session.fail(new SealiftError('interrupted', 'enough'))
})

test('of this side it is its own', async () => {
  const saved = Promise.withResolvers<undefined>()
  let heard = 0
  const { session, peer } = facing(async () => {
    heard++
    await saved.promise
  })
  await peer.say(HELLO)
  await until(() => heard === 1)
  await clock.pass(4000)
  expect(session.lull).toEqual({ reason: 'disk', forMs: 4000, remainingMs: null })
  saved.resolve(undefined)
  await settle()
  expect(session.lull).toBe(null)
  session.fail(new SealiftError('interrupted', 'enough'))
})
