/**
 * Writes recorded sessions: `node test/vectors/record-session.ts direct|server|tls`. Each is one whole transfer in this
 * process, all bytes of both directions as they pass inside TLS where that is there, and what somebody needs who wants to
 * read it from outside. Nothing in it is the same twice, so it is recorded again only when the protocol changes.
 */

import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import os, { tmpdir } from 'node:os'
import { join } from 'node:path'

import { nodeCrypto } from '../../src/crypto/node.ts'
import { receiveFiles, SecureFileTransferServer, sendFiles } from '../../src/index.ts'
import { plantCertificate, TestAuthority } from '../rigs/certificates.ts'
import { directions, watch, type Watched } from './watched-process.ts'

const MIB = 1 << 20

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

type Recording = Readonly<Record<string, unknown>>

async function recordDirect(folder: string, watched: Watched): Promise<Recording> {
  const description = {
    about:
      'One direct transfer of Sealift, protocol 1: a session under cpace with ML-KEM-768 and AES-256-GCM, whole. All byte strings are hex.',
    token: 'what the receiver was given',
    isk: 'ISK of CPace, which the token and the random numbers of both sides lead to',
    kemSeed: "seed of the initiator's ML-KEM key, d ‖ z",
    initiatorToResponder: 'all that the receiver wrote, from the first byte of INIT to the last of its CLOSE',
    responderToInitiator: 'all that the sender wrote',
  }
  const common = { ledgerPath: join(folder, 'ledger.db') }
  const sender = sendFiles(plant(folder), { ...common, pod: true, port: 0, name: 'sender', compress: 'gzip' })
  let token = ''
  let port = 0
  for await (const event of sender) {
    if (event.event !== 'listening') continue
    port = event.port
    token = event.token ?? ''
    const connect = `127.0.0.1:${String(port)}:${token}`
    await receiveFiles(connect, { ...common, outputDir: join(folder, 'in'), name: 'receiver' }).done
  }
  await sender.done
  const [isk] = watched.suiteSecrets
  return { description, token, isk, kemSeed: watched.kemSeed, ...directions(watched, port) }
}

async function recordPush(folder: string, watched: Watched, overTls: boolean): Promise<Recording> {
  const records = overTls ? 'on TLS, in records without tags' : 'in records of AES-256-GCM'
  const description = {
    about: `One push to a server of Sealift, protocol 1: a session under noise-xx with ML-KEM-768, ${records}, whole. All byte strings are hex.`,
    token: 'what the server asks for, and the sender was given',
    noise: 'both keys of Split, k1 ‖ k2: the secret of noise-xx',
    kemSeed: "seed of the initiator's ML-KEM key, d ‖ z",
    kemCiphertext: 'of ML-KEM, which RESP has sealed',
    isk: 'ISK of CPace in the handshake inside the session, in AUTH',
    ...(overTls ? { channelBinding: 'the exporter of TLS' } : {}),
    initiatorToResponder: `all that the sender wrote${overTls ? ' into TLS' : ''}, from the first byte of INIT to the last of its CLOSE`,
    responderToInitiator: 'all that the server wrote',
  }
  // what the server says of itself, and not this machine's
  os.hostname = () => 'server'
  syncBuiltinESMExports()
  const token = 'recorded-words-of-four'
  const authority = await TestAuthority.make()
  const ca = plantCertificate(folder, 'ca', authority.own).cert
  const { cert, key } = plantCertificate(folder, 'server', await authority.sign())
  const server = new SecureFileTransferServer({
    host: '127.0.0.1',
    port: 0,
    outputDir: join(folder, 'in'),
    token,
    identity: join(folder, 'server.key'),
    ledgerPath: join(folder, 'server-ledger', 'ledger.db'),
    ...(overTls ? { certfile: cert, keyfile: key } : {}),
  })
  const { port } = await server.start()
  await sendFiles(plant(folder), {
    to: `127.0.0.1:${String(port)}`,
    token,
    name: 'sender',
    compress: 'gzip',
    ledgerPath: join(folder, 'ledger.db'),
    configFolder: join(folder, 'config'),
    ...(overTls ? { tls: true, ca } : {}),
  }).done
  await server.stop()
  const [noise, isk] = watched.suiteSecrets
  const { kemSeed, kemCiphertext, channelBinding } = watched
  const binding = overTls ? { channelBinding } : {}
  return { description, token, noise, kemSeed, kemCiphertext, isk, ...binding, ...directions(watched, port) }
}

const RECORDED = {
  direct: { file: 'recorded-session.json', record: recordDirect },
  server: {
    file: 'recorded-push.json',
    record: (folder: string, watched: Watched) => recordPush(folder, watched, false),
  },
  tls: {
    file: 'recorded-push-tls.json',
    record: (folder: string, watched: Watched) => recordPush(folder, watched, true),
  },
}

const [kind, ...others] = process.argv.slice(2)
const chosen = Object.entries(RECORDED).find(([name]) => name === kind)?.[1]
if (chosen === undefined || others.length > 0) throw new Error('say one of direct, server, tls')
const folder = fs.mkdtempSync(join(tmpdir(), 'sealift-record-'))
try {
  const recording = await chosen.record(folder, watch())
  fs.writeFileSync(new URL(chosen.file, import.meta.url), `${JSON.stringify(recording, null, 2)}\n`)
} finally {
  fs.rmSync(folder, { recursive: true, force: true })
}
