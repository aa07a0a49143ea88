/** Suite `noise-xx`: what a server and its client end with, and everything that must end a run instead. */

import { describe, expect, test } from 'vitest'

import { nodeCrypto } from '../../../src/crypto/node.ts'
import { toHex } from '../../../src/protocol/bytes.ts'
import type { CryptoPort, KeyPair } from '../../../src/protocol/crypto-port.ts'
import { SealiftError } from '../../../src/protocol/errors.ts'
import type { ErrorCode } from '../../../src/protocol/errors.ts'
import {
  decodeInit,
  decodeResp,
  encodeFrame,
  encodeInit,
  encodeResp,
} from '../../../src/protocol/handshake-messages.ts'
import type { InitMessage } from '../../../src/protocol/handshake-messages.ts'
import type { ServerParameters } from '../../../src/protocol/handshake-initiator.ts'
import type { SessionSecrets } from '../../../src/protocol/handshake.ts'
import { HandshakeState } from '../../../src/protocol/noise-xx.ts'
import {
  CLIENT_KEY,
  feed,
  newClient,
  newCredential,
  newInitiator,
  newResponder,
  newServer,
  run,
  SERVER_KEY,
  serving,
  watching,
} from './handshake-pair.ts'
import type { Outcome } from './handshake-pair.ts'

const code = (name: ErrorCode): unknown => expect.objectContaining({ code: name })
const LOW_ORDER = new Uint8Array(32)

/** Both sides confirmed; they hold the same keys, crosswise. */
function agreed({ initiator, responder, failure }: Outcome): { client: SessionSecrets; server: SessionSecrets } {
  expect(failure).toBe(null)
  if (initiator === null || responder === null) throw new Error('not confirmed')
  for (const field of ['suite', 'cipher', 'kem', 'transcriptHash', 'resumeId', 'resumeKey', 'join'] as const)
    expect(responder[field]).toEqual(initiator[field])
  expect([responder.sendSecret, responder.receiveSecret]).toEqual([initiator.receiveSecret, initiator.sendSecret])
  expect(initiator.sendSecret).not.toEqual(initiator.receiveSecret)
  return { client: initiator, server: responder }
}

/** INIT of a client, changed on its way. */
function changedInit(change: (message: InitMessage) => Partial<InitMessage>): Outcome {
  return run(newClient(), newServer(), (leg, frame) => {
    if (leg !== 'INIT') return frame
    const message = decodeInit(frame.subarray(8))
    return encodeFrame('INIT', encodeInit({ ...message, ...change(message) }))
  })
}

describe('a run that goes through', () => {
  test('tells each side the key of the other, with ML-KEM where the runtime has it', () => {
    const { client, server } = agreed(run(newClient(), newServer()))
    expect(client).toMatchObject({ suite: 'noise-xx', kem: true, join: false })
    expect(client.peerStaticKey).toEqual(SERVER_KEY.publicKey)
    expect(server.peerStaticKey).toEqual(CLIENT_KEY.publicKey)
    expect([client.resumeId.length, client.resumeKey.length]).toEqual([16, 32])
  })

  test.each([
    [false, true],
    [true, false],
  ])('without ML-KEM where one side has none (%s, %s)', (initiates, responds) => {
    expect(agreed(run(newClient({}, { kem: initiates }), newServer({ kem: responds }))).client.kem).toBe(false)
  })

  test('is different each time, though the keys are the same', () => {
    const [first, second] = [agreed(run(newClient(), newServer())), agreed(run(newClient(), newServer()))]
    for (const field of ['transcriptHash', 'sendSecret', 'receiveSecret', 'resumeId', 'resumeKey'] as const)
      expect(first.client[field]).not.toEqual(second.client[field])
  })

  test('shows a key that nobody has seen before where the client has none of its own', () => {
    const keys = [1, 2].map(() => toHex(agreed(run(newClient({ staticKey: null }), newServer())).server.peerStaticKey!))
    expect(new Set([...keys, toHex(CLIENT_KEY.publicKey)]).size).toBe(3)
  })

  test('shows the key of the client to nobody but the server: it never stands in clear', () => {
    const sent: string[] = []
    run(newClient(), newServer(), (_, frame) => {
      sent.push(toHex(frame))
      return frame
    })
    expect(sent.join()).not.toContain(toHex(CLIENT_KEY.publicKey))
    expect(sent.join()).not.toContain(toHex(SERVER_KEY.publicKey))
  })

  test('leaves the long-term keys as they were', () => {
    const before = [SERVER_KEY, CLIENT_KEY].map(({ privateKey }) => toHex(privateKey))
    agreed(run(newClient(), newServer()))
    expect([SERVER_KEY, CLIENT_KEY].map(({ privateKey }) => toHex(privateKey))).toEqual(before)
  })

  test('by resume key where the server serves one, in the same round trip, and else by its key', () => {
    const known = newCredential()
    const coming = (): ReturnType<typeof newClient> => newClient({}, { resumeKeys: [newCredential(), known] })
    const resumed = agreed(run(coming(), newServer({ findResumeKey: serving(known) })))
    expect(resumed.client).toMatchObject({ suite: 'resume', resumeKey: known.key, peerStaticKey: null })
    expect(resumed.server.peerStaticKey).toBe(null)
    const fresh = agreed(run(coming(), newServer()))
    expect(fresh.client.suite).toBe('noise-xx')
    expect(fresh.client.resumeId).not.toEqual(known.id)
  })

  test('leaves a key that serves the next resume', () => {
    const { resumeId: id, resumeKey: key } = agreed(run(newClient(), newServer())).server
    const server = newServer({ findResumeKey: serving({ id, key }) })
    expect(agreed(run(newClient({}, { resumeKeys: [{ id, key }] }), server)).client.suite).toBe('resume')
  })

  test('the client knows what it will be resumed by before it confirms', () => {
    const [client, server] = [newClient(), newServer()]
    const step = feed(client, feed(server, client.start()).send as Uint8Array)
    const verdict = feed(server, step.send as Uint8Array).verify?.()
    if (verdict?.ok !== true) throw new Error('not confirmed')
    expect(step.pending).toEqual({ id: verdict.secrets.resumeId, key: verdict.secrets.resumeKey })
    expect([client.suite, server.suite]).toEqual(['noise-xx', 'noise-xx'])
  })
})

describe('the key of the server', () => {
  test('is looked at before the client confirms, and its own key has not left', () => {
    const seen: string[] = []
    const client = newClient({
      checkServerKey(publicKey) {
        seen.push(toHex(publicKey))
        throw new SealiftError('key_changed', 'not the one that is known')
      },
    })
    const legs: string[] = []
    const outcome = run(client, newServer(), (leg, frame) => {
      legs.push(leg)
      return frame
    })
    expect(outcome).toMatchObject({ initiator: null, responder: null, failure: code('key_changed') })
    expect([seen, legs]).toEqual([[toHex(SERVER_KEY.publicKey)], ['INIT', 'RESP']])
    // And nothing can be had from the machine afterwards.
    expect(() => client.receive('RESP', new Uint8Array(102))).toThrow(code('protocol_violation'))
  })

  test('is not looked at where it was not proved', () => {
    const liar: KeyPair = { publicKey: CLIENT_KEY.publicKey, privateKey: SERVER_KEY.privateKey }
    let looked = 0
    const look = (): void => {
      looked++
    }
    const client = newClient({ checkServerKey: look })
    expect(run(client, newServer({ staticKey: liar })).failure).toEqual(code('auth_failed'))
    expect(looked).toBe(0)
  })

  test('is not asked for by a server that serves the resume key', () => {
    const known = newCredential()
    let looked = 0
    const look = (): void => {
      looked++
    }
    const client = newClient({ checkServerKey: look }, { resumeKeys: [known] })
    agreed(run(client, newServer({ findResumeKey: serving(known) })))
    expect(looked).toBe(0)
  })
})

describe('a run that must fail', () => {
  test('with the key of somebody else as one’s own: the server gets no session, the client an ABORT', () => {
    const liar: KeyPair = { publicKey: SERVER_KEY.publicKey, privateKey: CLIENT_KEY.privateKey }
    const outcome = run(newClient({ staticKey: liar }), newServer())
    expect(outcome).toMatchObject({ initiator: null, responder: null, failure: code('auth_failed') })
    expect(outcome.fromResponder.map((frame) => frame[5])).toEqual([2, 5])
  })

  test('where ML-KEM gave two secrets: the confirmation finds it', () => {
    const { kem } = nodeCrypto
    if (kem === null) throw new Error('this Node has no ML-KEM')
    const encapsulate: typeof kem.encapsulate = (publicKey) => ({
      ciphertext: kem.encapsulate(publicKey).ciphertext,
      secret: nodeCrypto.randomBytes(32),
    })
    const crypto: CryptoPort = { ...nodeCrypto, kem: { ...kem, encapsulate } }
    const outcome = run(newClient(), newServer({ crypto }))
    expect(outcome).toMatchObject({ initiator: null, responder: null, failure: code('auth_failed') })
  })

  test.each<[string, (message: InitMessage) => Partial<InitMessage>]>([
    ['ML-KEM is taken out', () => ({ kemPublicKey: null })],
    ['a KEM key is put in its place', () => ({ kemPublicKey: nodeCrypto.kem?.generate().publicKey ?? null })],
    ['the better cipher is taken out', () => ({ ciphers: ['chacha20-poly1305'] })],
    ['a version is put in', () => ({ versions: [1, 2] })],
    ['the session is another', () => ({ sessionId: new Uint8Array(16) })],
  ])('where of INIT %s on the way (S-14)', (_, change) => {
    const outcome = changedInit(change)
    expect(outcome).toMatchObject({ initiator: null, responder: null, failure: code('auth_failed') })
  })

  test('where the attacker leaves resume alone and takes the key of the server out', () => {
    const known = newCredential()
    const client = newClient({}, { resumeKeys: [known] })
    const outcome = run(client, newServer({ findResumeKey: serving(known) }), (leg, frame) => {
      if (leg !== 'INIT') return frame
      const message = decodeInit(frame.subarray(8))
      return encodeFrame('INIT', encodeInit({ ...message, suites: ['resume'], noiseShare: null }))
    })
    expect(outcome.failure).toEqual(code('auth_failed'))
  })

  test('a CONFIRM_I that was meant for another run, or another server', () => {
    const other = newServer({ staticKey: nodeCrypto.x25519Generate() })
    const [client, again] = [newClient(), newServer()]
    const init = client.start()
    const confirm = feed(client, feed(newServer(), init).send as Uint8Array).send as Uint8Array
    for (const server of [other, again]) {
      feed(server, init)
      expect(feed(server, confirm).verify?.().ok).toBe(false)
    }
  })

  test('a share of low order, in every place (S-08)', () => {
    const init = decodeInit(newClient().start().subarray(8))
    const low = encodeInit({ ...init, noiseShare: LOW_ORDER })
    expect(() => newServer().receive('INIT', low)).toThrow(code('protocol_violation'))

    const client = newClient()
    client.start()
    const noise = new Uint8Array(99)
    const resp = encodeResp({ version: 1, suite: 'noise-xx', cipher: 'aes-256-gcm', noise })
    expect(() => client.receive('RESP', resp)).toThrow(code('protocol_violation'))

    const nobody: KeyPair = { publicKey: LOW_ORDER, privateKey: nodeCrypto.randomBytes(32) }
    expect(run(newClient(), newServer({ staticKey: nobody })).failure).toEqual(code('protocol_violation'))
    expect(run(newClient({ staticKey: nobody }), newServer())).toMatchObject({
      responder: null,
      failure: code('protocol_violation'),
    })
  })

  test('a peer that only reflects (S-07)', () => {
    const client = newClient()
    const init = client.start()
    const resp = decodeResp((feed(newServer(), init).send as Uint8Array).subarray(8))
    if (resp.suite !== 'noise-xx') throw new Error('another suite')
    const noise = resp.noise.slice()
    noise.set(decodeInit(init.subarray(8)).noiseShare as Uint8Array)
    expect(() => client.receive('RESP', encodeResp({ ...resp, noise }))).toThrow(code('protocol_violation'))

    const stuck: CryptoPort = {
      ...nodeCrypto,
      x25519Generate: () => ({ publicKey: init.slice(-32), privateKey: nodeCrypto.randomBytes(32) }),
    }
    expect(() => feed(newServer({ crypto: stuck }), init)).toThrow(code('protocol_violation'))
  })

  test('two of the same role', () => {
    const [one, two] = [newClient(), newClient()]
    one.start()
    expect(() => feed(one, two.start())).toThrow(code('protocol_violation'))
    const resp = feed(newServer(), newClient().start()).send as Uint8Array
    expect(() => feed(newServer(), resp)).toThrow(code('protocol_violation'))
  })

  test('a join of a session that is not there', () => {
    const init = encodeInit({ ...decodeInit(newClient().start().subarray(8)), join: true })
    expect(() => newServer().receive('INIT', init)).toThrow(code('auth_failed'))
  })

  test('another channel around it', () => {
    const outcome = run(newClient({}, { channelBinding: Uint8Array.of(1) }), newServer())
    expect(outcome.failure).toEqual(code('auth_failed'))
  })
})

describe('what each purpose answers', () => {
  test('a direct transfer never answers by a key, whatever it is offered', () => {
    expect(run(newClient(), newResponder()).failure).toEqual(code('policy_refused'))
    const init = encodeInit({ ...decodeInit(newClient().start().subarray(8)), purpose: 'direct' })
    expect(() => newResponder().receive('INIT', init)).toThrow(code('version_mismatch'))
  })

  test('a server never answers a token that no channel is around', () => {
    const message = decodeInit(newInitiator().start().subarray(8))
    const init = encodeInit({ ...message, purpose: 'server' })
    expect(() => newServer().receive('INIT', init)).toThrow(code('version_mismatch'))
    const known = newCredential()
    const beside = decodeInit(
      newInitiator({ resumeKeys: [known] })
        .start()
        .subarray(8),
    )
    const both = encodeInit({ ...beside, purpose: 'server' })
    expect(() => newServer().receive('INIT', both)).toThrow(code('auth_failed'))
  })

  test('and no machine can be made that would', () => {
    const channelBinding = nodeCrypto.randomBytes(32)
    expect(() => newResponder({ staticKey: SERVER_KEY })).toThrow(code('usage'))
    expect(() => newResponder({ purpose: 'server' })).toThrow(code('usage'))
    expect(() => newInitiator({ purpose: 'server' })).toThrow(code('usage'))
    expect(() => newClient({}, { purpose: 'direct' })).toThrow(code('usage'))
    expect(() => newClient({}, { token: channelBinding, channelBinding })).toThrow(code('usage'))
    expect(() => newClient({}, { join: true })).toThrow(code('usage'))
  })

  test('RESP with noise-xx where it was not offered', () => {
    const initiator = newInitiator({ kem: false })
    initiator.start()
    const resp = encodeResp({ version: 1, suite: 'noise-xx', cipher: 'aes-256-gcm', noise: new Uint8Array(99) })
    expect(() => initiator.receive('RESP', resp)).toThrow(code('protocol_violation'))
    const client = newClient()
    client.start()
    const share = nodeCrypto.x25519Generate().publicKey
    const head = { version: 1, cipher: 'aes-256-gcm', kemCiphertext: null, share } as const
    for (const choice of [
      { suite: 'cpace', resumeIndex: null },
      { suite: 'resume', resumeIndex: 0 },
    ] as const) {
      const asked = newClient()
      asked.start()
      expect(() => asked.receive('RESP', encodeResp({ ...head, ...choice }))).toThrow(code('protocol_violation'))
    }
  })

  test('RESP with a KEM that was not offered, inside the sealed payload', () => {
    const client = newClient({}, { kem: false })
    const init = client.start()
    const generous = nodeCrypto.kem?.generate().publicKey ?? new Uint8Array()
    const withKem = encodeFrame('INIT', encodeInit({ ...decodeInit(init.subarray(8)), kemPublicKey: generous }))
    expect(() => feed(client, feed(newServer(), withKem).send as Uint8Array)).toThrow(code('auth_failed'))
  })
})

describe('order and secrets', () => {
  test('a confirmation is compared once, and not after destroy', () => {
    for (const spoil of ['verify', 'destroy'] as const) {
      const [client, server] = [newClient(), newServer()]
      const { send } = feed(client, feed(server, client.start()).send as Uint8Array)
      const { verify } = feed(server, send as Uint8Array)
      if (spoil === 'verify') expect(verify?.().ok).toBe(true)
      else server.destroy()
      expect(() => verify?.()).toThrow(code('protocol_violation'))
    }
  })

  test('secrets are zeroed on both sides when a run ends, fails or is dropped', () => {
    const [first, second] = [watching(), watching()]
    const server = (): ReturnType<typeof newServer> => newServer({ crypto: second.crypto })
    const client = (changes: Partial<ServerParameters> = {}): ReturnType<typeof newClient> =>
      newClient({ staticKey: null, ...changes }, { crypto: first.crypto })
    agreed(run(client(), server()))
    expect([first.live(), second.live()]).toEqual([0, 0])

    const liar = { publicKey: SERVER_KEY.publicKey, privateKey: CLIENT_KEY.privateKey }
    expect(run(client({ staticKey: liar }), server()).failure).toEqual(code('auth_failed'))
    expect(second.live()).toBe(0)

    const refuse = (): never => {
      throw new SealiftError('key_changed', 'no')
    }
    const left = server()
    expect(run(client({ checkServerKey: refuse }), left).failure).toEqual(code('key_changed'))
    expect([first.live(), second.live() > 0]).toEqual([0, true])
    const dropped = client()
    dropped.start()
    for (const machine of [left, left, dropped, dropped]) machine.destroy()
    expect([first.live(), second.live()]).toEqual([0, 0])
  })

  test('a Noise message out of turn is a fault of ours, and is not made', () => {
    const [e, s] = [nodeCrypto.x25519Generate(), nodeCrypto.x25519Generate()]
    const prologue = new Uint8Array()
    const state = (initiator: boolean): HandshakeState =>
      new HandshakeState({ crypto: nodeCrypto, initiator, prologue, e, s })
    expect(() => state(false).writeMessage(prologue)).toThrow(code('internal'))
    expect(() => state(true).readMessage(prologue)).toThrow(code('internal'))
    expect(() => state(true).split()).toThrow(code('internal'))
    const ended = state(true)
    ended.destroy()
    expect(() => ended.writeMessage(prologue)).toThrow(code('internal'))
    expect(() => ended.split()).toThrow(code('internal'))
  })
})
