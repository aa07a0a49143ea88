import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'

import type { ByteSink, ByteStream } from '../../../src/carriers/carrier.ts'
import { memoryPipe, type MemoryPipeOptions } from '../../../src/carriers/memory.ts'
import { concatBytes } from '../../../src/protocol/bytes.ts'
import { SealiftError } from '../../../src/protocol/errors.ts'
import { encodeChunkHeader, type Message } from '../../../src/protocol/messages.ts'
import type { Role } from '../../../src/protocol/conversation.ts'
import type { MessageHandler, Session } from '../../../src/transfer/session.ts'
import {
  ACCEPT,
  HELLO,
  newSession,
  OFFER,
  RawPeer,
  reachMoving,
  SAFE,
  secretPair,
  sessionPair,
} from './session-pair.ts'
import { settle, until, VirtualClock } from './virtual-time.ts'

let clock = new VirtualClock()
const unhandled: unknown[] = []
const note = (reason: unknown): void => void unhandled.push(reason)

beforeAll(() => void process.on('unhandledRejection', note))
afterAll(() => void process.off('unhandledRejection', note))
afterEach(async () => {
  await clock.pass(5000)
  expect(unhandled).toEqual([])
  // Every test ends its sessions, and a session that is over leaves nothing behind.
  expect(clock.timers).toBe(0)
  clock = new VirtualClock()
})

/** A session and its peer by hand. What the session hears goes to the handler, and is kept. */
function facing(
  role: Role,
  handler: MessageHandler = () => undefined,
  options: MemoryPipeOptions & { reads?: boolean } = {},
): { session: Session; peer: RawPeer; heard: Message[] } {
  const [near, far] = memoryPipe(options)
  const [own, theirs] = secretPair()
  const session = newSession(near, own, role, clock)
  const heard: Message[] = []
  session.listen((message, release) => {
    heard.push(message)
    return handler(message, release)
  })
  return { session, peer: new RawPeer(far, theirs, options.reads), heard }
}

async function broken(session: Session, code: string): Promise<void> {
  await until(() => session.isOver, `the end with ${code}`)
  expect((await session.end).error).toMatchObject({ name: 'SealiftError', code })
}

const chunk = (offset: number, bytes: number): Uint8Array =>
  concatBytes([encodeChunkHeader({ codec: 0, epoch: 1, offset, rawBytes: bytes }), new Uint8Array(bytes).fill(offset)])

describe('messages', () => {
  test.each([1, 7, 23, 4096, 65_536, Number.MAX_SAFE_INTEGER])(
    'are the same in pieces of %d bytes, in both directions',
    async (sliceBytes) => {
      const { sender, receiver } = sessionPair(clock, { sliceBytes, windowBytes: 1 << 20 })
      await reachMoving({ sender, receiver })
      const heard: unknown[] = []
      receiver.listen((message) => {
        heard.push(message.type === 'chunk' ? [message.offset, [...message.packed]] : message)
      })
      const sizes = sliceBytes < 100 ? [1, 2, 300] : [1, 70_000, 1 << 20, 5]
      for (const [at, size] of sizes.entries())
        void sender.sendChunk({ codec: 0, epoch: 1, offset: at, rawBytes: size }, new Uint8Array(size).fill(at))
      void sender.send({ type: 'entryFailed', entry: 7, code: 81 })
      await until(() => heard.length === sizes.length + 1, 'all messages')
      expect(heard.length).toBe(sizes.length + 1)
      for (const [at, size] of sizes.entries()) {
        const [offset, bytes] = heard[at] as [number, number[]]
        expect([offset, bytes.length, bytes.every((byte) => byte === at)]).toEqual([at, size, true])
      }
      expect(heard.at(-1)).toEqual({ type: 'entryFailed', entry: 7, code: 81 })
      await sender.close()
    },
  )

  test('lend their bytes only until the call returns', async () => {
    const { sender, receiver } = sessionPair(clock)
    await reachMoving({ sender, receiver })
    const got: number[][] = []
    receiver.listen((message) => {
      if (message.type === 'chunk') got.push([...message.packed])
    })
    const bytes = new Uint8Array(3).fill(5)
    void sender.sendChunk({ codec: 0, epoch: 1, offset: 0, rawBytes: 3 }, bytes)
    bytes.fill(0)
    await until(() => got.length === 1)
    expect(got).toEqual([[5, 5, 5]])
    await sender.close()
  })

  test('know their suite, their cipher and how many bytes went over the wire', async () => {
    const { sender, receiver } = sessionPair(clock)
    await reachMoving({ sender, receiver })
    expect([sender.suite, sender.cipher]).toEqual(['cpace+mlkem768', 'aes-256-gcm'])
    expect(sender.wireBytes).toBe(receiver.wireBytes)
    expect(sender.wireBytes).toBeGreaterThan(300)
    await sender.close()
  })
})

describe('a peer that breaks the rules', () => {
  test.each([
    ['says what it may not say now', (peer: RawPeer) => peer.say(ACCEPT), 'protocol_violation'],
    ['says what is no message', (peer: RawPeer) => peer.say(Uint8Array.of(99)), 'protocol_violation'],
    ['says nothing in a record', (peer: RawPeer) => peer.say(new Uint8Array()), 'record_invalid'],
    [
      'sends a record that is changed',
      (peer: RawPeer) => {
        const record = peer.seal(HELLO)
        record[9] = (record[9] as number) ^ 1
        return peer.stream.write([record])
      },
      'record_invalid',
    ],
    [
      'sends a record twice',
      (peer: RawPeer) => {
        const record = peer.seal({ type: 'ping' })
        return peer.stream.write([record, record])
      },
      'record_invalid',
    ],
    [
      'swaps two records',
      (peer: RawPeer) => {
        const records = [peer.seal({ type: 'ping' }), peer.seal({ type: 'ping' })]
        return peer.stream.write(records.toReversed())
      },
      'record_invalid',
    ],
    [
      'leaves a record out',
      (peer: RawPeer) => {
        peer.seal({ type: 'ping' })
        return peer.say({ type: 'ping' })
      },
      'record_invalid',
    ],
    ...[0, 1, 16, (1 << 20) + 81, 0xffff_ffff].map(
      (length) =>
        [
          `says that a record has ${length} bytes`,
          (peer: RawPeer) => {
            const word = Buffer.alloc(4)
            word.writeUInt32BE(length)
            return peer.stream.write([word])
          },
          'record_invalid',
        ] as const,
    ),
  ] as const)('and %s is told, and the session is over', async (_, act, code) => {
    const { session, peer, heard } = facing('sender')
    await act(peer)
    await broken(session, code)
    await until(() => peer.heard.some(({ type }) => type === 'close'))
    expect(heard).toEqual([])
    const wire = new SealiftError(code, '').wireCode
    expect(peer.heard.filter(({ type }) => type !== 'pong')).toEqual([{ type: 'close', code: wire }])
    await until(() => peer.ended)
  })

  test('and goes on after its last word gets nothing through', async () => {
    const { session, peer, heard } = facing('sender')
    await peer.stream.write([peer.seal({ type: 'close', code: 5 }), peer.seal(HELLO)])
    await until(() => session.isOver)
    expect(await session.end).toEqual({ code: 5, error: null })
    await settle()
    expect(heard).toEqual([])
  })

  test('and sends pings without reading the answers fills no memory', async () => {
    const { session, peer } = facing('sender', () => undefined, { windowBytes: 1000, reads: false })
    const pings = Array.from({ length: 20_000 }, () => peer.seal({ type: 'ping' }))
    await peer.stream.write(pings)
    expect(session.queuedBytes).toBeLessThan(2000)
    expect(session.isOver).toBe(false)
    peer.read()
    await until(() => peer.heard.some(({ type }) => type === 'pong'))
    await peer.say({ type: 'close', code: 0 })
    await session.end
  })
})

describe('a handler', () => {
  test('that takes its time holds the peer back, in order', async () => {
    const work: (() => void)[] = []
    const { session, peer, heard } = facing('sender', () => new Promise<void>((resolve) => work.push(resolve)))
    await peer.say(HELLO, { type: 'ping' })
    await until(() => work.length === 1)
    await settle()
    expect([heard.length, peer.heard.length]).toEqual([1, 0])
    work[0]?.()
    await until(() => peer.heard.length === 1)
    expect(peer.heard).toEqual([{ type: 'pong' }])
    void session.close()
    await peer.say({ type: 'close', code: 0 })
  })

  test('that takes its time lets the peer fill one buffer and no more', async () => {
    const { sender, receiver } = sessionPair(clock)
    await reachMoving({ sender, receiver })
    const gate = Promise.withResolvers<undefined>()
    let taken = 0
    receiver.listen((message) => {
      if (message.type === 'chunk') taken++
      return gate.promise.then(() => undefined)
    })
    const bytes = new Uint8Array(1 << 20)
    let left = 0
    for (let at = 0; at < 12; at++)
      void sender.sendChunk({ codec: 0, epoch: 1, offset: at, rawBytes: 1 << 20 }, bytes).then(() => left++)
    await settle(200)
    expect(taken).toBe(1)
    expect(left).toBeLessThan(6)
    expect(sender.queuedBytes).toBeGreaterThan(6 << 20)
    let drained = false
    void sender.drained(1 << 20).then(() => (drained = true))
    await settle()
    expect(drained).toBe(false)
    gate.resolve(undefined)
    await until(() => taken === 12, 'all chunks')
    await until(() => drained)
    expect(sender.queuedBytes).toBeLessThan(1 << 20)
    await sender.close()
  })

  test('that takes its time is not taken for silence of the peer', async () => {
    const gate = Promise.withResolvers<undefined>()
    const { session, peer } = facing('sender', () => gate.promise.then(() => undefined))
    await peer.say(HELLO)
    await clock.pass(120_000)
    expect(session.isOver).toBe(false)
    gate.resolve(undefined)
    await clock.pass(29_000)
    expect(session.isOver).toBe(false)
    await clock.pass(5000)
    await broken(session, 'peer_silent')
  })

  test.each([
    [
      'throws',
      () => {
        throw new SealiftError('disk_full', 'no room')
      },
    ],
    ['rejects', () => Promise.reject(new SealiftError('disk_full', 'no room'))],
  ])('that %s ends the session, and the peer is told why', async (_, handler) => {
    const { session, peer } = facing('sender', handler)
    await peer.say(HELLO)
    await broken(session, 'disk_full')
    await until(() => peer.heard.length > 0)
    expect(peer.heard).toEqual([{ type: 'close', code: 70 }])
  })

  test('may give back the memory of what it heard', async () => {
    let release: () => void = () => undefined
    let message: Message | null = null
    const { session, peer } = facing('receiver', (heard, free) => {
      message = heard
      release = free
    })
    await session.send(HELLO)
    await peer.say(OFFER)
    await until(() => message?.type === 'offer')
    await session.send(ACCEPT)
    await session.send(SAFE)
    await peer.say(chunk(7, 100_000))
    await until(() => message?.type === 'chunk')
    const { packed } = message as unknown as { packed: Uint8Array }
    expect(packed[5]).toBe(7)
    release()
    expect(packed.length).toBe(0)
    await peer.say({ type: 'close', code: 0 })
  })
})

describe('keep-alive', () => {
  test('says a word after 10 s without one, and not before', async () => {
    const { session, peer } = facing('sender')
    await clock.pass(9900)
    expect(peer.heard).toEqual([])
    await clock.pass(2600)
    expect(peer.heard).toEqual([{ type: 'ping' }])
    await peer.say({ type: 'pong' })
    await clock.pass(10_000)
    expect(peer.heard.length).toBe(2)
    await peer.say({ type: 'close', code: 0 })
    await session.end
  })

  test('keeps two idle sessions alive for an hour', async () => {
    const { sender, receiver } = sessionPair(clock)
    sender.listen(() => undefined)
    receiver.listen(() => undefined)
    await clock.pass(3_600_000)
    expect([sender.isOver, receiver.isOver]).toEqual([false, false])
    await sender.close()
    await receiver.end
  })

  test('gives a peer up that says nothing for 30 s, and tells it', async () => {
    const { session, peer } = facing('sender')
    await clock.pass(27_400)
    expect(session.isOver).toBe(false)
    await clock.pass(5100)
    await broken(session, 'peer_silent')
    expect(peer.heard.at(-1)).toEqual({ type: 'close', code: 46 })
  })

  test('takes any word for life', async () => {
    const { session, peer } = facing('sender')
    for (let round = 0; round < 5; round++) {
      await clock.pass(25_000)
      await peer.say({ type: 'pong' })
    }
    expect(session.isOver).toBe(false)
    await peer.say({ type: 'close', code: 0 })
    await session.end
  })
})

describe('the end', () => {
  test('by either side is the same on both, with its code', async () => {
    for (const closer of ['sender', 'receiver'] as const) {
      const pair = sessionPair(clock)
      pair.sender.listen(() => undefined)
      pair.receiver.listen(() => undefined)
      const other = closer === 'sender' ? pair.receiver : pair.sender
      const closed = pair[closer].close(90)
      expect(await other.end).toEqual({ code: 90, error: null })
      await closed
      expect(await pair[closer].end).toEqual({ code: 0, error: null })
      expect([pair.sender.isOver, pair.receiver.isOver]).toEqual([true, true])
    }
  })

  test('by both sides at once is an end in order for both', async () => {
    const { sender, receiver } = sessionPair(clock)
    sender.listen(() => undefined)
    receiver.listen(() => undefined)
    await Promise.all([sender.close(1), receiver.close(2)])
    expect([await sender.end, await receiver.end]).toEqual([
      { code: 2, error: null },
      { code: 1, error: null },
    ])
  })

  test('waits two seconds for the last word of a peer that has none', async () => {
    const { session, peer } = facing('sender')
    let closed = false
    void session.close(0).then(() => (closed = true))
    await clock.pass(1900)
    expect(closed).toBe(false)
    await clock.pass(200)
    expect(closed).toBe(true)
    expect(peer.heard).toEqual([{ type: 'close', code: 0 }])
  })

  test('without a last word is a loss, even where the carrier ended in order', async () => {
    const { session, peer } = facing('sender')
    await peer.say(HELLO)
    await peer.stream.end()
    await broken(session, 'connection_lost')
  })

  test('in the middle of a record is a loss', async () => {
    const { session, peer } = facing('sender')
    await peer.stream.write([peer.seal(HELLO).subarray(0, 30)])
    await peer.stream.end()
    await broken(session, 'connection_lost')
  })

  test('by a cut is a loss', async () => {
    const { session, peer } = facing('sender')
    peer.stream.destroy()
    await broken(session, 'connection_lost')
  })

  test('does not swallow what came before it while the handler was busy', async () => {
    const gate = Promise.withResolvers<undefined>()
    const { session, peer, heard } = facing('sender', () => gate.promise.then(() => undefined))
    await peer.say(HELLO, { type: 'ping' }, { type: 'close', code: 7 })
    await peer.stream.end()
    await settle()
    expect([heard.length, session.isOver]).toEqual([1, false])
    gate.resolve(undefined)
    expect(await session.end).toEqual({ code: 7, error: null })
  })

  test('by a fault that the carrier tells at once does not swallow what had arrived before it', async () => {
    const gate = Promise.withResolvers<undefined>()
    const given: { sink: ByteSink | null } = { sink: null }
    const [own, theirs] = secretPair()
    const silent: ByteStream = {
      peer: { address: 'memory', port: 1 },
      seal: undefined,
      start: (sink) => {
        given.sink = sink
      },
      resume: () => undefined,
      write: () => Promise.resolve(),
      end: () => Promise.resolve(),
      destroy: () => undefined,
    }
    const session = newSession(silent, own, 'sender', clock)
    session.listen(() => gate.promise.then(() => undefined))
    const peer = new RawPeer(silent, theirs, false)
    const bytes = concatBytes([peer.seal(HELLO), peer.seal({ type: 'close', code: 7 })])
    given.sink?.space().set(bytes)
    given.sink?.filled(bytes.length)
    given.sink?.ended(new SealiftError('connection_lost', 'reset'))
    await settle()
    expect(session.isOver).toBe(false)
    gate.resolve(undefined)
    expect(await session.end).toEqual({ code: 7, error: null })
  })

  test('leaves nothing to be sent, and no timer, and may be asked for again', async () => {
    const { sender, receiver } = sessionPair(clock)
    sender.listen(() => undefined)
    receiver.listen(() => undefined)
    await sender.close()
    await sender.close()
    sender.fail(new Error('too late'))
    await receiver.end
    await expect(sender.send({ type: 'ping' })).rejects.toMatchObject({ code: 'connection_lost' })
    await sender.drained(0)
    await clock.pass(3000)
    expect(clock.timers).toBe(0)
  })

  test('of a peer that reads nothing any more comes all the same', async () => {
    const { session, peer } = facing('receiver', () => undefined, { windowBytes: 10, reads: false })
    void session.send(HELLO).catch(() => undefined)
    void session.close(0)
    await clock.pass(10_000)
    expect(session.isOver).toBe(true)
    expect(clock.timers).toBe(0)
    peer.stream.destroy()
  })

  test('wakes who waits for room, and fails what was under way', async () => {
    const { session, peer } = facing('receiver', () => undefined, { windowBytes: 10, reads: false })
    const sent = session.send(HELLO)
    const drained = session.drained(1)
    sent.catch(() => undefined)
    peer.stream.destroy()
    await broken(session, 'connection_lost')
    await drained
    await expect(sent).rejects.toMatchObject({ code: 'connection_lost' })
  })

  test('zeroes the traffic secrets', async () => {
    const [near, far] = memoryPipe()
    const [own] = secretPair()
    const session = newSession(near, own, 'sender', clock)
    session.listen(() => undefined)
    far.destroy()
    await session.end
    await clock.pass(3000)
    expect([...own.sendSecret, ...own.receiveSecret].every((byte) => byte === 0)).toBe(true)
  })

  test('a word out of order of this side is refused here already', async () => {
    const { session, peer } = facing('sender')
    await expect(session.send(OFFER)).rejects.toMatchObject({ code: 'protocol_violation' })
    expect(peer.heard).toEqual([])
    await peer.say({ type: 'close', code: 0 })
    await session.end
  })
})
