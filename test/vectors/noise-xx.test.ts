/** The public vectors of Noise_XX_25519_ChaChaPoly_SHA256, both sides, and transport messages under the keys of the end. */

import { readFileSync } from 'node:fs'

import { describe, expect, test } from 'vitest'

import { createNodeCrypto, nodeCrypto } from '../../src/crypto/node.ts'
import { fromHex, toHex } from '../../src/protocol/bytes.ts'
import type { KeyPair } from '../../src/protocol/crypto-port.ts'
import { CipherState, HandshakeState } from '../../src/protocol/noise-xx.ts'

interface Vector {
  readonly name: string
  readonly init_prologue: string
  readonly init_static: string
  readonly init_ephemeral: string
  readonly resp_prologue: string
  readonly resp_static: string
  readonly resp_ephemeral: string
  readonly handshake_hash?: string
  readonly messages: readonly { readonly payload: string; readonly ciphertext: string }[]
}

const { vectors } = JSON.parse(readFileSync(new URL('noise-xx.json', import.meta.url), 'utf8')) as {
  vectors: readonly Vector[]
}

const pairOf = (privateKey: string): KeyPair => createNodeCrypto(() => fromHex(privateKey)).x25519Generate()

const NOTHING = new Uint8Array(0)

describe('noise-xx.json', () => {
  test('has vectors of two implementations', () => {
    expect(vectors.map(({ name, messages }) => [name, messages.length])).toEqual([
      ['cacophony', 6],
      ['snow', 5],
    ])
  })

  test.each(vectors)('$name: every message as it was, and read as it was meant', (vector) => {
    const initiator = new HandshakeState({
      crypto: nodeCrypto,
      initiator: true,
      prologue: fromHex(vector.init_prologue),
      s: pairOf(vector.init_static),
      e: pairOf(vector.init_ephemeral),
    })
    const responder = new HandshakeState({
      crypto: nodeCrypto,
      initiator: false,
      prologue: fromHex(vector.resp_prologue),
      s: pairOf(vector.resp_static),
      e: pairOf(vector.resp_ephemeral),
    })
    for (const [index, { payload, ciphertext }] of vector.messages.slice(0, 3).entries()) {
      const [writer, reader] = index % 2 === 0 ? [initiator, responder] : [responder, initiator]
      expect(toHex(writer.writeMessage(fromHex(payload)))).toBe(ciphertext)
      expect(toHex(reader.readMessage(fromHex(ciphertext)))).toBe(payload)
    }
    expect(toHex(initiator.rs)).toBe(toHex(pairOf(vector.resp_static).publicKey))
    expect(toHex(responder.rs)).toBe(toHex(pairOf(vector.init_static).publicKey))
    expect(initiator.handshakeHash).toEqual(responder.handshakeHash)
    if (vector.handshake_hash !== undefined) expect(toHex(initiator.handshakeHash)).toBe(vector.handshake_hash)

    expect(initiator.split()).toEqual(responder.split())
    const ciphers = (): CipherState[] => initiator.split().map((key) => new CipherState(nodeCrypto, key))
    const [sealing, opening] = [ciphers(), ciphers()]
    for (const [index, { payload, ciphertext }] of vector.messages.slice(3).entries()) {
      // The fourth message is the responder's.
      const direction = (index + 1) % 2
      expect(toHex(sealing[direction]!.encryptWithAd(NOTHING, fromHex(payload)))).toBe(ciphertext)
      expect(toHex(opening[direction]!.decryptWithAd(NOTHING, fromHex(ciphertext)))).toBe(payload)
    }
  })
})
