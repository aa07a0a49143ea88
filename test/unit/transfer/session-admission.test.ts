/** A session with a server before its peer is let in: what may be said, how much memory it gets, and who listens. */

import { afterEach, expect, test } from 'vitest'

import { memoryPipe } from '../../../src/carriers/memory.ts'
import type { Role } from '../../../src/protocol/conversation.ts'
import { MAX_HANDSHAKE_FRAME_BYTES } from '../../../src/protocol/limits.ts'
import { encodeMessage, type Message } from '../../../src/protocol/messages.ts'
import type { Session } from '../../../src/transfer/session.ts'
import { HELLO, newSession, OFFER, RawPeer, secretPair } from './session-pair.ts'
import { settle, until, VirtualClock } from './virtual-time.ts'

const ASK = { type: 'admit', admit: { needs: 'token' } } as const
const LET_IN = { type: 'admit', admit: { needs: 'nothing' } } as const
const LARGEST_AUTH = { type: 'auth', frame: new Uint8Array(MAX_HANDSHAKE_FRAME_BYTES) } as const

let clock = new VirtualClock()

afterEach(async () => {
  await clock.pass(5000)
  expect(clock.timers).toBe(0)
  clock = new VirtualClock()
})

function facing(role: Role): { session: Session; peer: RawPeer; heard: Message[] } {
  const [near, far] = memoryPipe()
  const [own, theirs] = secretPair()
  const session = newSession(near, own, role, clock, 'server')
  const heard: Message[] = []
  session.listen((message) => void heard.push(message))
  return { session, peer: new RawPeer(far, theirs), heard }
}

async function endsWith(session: Session, code: string): Promise<void> {
  await until(() => session.isOver, `the end with ${code}`)
  expect((await session.end).error).toMatchObject({ code })
}

test('nothing of a transfer may be said before', async () => {
  const early = facing('receiver')
  await expect(early.session.send(HELLO)).rejects.toMatchObject({ code: 'protocol_violation' })
  await early.peer.say(OFFER)
  await endsWith(early.session, 'protocol_violation')
  const client = facing('sender')
  await client.peer.say(HELLO)
  await endsWith(client.session, 'protocol_violation')
})

test('the peer that is asked says one frame, and then waits', async () => {
  const { session, peer, heard } = facing('receiver')
  await session.send(ASK)
  await peer.say(LARGEST_AUTH)
  await until(() => heard.length > 0)
  expect(heard[0]?.type === 'auth' && heard[0].frame.length).toBe(MAX_HANDSHAKE_FRAME_BYTES)
  await peer.say(LARGEST_AUTH)
  await endsWith(session, 'protocol_violation')
})

test('a record larger than one frame is refused by its length alone, and taken once the peer is in', async () => {
  const { session, peer } = facing('receiver')
  await session.send(ASK)
  const tooLong = peer.seal(encodeMessage({ ...LARGEST_AUTH, frame: new Uint8Array(MAX_HANDSHAKE_FRAME_BYTES + 1) }))
  await peer.stream.write([tooLong.subarray(0, 4)])
  await endsWith(session, 'record_invalid')

  const next = facing('receiver')
  await next.session.send(LET_IN)
  await next.session.send(HELLO)
  await next.peer.say({ ...OFFER, offer: { ...OFFER.offer, manifestFollows: true } })
  await next.peer.say({ type: 'manifest', last: true, page: new Uint8Array(100_000) })
  await until(() => next.heard.length === 2)
  next.session.fail(new Error('the test is over'))
})

test('who is let in is not too small for what comes right behind', async () => {
  const { session, peer, heard } = facing('sender')
  const words = [LET_IN, { ...HELLO, hello: { ...HELLO.hello, name: 'x'.repeat(250) } }] as const
  await peer.stream.write([Buffer.concat(words.map((word) => peer.seal(word)))])
  await until(() => heard.length === 2)
  expect(heard).toEqual(words)
  session.fail(new Error('the test is over'))
})

test('while it is paused nothing is delivered or lost, and no silence counts', async () => {
  const { session, peer, heard } = facing('sender')
  session.pause()
  await peer.say(LET_IN, HELLO)
  await settle()
  expect(heard).toEqual([])
  await clock.pass(40_000)
  expect(session.isOver).toBe(false)
  session.listen((message) => {
    heard.push(message)
    session.pause()
  })
  await until(() => heard.length === 1)
  await settle()
  expect(heard).toEqual([LET_IN])
  session.listen((message) => void heard.push(message))
  await until(() => heard.length === 2)
  expect(heard[1]).toEqual(HELLO)
  session.fail(new Error('the test is over'))
})

test('an end that comes while it is paused is told to the next who listens, behind what was said before', async () => {
  const { session, peer, heard } = facing('sender')
  session.pause()
  await peer.say(LET_IN, { type: 'close', code: 47 })
  await peer.stream.end()
  await settle()
  expect(session.isOver).toBe(false)
  session.listen((message) => void heard.push(message))
  expect(await session.end).toEqual({ code: 47, error: null })
  expect(heard).toEqual([LET_IN])
})
