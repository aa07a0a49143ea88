/** A server's second door: who is let in by token or password, and what somebody in the middle gets. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'

import type { ByteStream } from '../../../src/carriers/carrier.ts'
import { concatBytes, encodeUtf8, toHex } from '../../../src/protocol/bytes.ts'
import { SealiftError } from '../../../src/protocol/errors.ts'
import { encodeAbort, encodeFrame } from '../../../src/protocol/handshake-messages.ts'
import { MAX_SERVER_GUESSES_PER_MINUTE, MAX_UNCONFIRMED_CONNECTIONS } from '../../../src/protocol/limits.ts'
import type { Message } from '../../../src/protocol/messages.ts'
import type { AdmissionOptions } from '../../../src/transfer/admission.ts'
import type { Session } from '../../../src/transfer/session.ts'
import { newClient as newClientHandshake, newCredential } from '../protocol/handshake-pair.ts'
import { crypto, watch } from './door.ts'
import { Client, Middle, quickStretch, ServerDoor, TOKEN } from './server-door.ts'
import { HELLO } from './session-pair.ts'
import { settle, until, VirtualClock } from './virtual-time.ts'

let clock = new VirtualClock()
let open: { close(): void }[] = []
const unhandled: unknown[] = []
const note = (reason: unknown): void => void unhandled.push(reason)
beforeAll(() => void process.on('unhandledRejection', note))
afterAll(() => void process.off('unhandledRejection', note))

function newDoor(changes: Partial<AdmissionOptions> = {}): ServerDoor {
  const door = new ServerDoor(clock, changes)
  open.push(door)
  return door
}

function newClient(to: ServerDoor | Middle, ...rest: ClientRest): Client {
  const client = new Client(clock, () => to.network.dial(), ...rest)
  open.push(client)
  return client
}
type ClientRest = ConstructorParameters<typeof Client> extends [unknown, unknown, ...infer Rest] ? Rest : never

function newMiddle(door: ServerDoor): Middle {
  const middle = new Middle(clock, () => door.network.dial())
  open.push(middle)
  return middle
}

const HEAD = new Uint8Array(8)
const newClientInit = (): Uint8Array => newClientHandshake().start()
const withToken = { token: encodeUtf8(TOKEN) }

/** The next message of a session that somebody handed over. */
function heardBy(session: Session | undefined): Promise<Message> {
  return new Promise((resolve) => session?.listen((message) => resolve(message)))
}

afterEach(async () => {
  for (const one of open) one.close()
  await clock.pass(20_000)
  expect(unhandled).toEqual([])
  expect(clock.timers).toBe(0)
  open = []
  clock = new VirtualClock()
})

describe('by token', () => {
  test('both sides know each other and keep the same key; then the session is an ordinary one', async () => {
    const door = newDoor()
    const staticKey = crypto.x25519Generate()
    const client = newClient(door, withToken, { log: door.log, server: { staticKey } })
    expect(await client.come()).toBe('in')
    expect([client.applicant.asked, door.refused, client.memory.known]).toEqual(['token', [], door.key.publicKey])
    expect(door.admitted).toEqual([
      {
        suite: 'noise-xx',
        resumeId: client.committed[0]?.id,
        peerStaticKey: staticKey.publicKey,
        join: false,
        certificate: null,
      },
    ])
    expect(door.committed[0]?.resumeKey).toEqual(client.committed[0]?.key)
    // A guess is counted before it is compared; nobody is told before what must be kept is kept.
    expect(door.log.slice(0, 3)).toEqual(['guess', 'right', 'server commits'])
    expect(door.log.filter((line) => line.startsWith('client'))).toEqual(['client remembers', 'client commits'])

    const greeted = heardBy(client.sessions[0])
    await door.sessions[0]?.send(HELLO)
    expect(await greeted).toEqual(HELLO)
    expect(client.sessions[0]?.suite).toBe('noise-xx')
  })

  test('a HELLO right behind ADMIT waits for whoever takes the session over', async () => {
    const door = newDoor({ onSession: (session) => void session.send(HELLO) })
    const client = newClient(door, withToken)
    expect(await client.come()).toBe('in')
    await settle(50)
    expect(await heardBy(client.sessions[0])).toEqual(HELLO)
  })

  test('works again and again, for one client and for many', async () => {
    const door = newDoor()
    const clients = [newClient(door, withToken), newClient(door, withToken), newClient(door, withToken)]
    expect(await Promise.all(clients.map((client) => client.come()))).toEqual(['in', 'in', 'in'])
    for (let run = 0; run < 5; run++) expect(await clients[0]?.come()).toBe('in')
    expect(door.sessions.length).toBe(8)
  })

  test('a wrong one is refused, counted, and never told again', async () => {
    const door = newDoor()
    const client = newClient(door, { token: encodeUtf8('acid-zebra-maple-tulipe') })
    expect(await client.come()).toBe('auth_failed')
    await until(() => door.refused.length > 0)
    expect(door.refused).toEqual([{ code: 'auth_failed', wrong: true }])
    expect(door.log).toEqual(['guess', 'wrong'])
    expect([door.committed, client.committed, client.memory.confirmed]).toEqual([[], [], 0])
    expect(await client.come()).toBe('auth_failed')
    expect(door.log).toEqual(['guess', 'wrong'])
  })

  test('more guesses than a minute allows are not compared, right or wrong, and are no wrong ones', async () => {
    const door = newDoor()
    for (let run = 0; run < MAX_SERVER_GUESSES_PER_MINUTE; run++)
      expect(await newClient(door, { token: encodeUtf8('wrong') }).come()).toBe('auth_failed')
    const [honest, other] = [newClient(door, withToken), newClient(door, { token: encodeUtf8('wrong') })]
    expect([await honest.come(), await other.come()]).toEqual(['limit_exceeded', 'limit_exceeded'])
    expect(door.refused.filter(({ wrong }) => wrong).length).toBe(MAX_SERVER_GUESSES_PER_MINUTE)
    await clock.pass(60_000)
    expect(await honest.come()).toBe('in')
  })

  test('right guesses are none: an honest client may come a hundred times a minute', async () => {
    const door = newDoor()
    const client = newClient(door, withToken)
    for (let run = 0; run < 100; run++) expect(await client.come()).toBe('in')
  })

  test('a client that has none says so and goes, which is no guess', async () => {
    const door = newDoor()
    const client = newClient(door)
    expect([await client.come(), client.applicant.asked]).toEqual(['auth_failed', 'token'])
    await until(() => door.refused.length > 0)
    expect([door.refused, door.log]).toEqual([[{ code: 'connection_lost', wrong: false }], []])
  })

  test('a client that is cut off before the answer tells no more than three times', async () => {
    const door = newDoor()
    let told = 0
    // INIT, CONFIRM_I, then as AUTH messages INIT and CONFIRM_I.
    const dial = (): Promise<ByteStream> =>
      onWrite(door, 4, (far) => {
        told++
        far.destroy()
      })
    const client = new Client(clock, dial, withToken)
    open.push(client)
    for (let run = 0; run < 3; run++) expect(await client.come()).toBe('connection_lost')
    expect([await client.come(), told]).toEqual(['auth_failed', 3])
  })

  test('cuts before it has told anything cost nothing', async () => {
    const door = newDoor()
    const client = new Client(clock, () => onWrite(door, 3, (far) => far.destroy()), withToken)
    open.push(client)
    for (let run = 0; run < 5; run++) expect(await client.come()).toBe('connection_lost')
    expect(door.log).toEqual([])
  })
})

function forward(stream: ByteStream): ByteStream {
  return {
    peer: stream.peer,
    seal: stream.seal,
    start: (sink) => stream.start(sink),
    resume: () => stream.resume(),
    write: (parts) => stream.write(parts),
    end: () => stream.end(),
    destroy: () => stream.destroy(),
  }
}

/** A connection at whose n-th write the test does something with the other end, before the bytes leave. */
async function onWrite(door: ServerDoor, count: number, act: (far: ByteStream) => void): Promise<ByteStream> {
  const stream = await door.network.dial()
  let writes = 0
  return {
    ...forward(stream),
    write(parts) {
      if (++writes === count) act(door.streams.at(-1) as ByteStream)
      return stream.write(parts)
    },
  }
}

describe('by password', () => {
  const password = encodeUtf8('correct horse battery')

  test('both sides stretch it with the key of the server', async () => {
    const door = newDoor()
    door.needs = 'password'
    door.secret = await quickStretch(password, door.key.publicKey)
    const client = newClient(door, { password })
    expect([await client.come(), client.applicant.asked]).toEqual(['in', 'password'])
    expect(toHex(password)).toBe(toHex(encodeUtf8('correct horse battery')))
  })

  test('a wrong one is refused, and so is the right one as a token', async () => {
    const door = newDoor()
    door.needs = 'password'
    door.secret = await quickStretch(password, door.key.publicKey)
    expect(await newClient(door, { password: encodeUtf8('correct horse batterie') }).come()).toBe('auth_failed')
    expect(await newClient(door, { token: password }).come()).toBe('auth_failed')
    expect(door.log).toEqual(['guess', 'wrong'])
  })
})

describe('by the key alone', () => {
  test('a server that asks for nothing lets in whom it judges well', async () => {
    const friend = crypto.x25519Generate()
    const door = newDoor({
      judge({ peerStaticKey }) {
        if (peerStaticKey !== null && crypto.equal(peerStaticKey, friend.publicKey)) return 'nothing'
        throw new SealiftError('peer_refused', 'not one of those who may come')
      },
    })
    expect(await newClient(door, {}, { server: { staticKey: friend } }).come()).toBe('in')
    expect(await newClient(door).come()).toBe('peer_refused')
    await until(() => door.refused.length > 0)
    expect([door.refused, door.sessions.length]).toEqual([[{ code: 'peer_refused', wrong: false }], 1])
  })

  test('by resume key a client is let in at once, and that proves the server too', async () => {
    const asked: unknown[] = []
    const door = newDoor({
      judge(peer) {
        asked.push(peer)
        return 'nothing'
      },
    })
    const known = newCredential()
    door.keys.push(known)
    const client = newClient(door, withToken, { resumeKeys: () => [known] })
    expect(await client.come()).toBe('in')
    expect(asked).toEqual([
      { suite: 'resume', resumeId: known.id, peerStaticKey: null, join: false, certificate: null },
    ])
    expect([door.log, toHex(client.committed[0]?.key ?? new Uint8Array())]).toEqual([
      ['server commits', 'in'],
      toHex(known.key),
    ])
  })

  test('a server that asks although a resume key was confirmed is not told the token', async () => {
    const door = newDoor()
    const known = newCredential()
    door.keys.push(known)
    expect(await newClient(door, withToken, { resumeKeys: () => [known] }).come()).toBe('protocol_violation')
    expect(door.log).toEqual([])
  })

  test('a resume key that the server has another secret for is given up for the key of the server', async () => {
    const door = newDoor()
    const known = newCredential()
    door.keys.push({ ...known, key: newCredential().key })
    const client = newClient(door, withToken, { resumeKeys: () => [known] })
    expect([await client.come(), door.admitted[0]?.suite]).toEqual(['in', 'noise-xx'])
  })
})

describe('somebody in the middle', () => {
  test('of a first contact without a secret is not noticed: that is what the token, or a key known before, is for', async () => {
    const door = newDoor()
    door.needs = 'nothing'
    const middle = newMiddle(door)
    const client = newClient(middle)
    expect([await client.come(), client.memory.known]).toEqual(['in', middle.key.publicKey])
  })

  test('of a first contact with a token is found: both sessions have other hashes', async () => {
    const door = newDoor()
    const middle = newMiddle(door)
    const client = newClient(middle, withToken)
    expect(await client.come()).toBe('auth_failed')
    await until(() => door.refused.length > 0)
    expect(door.refused).toEqual([{ code: 'auth_failed', wrong: true }])
    expect([door.sessions, client.committed, client.memory.known]).toEqual([[], [], null])
    // It passed on everything that both said, and that was all right but for the binding.
    const [near, far] = middle.sessions
    expect(near?.transcriptHash).not.toEqual(far?.transcriptHash)
    expect(middle.heard.map(({ type }) => type)).toEqual(['admit', 'auth', 'auth', 'auth'])
    // The same client gets in where nobody stands between.
    expect(await newClient(door, withToken).come()).toBe('in')
  })

  test('of a first contact with a password is found as well', async () => {
    const door = newDoor()
    door.needs = 'password'
    const password = encodeUtf8('correct horse battery')
    door.secret = await quickStretch(password, door.key.publicKey)
    const client = newClient(newMiddle(door), { password })
    expect([await client.come(), door.sessions]).toEqual(['auth_failed', []])
  })

  test('who says that nothing is needed is not believed by a client that has a token', async () => {
    const door = newDoor()
    const middle = newMiddle(door)
    middle.replace = () => ({ type: 'admit', admit: { needs: 'nothing' } })
    const client = newClient(middle, withToken)
    expect(await client.come()).toBe('auth_failed')
    expect([client.committed, client.memory.known, middle.heard.map(({ type }) => type)]).toEqual([[], null, ['admit']])
    // Where the key of the server was known before, its word is enough.
    door.needs = 'nothing'
    const friend = newClient(door, withToken)
    friend.memory.known = door.key.publicKey
    expect(await friend.come()).toBe('in')
  })

  test('who asks for the password in the place of the token gets neither', async () => {
    const middle = newMiddle(newDoor())
    middle.replace = () => ({ type: 'admit', admit: { needs: 'password' } })
    expect(await newClient(middle, withToken).come()).toBe('auth_failed')
    expect(middle.heard.map(({ type }) => type)).toEqual(['admit'])
  })

  test('of a later contact meets a client that knows the key, and does not even learn its name', async () => {
    const door = newDoor()
    const client = newClient(newMiddle(door), withToken)
    client.memory.known = door.key.publicKey
    expect(await client.come()).toBe('key_changed')
    expect(door.sessions).toEqual([])
  })

  test('cannot bring a client from its resume key down to a key of its own', async () => {
    const door = newDoor()
    const known = newCredential()
    door.keys.push(known)
    const client = newClient(newMiddle(door), withToken, { resumeKeys: () => [known] })
    client.memory.known = door.key.publicKey
    expect(await client.come()).toBe('key_changed')
  })
})

describe('what a client remembers', () => {
  test('is the key of the connection that was let in, whatever another one met at the same time', async () => {
    const door = newDoor()
    const middle = newMiddle(door)
    middle.replace = () => ({ type: 'admit', admit: { needs: 'nothing' } })
    // One connection reaches the server, and the other, which began earlier, somebody who asks for nothing.
    const asked = Promise.withResolvers<undefined>()
    const ways = [
      async (): Promise<ByteStream> => {
        const stream = await middle.network.dial()
        let writes = 0
        const write: ByteStream['write'] = async (parts) => {
          // CONFIRM_I: its key has been looked at, and found to be the first.
          if (++writes === 2) await asked.promise
          return stream.write(parts)
        }
        return { ...forward(stream), write }
      },
      () => door.network.dial(),
    ]
    const client = new Client(clock, () => (ways.shift() ?? (() => door.network.dial()))(), withToken)
    open.push(client)
    const met = client.come()
    await settle(30)
    expect(await client.come()).toBe('in')
    expect(client.memory.known).toEqual(door.key.publicKey)
    asked.resolve(undefined)
    expect(await met).toBe('auth_failed')
    expect(client.memory.known).toEqual(door.key.publicKey)
  })

  test('a key that another process found to be another one meanwhile ends it, before anything is kept', async () => {
    const door = newDoor()
    const trust = {
      isKnown: false,
      check: () => undefined,
      confirm: () => Promise.reject(new SealiftError('key_changed', 'another key was remembered meanwhile')),
    }
    const client = newClient(door, withToken, { server: { trust } })
    expect([await client.come(), client.committed]).toEqual(['key_changed', []])
  })
})

describe('whoever has not been let in', () => {
  /** A client that has confirmed its keys, and then waits for something before it answers. */
  async function hesitant(door: ServerDoor): Promise<{ outcome(): string | null; answer(): void }> {
    door.needs = 'password'
    const answer = Promise.withResolvers<Uint8Array>()
    const client = new Client(
      clock,
      () => door.network.dial(),
      { password: encodeUtf8('x') },
      {},
      () => answer.promise,
    )
    open.push(client)
    let outcome: string | null = null
    void client.come().then((code) => (outcome = code))
    await until(() => client.applicant.asked !== null, 'ADMIT')
    return { outcome: () => outcome, answer: () => answer.resolve(encodeUtf8(TOKEN)) }
  }

  test('has ten seconds for all of it, and is let in within them', async () => {
    const door = newDoor()
    const [quick, slow] = [await hesitant(door), await hesitant(door)]
    await clock.pass(9900)
    quick.answer()
    await until(() => quick.outcome() !== null)
    expect([quick.outcome(), slow.outcome()]).toEqual(['in', null])
    await clock.pass(200)
    await until(() => door.refused.length > 0)
    slow.answer()
    await until(() => slow.outcome() !== null)
    expect(slow.outcome()).toBe('peer_silent')
    expect(door.refused.map(({ code }) => code)).toEqual(['peer_silent'])
    // Whoever is in stays.
    await clock.pass(15_000)
    expect(door.sessions[0]?.isOver).toBe(false)
  })

  test('counts among the unconfirmed: 128 of them, then the oldest goes', async () => {
    const door = newDoor()
    const oldest = await hesitant(door)
    const idle = []
    for (let at = 1; at < MAX_UNCONFIRMED_CONNECTIONS; at++) idle.push(watch(await door.network.dial()))
    await settle()
    expect(door.refused).toEqual([])
    idle.push(watch(await door.network.dial()))
    await until(() => door.refused.length > 0)
    oldest.answer()
    await until(() => oldest.outcome() !== null)
    expect(oldest.outcome()).not.toBe('in')
    expect([door.refused, idle.filter(({ ended }) => ended).length]).toEqual([
      [{ code: 'peer_silent', wrong: false }],
      0,
    ])
  })

  test('is not told that the ledger was slow by losing its place to the clock', async () => {
    const written = Promise.withResolvers<undefined>()
    const door = newDoor({ commit: () => written.promise })
    const client = newClient(door, withToken)
    let outcome = ''
    void client.come().then((code) => (outcome = code))
    await until(() => door.log.includes('right'))
    await settle(30)
    for (let at = 0; at < MAX_UNCONFIRMED_CONNECTIONS + 5; at++) watch(await door.network.dial())
    await clock.pass(9000)
    written.resolve(undefined)
    await until(() => outcome !== '')
    expect(outcome).toBe('in')
  })

  test.each<[string, Exclude<Message, { type: 'chunk' }>]>([
    ['a confirmation in the place of INIT', { type: 'auth', frame: encodeFrame('CONFIRM_I', new Uint8Array(32)) }],
    ['nonsense', { type: 'auth', frame: encodeFrame('INIT', new Uint8Array(60).fill(0xaa)) }],
    ['a frame that is longer than it says', { type: 'auth', frame: concatBytes([encodeAbort('interrupted'), HEAD]) }],
    ['a frame that is cut', { type: 'auth', frame: encodeFrame('INIT', new Uint8Array(60)).subarray(0, 20) }],
    ['an INIT by key alone', { type: 'auth', frame: newClientInit() }],
  ])('and says %s is refused, and has not guessed', async (_, message) => {
    const door = newDoor()
    const middle = newMiddle(door)
    const client = newClient(middle, withToken)
    middle.replace = (said) => (said.type === 'auth' ? message : said)
    expect(await client.come()).not.toBe('in')
    await until(() => door.refused.length > 0)
    expect([door.refused[0]?.wrong, door.log]).toEqual([false, []])
    expect(['protocol_violation', 'version_mismatch', 'policy_refused']).toContain(door.refused[0]?.code)
  })
})

describe('a door that is set up wrong', () => {
  test('asks for a secret that it does not have: nobody comes in', async () => {
    const door = newDoor({ gate: null })
    expect(await newClient(door, withToken).come()).not.toBe('in')
    await until(() => door.refused.length > 0)
    expect(door.refused).toEqual([{ code: 'internal', wrong: false }])
  })

  test('whose ledger cannot be written says so, and lets nobody in', async () => {
    const door = newDoor({ commit: () => Promise.reject(new SealiftError('ledger_unavailable', 'no space')) })
    const client = newClient(door, withToken)
    expect(await client.come()).not.toBe('in')
    expect([door.faults, door.sessions, client.committed]).toEqual([['ledger_unavailable'], [], []])
  })
})
