import { describe, expect, test } from 'vitest'

import { CONVERSATION, Conversation } from '../../../src/protocol/conversation.ts'
import type { ConversationState, Role, Utterance } from '../../../src/protocol/conversation.ts'
import { MESSAGE } from '../../../src/protocol/messages.ts'
import type { Hello, Message, MessageName, Offer } from '../../../src/protocol/messages.ts'

const page = new Uint8Array()
const offer = { manifestFollows: true } as Offer
const MESSAGES: Readonly<Record<Utterance, Message>> = {
  hello: { type: 'hello', hello: {} as Hello },
  offer: { type: 'offer', offer },
  offerKnown: { type: 'offer', offer: { ...offer, manifestFollows: false } },
  manifest: { type: 'manifest', last: false, page },
  manifestLast: { type: 'manifest', last: true, page },
  accept: { type: 'accept', accept: { epoch: 1 } },
  reject: { type: 'reject', code: 21, roomBytes: null },
  states: { type: 'states', runs: [] },
  safe: { type: 'safe', last: false, page },
  safeLast: { type: 'safe', last: true, page },
  chunk: { type: 'chunk', codec: 0, epoch: 1, offset: 0, rawBytes: 1, packed: Uint8Array.of(1) },
  digests: { type: 'digests', digests: [] },
  ack: { type: 'ack', page },
  nack: { type: 'nack', entry: 0 },
  entryFailed: { type: 'entryFailed', entry: 0, code: 81 },
  entryEnd: { type: 'entryEnd', sizeBytes: 1 },
  done: { type: 'done', done: { published: 1, skipped: 0, failed: 0 } },
  ping: { type: 'ping' },
  pong: { type: 'pong' },
  close: { type: 'close', code: 0 },
  admit: { type: 'admit', admit: { needs: 'token' } },
  admitNothing: { type: 'admit', admit: { needs: 'nothing' } },
  auth: { type: 'auth', frame: new Uint8Array(8) },
  queued: { type: 'queued', place: 1 },
}
const UTTERANCES = Object.keys(MESSAGES) as Utterance[]
const VIOLATION = expect.objectContaining({ name: 'SealiftError', code: 'protocol_violation' }) as Error

/** The way into each state, by whom and what. */
const WAYS: Readonly<Record<ConversationState, readonly (readonly [Role, Utterance])[]>> = {
  admitting: [],
  joining: [],
  carrying: [],
  proving: [['receiver', 'admit']],
  judging: [
    ['receiver', 'admit'],
    ['sender', 'auth'],
  ],
  greeting: [],
  offering: [['receiver', 'hello']],
  listing: [
    ['receiver', 'hello'],
    ['sender', 'offer'],
  ],
  deciding: [
    ['receiver', 'hello'],
    ['sender', 'offerKnown'],
  ],
  surveying: [
    ['receiver', 'hello'],
    ['sender', 'offer'],
    ['sender', 'manifest'],
    ['sender', 'manifestLast'],
    ['receiver', 'accept'],
  ],
  moving: [
    ['receiver', 'hello'],
    ['sender', 'offerKnown'],
    ['receiver', 'accept'],
    ['receiver', 'states'],
    ['receiver', 'safe'],
    ['receiver', 'safeLast'],
  ],
  ending: [
    ['receiver', 'hello'],
    ['sender', 'offerKnown'],
    ['receiver', 'accept'],
    ['receiver', 'safeLast'],
    ['receiver', 'done'],
  ],
  closed: [
    ['receiver', 'close'],
    ['sender', 'close'],
  ],
}

/** What may be said, by whom, and what it leads to: written out a second time, from docs/protocol.md. */
const ALLOWED: Readonly<Record<ConversationState, string>> = {
  admitting: 'receiver admitNothing greeting, receiver admit proving',
  joining: 'receiver admitNothing carrying',
  carrying: 'sender chunk carrying',
  proving: 'sender auth judging, receiver admitNothing greeting',
  judging: 'receiver auth proving',
  greeting: 'receiver hello offering',
  offering: 'sender offer listing, sender offerKnown deciding',
  listing: 'sender manifest listing, sender manifestLast deciding, receiver reject ending',
  deciding: 'receiver queued deciding, receiver accept surveying, receiver reject ending',
  surveying: 'receiver states surveying, receiver safe surveying, receiver safeLast moving',
  moving: [
    'sender chunk moving, sender digests moving, sender entryFailed moving, sender entryEnd moving',
    'receiver ack moving, receiver nack moving, receiver states moving, receiver reject ending, receiver done ending',
  ].join(', '),
  ending: [
    'sender manifest ending, sender manifestLast ending',
    'sender chunk ending, sender digests ending, sender entryFailed ending, sender entryEnd ending',
  ].join(', '),
  closed: '',
}

const SERVER_STATES: readonly ConversationState[] = ['admitting', 'proving', 'judging', 'joining']
const JOINED_STATES: readonly ConversationState[] = ['joining', 'carrying']

function at(state: ConversationState): Conversation {
  const conversation = new Conversation(
    SERVER_STATES.includes(state) ? 'server' : 'direct',
    JOINED_STATES.includes(state),
  )
  for (const [by, what] of WAYS[state]) conversation.said(by, MESSAGES[what])
  expect(conversation.state).toBe(state)
  return conversation
}

const cases = (Object.keys(WAYS) as ConversationState[]).flatMap((state) =>
  (['sender', 'receiver'] as const).map((by) => ({ state, by })),
)

describe.each(cases)('while $state, the $by', ({ state, by }) => {
  const allowed = new Map(
    ALLOWED[state]
      .split(', ')
      .map((line) => line.split(' ') as [Role, Utterance, ConversationState])
      .filter(([speaker]) => speaker === by)
      .map(([, what, next]) => [what, next]),
  )

  test(`may say ${[...allowed.keys()].join(', ') || 'nothing of its own'}`, () => {
    for (const what of UTTERANCES) {
      if (what === 'ping' || what === 'pong' || what === 'close') continue
      const conversation = at(state)
      const next = allowed.get(what)
      if (next === undefined) {
        expect(() => conversation.said(by, MESSAGES[what]), what).toThrow(VIOLATION)
        expect(conversation.state, `${what} is refused and changes nothing`).toBe(state)
      } else {
        conversation.said(by, MESSAGES[what])
        expect(conversation.state, what).toBe(next)
      }
    }
  })

  test('may say ping and pong, and one close, and then nothing at all', () => {
    const conversation = at(state)
    if (state === 'closed') {
      for (const what of UTTERANCES) expect(() => conversation.said(by, MESSAGES[what]), what).toThrow(VIOLATION)
      return
    }
    conversation.said(by, MESSAGES.ping)
    conversation.said(by, MESSAGES.pong)
    conversation.said(by, MESSAGES.close)
    expect(conversation.state).toBe(state)
    for (const what of UTTERANCES) expect(() => conversation.said(by, MESSAGES[what]), what).toThrow(VIOLATION)
  })
})

test('who has not closed may still finish a sentence, and the second close ends it', () => {
  const conversation = at('moving')
  conversation.said('receiver', MESSAGES.close)
  conversation.said('sender', MESSAGES.chunk)
  conversation.said('sender', MESSAGES.close)
  expect(conversation.state).toBe('closed')
})

test('a server lets its peer in, at once or after a handshake of four frames, and then all goes as ever', () => {
  for (const asks of [false, true]) {
    const conversation = new Conversation('server')
    if (asks) {
      conversation.said('receiver', { type: 'admit', admit: { needs: 'password' } })
      for (const by of ['sender', 'receiver', 'sender', 'receiver'] as const) conversation.said(by, MESSAGES.auth)
    }
    expect(conversation.isAdmitting).toBe(true)
    conversation.said('receiver', MESSAGES.admitNothing)
    expect(conversation.isAdmitting).toBe(false)
    conversation.said('receiver', MESSAGES.hello)
    expect(conversation.state).toBe('offering')
  }
})

test('every message has its place in the table or may be said at any time', () => {
  const placed = new Set(
    Object.values(CONVERSATION).flatMap(({ sender, receiver }) => [...Object.keys(sender), ...Object.keys(receiver)]),
  )
  const always = new Set<string>(['ping', 'pong', 'close'])
  for (const name of Object.keys(MESSAGE) as MessageName[])
    expect(placed.has(name) || always.has(name), name).toBe(true)
})
