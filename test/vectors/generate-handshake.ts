/**
 * Writes `handshake.json`: `node test/vectors/generate-handshake.ts`. Run it again only when the protocol changes; a run
 * without a change leaves the file as it is (the ML-KEM ciphertexts, which nobody can choose, are taken from it).
 */

import { readFileSync, writeFileSync } from 'node:fs'

import { createNodeCrypto, nodeCrypto } from '../../src/crypto/node.ts'
import { encodeUtf8, fromHex, toHex } from '../../src/protocol/bytes.ts'
import { runVector } from './handshake-run.ts'
import type { VectorFile, VectorInput } from './handshake-run.ts'

const path = new URL('handshake.json', import.meta.url)

const description = {
  about:
    'Handshakes of Sealift, protocol 1, with fixed randomness. All byte strings are hex. Messages are whole frames, header included.',
  purpose: 'what both sides are for; its text is part of the context',
  channelBinding: 'what the channel below is known by; empty where there is none',
  token: 'the password of CPace (PRS), or null',
  resumeKeys: 'what the initiator offers, and the responder knows but under noise-xx',
  server:
    'under noise-xx, the private long-term keys; clientStatic is null where the client draws one for this run alone',
  join: 'the flag of INIT',
  ciphers: 'the record ciphers of both sides, the preferred one first',
  initiatorRandom:
    'session id 16; then, where a token is there, CPace scalar 32; then, where resume keys are there, X25519 private key 32; then, under noise-xx, ephemeral private key 32 and, where clientStatic is null, long-term private key 32; then, with ML-KEM, its seed 64',
  responderRandom: 'CPace scalar 32, or X25519 private key 32 under resume and noise-xx',
  kem: 'ciphertext that the responder sends, and the secret in it; null without ML-KEM',
  context: 'CI of CPace, and the head of the transcript',
  transcriptHash: 'SHA-256 of context, INIT, RESP',
  confirmInitiator: 'CONFIRM_I; its MAC covers context, INIT, RESP, and what stands before it in CONFIRM_I',
  confirmResponder: 'CONFIRM_R; its MAC covers context, INIT, RESP, CONFIRM_I',
  initiatorToResponder: 'traffic secret of that direction; responderToInitiator the other',
  resumeId: 'by which the initiator may come back, with resumeKey; under resume those that were used',
  recordKey:
    'first key of the direction initiator to responder; recordIv its IV; nextSecret the traffic secret after it',
}

/** Bytes that look random and are not: SHA-256 of a label and a counter. */
function bytesOf(label: string, length: number): string {
  let hex = ''
  for (let counter = 0; hex.length < length * 2; counter++) {
    hex += toHex(nodeCrypto.sha256([encodeUtf8(`${label} ${counter}`)]))
  }
  return hex.slice(0, length * 2)
}

function knownKem(name: string): VectorInput['kem'] {
  try {
    const file = JSON.parse(readFileSync(path, 'utf8')) as VectorFile
    return file.cases.find((known) => known.name === name)?.kem ?? null
  } catch {
    return null
  }
}

function kemFor(name: string, seed: string): VectorInput['kem'] {
  const { kem } = createNodeCrypto((length) => fromHex(seed).slice(0, length))
  if (kem === null) throw new Error('this Node has no ML-KEM')
  const keys = kem.generate()
  const known = knownKem(name)
  if (known !== null && toHex(kem.decapsulate(keys.privateKey, fromHex(known.ciphertext))) === known.secret)
    return known
  const { ciphertext, secret } = kem.encapsulate(keys.publicKey)
  return { ciphertext: toHex(ciphertext), secret: toHex(secret) }
}

interface Choices extends Pick<VectorInput, 'name' | 'purpose' | 'ciphers'> {
  readonly channelBinding?: string
  readonly token?: string
  readonly resumeKeys?: number
  readonly join?: boolean
  readonly kem?: boolean
  readonly server?: 'client has a key' | 'client has none'
}

function inputOf(choices: Choices): VectorInput {
  const { name, purpose, ciphers, channelBinding = '', token, resumeKeys = 0, join = false, kem = false } = choices
  const { server } = choices
  const seed = bytesOf(`${name} kem seed`, 64)
  const draws = [bytesOf(`${name} session id`, 16)]
  if (token !== undefined) draws.push(bytesOf(`${name} ya`, 32))
  if (resumeKeys > 0) draws.push(bytesOf(`${name} initiator x25519`, 32))
  if (server !== undefined) draws.push(bytesOf(`${name} initiator ephemeral`, 32))
  if (server === 'client has none') draws.push(bytesOf(`${name} initiator static`, 32))
  if (kem) draws.push(seed)
  return {
    name,
    purpose,
    channelBinding,
    token: token === undefined ? null : toHex(encodeUtf8(token)),
    resumeKeys: Array.from({ length: resumeKeys }, (_, index) => ({
      id: bytesOf(`${name} resume id ${index}`, 16),
      key: bytesOf(`${name} resume key ${index}`, 32),
    })),
    join,
    ciphers,
    initiatorRandom: draws.join(''),
    responderRandom: bytesOf(`${name} responder`, 32),
    kem: kem ? kemFor(name, seed) : null,
    ...(server === undefined
      ? {}
      : {
          server: {
            serverStatic: bytesOf(`${name} server static`, 32),
            clientStatic: server === 'client has a key' ? bytesOf(`${name} client static`, 32) : null,
          },
        }),
  }
}

const inputs = [
  inputOf({ name: 'cpace', purpose: 'direct', token: 'acid-zebra', ciphers: ['aes-256-gcm', 'chacha20-poly1305'] }),
  inputOf({
    name: 'cpace with ML-KEM inside a channel',
    purpose: 'server',
    channelBinding: bytesOf('channel', 32),
    token: 'acid-zebra-maple-tulip',
    ciphers: ['chacha20-poly1305', 'aes-256-gcm'],
    kem: true,
  }),
  inputOf({ name: 'resume', purpose: 'direct', resumeKeys: 1, join: true, ciphers: ['chacha20-poly1305'] }),
  inputOf({
    name: 'resume with ML-KEM beside a token',
    purpose: 'direct',
    token: 'acid-zebra',
    resumeKeys: 2,
    ciphers: ['aes-256-gcm'],
    kem: true,
  }),
  inputOf({
    name: 'noise-xx',
    purpose: 'server',
    ciphers: ['aes-256-gcm', 'chacha20-poly1305'],
    server: 'client has a key',
  }),
  inputOf({
    name: 'noise-xx with ML-KEM beside a resume key that is not known, by a client without a key',
    purpose: 'server',
    resumeKeys: 1,
    ciphers: ['chacha20-poly1305', 'aes-256-gcm'],
    kem: true,
    server: 'client has none',
  }),
]

const file: VectorFile = { description, cases: inputs.map((input) => ({ ...input, ...runVector(input) })) }
writeFileSync(path, `${JSON.stringify(file, null, 2)}\n`)
