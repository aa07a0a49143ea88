/**
 * A second implementation's view of the protocol: the reader in Go beside this, written from docs/protocol.md, opens
 * sessions that were recorded, and finds what is changed in them.
 */

import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'

const sources = fileURLToPath(new URL('../second-reader', import.meta.url))

type Recording = Readonly<Record<string, unknown>>

function load(name: string): Recording {
  return JSON.parse(fs.readFileSync(new URL(`${name}.json`, import.meta.url), 'utf8')) as Recording
}

const direct = load('recorded-session')
const push = load('recorded-push')
const overTls = load('recorded-push-tls')

const hasGo = spawnSync('go', ['version']).status === 0
const WITHOUT_GO = 'there is no Go to build it with'
// Its first build on a machine compiles what it needs of Go's own library.
const BUILD_TIMEOUT_MS = 120_000

let folder = ''

beforeAll(async () => {
  if (!hasGo) return
  folder = fs.mkdtempSync(join(tmpdir(), 'sealift-reader-'))
  const env = { ...process.env, GOFLAGS: '-mod=mod', GOTOOLCHAIN: 'local', CGO_ENABLED: '0' }
  const { status, said } = await run('go', ['build', '-o', join(folder, 'reader'), '.'], { cwd: sources, env })
  expect(said).toBe('')
  expect(status).toBe(0)
}, BUILD_TIMEOUT_MS)

afterAll(() => {
  if (folder !== '') fs.rmSync(folder, { recursive: true, force: true })
})

interface RunEnd {
  readonly status: number | null
  readonly listing: string
  readonly said: string
}

async function run(program: string, args: readonly string[], options = {}): Promise<RunEnd> {
  const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  let listing = ''
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (listing += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  const status = await new Promise<number | null>((resolve, reject) => child.on('close', resolve).on('error', reject))
  return { status, listing, said }
}

async function read(recording: Recording, name: string): Promise<RunEnd> {
  const file = join(folder, `${name}.json`)
  fs.writeFileSync(file, JSON.stringify(recording))
  return run(join(folder, 'reader'), [file])
}

function bytesOf(recording: Recording, field: string): Buffer {
  return Buffer.from(recording[field] as string, 'hex')
}

/** @param at from the end where it is negative @param mask the bits of that byte that are turned */
function flipped(recording: Recording, field: string, at: number, mask = 1): Recording {
  const bytes = bytesOf(recording, field)
  const place = at < 0 ? bytes.length + at : at
  bytes[place] = (bytes[place] as number) ^ mask
  return { ...recording, [field]: bytes.toString('hex') }
}

/** Without so many bytes, from there on. */
function without(recording: Recording, field: string, at: number, count: number): Recording {
  const bytes = bytesOf(recording, field)
  const place = at < 0 ? bytes.length + at : at
  return {
    ...recording,
    [field]: Buffer.concat([bytes.subarray(0, place), bytes.subarray(place + count)]).toString('hex'),
  }
}

const hash = (content: string): string => createHash('sha256').update(content).digest('hex')

const opened: readonly (readonly [string, Recording, string])[] = [
  ['a direct transfer', direct, 'direct, cpace'],
  ['a push to a server', push, 'server, noise-xx, asked for token'],
  ['a push over TLS', overTls, 'server, noise-xx on TLS, asked for token'],
]

test.for(opened)('opens %s, checks it and lists what was sent', async ([name, recording, how], { skip }) => {
  if (!hasGo) skip(WITHOUT_GO)
  const { status, listing, said } = await read(recording, name)
  expect([status, said]).toEqual([0, ''])
  const line = 'all work and no play makes a dull log\n'
  const log = line.repeat(30_000).slice(0, 1 << 20)
  expect(listing).toContain(`session ${how}\n`)
  expect(listing).toContain(`file    0644 "recorded/a.log" 1048576 bytes sha256 ${hash(log)}\n`)
  expect(listing).toContain(`file    0644 "recorded/empty.txt" 0 bytes sha256 ${hash('')}\n`)
  expect(listing).toContain('link    0777 "recorded/more/link" -> "../a.log"\n')
  expect(listing).toContain(`file    0755 "recorded/run.sh" 10 bytes sha256 ${hash('#!/bin/sh\n')}\n`)
  expect(listing).toMatch(
    /^transfer [\da-f-]{36}: 4 published, 0 skipped, 0 failed; 1051658 bytes in chunks, 1 plain and 1 gzip$/m,
  )
})

const FRAME = 8
/** Where the ciphers of INIT begin, behind their count. */
const CIPHERS = FRAME + 5
const KEM_CIPHERTEXT = 1088
const TO_SERVER = 'initiatorToResponder'
const TO_CLIENT = 'responderToInitiator'
/** With a server: an INIT of one suite, one cipher and no resume ids, and a RESP. */
const PUSH_INIT = FRAME + 1244
const PUSH_RESP = FRAME + 102 + KEM_CIPHERTEXT
/** What the server says first, behind RESP and CONFIRM_R. */
const ADMIT = PUSH_RESP + FRAME + 32
const ADMIT_BYTES = 4 + 1 + '{"needs":"token"}'.length
/** The MAC of CONFIRM_R in AUTH, behind the record of ADMIT and that of RESP in AUTH. */
const AUTH_RESP_BYTES = 4 + 1 + FRAME + 39
const AUTH_MAC = ADMIT + ADMIT_BYTES + AUTH_RESP_BYTES + 4 + 1 + FRAME

const { channelBinding: _, ...unbound } = overTls

const damages: readonly (readonly [string, Recording, RegExp])[] = [
  ['the magic', flipped(direct, TO_SERVER, 0), /INIT does not begin with the magic/],
  ['the session id in INIT', flipped(direct, TO_SERVER, FRAME + 1220), /MAC|INIT/],
  ['the share in RESP', flipped(direct, TO_CLIENT, FRAME + 6 + KEM_CIPHERTEXT + 8), /MAC of CONFIRM_I/],
  ['the KEM ciphertext', flipped(direct, TO_CLIENT, FRAME + 6), /MAC of CONFIRM_I/],
  ['the MAC of CONFIRM_R', flipped(direct, TO_CLIENT, FRAME + 6 + KEM_CIPHERTEXT + 33 + FRAME), /MAC of CONFIRM_R/],
  ['the last record of the receiver', flipped(direct, TO_SERVER, -1), /record \d+ does not open/],
  ['a chunk', flipped(direct, TO_CLIENT, -500), /record \d+ does not open/],
  ['what the token led to', flipped(direct, 'isk', 0), /MAC of CONFIRM_I is/],
  ['the seed of ML-KEM', flipped(direct, 'kemSeed', 0), /another ML-KEM key/],
  ['the end', without(direct, TO_CLIENT, -1, 1), /too short/],
  ['the whole CLOSE', without(direct, TO_CLIENT, -23, 23), /no CLOSE/],
  ['the cipher, to that of TLS', flipped(direct, TO_SERVER, CIPHERS, 2), /INIT offers the cipher tls where no TLS is/],
  ['the chosen cipher, to that of TLS', flipped(direct, TO_CLIENT, FRAME + 2, 2), /RESP chose the cipher tls where/],
  ['a direct transfer, to one on TLS', { ...direct, channelBinding: '00'.repeat(32) }, /has a channel binding/],

  ['what Noise led to', flipped(push, 'noise', 0), /MAC of CONFIRM_I is/],
  ['the KEM ciphertext of a push', flipped(push, 'kemCiphertext', 0), /MAC of CONFIRM_I is/],
  ['message 3 of Noise', flipped(push, TO_SERVER, PUSH_INIT + FRAME), /MAC of CONFIRM_I is/],
  ['what the token of a server led to', flipped(push, 'isk', 0), /MAC of CONFIRM_I in AUTH is/],
  ['ADMIT, sealed', flipped(push, TO_CLIENT, ADMIT + 6), /record 0 does not open/],
  ['a binding where no TLS was', { ...push, channelBinding: '00'.repeat(32) }, /other ciphers than tls/],

  ['a record of TLS, too long', flipped(overTls, TO_CLIENT, ADMIT, 0x80), /record 0 has a length of 2147483666/],
  ['a record of TLS, empty', flipped(overTls, TO_CLIENT, ADMIT + 3, 0x12), /record 0 has a length of 0/],
  [
    'a record of TLS, shorter by one',
    flipped(overTls, TO_CLIENT, ADMIT + 3, 0x03),
    /record 1 has a length of 2097152000/,
  ],
  ['ADMIT, left out', without(overTls, TO_CLIENT, ADMIT, ADMIT_BYTES), /in the state admitting nobody may say/],
  ['the MAC of the server in AUTH', flipped(overTls, TO_CLIENT, AUTH_MAC), /MAC of CONFIRM_R in AUTH is/],
  ['a byte of a file', flipped(overTls, TO_SERVER, -500), /noise.bin" has another SHA-256/],
  ['CLOSE on TLS', without(overTls, TO_SERVER, -7, 7), /no CLOSE/],
  ['the CLOSE of the server on TLS', without(overTls, TO_CLIENT, -7, 7), /no CLOSE/],
  ['the exporter', flipped(overTls, 'channelBinding', 0), /MAC of CONFIRM_I is/],
  ['the length of the exporter', without(overTls, 'channelBinding', 0, 1), /channel binding has 31 bytes/],
  ['no exporter', unbound, /INIT offers the cipher tls where no TLS is/],
]

test('finds what is changed or missing, and says what', async ({ skip }) => {
  if (!hasGo) skip(WITHOUT_GO)
  const ends = await Promise.all(damages.map(([, changed], at) => read(changed, `damage-${at}`)))
  ends.forEach(({ status, said }, at) => {
    const [name, , why] = damages[at] as (typeof damages)[number]
    expect([name, status]).toEqual([name, 1])
    expect(said, name).toMatch(why)
    expect(said, name).toMatch(/^second-reader: .*\n$/)
  })
})
