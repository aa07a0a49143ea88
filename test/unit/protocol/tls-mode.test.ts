/** Records that are left to TLS: what they are, and that nobody but TLS can have them. */

import { describe, expect, test } from 'vitest'
import { nodeCrypto } from '../../../src/crypto/node.ts'
import { concatBytes, toHex } from '../../../src/protocol/bytes.ts'
import {
  decodeInit,
  decodeResp,
  encodeFrame,
  encodeInit,
  encodeResp,
} from '../../../src/protocol/handshake-messages.ts'
import { FRAME_HEADER_BYTES } from '../../../src/protocol/handshake-messages.ts'
import { MAX_RECORD_BYTES, TAG_BYTES } from '../../../src/protocol/limits.ts'
import { checkRecordLength, RecordOpener, RecordSealer, tagBytesOf } from '../../../src/protocol/records.ts'
import { type Leg, newClient, newCredential, newInitiator, newServer, run, serving } from './handshake-pair.ts'

const BINDING = nodeCrypto.randomBytes(32)
const sealed = { channelBinding: BINDING, isSealed: true }

describe('records on TLS', () => {
  test('are a length word and the plaintext, copied, and their secrets are gone at once', () => {
    const secrets = [nodeCrypto.randomBytes(32), nodeCrypto.randomBytes(32)] as const
    const sealer = new RecordSealer(nodeCrypto, 'tls', secrets[0])
    const opener = new RecordOpener(nodeCrypto, 'tls', secrets[1])
    expect(concatBytes(secrets).every((byte) => byte === 0)).toBe(true)
    const part = Uint8Array.of(2, 3)
    const record = sealer.seal([Uint8Array.of(1), part])
    part.fill(9)
    const bytes = concatBytes(record)
    expect(toHex(bytes)).toBe('00000003010203')
    const plaintext = opener.open(bytes.subarray(4))
    bytes.fill(9)
    expect(toHex(plaintext)).toBe('010203')
  })

  test('are as long as sealed ones, less the tag', () => {
    const check = (length: number): number => checkRecordLength(length, MAX_RECORD_BYTES, tagBytesOf('tls'))
    expect([check(1), check(MAX_RECORD_BYTES - TAG_BYTES)]).toEqual([1, MAX_RECORD_BYTES - TAG_BYTES])
    for (const length of [0, MAX_RECORD_BYTES - TAG_BYTES + 1])
      expect(() => check(length)).toThrow(expect.objectContaining({ code: 'record_invalid' }) as Error)
  })
})

describe('a handshake on TLS', () => {
  test('leaves its records to TLS, by noise-xx and by resume', () => {
    const known = newCredential()
    for (const resumeKeys of [[], [known]]) {
      const { initiator, responder } = run(
        newClient({}, { ...sealed, resumeKeys }),
        newServer({ ...sealed, findResumeKey: serving(known) }),
      )
      expect([initiator?.cipher, responder?.cipher]).toEqual(['tls', 'tls'])
      expect(initiator?.suite).toBe(resumeKeys.length === 0 ? 'noise-xx' : 'resume')
    }
  })

  test('does not open over another connection, whichever suite it is', () => {
    const known = newCredential()
    const other = { ...sealed, channelBinding: nodeCrypto.randomBytes(32) }
    for (const resumeKeys of [[], [known]]) {
      const { initiator, responder, failure } = run(
        newClient({}, { ...sealed, resumeKeys }),
        newServer({ ...other, findResumeKey: serving(known) }),
      )
      expect([initiator, responder]).toEqual([null, null])
      expect(failure).toMatchObject({ code: 'auth_failed' })
    }
  })

  test('must be bound to it', () => {
    expect(() => newClient({}, { isSealed: true })).toThrow(expect.objectContaining({ code: 'internal' }) as Error)
  })
})

describe('without TLS', () => {
  test('neither side takes part with one that leaves its records to it', () => {
    // The bindings are the same: it is the cipher alone that both refuse.
    const onlyClient = run(newClient({}, sealed), newServer({ channelBinding: BINDING }))
    expect(onlyClient.failure).toMatchObject({ code: 'version_mismatch' })
    const onlyServer = run(newClient({}, { channelBinding: BINDING }), newServer(sealed))
    expect(onlyServer.failure).toMatchObject({ code: 'version_mismatch' })
  })

  test('whoever stands between cannot ask either side for records in the open', () => {
    const inInit = (leg: Leg, frame: Uint8Array): Uint8Array => {
      if (leg !== 'INIT') return frame
      const init = decodeInit(frame.subarray(FRAME_HEADER_BYTES))
      return encodeFrame('INIT', encodeInit({ ...init, ciphers: ['tls'] }))
    }
    expect(run(newClient(), newServer(), inInit).failure).toMatchObject({ code: 'version_mismatch' })
    const inResp = (leg: Leg, frame: Uint8Array): Uint8Array => {
      if (leg !== 'RESP') return frame
      const resp = decodeResp(frame.subarray(FRAME_HEADER_BYTES))
      return encodeFrame('RESP', encodeResp({ ...resp, cipher: 'tls' }))
    }
    expect(run(newClient(), newServer(), inResp).failure).toMatchObject({ code: 'protocol_violation' })
    expect(() => newInitiator({ ciphers: [] })).toThrow()
  })
})
