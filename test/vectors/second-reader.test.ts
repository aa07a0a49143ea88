/**
 * A second implementation's view of the protocol: the reader in Go beside this, written from docs/protocol.md, opens a
 * session that was recorded, and finds every byte that is changed in it.
 */

import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'

type Recording = Record<'isk' | 'kemSeed' | 'initiatorToResponder' | 'responderToInitiator', string>

const sources = fileURLToPath(new URL('../second-reader', import.meta.url))
const recording = JSON.parse(
  fs.readFileSync(new URL('recorded-session.json', import.meta.url), 'utf8'),
) as Recording & { readonly token: string }

const hasGo = spawnSync('go', ['version']).status === 0
if (!hasGo) process.stdout.write('skipped: the second reader of the protocol needs Go, which is not here\n')
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

async function read(changed: Partial<Recording>, name: string): Promise<RunEnd> {
  const file = join(folder, `${name}.json`)
  fs.writeFileSync(file, JSON.stringify({ ...recording, ...changed }))
  return run(join(folder, 'reader'), [file])
}

/** With one bit of one byte turned. */
function flipped(field: keyof Recording, at: number): Partial<Recording> {
  const bytes = Buffer.from(recording[field], 'hex')
  const place = at < 0 ? bytes.length + at : at
  bytes[place] = (bytes[place] as number) ^ 1
  return { [field]: bytes.toString('hex') }
}

const hash = (content: string): string => createHash('sha256').update(content).digest('hex')

test.skipIf(!hasGo)('opens a recorded session, checks it and lists what was sent', async () => {
  const { status, listing, said } = await read({}, 'whole')
  expect([status, said]).toEqual([0, ''])
  const line = 'all work and no play makes a dull log\n'
  const log = line.repeat(30_000).slice(0, 1 << 20)
  expect(listing).toContain(`file    0644 "recorded/a.log" 1048576 bytes sha256 ${hash(log)}\n`)
  expect(listing).toContain(`file    0644 "recorded/empty.txt" 0 bytes sha256 ${hash('')}\n`)
  expect(listing).toContain('link    0777 "recorded/more/link" -> "../a.log"\n')
  expect(listing).toContain(`file    0755 "recorded/run.sh" 10 bytes sha256 ${hash('#!/bin/sh\n')}\n`)
  expect(listing).toMatch(
    /^transfer [\da-f-]{36}: 4 published, 0 skipped, 0 failed; 1051658 bytes in chunks, 1 plain and 1 gzip$/m,
  )
})

const FRAME = 8
const damages: readonly (readonly [string, Partial<Recording>, RegExp])[] = [
  ['the magic', flipped('initiatorToResponder', 0), /INIT does not begin with the magic/],
  ['the session id in INIT', flipped('initiatorToResponder', FRAME + 1220), /MAC|INIT/],
  ['the share in RESP', flipped('responderToInitiator', FRAME + 6 + 1088 + 8), /MAC of CONFIRM_I/],
  ['the KEM ciphertext', flipped('responderToInitiator', FRAME + 6), /MAC of CONFIRM_I/],
  ['the MAC of CONFIRM_R', flipped('responderToInitiator', FRAME + 6 + 1088 + 33 + FRAME), /MAC of CONFIRM_R/],
  ['the last record of the receiver', flipped('initiatorToResponder', -1), /record \d+ does not open/],
  ['a chunk', flipped('responderToInitiator', -500), /record \d+ does not open/],
  ['what the token led to', flipped('isk', 0), /MAC of CONFIRM_I/],
  ['the seed of ML-KEM', flipped('kemSeed', 0), /another ML-KEM key/],
  ['the end', { responderToInitiator: recording.responderToInitiator.slice(0, -2) }, /too short/],
  ['the whole CLOSE', { responderToInitiator: recording.responderToInitiator.slice(0, -2 * 23) }, /no CLOSE/],
]

test.skipIf(!hasGo)('finds what is changed or missing, and says what', async () => {
  const ends = await Promise.all(damages.map(([, changed], at) => read(changed, `damage-${at}`)))
  ends.forEach(({ status, said }, at) => {
    const [name, , why] = damages[at] as (typeof damages)[number]
    expect([name, status]).toEqual([name, 1])
    expect(said, name).toMatch(why)
    expect(said, name).toMatch(/^second-reader: .*\n$/)
  })
})
