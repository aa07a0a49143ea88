import { expect, test } from 'vitest'
import { SealiftError } from '../../../src/protocol/errors.ts'
import { CONSENT_TIMEOUT_MS } from '../../../src/protocol/limits.ts'
import { awaitConsent } from '../../../src/transfer/consent.ts'
import { StreamReception } from '../../../src/transfer/stream-reception.ts'
import { filesOf } from '../protocol/entries.ts'
import { settle, VirtualClock } from './virtual-time.ts'

const never = new AbortController().signal
const outcomeOf = (asked: Promise<unknown>): { value: unknown } => {
  const outcome = { value: undefined as unknown }
  asked.then(
    (value) => (outcome.value = value),
    (error: unknown) => (outcome.value = error),
  )
  return outcome
}

test('an answer within ten minutes is the answer, and no timer stays', async () => {
  const clock = new VirtualClock()
  const answer = Promise.withResolvers<string>()
  const outcome = outcomeOf(awaitConsent(clock, never, () => answer.promise))
  await clock.pass(CONSENT_TIMEOUT_MS - 1)
  answer.resolve('yes')
  await settle()
  expect(outcome.value).toBe('yes')
  expect(clock.timers).toBe(0)
})

test('no answer in ten minutes is none, and whoever asks is told to stop', async () => {
  const clock = new VirtualClock()
  let told: unknown
  const outcome = outcomeOf(
    awaitConsent(clock, never, (stop) => {
      stop.addEventListener('abort', () => {
        told = stop.reason
      })
      return new Promise(() => undefined)
    }),
  )
  await clock.pass(CONSENT_TIMEOUT_MS - 1)
  await settle()
  expect(outcome.value).toBeUndefined()
  await clock.pass(1)
  await settle()
  expect(outcome.value).toMatchObject({ code: 'unanswered', exitCode: 3 })
  expect(told).toBe(outcome.value)
})

test('the end of the session ends the question, with its reason', async () => {
  const clock = new VirtualClock()
  const session = new AbortController()
  const outcome = outcomeOf(awaitConsent(clock, session.signal, () => new Promise(() => undefined)))
  const reason = new SealiftError('connection_lost', 'gone')
  session.abort(reason)
  await settle()
  expect(outcome.value).toBe(reason)
  expect(clock.timers).toBe(0)
})

test('the same holds for what is not saved: a text, or one file to an output', async () => {
  const clock = new VirtualClock()
  const nothing = (): void => undefined
  const reception = new StreamReception({
    clock,
    probe: nothing,
    name: 'bravo',
    target: { write: nothing, borrows: false, finish: nothing },
    decide: () => new Promise(() => undefined),
    onTransfer: nothing,
    onEntry: nothing,
    onSize: nothing,
    onProgress: nothing,
    onEnd: () => Promise.resolve(),
  })
  const manifest = filesOf(3)
  const offer = {
    transferId: '6f1c7a52-3f0e-4a51-9d0c-0a4f2d5e8b11',
    replaces: null,
    name: 'alpha',
    maxChunkBytes: 1 << 20,
    entries: 1,
    files: 1,
    bytes: 3,
    digest: '0'.repeat(64),
    manifestFollows: true,
    conflict: null,
    text: true,
  }
  const outcome = outcomeOf(reception.accept(offer, manifest, never))
  await settle()
  await clock.pass(CONSENT_TIMEOUT_MS)
  await settle()
  expect(outcome.value).toMatchObject({ code: 'unanswered' })
})
