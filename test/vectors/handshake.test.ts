/** The project's own vectors: a change of one byte on the wire or of one label shows here. */

import { readFileSync } from 'node:fs'

import { describe, expect, test } from 'vitest'

import { createNodeCrypto, nodeCrypto } from '../../src/crypto/node.ts'
import { fromHex, toHex } from '../../src/protocol/bytes.ts'
import { runVector } from './handshake-run.ts'
import type { VectorFile } from './handshake-run.ts'

const file = JSON.parse(readFileSync(new URL('handshake.json', import.meta.url), 'utf8')) as VectorFile

describe('handshake.json', () => {
  test('has the runs that matter', () => {
    expect(file.cases.map(({ suite, kem }) => `${suite}${kem === null ? '' : '+mlkem768'}`)).toEqual([
      'cpace',
      'cpace+mlkem768',
      'resume',
      'resume+mlkem768',
      'noise-xx',
      'noise-xx+mlkem768',
    ])
  })

  test.each(file.cases)('$name', (vector) => {
    expect(vector).toMatchObject({ ...runVector(vector) })
  })

  test('the keys of a run follow from HKDF-SHA-256 alone', () => {
    for (const { transcriptHash, context, init, resp, confirmResponder, confirmInitiator, ...vector } of file.cases) {
      expect(toHex(nodeCrypto.sha256([fromHex(context + init + resp)]))).toBe(transcriptHash)
      const label = (text: string): Uint8Array => new TextEncoder().encode(`sealift/1 ${text}`)
      const sent = fromHex(vector.initiatorToResponder)
      expect(toHex(nodeCrypto.hkdfExpand(sent, label('key'), 32))).toBe(vector.recordKey)
      expect(toHex(nodeCrypto.hkdfExpand(sent, label('iv'), 12))).toBe(vector.recordIv)
      expect(toHex(nodeCrypto.hkdfExpand(sent, label('next'), 32))).toBe(vector.nextSecret)
      expect(confirmInitiator.slice(0, 16)).toBe(`534c46540103${vector.suite === 'noise-xx' ? '0060' : '0020'}`)
      expect(confirmResponder.slice(0, 16)).toBe('534c465401040020')
    }
  })

  test('the ML-KEM secret is the one in the ciphertext', () => {
    for (const { kem, initiatorRandom } of file.cases) {
      if (kem === null) continue
      const seed = fromHex(initiatorRandom.slice(-128))
      const port = createNodeCrypto(() => seed.slice())
      expect(toHex(port.kem?.decapsulate(seed, fromHex(kem.ciphertext)) ?? new Uint8Array())).toBe(kem.secret)
    }
  })
})
