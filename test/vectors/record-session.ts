/**
 * Writes `recorded-session.json`: `node test/vectors/record-session.ts`. One whole direct transfer in this process, all
 * bytes of both directions, and the two secrets that somebody needs who wants to read it from outside. Nothing in it is
 * the same twice, so it is recorded again only when the protocol changes.
 */

import fs from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { nodeCrypto } from '../../src/crypto/node.ts'
import { receiveFiles, sendFiles } from '../../src/index.ts'
import { toHex } from '../../src/protocol/bytes.ts'

const description = {
  about:
    'One direct transfer of Sealift, protocol 1: a session under cpace with ML-KEM-768 and AES-256-GCM, whole. All byte strings are hex.',
  token: 'what the receiver was given',
  isk: 'ISK of CPace, which the token and the random numbers of both sides lead to',
  kemSeed: "seed of the initiator's ML-KEM key, d ‖ z",
  initiatorToResponder: 'all that the receiver wrote, from the first byte of INIT to the last of its CLOSE',
  responderToInitiator: 'all that the sender wrote',
}

const ISK_BYTES = 64
const MIB = 1 << 20

/** What the handshake works with, as it passes through the crypto port that both sides share. */
interface Secrets {
  isk: string
  kemSeed: string
}

function watchSecrets(): Secrets {
  const secrets = { isk: '', kemSeed: '' }
  const { hkdfExtract, kem } = nodeCrypto
  if (kem === null) throw new Error('this Node has no ML-KEM')
  const watched = {
    hkdfExtract(salt: Uint8Array, ikm: Uint8Array) {
      secrets.isk = toHex(ikm.subarray(0, ISK_BYTES))
      return hkdfExtract(salt, ikm)
    },
    kem: {
      ...kem,
      generate() {
        const pair = kem.generate()
        secrets.kemSeed = toHex(pair.privateKey)
        return pair
      },
    },
    ciphers: ['aes-256-gcm'],
  }
  for (const [name, value] of Object.entries(watched)) Object.defineProperty(nodeCrypto, name, { value })
  return secrets
}

/** What is sent: a file that packs well and fills a chunk, one that does not pack, an empty one, a folder and a link. */
function plant(folder: string): string {
  const tree = join(folder, 'recorded')
  fs.mkdirSync(join(tree, 'more'), { recursive: true })
  const line = 'all work and no play makes a dull log\n'
  let noise = new Uint8Array(0)
  for (let at = 0; at < 96; at++) noise = Buffer.concat([noise, nodeCrypto.sha256([Uint8Array.of(at)])])
  fs.writeFileSync(join(tree, 'a.log'), line.repeat(Math.ceil(MIB / line.length)).slice(0, MIB))
  fs.writeFileSync(join(tree, 'empty.txt'), '')
  fs.writeFileSync(join(tree, 'more', 'noise.bin'), noise)
  fs.writeFileSync(join(tree, 'run.sh'), '#!/bin/sh\n', { mode: 0o755 })
  fs.symlinkSync('../a.log', join(tree, 'more', 'link'))
  return tree
}

/** Keeps what passes. @returns its port, and what passed in each direction once both have ended */
async function startRecorder(senderPort: () => number): Promise<{ port: number; passed: Promise<[string, string]> }> {
  const passed = Promise.withResolvers<[string, string]>()
  const server = net.createServer((initiator) => {
    const responder = net.connect(senderPort(), '127.0.0.1')
    const copy = async (from: net.Socket, to: net.Socket): Promise<string> => {
      const pieces: Uint8Array[] = []
      for await (const piece of from as AsyncIterable<Uint8Array>) {
        pieces.push(piece)
        to.write(piece)
      }
      to.end()
      return Buffer.concat(pieces).toString('hex')
    }
    Promise.all([copy(initiator, responder), copy(responder, initiator)]).then(passed.resolve, passed.reject)
    server.close()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { port: (server.address() as net.AddressInfo).port, passed: passed.promise }
}

const folder = fs.mkdtempSync(join(tmpdir(), 'sealift-record-'))
try {
  const secrets = watchSecrets()
  let senderPort = 0
  const recorder = await startRecorder(() => senderPort)
  const common = { ledgerPath: join(folder, 'ledger.db') }
  const sender = sendFiles(plant(folder), { ...common, pod: true, port: 0, name: 'sender', compress: 'gzip' })
  let token = ''
  for await (const event of sender) {
    if (event.event !== 'listening') continue
    senderPort = event.port
    token = event.token ?? ''
    const connect = `127.0.0.1:${String(recorder.port)}:${token}`
    await receiveFiles(connect, { ...common, outputDir: join(folder, 'in'), name: 'receiver' }).done
  }
  await sender.done
  const [initiatorToResponder, responderToInitiator] = await recorder.passed
  const file = { description, token, ...secrets, initiatorToResponder, responderToInitiator }
  fs.writeFileSync(new URL('recorded-session.json', import.meta.url), `${JSON.stringify(file, null, 2)}\n`)
} finally {
  fs.rmSync(folder, { recursive: true, force: true })
}
