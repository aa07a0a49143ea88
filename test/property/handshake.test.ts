/** Whatever the network does to a handshake, both sides end with the same keys, or a typed error ends it (S-07, S-14). */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { SealiftError } from '../../src/protocol/errors.ts'
import {
  FRAME_HEADER_BYTES,
  decodeInit,
  decodeResp,
  encodeFrame,
  readFrameHeader,
} from '../../src/protocol/handshake-messages.ts'
import type { FrameKind } from '../../src/protocol/handshake-messages.ts'
import {
  newClient,
  newCredential,
  newInitiator,
  newResponder,
  newServer,
  run,
  serving,
} from '../unit/protocol/handshake-pair.ts'
import type { Leg, Outcome } from '../unit/protocol/handshake-pair.ts'

const LEGS: readonly Leg[] = ['INIT', 'RESP', 'CONFIRM_I', 'CONFIRM_R']
const known = newCredential()
/** Every bit is flipped in the header and the fields of INIT and RESP; behind them, in ids and shares, one bit a byte. */
const FIELD_BITS = 40 * 8

const SUITES = ['cpace', 'resume', 'noise-xx'] as const
type RunSuite = (typeof SUITES)[number]

/** One run in which a single frame is changed; by token, by resume key or by long-term keys, with resume offered always. */
function spoilt(suite: RunSuite, kem: boolean, leg: Leg, change: (frame: Uint8Array) => Uint8Array): Outcome {
  const resumeKeys = [newCredential(), known]
  const findResumeKey = suite === 'resume' ? serving(known) : () => null
  const initiator = suite === 'noise-xx' ? newClient({}, { resumeKeys, kem }) : newInitiator({ resumeKeys, kem })
  const responder = suite === 'noise-xx' ? newServer({ findResumeKey, kem }) : newResponder({ findResumeKey, kem })
  return run(initiator, responder, (at, frame) => (at === leg ? change(frame) : frame))
}

/** The initiator confirms last, so it alone says whether a run went through; the other may only be waiting. */
function expectNoSession({ initiator, failure }: Outcome): void {
  expect(initiator).toBe(null)
  expect(failure).toBeInstanceOf(SealiftError)
  expect((failure as SealiftError).code).not.toBe('internal')
}

describe('a changed message', () => {
  test.each(SUITES)('no bit of a %s run can be flipped, in any field', (suite) => {
    for (const leg of LEGS) {
      let bytes = 0
      spoilt(suite, false, leg, (frame) => {
        bytes = frame.length
        return frame
      })
      expect(bytes).toBeGreaterThanOrEqual(FRAME_HEADER_BYTES + 32)
      for (let bit = 0; bit >> 3 < bytes; bit += bit < FIELD_BITS ? 1 : 9) {
        const outcome = spoilt(suite, false, leg, (frame) => {
          frame[bit >> 3] = (frame[bit >> 3] as number) ^ (1 << (bit & 7))
          return frame
        })
        expectNoSession(outcome)
        if (leg !== 'CONFIRM_R') expect(outcome.responder).toBe(null)
      }
    }
    // X25519 masks the top bit of a share; the transcript does not.
    expectNoSession(
      spoilt(suite, false, 'INIT', (frame) => {
        frame[frame.length - 1] = (frame[frame.length - 1] as number) ^ 0x80
        return frame
      }),
    )
  })

  test('no byte of a run with ML-KEM can be changed', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...SUITES),
        fc.constantFrom(...LEGS),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (suite, leg, at, difference) => {
          expectNoSession(
            spoilt(suite, true, leg, (frame) => {
              frame[at % frame.length] = (frame[at % frame.length] as number) ^ difference
              return frame
            }),
          )
        },
      ),
      { numRuns: 300 },
    )
  })

  test('no message can be cut, lengthened, or replaced by one of another run', () => {
    fc.assert(
      fc.property(fc.constantFrom(...SUITES), fc.constantFrom(...LEGS), fc.nat(), (suite, leg, at) => {
        expectNoSession(spoilt(suite, true, leg, (frame) => frame.subarray(0, at % frame.length)))
        expectNoSession(
          spoilt(suite, true, leg, (frame) =>
            encodeFrame(leg, Uint8Array.of(...frame.subarray(FRAME_HEADER_BYTES), 0)),
          ),
        )
        let other = new Uint8Array(0)
        spoilt(suite, true, leg, (frame) => (other = frame.slice()))
        expectNoSession(spoilt(suite, true, leg, () => other))
      }),
      { numRuns: 60 },
    )
  })
})

test('random bytes end each machine and each decoder with a typed error', () => {
  const kinds = fc.constantFrom<FrameKind>('INIT', 'RESP', 'CONFIRM_I', 'CONFIRM_R', 'ABORT')
  fc.assert(
    fc.property(kinds, fc.uint8Array({ maxLength: 200 }), (kind, bytes) => {
      const initiator = newInitiator({ kem: false })
      initiator.start()
      const attempts = [
        () => initiator.receive(kind, bytes),
        () => newResponder().receive(kind, bytes),
        () => newServer().receive(kind, bytes),
        () => decodeInit(bytes),
        () => decodeResp(bytes),
        () => readFrameHeader(bytes),
      ]
      for (const attempt of attempts) expect(attempt).toThrow(SealiftError)
    }),
    { numRuns: 300 },
  )
})
