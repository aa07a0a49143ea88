import { describe, expect, test } from 'vitest'

import { nodeCrypto } from '../../../src/crypto/node.ts'
import { concatBytes, encodeUtf8, toHex } from '../../../src/protocol/bytes.ts'
import { cpaceGenerator, cpaceSessionKey } from '../../../src/protocol/cpace.ts'
import type { CryptoPort } from '../../../src/protocol/crypto-port.ts'
import type { ErrorCode } from '../../../src/protocol/errors.ts'
import { decodeInit, encodeFrame, encodeInit, encodeResp } from '../../../src/protocol/handshake-messages.ts'
import { handshakeContext } from '../../../src/protocol/handshake.ts'
import type { SessionSecrets } from '../../../src/protocol/handshake.ts'
import { deriveKeys } from '../../../src/protocol/key-schedule.ts'
import { TOKEN, feed, newCredential, newInitiator, newResponder, run, serving, watching } from './handshake-pair.ts'

const code = (name: ErrorCode): unknown => expect.objectContaining({ code: name })

/** Both sides confirmed and hold the same keys, crosswise. */
function agreed(outcome: ReturnType<typeof run>): SessionSecrets {
  const { initiator, responder, failure } = outcome
  expect(failure).toBe(null)
  if (initiator === null || responder === null) throw new Error('not confirmed')
  expect(responder).toEqual({ ...initiator, sendSecret: initiator.receiveSecret, receiveSecret: initiator.sendSecret })
  expect(initiator.sendSecret).not.toEqual(initiator.receiveSecret)
  return initiator
}

describe('a run that goes through', () => {
  test('by token, with ML-KEM where the runtime has it', () => {
    const secrets = agreed(run(newInitiator(), newResponder()))
    expect(secrets).toMatchObject({ suite: 'cpace', kem: true, join: false })
    expect([secrets.resumeId.length, secrets.resumeKey.length, secrets.sendSecret.length]).toEqual([16, 32, 32])
  })

  test.each([
    [false, true],
    [true, false],
  ])('without ML-KEM where one side has none (%s, %s)', (initiates, responds) => {
    expect(agreed(run(newInitiator({ kem: initiates }), newResponder({ kem: responds }))).kem).toBe(false)
  })

  test('is different each time', () => {
    const [first, second] = [agreed(run(newInitiator(), newResponder())), agreed(run(newInitiator(), newResponder()))]
    for (const field of ['transcriptHash', 'sendSecret', 'receiveSecret', 'resumeId', 'resumeKey'] as const) {
      expect(first[field]).not.toEqual(second[field])
    }
  })

  test('by resume key, whatever the token, with id and key unchanged and fresh traffic secrets', () => {
    const known = newCredential()
    const sides = (): ReturnType<typeof run> =>
      run(
        newInitiator({ token: encodeUtf8('some-other'), resumeKeys: [newCredential(), known] }),
        newResponder({ findResumeKey: serving(known), password: () => null }),
      )
    const [first, second] = [agreed(sides()), agreed(sides())]
    expect(first).toMatchObject({ suite: 'resume', kem: true, resumeId: known.id, resumeKey: known.key })
    expect(first.sendSecret).not.toEqual(second.sendSecret)
  })

  test('falls back to the token where no id is known', () => {
    const offered = newCredential()
    const secrets = agreed(run(newInitiator({ resumeKeys: [offered] }), newResponder()))
    expect(secrets.suite).toBe('cpace')
    expect(secrets.resumeId).not.toEqual(offered.id)
  })

  test('after cpace, the key that both hold serves the next resume', () => {
    const { resumeId: id, resumeKey: key } = agreed(run(newInitiator(), newResponder()))
    const responder = newResponder({ findResumeKey: serving({ id, key }) })
    expect(agreed(run(newInitiator({ token: null, resumeKeys: [{ id, key }] }), responder)).suite).toBe('resume')
  })

  test('to join, without a token on the wire', () => {
    const known = newCredential()
    const initiator = newInitiator({ resumeKeys: [known], join: true })
    const secrets = agreed(
      run(initiator, newResponder({ findResumeKey: serving(known) }), (leg, frame) => {
        if (leg === 'INIT') expect(decodeInit(frame.subarray(8)).cpaceShare).toBe(null)
        return frame
      }),
    )
    expect(secrets).toMatchObject({ suite: 'resume', join: true })
  })

  test('inside a channel that both know', () => {
    const channelBinding = nodeCrypto.randomBytes(32)
    const server = { purpose: 'server', channelBinding } as const
    agreed(run(newInitiator(server), newResponder(server)))
  })

  test.each([
    [['aes-256-gcm', 'chacha20-poly1305'], ['aes-256-gcm', 'chacha20-poly1305'], 'aes-256-gcm'],
    [['aes-256-gcm', 'chacha20-poly1305'], ['chacha20-poly1305', 'aes-256-gcm'], 'chacha20-poly1305'],
    [['chacha20-poly1305', 'aes-256-gcm'], ['aes-256-gcm', 'chacha20-poly1305'], 'chacha20-poly1305'],
    [['aes-256-gcm'], ['chacha20-poly1305', 'aes-256-gcm'], 'aes-256-gcm'],
  ] as const)('of %j and %j takes %s', (first, second, cipher) => {
    expect(agreed(run(newInitiator({ ciphers: first }), newResponder({ ciphers: second }))).cipher).toBe(cipher)
  })

  test('the initiator knows what it will be resumed by before it confirms', () => {
    const [initiator, responder] = [newInitiator(), newResponder()]
    const step = feed(initiator, feed(responder, initiator.start()).send as Uint8Array)
    const verdict = feed(responder, step.send as Uint8Array).verify?.()
    if (verdict?.ok !== true) throw new Error('not confirmed')
    expect(step.pending).toEqual({ id: verdict.secrets.resumeId, key: verdict.secrets.resumeKey })
    expect([initiator.suite, responder.suite]).toEqual(['cpace', 'cpace'])
  })
})

describe('a run that must fail', () => {
  test.each([
    ['a wrong token', newInitiator({ token: encodeUtf8('acid-zebro') }), newResponder()],
    ['a spent token', newInitiator(), newResponder({ password: () => null })],
    ['another channel', newInitiator({ channelBinding: Uint8Array.of(1) }), newResponder()],
  ])('%s: the initiator gets ABORT and no MAC (S-03)', (_, initiator, responder) => {
    const outcome = run(initiator, responder)
    expect(outcome).toMatchObject({ initiator: null, responder: null, failure: code('auth_failed') })
    expect(outcome.fromResponder.map((frame) => frame[5])).toEqual([2, 5])
  })

  test.each([[[]], [Array<number>(32).fill(0)]])('a spent token cannot be met by the password %j either', (bytes) => {
    const outcome = run(newInitiator({ token: Uint8Array.from(bytes) }), newResponder({ password: () => null }))
    expect(outcome.failure).toEqual(code('auth_failed'))
  })

  test('a spent token looks like an open one: same lengths, same ABORT', () => {
    const lengths = (password: () => Uint8Array | null): string[] =>
      run(newInitiator({ token: encodeUtf8('wrong') }), newResponder({ password })).fromResponder.map((frame) =>
        frame[5] === 5 ? toHex(frame) : String(frame.length),
      )
    expect(lengths(() => null)).toEqual(lengths(() => TOKEN))
  })

  test('a wrong resume key is no guess at the token, and ends the same', () => {
    const known = newCredential()
    const responder = newResponder({ findResumeKey: serving({ id: known.id, key: new Uint8Array(32) }) })
    expect(run(newInitiator({ resumeKeys: [known] }), responder).failure).toEqual(code('auth_failed'))
    expect(responder.suite).toBe('resume')
  })

  test('resume inside another channel', () => {
    const known = newCredential()
    const responder = newResponder({ findResumeKey: serving(known), channelBinding: Uint8Array.of(1) })
    expect(run(newInitiator({ resumeKeys: [known] }), responder).failure).toEqual(code('auth_failed'))
  })

  test('another purpose is told before anything is guessed', () => {
    const channelBinding = nodeCrypto.randomBytes(32)
    const initiator = newInitiator({ purpose: 'server', channelBinding })
    expect(run(initiator, newResponder({ channelBinding })).failure).toEqual(code('policy_refused'))
  })

  test('keys alone, none of them known', () => {
    const initiator = (): ReturnType<typeof newInitiator> =>
      newInitiator({ token: null, resumeKeys: [newCredential()] })
    expect(run(initiator(), newResponder()).failure).toEqual(code('auth_failed'))
  })

  test('a join of a session that is not there, even beside a token', () => {
    const init = encodeInit({ ...decodeInit(newInitiator().start().subarray(8)), join: true })
    expect(() => newResponder().receive('INIT', init)).toThrow(code('auth_failed'))
  })

  test('no cipher, no version or no suite in common', () => {
    const sides = [
      newInitiator({ ciphers: ['aes-256-gcm'] }),
      newResponder({ ciphers: ['chacha20-poly1305'] }),
    ] as const
    expect(run(...sides).failure).toEqual(code('version_mismatch'))
    const message = decodeInit(newInitiator().start().subarray(8))
    const newer = encodeInit({ ...message, versions: [2] })
    expect(() => newResponder().receive('INIT', newer)).toThrow(code('version_mismatch'))
    const future = encodeInit({ ...message, cpaceShare: null })
    future[3] = 9
    expect(() => newResponder().receive('INIT', future)).toThrow(code('version_mismatch'))
  })

  test('an initiator with nothing to offer, or too much', () => {
    expect(() => newInitiator({ token: null })).toThrow(code('usage'))
    expect(() => newInitiator({ join: true })).toThrow(code('usage'))
    expect(() => newInitiator({ ciphers: [] })).toThrow(code('settings_invalid'))
    expect(() => newInitiator({ resumeKeys: Array.from({ length: 9 }, newCredential) })).toThrow(code('usage'))
  })

  test('a peer that only reflects shares (S-07)', () => {
    const initiator = newInitiator()
    const init = decodeInit(initiator.start().subarray(8))
    const base = { version: 1, cipher: 'aes-256-gcm', kemCiphertext: null } as const
    const share = init.cpaceShare as Uint8Array
    const reflected = encodeResp({ ...base, suite: 'cpace', resumeIndex: null, share })
    expect(() => initiator.receive('RESP', reflected)).toThrow(code('protocol_violation'))

    const resuming = newInitiator({ resumeKeys: [newCredential()] })
    const offer = decodeInit(resuming.start().subarray(8)).resumeShare as Uint8Array
    const echoed = encodeResp({ ...base, suite: 'resume', resumeIndex: 0, share: offer })
    expect(() => resuming.receive('RESP', echoed)).toThrow(code('protocol_violation'))
  })

  test('a responder that draws the share it was sent', () => {
    const init = newInitiator().start()
    const stuck: CryptoPort = { ...nodeCrypto, x25519: () => init.slice(-32) }
    expect(() => feed(newResponder({ crypto: stuck }), init)).toThrow(code('protocol_violation'))
  })

  test('low-order shares, in every place (S-08)', () => {
    const zero = new Uint8Array(32)
    const known = newCredential()
    const initiator = newInitiator({ resumeKeys: [known] })
    const message = decodeInit(initiator.start().subarray(8))
    const cpace = encodeInit({ ...message, suites: ['cpace'], resumeIds: [], resumeShare: null, cpaceShare: zero })
    expect(() => newResponder().receive('INIT', cpace)).toThrow(code('protocol_violation'))
    const resume = encodeInit({ ...message, resumeShare: zero })
    expect(() => newResponder({ findResumeKey: serving(known) }).receive('INIT', resume)).toThrow(
      code('protocol_violation'),
    )
    const base = { version: 1, cipher: 'aes-256-gcm', kemCiphertext: null, share: zero } as const
    for (const choice of [
      { suite: 'cpace', resumeIndex: null },
      { suite: 'resume', resumeIndex: 0 },
    ] as const) {
      const victim = newInitiator({ resumeKeys: [known] })
      victim.start()
      expect(() => victim.receive('RESP', encodeResp({ ...base, ...choice }))).toThrow(code('protocol_violation'))
    }
  })

  test.each([
    ['a suite', { token: null, resumeKeys: [newCredential()] }, {}],
    ['resume', {}, { suite: 'resume', resumeIndex: 0 }],
    ['an index', { resumeKeys: [newCredential()] }, { suite: 'resume', resumeIndex: 1 }],
    ['a cipher', { ciphers: ['chacha20-poly1305'] }, {}],
    ['a version', {}, { version: 2 }],
    ['a KEM', { kem: false }, { kemCiphertext: new Uint8Array(1088) }],
  ] as const)('RESP with %s that was not offered', (_, parameters, choice) => {
    const initiator = newInitiator(parameters)
    initiator.start()
    const share = nodeCrypto.x25519Generate().publicKey
    const usual = {
      version: 1,
      suite: 'cpace',
      cipher: 'aes-256-gcm',
      kemCiphertext: null,
      resumeIndex: null,
      share,
    } as const
    expect(() => initiator.receive('RESP', encodeResp({ ...usual, ...choice }))).toThrow(code('protocol_violation'))
  })

  test('what the peer says in ABORT is what is thrown, on both sides', () => {
    const initiator = newInitiator()
    initiator.start()
    expect(() => feed(initiator, encodeFrame('ABORT', Uint8Array.of(0, 31)))).toThrow(code('token_burned'))
    expect(() => feed(newResponder(), encodeFrame('ABORT', Uint8Array.of(0, 47)))).toThrow(code('peer_stopped'))
  })
})

describe('order', () => {
  const violation = code('protocol_violation')

  test('nothing but the next message is taken, and a machine that threw stays ended', () => {
    const kinds = ['INIT', 'RESP', 'CONFIRM_I', 'CONFIRM_R', 'ABORT'] as const
    for (const kind of kinds.filter((other) => other !== 'INIT' && other !== 'ABORT')) {
      const responder = newResponder()
      expect(() => responder.receive(kind, new Uint8Array(32))).toThrow(violation)
      expect(() => feed(responder, newInitiator().start())).toThrow(violation)
    }
    for (const kind of kinds) expect(() => newInitiator().receive(kind, new Uint8Array(2))).toThrow(violation)
    const initiator = newInitiator()
    initiator.start()
    expect(() => initiator.receive('CONFIRM_R', new Uint8Array(32))).toThrow(violation)
    expect(() => initiator.start()).toThrow(violation)
  })

  test('a MAC is compared once, and not after destroy', () => {
    for (const spoil of ['verify', 'destroy'] as const) {
      const [initiator, responder] = [newInitiator(), newResponder()]
      const { send } = feed(initiator, feed(responder, initiator.start()).send as Uint8Array)
      const { verify } = feed(responder, send as Uint8Array)
      if (spoil === 'verify') expect(verify?.().ok).toBe(true)
      else responder.destroy()
      expect(() => verify?.()).toThrow(violation)
      expect(() => feed(responder, send as Uint8Array)).toThrow(violation)
    }
  })

  test('the MAC is not compared before verify is called: the guess is counted first (S-02)', () => {
    let compared = 0
    const crypto: CryptoPort = { ...nodeCrypto, equal: (a, b) => ((compared += 1), nodeCrypto.equal(a, b)) }
    const [initiator, responder] = [newInitiator({ token: encodeUtf8('wrong') }), newResponder({ crypto })]
    const { send } = feed(initiator, feed(responder, initiator.start()).send as Uint8Array)
    const before = compared
    const { verify } = feed(responder, send as Uint8Array)
    expect(compared).toBe(before)
    expect(verify?.().ok).toBe(false)
    expect(compared).toBe(before + 1)
  })
})

describe('secrets', () => {
  test.each(['cpace', 'resume'] as const)('are zeroed on both sides when a %s run ends', (suite) => {
    const known = newCredential()
    const [first, second] = [watching(), watching()]
    const findResumeKey = suite === 'resume' ? serving(known) : () => null
    const initiator = newInitiator({ crypto: first.crypto, resumeKeys: [known] })
    const outcome = run(initiator, newResponder({ crypto: second.crypto, findResumeKey }))
    expect(agreed(outcome).suite).toBe(suite)
    expect([first.live(), second.live()]).toEqual([0, 0])
    expect(known.key.some((byte) => byte !== 0)).toBe(true)
    expect(toHex(TOKEN)).toBe(toHex(encodeUtf8('acid-zebra')))
  })

  test('are zeroed when a run fails or is dropped', () => {
    const [first, second] = [watching(), watching()]
    run(newInitiator({ crypto: first.crypto, token: encodeUtf8('x') }), newResponder({ crypto: second.crypto }))
    const dropped = newInitiator({ crypto: first.crypto })
    feed(newResponder({ crypto: nodeCrypto }), dropped.start())
    dropped.destroy()
    dropped.destroy()
    expect([first.live(), second.live()]).toEqual([0, 0])
  })
})

/** S-01: an attacker plays either role against one honest side, and then has all the time in the world. */
describe('what an active attacker learns', () => {
  const words = Array.from({ length: 1024 }, (_, index) => encodeUtf8(`word${index}`))
  const token = words[777] as Uint8Array
  const parameters = { crypto: nodeCrypto, purpose: 'direct', channelBinding: new Uint8Array(0) } as const
  const context = handshakeContext(parameters)

  test('as a responder with one guess, only whether that guess was right', () => {
    for (const guess of [3, 777]) {
      const initiator = newInitiator({ token, kem: false })
      const init = initiator.start()
      const { sessionId, cpaceShare } = decodeInit(init.subarray(8))
      const scalar = nodeCrypto.randomBytes(32)
      const generator = (word: Uint8Array): Uint8Array => cpaceGenerator(nodeCrypto, word, context, sessionId)
      const share = nodeCrypto.x25519(scalar, generator(words[guess] as Uint8Array))
      const resp = encodeFrame(
        'RESP',
        encodeResp({
          version: 1,
          suite: 'cpace',
          cipher: 'aes-256-gcm',
          kemCiphertext: null,
          resumeIndex: null,
          share,
        }),
      )
      const mac = toHex((feed(initiator, resp).send as Uint8Array).subarray(8))
      const macOf = (point: Uint8Array): string => {
        const message = (role: number, frame: Uint8Array) => ({
          share: frame.subarray(-32),
          associatedData: concatBytes([Uint8Array.of(role), frame.subarray(0, -32)]),
        })
        const secret = cpaceSessionKey(nodeCrypto, sessionId, point, message(1, init), message(2, resp))
        const transcript = [context, init, resp]
        return toHex(
          nodeCrypto.hmacSha256(deriveKeys(nodeCrypto, transcript, secret, null).confirmInitiator, transcript),
        )
      }
      // The one point that the attacker can compute; with the right guess it is the initiator's.
      expect(macOf(nodeCrypto.x25519(scalar, cpaceShare as Uint8Array)) === mac).toBe(guess === 777)
      // The dictionary gives nothing to put in its place, the right word no more than any other.
      const found = words.filter((word) => macOf(nodeCrypto.x25519(scalar, generator(word))) === mac)
      expect(found).toEqual([])
    }
  })

  test('as an initiator, nothing that the token could be checked with: no byte before its own MAC is verified', () => {
    const outcome = run(newInitiator({ token: words[3] as Uint8Array }), newResponder({ password: () => token }))
    const [resp, abort] = outcome.fromResponder
    expect(outcome.fromResponder).toHaveLength(2)
    expect(resp?.[5]).toBe(2)
    expect(toHex(abort ?? new Uint8Array())).toBe('534c465401050002001e')
  })
})
