/** What comes to a server's port and is no honest sender: each is turned away, leaves nothing, and holds nobody up. */

import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { nodeCrypto } from '../../src/crypto/node.ts'
import { encodeUtf8 } from '../../src/protocol/bytes.ts'
import { ERROR_TABLE, type ErrorCode } from '../../src/protocol/errors.ts'
import { InitiatorHandshake } from '../../src/protocol/handshake-initiator.ts'
import { encodeFrame } from '../../src/protocol/handshake-messages.ts'
import {
  MAX_ADMISSION_RECORD_BYTES,
  MAX_ENTRIES,
  MAX_RECORD_BYTES,
  MAX_SERVER_GUESSES_PER_MINUTE,
} from '../../src/protocol/limits.ts'
import { encodeMessage } from '../../src/protocol/messages.ts'
import { startIdleClock } from '../rigs/idle-clock.ts'
import { RawPeer } from '../rigs/loopback-pair.ts'
import { ServerPlace } from '../rigs/server-place.ts'
import { offer, offerOf, type RawEntry } from './raw-sender.ts'
import { connectRaw, expectServes, letIn, openServer } from './server-place.ts'

function lengthWord(length: number): Uint8Array {
  const word = Buffer.alloc(4)
  word.writeUInt32BE(length)
  return word
}

describe('before a handshake', () => {
  const noises: Record<string, Uint8Array> = {
    'words of another protocol': encodeUtf8('GET / HTTP/1.1\r\nHost: server\r\n\r\n'),
    'random bytes': randomBytes(70_000),
    'a frame that says it has four gigabytes': Buffer.concat([
      encodeFrame('INIT', new Uint8Array()).subarray(0, 4),
      Buffer.alloc(200, 0xff),
    ]),
    zeros: Buffer.alloc(100),
  }
  test.each(Object.keys(noises))('%s', async (name) => {
    const place = await openServer()
    const { socket, over } = await connectRaw(place)
    socket.write(noises[name] as Uint8Array)
    await over
    expect(await place.heard('refused')).toMatchObject({
      code: expect.stringMatching(/^(not_sealift|protocol_violation|version_mismatch)$/) as string,
    })
    await expectServes(place)
  })

  test('connections that are cut at once, and in the middle of a frame, many times', async () => {
    const place = await openServer()
    for (let i = 0; i < 40; i++) {
      const { socket } = await connectRaw(place)
      if (i % 2 === 0) socket.resetAndDestroy()
      else socket.end(encodeUtf8('SLFT'))
    }
    await expectServes(place)
  })
})

/** More than there may be wrong guesses in a minute. */
const MANY = MAX_SERVER_GUESSES_PER_MINUTE + 10

describe('before it is let in', () => {
  test('an oversized record', async () => {
    const place = new ServerPlace()
    await place.start()
    const peer = await RawPeer.dialServer(place.server.port)
    await peer.until('admit')
    peer.wire(lengthWord(MAX_ADMISSION_RECORD_BYTES + 1))
    expect(await peer.closed()).toBe(ERROR_TABLE.record_invalid.wire)
    expect(await place.heard('refused')).toMatchObject({ code: 'record_invalid' })
    await expectServes(place)
  })

  test('an offer where a proof was asked for', async () => {
    const place = new ServerPlace()
    await place.start()
    const peer = await RawPeer.dialServer(place.server.port)
    await peer.until('admit')
    offer(peer, [{ name: 'a.txt', size: 5 }])
    expect(await peer.closed()).toBe(ERROR_TABLE.protocol_violation.wire)
    await expectServes(place)
  })

  test('many that go away in the middle of their proof: none of them counts as a wrong guess', async () => {
    const place = new ServerPlace()
    await place.start()
    for (let i = 0; i < MANY; i++) {
      const peer = await RawPeer.dialServer(place.server.port)
      await peer.until('admit')
      const proof = new InitiatorHandshake({ ...PROOF, token: encodeUtf8('any') })
      peer.say({ type: 'auth', frame: proof.start() })
      await peer.until('auth')
      peer.socket.resetAndDestroy()
    }
    await expectServes(place)
  })
})

describe('once it is let in', () => {
  const file: RawEntry = { name: 'a.txt', size: 5 }
  const lies: Record<string, [(peer: RawPeer) => void | Promise<unknown>, ErrorCode]> = {
    'an oversized record': [(peer) => peer.wire(lengthWord(MAX_RECORD_BYTES + 1)), 'record_invalid'],
    'a record that nobody sealed': [
      (peer) => peer.wire(Buffer.concat([lengthWord(100), randomBytes(100)])),
      'record_invalid',
    ],
    'a size below zero': [(peer) => offer(peer, [file], { bytes: -1 }), 'protocol_violation'],
    'a file of 2^64-1 bytes': [
      (peer) => offer(peer, [{ ...file, size: [0xffff_ffff, 0xffff_ffff] }], { bytes: 5 }),
      'manifest_invalid',
    ],
    'files that together are larger than numbers are exact': [
      (peer) =>
        offer(
          peer,
          [
            { name: 'a', size: Number.MAX_SAFE_INTEGER },
            { name: 'b', size: 5 },
          ],
          { bytes: 5 },
        ),
      'manifest_invalid',
    ],
    'more entries than there may be': [
      (peer) => offer(peer, [file], { entries: MAX_ENTRIES + 1 }),
      'protocol_violation',
    ],
    'more entries than it offered': [
      (peer) => offer(peer, [file, { name: 'b', size: 0 }], { entries: 1 }),
      'manifest_invalid',
    ],
    'another manifest than it offered': [(peer) => offer(peer, [file], { digest: '0'.repeat(64) }), 'manifest_invalid'],
    'a name that leads out of the folder': [(peer) => offer(peer, [{ name: '../a.txt', size: 5 }]), 'manifest_invalid'],
    'a second offer': [
      (peer) => {
        peer.say({ type: 'offer', offer: offerOf([file]) })
        peer.say({ type: 'offer', offer: offerOf([file]) })
      },
      'protocol_violation',
    ],
    'chunks before it was accepted': [
      (peer) => {
        peer.say({ type: 'offer', offer: offerOf([file]) })
        peer.chunk({ packed: encodeUtf8('hello') })
      },
      'protocol_violation',
    ],
    'a chunk in the place of an offer': [(peer) => peer.chunk({ packed: encodeUtf8('hello') }), 'protocol_violation'],
    'that all is done, which the server says': [
      async (peer) => {
        offer(peer, [file])
        await peer.until('accept')
        peer.say({ type: 'done', done: { published: 1, skipped: 0, failed: 0 } })
      },
      'protocol_violation',
    ],
    'a chunk behind the end of all content': [
      async (peer) => {
        offer(peer, [file])
        await peer.until('accept')
        peer.chunk({ offset: 5, packed: encodeUtf8('hello') })
      },
      'protocol_violation',
    ],
    'a priority over 9': [(peer) => offer(peer, [file], { priority: 10 }), 'protocol_violation'],
    'a priority below 0': [(peer) => offer(peer, [file], { priority: -1 }), 'protocol_violation'],
    'a priority between two': [(peer) => offer(peer, [file], { priority: 1.5 }), 'protocol_violation'],
    'a place in line, which the server gives': [
      (peer) => {
        offer(peer, [file])
        peer.say({ type: 'queued', place: 1 })
      },
      'protocol_violation',
    ],
    'an unknown kind of message': [(peer) => peer.sayRaw(Uint8Array.of(0xee, 1, 2, 3)), 'protocol_violation'],
  }
  test.each(Object.keys(lies))('%s', async (name) => {
    const [say, code] = lies[name] as (typeof lies)[string]
    const place = await openServer()
    const peer = await letIn(place)
    await say(peer)
    const closed = await peer.closed()
    const rejected = peer.heard.find((message) => message.type === 'reject')
    expect(rejected?.code ?? closed).toBe(ERROR_TABLE[code].wire)
    expect((await place.heard('error')).error.code).toBe(code)
    // What was accepted may come again, and waits in staging for that.
    if (peer.heard.some(({ type }) => type === 'accept')) expect(place.list()).toHaveLength(1)
    else await expectServes(place)
  })

  test('a text, which a server does not take', async () => {
    const place = await openServer()
    const peer = await letIn(place)
    offer(peer, [file], { text: true })
    const { code } = await peer.until('reject')
    expect(code).toBe(ERROR_TABLE.policy_refused.wire)
    await expectServes(place)
  })

  test('one that asks and asks and never reads the answers costs no memory', async () => {
    const place = await openServer()
    const peer = await letIn(place)
    peer.socket.pause()
    const before = process.memoryUsage().arrayBuffers
    const ping = encodeMessage({ type: 'ping' })
    peer.wire(Buffer.concat(Array.from({ length: ASKED }, () => peer.sealed(ping))))
    await peer.drained()
    await expectServes(place)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(MEMORY_BYTES)
  })
})

const ASKED = 20_000
/** Buffers of two sessions, with room to spare. */
const MEMORY_BYTES = 32 << 20

describe('one that does nothing', () => {
  test('but half a handshake is let go when its time is over', async () => {
    const place = await openServer({ ST_HANDSHAKE_TIMEOUT: '1' })
    const { socket, over } = await connectRaw(place)
    socket.write(new InitiatorHandshake(NOISE).start())
    await over
    expect(await place.heard('refused')).toMatchObject({ code: 'peer_silent' })
    await expectServes(place)
  })

  test('but ask whether the server lives is told to go when its time is over', async () => {
    let moves = 0
    const place = new ServerPlace({ ST_OPEN: 'yes', ST_IDLE_TIMEOUT: '20' })
    const clock = startIdleClock(() => moves + place.events.length)
    try {
      await place.start()
      const peer = await letIn(place)
      const ping = (): void => {
        if (peer.isOver) return
        peer.say({ type: 'ping' })
        moves++
        setTimeout(ping, 3000)
      }
      ping()
      expect(await peer.closed(60_000)).toBe(ERROR_TABLE.peer_silent.wire)
      expect(clock.elapsedMs()).toBeGreaterThan(19_000)
      expect(clock.elapsedMs()).toBeLessThan(28_000)
    } finally {
      clock.stop()
    }
    expect((await place.heard('error')).error.code).toBe('peer_silent')
    expect(place.list()).toEqual([])
  })
})

const NOISE = {
  crypto: nodeCrypto,
  purpose: 'server',
  channelBinding: new Uint8Array(),
  token: null,
  server: { staticKey: null, checkServerKey: () => undefined },
  resumeKeys: [],
  join: false,
} as const

/** Bound to a session that the server does not know, which it finds out at its end. */
const PROOF = { ...NOISE, server: undefined, channelBinding: new Uint8Array(32), kem: false } as const
