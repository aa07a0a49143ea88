import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'

import type { ByteStream } from '../../../src/carriers/carrier.ts'
import { memoryPipe } from '../../../src/carriers/memory.ts'
import { encodeUtf8, toHex } from '../../../src/protocol/bytes.ts'
import { SealiftError } from '../../../src/protocol/errors.ts'
import type { ResumeCredential } from '../../../src/protocol/handshake.ts'
import { encodeAbort } from '../../../src/protocol/handshake-messages.ts'
import type { AdmissionOptions } from '../../../src/transfer/admission.ts'
import { Dialer, type DialerOptions } from '../../../src/transfer/dialling.ts'
import { newCredential } from '../protocol/handshake-pair.ts'
import { crypto, Door, TOKEN, watch } from './door.ts'
import { settle, until, VirtualClock } from './virtual-time.ts'

let clock = new VirtualClock()
let doors: Door[] = []
const unhandled: unknown[] = []
const note = (reason: unknown): void => void unhandled.push(reason)
beforeAll(() => void process.on('unhandledRejection', note))
afterAll(() => void process.off('unhandledRejection', note))

const NEVER = new AbortController().signal
const WRONG = encodeUtf8('wrong-words')

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

/** A dialer whose connections are counted. */
function counting(door: Door, changes: Partial<DialerOptions> = {}): { dialer: Dialer; dials: () => number } {
  let dials = 0
  const dial = (): Promise<ByteStream> => {
    dials++
    return door.dial()
  }
  return { dialer: door.dialer({ dial, ...changes }), dials: () => dials }
}

async function refusal(run: Promise<unknown>): Promise<string> {
  const error = await run.then(
    () => null,
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(SealiftError)
  return (error as SealiftError).code
}

describe('a way in by token', () => {
  test('keeps the key before the other side can have it, and says when both have', async () => {
    const door = open()
    const order: string[] = []
    let pending: ResumeCredential | null = null
    const dialer = door.dialer({
      commit: async (credential, suite) => {
        pending = { id: credential.id.slice(), key: credential.key.slice() }
        order.push(`commit ${suite}`)
        await settle(50)
        expect(door.compared).toBe(0)
      },
      confirmed: (id, suite) => {
        order.push(`confirmed ${suite}`)
        expect(toHex(id)).toBe(toHex(pending?.id ?? new Uint8Array()))
        return Promise.resolve()
      },
    })
    const { session, suite, resumeId } = await dialer.connect(NEVER)
    expect([suite, order]).toEqual(['cpace', ['commit cpace', 'confirmed cpace']])
    expect(door.keys.map(({ id, key }) => [toHex(id), toHex(key)])).toEqual([
      [toHex(resumeId), toHex((pending as unknown as ResumeCredential).key)],
    ])
    session.fail(new Error('the test is over'))
  })

  test('is tried three times with a proof in it, and then never again', async () => {
    const door = open()
    const { dialer, dials } = counting(door, { token: WRONG })
    for (let run = 0; run < 3; run++) expect(await refusal(dialer.connect(NEVER))).toBe('auth_failed')
    expect([door.compared, dials()]).toEqual([3, 3])
    expect(await refusal(dialer.connect(NEVER))).toBe('auth_failed')
    expect([door.compared, dials()]).toEqual([3, 3])
  })

  test('that breaks off before the proof has cost nothing', async () => {
    const door = open()
    let cuts = 5
    const { dialer } = counting(door, {
      async dial() {
        const stream = await door.dial()
        if (cuts-- > 0) stream.destroy()
        return stream
      },
    })
    for (let run = 0; run < 5; run++) expect(await refusal(dialer.connect(NEVER))).toBe('connection_lost')
    const { session } = await dialer.connect(NEVER)
    session.fail(new Error('the test is over'))
  })

  test('is not gone again after a confirmed session: from then on there are keys only', async () => {
    const door = open()
    const keys: ResumeCredential[] = []
    const { dialer, dials } = counting(door, {
      resumeKeys: () => keys,
      commit: (credential) => {
        keys.push(credential)
        return Promise.resolve()
      },
    })
    const first = await dialer.connect(NEVER)
    const second = await dialer.connect(NEVER)
    expect([first.suite, second.suite]).toEqual(['cpace', 'resume'])
    keys.length = 0
    expect(await refusal(dialer.connect(NEVER))).toBe('auth_failed')
    expect(dials()).toBe(2)
    for (const { session } of [first, second]) session.fail(new Error('the test is over'))
  })
})

describe('a way in by key', () => {
  test('that the other side does not confirm is gone once more with the token alone', async () => {
    const door = open()
    const known = newCredential()
    door.keys.push({ ...known, key: newCredential().key })
    const { dialer, dials } = counting(door, { resumeKeys: () => [known] })
    const { session, suite } = await dialer.connect(NEVER)
    // No ids in the second INIT: nothing was looked up for it.
    expect([suite, dials(), door.lookups]).toEqual(['cpace', 2, 1])
    session.fail(new Error('the test is over'))
  })

  test('that is not confirmed is gone once more, not for ever', async () => {
    const door = open()
    const known = newCredential()
    door.keys.push({ ...known, key: newCredential().key })
    const { dialer, dials } = counting(door, { resumeKeys: () => [known], token: WRONG })
    expect(await refusal(dialer.connect(NEVER))).toBe('auth_failed')
    expect([dials(), door.compared]).toEqual([2, 1])
  })

  test('without a token is gone once', async () => {
    const door = open()
    const known = newCredential()
    door.keys.push({ ...known, key: newCredential().key })
    const { dialer, dials } = counting(door, { resumeKeys: () => [known], token: null })
    expect(await refusal(dialer.connect(NEVER))).toBe('auth_failed')
    expect(dials()).toBe(1)
  })

  test('is no proof of the token, and does not count as one', async () => {
    const door = open()
    const known = newCredential()
    door.keys.push(known)
    const { dialer } = counting(door, { resumeKeys: () => [known], token: WRONG })
    for (let run = 0; run < 5; run++) {
      const { session, suite } = await dialer.connect(NEVER)
      expect(suite).toBe('resume')
      session.fail(new Error('the test is over'))
    }
    expect(door.compared).toBe(0)
  })
})

describe('the other side', () => {
  /** A dialer that meets whatever the test plays. */
  function meeting(play: (far: ByteStream) => void): Dialer {
    return new Dialer({
      crypto,
      clock,
      purpose: 'direct',
      role: 'receiver',
      dial() {
        const [near, far] = memoryPipe()
        play(far)
        return Promise.resolve(near)
      },
      token: encodeUtf8(TOKEN),
      resumeKeys: () => [],
      commit: () => Promise.resolve(),
      confirmed: () => Promise.resolve(),
    })
  }

  test('that says nothing is given up after ten seconds, and not before', async () => {
    let heard = { ended: false }
    let code = ''
    void refusal(meeting((far) => (heard = watch(far))).connect(NEVER)).then((found) => (code = found))
    await clock.pass(9990)
    expect([code, heard.ended]).toEqual(['', false])
    await clock.pass(20)
    expect([code, heard.ended]).toEqual(['peer_silent', true])
  })

  test.each([
    [
      'speaks HTTP',
      (far: ByteStream) => void far.write([encodeUtf8('HTTP/1.1 400 Bad Request\r\n\r\n')]),
      'not_sealift',
    ],
    ['speaks SSH', (far: ByteStream) => void far.write([encodeUtf8('SSH-2.0-OpenSSH_9.9\r\n')]), 'not_sealift'],
    ['hangs up', (far: ByteStream) => void far.end(), 'connection_lost'],
    ['aborts: busy', (far: ByteStream) => void far.write([encodeAbort('session_taken')]), 'session_taken'],
    ['aborts: not from here', (far: ByteStream) => void far.write([encodeAbort('peer_refused')]), 'peer_refused'],
  ])('that %s is met with the error for it', async (_, play, code) => {
    let far: { ended: boolean } = { ended: false }
    const dialer = meeting((stream) => {
      far = watch(stream)
      play(stream)
    })
    expect(await refusal(dialer.connect(NEVER))).toBe(code)
    await until(() => far.ended)
  })

  test('that is cut off is lost', async () => {
    const dialer = meeting((far) => void settle(3).then(() => far.destroy()))
    expect(await refusal(dialer.connect(NEVER))).toBe('connection_lost')
  })

  test('that cannot be reached is met with the error of the carrier', async () => {
    const dialer = open().dialer({ dial: () => Promise.reject(new SealiftError('host_unknown', 'no such host')) })
    expect(await refusal(dialer.connect(NEVER))).toBe('host_unknown')
  })
})

describe('stopping', () => {
  const reason = new SealiftError('interrupted', 'stopped by Ctrl-C')

  /** Runs with a signal that the test gives at some step, and a stream that is watched. */
  async function stopped(changes: Partial<DialerOptions>, stop: AbortController): Promise<void> {
    const door = open()
    let destroyed = 0
    let dialled = 0
    const dialer = door.dialer({
      dial: async () => {
        const stream = await door.dial()
        dialled++
        return {
          peer: stream.peer,
          seal: stream.seal,
          start: (sink) => stream.start(sink),
          resume: () => stream.resume(),
          write: (parts) => stream.write(parts),
          end: () => stream.end(),
          destroy() {
            destroyed++
            stream.destroy()
          },
        }
      },
      ...changes,
    })
    await expect(dialer.connect(stop.signal)).rejects.toBe(reason)
    if (dialled > 0) expect(destroyed).toBeGreaterThan(0)
  }

  test('before it begins', async () => {
    const stop = new AbortController()
    stop.abort(reason)
    await stopped({}, stop)
  })

  test('while it dials: the carrier has the signal', async () => {
    const stop = new AbortController()
    const dial = (signal: AbortSignal): Promise<ByteStream> =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
    const run = stopped({ dial }, stop)
    await settle()
    stop.abort(reason)
    await run
  })

  test('while the other side takes nothing of INIT', async () => {
    const stop = new AbortController()
    const [near] = memoryPipe({ windowBytes: 10 })
    const run = stopped({ dial: () => Promise.resolve(near) }, stop)
    await settle()
    stop.abort(reason)
    await run
  })

  test('while it waits for RESP', async () => {
    const stop = new AbortController()
    const [near] = memoryPipe()
    const run = stopped({ dial: () => Promise.resolve(near) }, stop)
    await settle()
    stop.abort(reason)
    await run
  })

  test.each(['commit', 'confirmed'] as const)('during %s', async (step) => {
    const stop = new AbortController()
    await stopped(
      {
        async [step]() {
          await settle()
          stop.abort(reason)
        },
      },
      stop,
    )
  })

  test('while it waits for CONFIRM_R', async () => {
    const stop = new AbortController()
    const door = open({ commit: () => new Promise(() => undefined) })
    const run = door.dialer().connect(stop.signal)
    const outcome = expect(run).rejects.toBe(reason)
    await until(() => door.token.state === 'spent')
    stop.abort(reason)
    await outcome
  })

  test('for a reason that is no error of Sealift gives that reason', async () => {
    const stop = new AbortController()
    const [near] = memoryPipe()
    const run = open()
      .dialer({ dial: () => Promise.resolve(near) })
      .connect(stop.signal)
    const outcome = expect(run).rejects.toMatchObject({ name: 'AbortError' })
    await settle()
    stop.abort()
    await outcome
  })

  test('that a peer which takes nothing is given up after ten seconds needs nobody to say so', async () => {
    const [near] = memoryPipe({ windowBytes: 10 })
    let code = ''
    void refusal(
      open()
        .dialer({ dial: () => Promise.resolve(near) })
        .connect(NEVER),
    ).then((found) => (code = found))
    await clock.pass(10_001)
    expect(code).toBe('peer_silent')
  })
})
