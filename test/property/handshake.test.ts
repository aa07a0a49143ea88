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
import { newCredential, newInitiator, newResponder, run, serving } from '../unit/protocol/handshake-pair.ts'
import type { Leg, Outcome } from '../unit/protocol/handshake-pair.ts'

const LEGS: readonly Leg[] = ['INIT', 'RESP', 'CONFIRM_I', 'CONFIRM_R']
const known = newCredential()
/** Every bit is flipped in the header and the fields of INIT and RESP; behind them, in ids and shares, one bit a byte. */
const FIELD_BITS = 40 * 8

/** One run in which a single frame is changed; by token or by resume key, with the other offered as well. */
function spoilt(resumes: boolean, kem: boolean, leg: Leg, change: (frame: Uint8Array) => Uint8Array): Outcome {
  const initiator = newInitiator({ resumeKeys: [newCredential(), known], kem })
  const responder = newResponder({ findResumeKey: resumes ? serving(known) : () => null, kem })
  return run(initiator, responder, (at, frame) => (at === leg ? change(frame) : frame))
}

/** The initiator confirms last, so it alone says whether a run went through; the other may only be waiting. */
function expectNoSession({ initiator, failure }: Outcome): void {
  expect(initiator).toBe(null)
  expect(failure).toBeInstanceOf(SealiftError)
  expect((failure as SealiftError).code).not.toBe('internal')
}

describe('a changed message', () => {
  test.each([
    ['cpace', false],
    ['resume', true],
  ])('no bit of a %s run can be flipped, in any field', (_, resumes) => {
    for (const leg of LEGS) {
      let bytes = 0
      spoilt(resumes, false, leg, (frame) => {
        bytes = frame.length
        return frame
      })
      expect(bytes).toBeGreaterThanOrEqual(FRAME_HEADER_BYTES + 32)
      for (let bit = 0; bit >> 3 < bytes; bit += bit < FIELD_BITS ? 1 : 9) {
        const outcome = spoilt(resumes, false, leg, (frame) => {
          frame[bit >> 3] = (frame[bit >> 3] as number) ^ (1 << (bit & 7))
          return frame
        })
        expectNoSession(outcome)
        if (leg !== 'CONFIRM_R') expect(outcome.responder).toBe(null)
      }
    }
    // X25519 masks the top bit of a share; the transcript does not.
    expectNoSession(
      spoilt(resumes, false, 'INIT', (frame) => {
        frame[frame.length - 1] = (frame[frame.length - 1] as number) ^ 0x80
        return frame
      }),
    )
  })

  test('no byte of a run with ML-KEM can be changed', () => {
    fc.assert(
      fc.property(
        fc.boolean(),
        fc.constantFrom(...LEGS),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (resumes, leg, at, difference) => {
          expectNoSession(
            spoilt(resumes, true, leg, (frame) => {
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
      fc.property(fc.boolean(), fc.constantFrom(...LEGS), fc.nat(), (resumes, leg, at) => {
        expectNoSession(spoilt(resumes, true, leg, (frame) => frame.subarray(0, at % frame.length)))
        expectNoSession(
          spoilt(resumes, true, leg, (frame) =>
            encodeFrame(leg, Uint8Array.of(...frame.subarray(FRAME_HEADER_BYTES), 0)),
          ),
        )
        let other = new Uint8Array(0)
        spoilt(resumes, true, leg, (frame) => (other = frame.slice()))
        expectNoSession(spoilt(resumes, true, leg, () => other))
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
        () => decodeInit(bytes),
        () => decodeResp(bytes),
        () => readFrameHeader(bytes),
      ]
      for (const attempt of attempts) expect(attempt).toThrow(SealiftError)
    }),
    { numRuns: 300 },
  )
})
