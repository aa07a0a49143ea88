import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'

import type { ByteStream } from '../../../src/carriers/carrier.ts'
import { memoryPipe } from '../../../src/carriers/memory.ts'
import { decodeUtf8, encodeUtf8 } from '../../../src/protocol/bytes.ts'
import { SealiftError } from '../../../src/protocol/errors.ts'
import { encodeAbort, encodeFrame } from '../../../src/protocol/handshake-messages.ts'
import { HANDSHAKE_TIMEOUT_MS, MAX_UNCONFIRMED_CONNECTIONS } from '../../../src/protocol/limits.ts'
import { Admission, type AdmissionOptions } from '../../../src/transfer/admission.ts'
import { newCredential, newInitiator, TOKEN as OTHER_TOKEN } from '../protocol/handshake-pair.ts'
import { crypto, Door, TOKEN, watch } from './door.ts'
import { settle, until, VirtualClock } from './virtual-time.ts'

let clock = new VirtualClock()
let doors: Door[] = []
const unhandled: unknown[] = []
const note = (reason: unknown): void => void unhandled.push(reason)
beforeAll(() => void process.on('unhandledRejection', note))
afterAll(() => void process.off('unhandledRejection', note))

function open(changes: Partial<AdmissionOptions> = {}): Door {
  const door = new Door(clock, changes)
  doors.push(door)
  return door
}

afterEach(async () => {
  for (const door of doors) door.close()
  await clock.pass(20_000)
  expect(unhandled).toEqual([])
  expect(clock.timers).toBe(0)
  doors = []
  clock = new VirtualClock()
})

describe('the honest one', () => {
  test('comes in with the token, and both sides have the same session', async () => {
    const door = open()
    expect(await door.come()).toBe('in')
    expect([door.admitted, door.refused, door.token.state]).toEqual([1, [], 'spent'])
    const [far, near] = door.sessions
    expect(far?.suite).toBe('cpace')
    expect(far?.resumeId).toEqual(door.keys[0]?.id)
    near?.session.listen(() => undefined)
    far?.session.listen(() => undefined)
    await near?.session.close(9)
    expect(await far?.session.end).toEqual({ code: 9, error: null })
  })

  test('comes back by key, which is no guess, when the token is long spent', async () => {
    const door = open()
    const known = newCredential()
    door.keys.push(known)
    door.token.spend()
    expect(await door.come('wrong-token', { resumeKeys: () => [newCredential(), known] })).toBe('in')
    expect([door.sessions[0]?.suite, door.compared, door.token.guesses]).toEqual(['resume', 0, 0])
  })

  test('spends an open token also when coming by key: one receiver a run', async () => {
    const door = open()
    const known = newCredential()
    door.keys.push(known)
    expect(await door.come(TOKEN, { resumeKeys: () => [known] })).toBe('in')
    expect([door.token.state, await door.come()]).toEqual(['spent', 'auth_failed'])
  })

  test('is not held up by a thousand strangers that say nothing', async () => {
    const door = open()
    const idle = []
    for (let at = 0; at < 1000; at++) idle.push(watch(await door.dial()))
    expect(await door.come()).toBe('in')
    for (let at = 0; at < 1000; at++) idle.push(watch(await door.dial()))
    await settle()
    expect([door.admitted, door.token.guesses]).toEqual([1, 1])
  })

  test('may share its address with strangers, and come between them', async () => {
    const door = open()
    const strangers = Array.from({ length: 300 }, async () => watch(await door.dial()))
    const runs = await Promise.all([...strangers.slice(0, 100), door.come(), ...strangers.slice(100)])
    expect(runs[100]).toBe('in')
  })
})

describe('strangers', () => {
  test('wait 128 at a time; the oldest goes, never the newest', async () => {
    const door = open()
    const idle = []
    for (let at = 0; at < MAX_UNCONFIRMED_CONNECTIONS; at++) idle.push(watch(await door.dial()))
    await settle()
    expect(idle.filter(({ ended }) => ended).length).toBe(0)
    for (let at = 0; at < 10; at++) idle.push(watch(await door.dial()))
    await settle()
    expect(idle.map(({ ended }, at) => (ended ? at : -1)).filter((at) => at >= 0)).toEqual([
      0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
    ])
    expect(new Set(door.refused.map(({ code }) => code))).toEqual(new Set(['peer_silent']))
  })

  test('have ten seconds, and do not get more by saying something', async () => {
    const door = open()
    const [silent, slow] = [watch(await door.dial()), await door.dial()]
    const slowly = watch(slow)
    const init = newInitiator({ kem: false }).start()
    for (let second = 0; second < 10; second++) {
      void slow.write([init.subarray(second, second + 1)]).catch(() => undefined)
      await clock.pass(second === 9 ? 990 : 1000)
    }
    expect([silent.ended, slowly.ended]).toEqual([false, false])
    await clock.pass(20)
    expect([silent.ended, slowly.ended]).toEqual([true, true])
    expect(door.refused.map(({ code }) => code)).toEqual(['peer_silent', 'peer_silent'])
    expect(door.token.guesses).toBe(0)
  })

  test('who answer in time, but not to the end, have ten seconds for all of it', async () => {
    const door = open()
    const stream = await door.dial()
    const heard = watch(stream)
    await clock.pass(9000)
    await stream.write([newInitiator({ kem: false }).start()])
    await until(() => heard.bytes.length > 0, 'RESP')
    await clock.pass(990)
    expect(heard.ended).toBe(false)
    await clock.pass(600)
    expect([heard.ended, door.refused[0]?.code]).toEqual([true, 'peer_silent'])
  })

  test.each([
    ['HTTP', encodeUtf8('GET / HTTP/1.1\r\nHost: x\r\n\r\n'), 'not_sealift'],
    ['TLS', Uint8Array.of(0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3), 'not_sealift'],
    ['noise', Uint8Array.from({ length: 5000 }, (_, at) => (at * 197) & 0xff), 'not_sealift'],
    ['another version', Uint8Array.of(0x53, 0x4c, 0x46, 0x54, 7, 1, 0, 0), 'version_mismatch'],
    ['an INIT of nonsense', encodeFrame('INIT', new Uint8Array(40).fill(0xaa)), 'protocol_violation'],
    ['a CONFIRM_I first', encodeFrame('CONFIRM_I', new Uint8Array(32)), 'protocol_violation'],
    ['an ABORT first', encodeAbort('auth_failed'), 'auth_failed'],
    ['nothing, and hang up', new Uint8Array(), 'connection_lost'],
  ])('who say %s are refused at once, and no guess is counted', async (_, bytes, code) => {
    const door = open()
    const stream = await door.dial()
    const heard = watch(stream)
    void stream.write([bytes]).catch(() => undefined)
    if (bytes.length === 0) void stream.end()
    await until(() => door.refused.length > 0)
    expect(door.refused).toEqual([{ address: '10.0.0.1', code, wrong: false, burned: false }])
    await until(() => heard.ended)
    // The answer is one ABORT, so that another Sealift can say why; to one who is gone there is nothing to say.
    expect(decodeUtf8(heard.bytes.subarray(0, 4))).toBe(code === 'connection_lost' ? '' : 'SLFT')
    expect(decodeUtf8(heard.bytes) ?? '').not.toContain('10.0.0.1')
    expect([door.token.guesses, door.token.state]).toEqual([0, 'open'])
  })

  test('who break off before they confirm have not guessed, however often', async () => {
    const door = open()
    for (let run = 0; run < 20; run++) {
      const stream = await door.dial()
      const heard = watch(stream)
      await stream.write([newInitiator({ kem: false, token: OTHER_TOKEN }).start()])
      await until(() => heard.bytes.length > 0, 'RESP')
      stream.destroy()
    }
    await until(() => door.refused.length === 20)
    expect([door.token.guesses, door.compared]).toEqual([0, 0])
    expect(await door.come()).toBe('in')
  })

  test('who are refused before the handshake learn only that', async () => {
    const door = open({
      checkPeer: () => Promise.reject(new SealiftError('peer_refused', 'user bob is not on the list')),
    })
    const heard = watch(await door.dial())
    await until(() => heard.ended)
    expect(door.refused.map(({ code }) => code)).toEqual(['peer_refused'])
    expect(new TextDecoder().decode(heard.bytes)).not.toContain('bob')
    expect(await door.come()).toBe('peer_refused')
    expect(door.lookups).toBe(0)
  })

  test('are dropped when the door closes, and nobody comes after that', async () => {
    const door = open()
    const heard = watch(await door.dial())
    await settle()
    await door.admission.close()
    const late = watch(await door.dial())
    await until(() => heard.ended && late.ended)
    expect(door.refused.map(({ code }) => code)).toEqual(['connection_lost'])
    expect(late.bytes.length).toBe(0)
  })
})

describe('a carrier that seals', () => {
  /** A stream that is never sealed, and says how often that was asked for. */
  function unsealed(): { stream: ByteStream; asked: () => number } {
    const [stream] = memoryPipe()
    const never = Promise.withResolvers<never>()
    never.promise.catch(() => undefined)
    let asked = 0
    return {
      asked: () => asked,
      stream: {
        peer: { address: '10.0.0.1', port: 1 },
        seal: () => {
          asked++
          return never.promise
        },
        start: (sink) => stream.start(sink),
        resume: () => stream.resume(),
        write: (parts) => stream.write(parts),
        end: () => stream.end(),
        destroy: () => {
          never.reject(new SealiftError('connection_lost', 'destroyed'))
          stream.destroy()
        },
      },
    }
  }

  test('is given nothing to do for a peer that is refused by its address', async () => {
    const door = open({ checkPeer: () => Promise.reject(new SealiftError('peer_refused', 'banned')) })
    const { stream, asked } = unsealed()
    door.admission.accept(stream)
    await until(() => door.refused.length === 1)
    expect([door.refused[0]?.code, asked()]).toEqual(['peer_refused', 0])
  })

  test('has no more time for it than a handshake has', async () => {
    const door = open()
    const { stream, asked } = unsealed()
    door.admission.accept(stream)
    await clock.pass(HANDSHAKE_TIMEOUT_MS)
    await until(() => door.refused.length === 1)
    expect([door.refused[0]?.code, asked()]).toEqual(['peer_silent', 1])
  })
})

test('a refused peer that may still read why is let go of when the door closes', async () => {
  const door = open()
  expect(await door.come('another-token')).toBe('auth_failed')
  expect(clock.timers).toBe(1)
  await door.admission.close()
  expect(clock.timers).toBe(0)
})

describe('wrong guesses', () => {
  test('from one source burn the token at the third', async () => {
    const door = open()
    for (let run = 0; run < 3; run++) expect(await door.come('wrong-words')).toBe('auth_failed')
    expect(door.refused.map(({ wrong, burned }) => [wrong, burned])).toEqual([
      [true, false],
      [true, false],
      [true, true],
    ])
    expect(door.token.state).toBe('burned')
    expect(await door.come()).toBe('auth_failed')
    expect(door.compared).toBe(3)
  })

  test('200 at once are three comparisons, and the token is burned once', async () => {
    const door = open()
    const runs = await Promise.all(Array.from({ length: 100 }, () => door.come('wrong-words')))
    expect(new Set(runs)).toEqual(new Set(['auth_failed']))
    const more = await Promise.all(Array.from({ length: 100 }, () => door.come('other-words')))
    expect(new Set(more)).toEqual(new Set(['auth_failed']))
    expect(door.compared).toBe(3)
    expect(door.refused.filter(({ burned }) => burned).length).toBe(1)
    expect([door.admitted, door.token.state]).toEqual([0, 'burned'])
  }, 60_000)

  test('from many sources burn it at the tenth', async () => {
    const door = open()
    for (let run = 0; run < 10; run++) {
      door.address = `10.0.1.${run}`
      expect(door.token.state).toBe('open')
      expect(await door.come('wrong-words')).toBe('auth_failed')
    }
    expect([door.token.state, door.compared]).toEqual(['burned', 10])
  })

  test('do not keep the honest one out while any are left', async () => {
    const door = open()
    await door.come('wrong-words')
    await door.come('wrong-words')
    expect(await door.come()).toBe('in')
  })

  test('look the same as a spent token and an unknown key, and take the same two messages', async () => {
    const spent = open()
    spent.token.spend()
    const wrong = open()
    expect([await spent.come(), await wrong.come('wrong-words')]).toEqual(['auth_failed', 'auth_failed'])
    // A spent token is no guess at anything.
    expect([spent.refused[0]?.burned, spent.compared]).toEqual([false, 0])
    const keyless = open()
    expect(await keyless.come(TOKEN, { token: null, resumeKeys: () => [newCredential()] })).toBe('auth_failed')
  })

  test('a key that is not the right one is no guess', async () => {
    const door = open()
    const known = newCredential()
    door.keys.push(known)
    expect(await door.come(TOKEN, { token: null, resumeKeys: () => [{ ...known, key: newCredential().key }] })).toBe(
      'auth_failed',
    )
    expect(door.refused).toEqual([{ address: '10.0.0.1', code: 'auth_failed', wrong: false, burned: false }])
    expect(door.token.state).toBe('open')
  })
})

describe('one token, one session', () => {
  test('of two that know it and come at once, one gets in', async () => {
    const door = open()
    const runs = await Promise.all([door.come(), door.come(), door.come()])
    expect(runs.toSorted()).toEqual(['auth_failed', 'auth_failed', 'in'])
    expect([door.admitted, door.token.state]).toEqual([1, 'spent'])
  })

  test('the peer hears of its session after the key is durable, not before', async () => {
    const gate = Promise.withResolvers<undefined>()
    const door = open({ commit: () => gate.promise.then(() => undefined) })
    const run = door.come()
    await settle(100)
    expect([door.sessions.length, door.token.state]).toEqual([0, 'spent'])
    gate.resolve(undefined)
    expect(await run).toBe('in')
  })

  test('a key that cannot be kept is a fault of this side, and nobody gets in', async () => {
    const door = open({ commit: () => Promise.reject(new SealiftError('ledger_unavailable', 'the disk is gone')) })
    expect(await door.come()).toBe('connection_lost')
    expect(door.faults.map(({ code }) => code)).toEqual(['ledger_unavailable'])
    expect([door.sessions.length, door.refused]).toEqual([0, []])
  })

  test('what a stranger does while the key is being kept does not cost the honest one its session', async () => {
    const gate = Promise.withResolvers<undefined>()
    const door = open({ commit: () => gate.promise.then(() => undefined) })
    const run = door.come()
    await settle(100)
    expect(door.token.state).toBe('spent')
    for (let at = 0; at < 200; at++) watch(await door.dial())
    await clock.pass(9000)
    gate.resolve(undefined)
    expect(await run).toBe('in')
  })
})

test('a server without a key, and a key without a server, are no door', () => {
  const options = (door: Partial<AdmissionOptions>): AdmissionOptions => ({
    crypto,
    clock,
    purpose: 'server',
    role: 'receiver',
    gate: null,
    findResumeKey: () => null,
    commit: () => Promise.resolve(),
    onRefused: () => undefined,
    onSession: () => undefined,
    onFault: () => undefined,
    ...door,
  })
  const wrong = expect.objectContaining({ code: 'internal' }) as Error
  expect(() => new Admission(options({}))).toThrow(wrong)
  expect(() => new Admission(options({ purpose: 'direct', staticKey: crypto.x25519Generate() }))).toThrow(wrong)
})

test('the port of these tests is what it stands for', () => {
  expect(crypto.kem).toBe(null)
  expect(Object.keys(crypto).length).toBe(13)
})
