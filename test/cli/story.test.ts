/** The user's story, end to end in real processes: what is sent arrives as it was, and both screens say so. */

import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import { describe, expect } from 'vitest'
import { type Files, test, treeOf } from '../rigs/cli-process.ts'

const TREE: Files = {
  'a.txt': { content: 'alpha\n', mode: 0o640, mtime: 1_600_000_000.25 },
  'run.sh': { content: '#!/bin/sh\n', mode: 0o755, mtime: 1_500_000_000 },
  'deep/er/b ü.bin': { content: Uint8Array.of(0, 1, 2, 255), mode: 0o600, mtime: 1_234_567_890.123 },
  'deep/empty': { content: '', mode: 0o644, mtime: 1_000_000_000 },
  'deep/hollow': null,
  'line\nbreak': { content: 'x', mode: 0o644 },
  'deep/to-a': { link: '../a.txt' },
}

const sha256 = (content: string | Uint8Array): string => createHash('sha256').update(content).digest('hex')

describe.concurrent('a folder and a file', () => {
  test('arrive with names, contents, modes, times, inner links and empty folders, and each event is right', async ({
    desk,
  }) => {
    const tree = desk.folder('tree', TREE)
    const report = join(desk.folder('else', { 'report.pdf': 'PDF' }), 'report.pdf')
    const before = treeOf(tree)
    const sender = await desk.send([tree, report], { user: 'ada' })
    const listening = sender.process.events.find(({ event }) => event === 'listening')
    expect(listening).toEqual({
      event: 'listening',
      transferId: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
      address: '127.0.0.1',
      port: sender.port,
      token: expect.stringMatching(/^[a-z]+-[a-z]+$/) as string,
      tailnet: null,
      connect: `127.0.0.1:${sender.port}:${sender.token}`,
      fingerprint: null,
      healthPort: null,
      files: 6,
      bytes: 24,
    })
    const received = await desk.receive(sender.connect, [], { user: 'bob' })
    const sent = await sender.process.end
    expect([received.code, received.stderr, sent.code, sent.stderr]).toEqual([0, '', 0, ''])

    expect(treeOf(desk.path('out', 'tree'))).toEqual(before)
    expect(desk.names('out')).toEqual(['report.pdf', 'tree'])
    expect(desk.read('out', 'report.pdf')).toBe('PDF')

    for (const side of [received, sent]) {
      const connected = side.events.filter(({ event }) => event === 'connected')
      expect(connected).toEqual([
        {
          event: 'connected',
          transferId: side === sent ? sender.transferId : null,
          peer: '127.0.0.1',
          identity: null,
          suite: 'cpace+mlkem768',
          cipher: expect.stringMatching(/^(aes-256-gcm|chacha20-poly1305)$/) as string,
        },
      ])
      const files = side.events.filter(({ event }) => event === 'file')
      const wanted: [string, number, string][] = [
        ['report.pdf', 3, sha256('PDF')],
        ['tree/a.txt', 6, sha256('alpha\n')],
        ['tree/deep/empty', 0, sha256('')],
        ['tree/deep/er/b ü.bin', 4, sha256(Uint8Array.of(0, 1, 2, 255))],
        ['tree/line\nbreak', 1, sha256('x')],
        ['tree/run.sh', 10, sha256('#!/bin/sh\n')],
      ]
      expect(
        files
          .map((file) => [file['path'], file['sizeBytes'], file['sha256']])
          .sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)),
      ).toEqual(wanted)
      for (const file of files) {
        expect(file).toMatchObject({ transferId: sender.transferId, status: 'ok' })
        expect(file['savedAs']).toBe(side === sent ? null : file['path'])
      }
      const done = side.events.at(-1)
      expect(done).toMatchObject({ event: 'done', transferId: sender.transferId, files: 6, bytes: 24, resumedBytes: 0 })
      expect(done?.['bytesOnWire']).toBeGreaterThan(24)
      expect(done?.['seconds']).toBeGreaterThan(0)
      expect(done?.['bytesPerSecond']).toBeGreaterThan(0)
      expect(Object.keys(done ?? {}).sort()).toEqual(
        ['event', 'transferId', 'files', 'bytes', 'bytesOnWire', 'resumedBytes', 'seconds', 'bytesPerSecond'].sort(),
      )
      const progress = side.events.filter(({ event }) => event === 'progress')
      expect(progress.at(-1)).toMatchObject({ bytesDone: 24, bytesTotal: 24, filesDone: 6, filesTotal: 6 })
    }
  })

  test('are told of in words that name the line for the other side, the bytes and the place', async ({ desk }) => {
    const tree = desk.folder('tree', { a: 'x'.repeat(2000) })
    const sender = desk.start(['send', tree, '--pod', '--port', '0'], { user: 'ada' })
    const [, address] = await sender.said(/sealift receive (127\.0\.0\.1:\d+:[a-z]+-[a-z]+)\n/)
    const receiver = await desk.run(['receive', address as string, '-o', desk.path('out')], { user: 'bob' })
    const sent = await sender.end
    expect(sent.stdout + receiver.stdout).toBe('')
    expect(sent.stderr).toMatch(/Sending 1 file, 2\.0 KiB/)
    expect(sent.stderr).toMatch(/Connected to 127\.0\.0\.1 \(cpace\+mlkem768, /)
    expect(sent.stderr).toMatch(/Transfer complete: 2,000 bytes sent/)
    expect(receiver.stderr).toMatch(/1 file, 2\.0 KiB from .+: a\ninto \.\/out\/tree /)
    expect(receiver.stderr).toContain(`Saved to ${desk.path('out', 'tree')}`)
    expect(receiver.stderr + sent.stderr).not.toMatch(/\u001b/)
    expect([sent.code, receiver.code]).toEqual([0, 0])
  })

  test('go again without their content when nothing changed, and nothing is renamed', async ({ desk }) => {
    const tree = desk.folder('tree', { a: 'x'.repeat(300_000), 'sub/b': 'b' })
    for (const resent of [false, true]) {
      const sender = await desk.send([tree])
      const received = await desk.receive(sender.connect)
      const sent = await sender.process.end
      expect([received.code, sent.code]).toEqual([0, 0])
      const done = sent.events.at(-1)
      expect(done?.['bytesOnWire']).toSatisfy((bytes: number) => (resent ? bytes < 10_000 : bytes > 300_000))
      const states = received.events.filter(({ event }) => event === 'file').map((file) => file['status'])
      expect(states).toEqual(resent ? ['skipped', 'skipped'] : ['ok', 'ok'])
    }
    expect(desk.names('out')).toEqual(['tree'])
  })

  test('are read from an empty folder too', async ({ desk }) => {
    const sender = await desk.send([desk.folder('nothing')])
    const received = await desk.receive(sender.connect)
    expect([received.code, (await sender.process.end).code]).toEqual([0, 0])
    expect(desk.names('out')).toEqual(['nothing'])
  })
})

describe.concurrent('the line for the other side', () => {
  test('leaves the default port out, and finds it again', async ({ desk }) => {
    const file = join(desk.folder('in', { one: '1' }), 'one')
    const sender = desk.start(['send', file, '--pod'], { user: 'ada' })
    const [, address] = await sender.said(/sealift receive (127\.0\.0\.1:[a-z]+-[a-z]+)\n/)
    const received = await desk.receive(address as string)
    expect([received.code, (await sender.end).code]).toEqual([0, 0])
    expect(desk.read('out', 'one')).toBe('1')
  })

  test('has IPv6 in brackets', async ({ desk, skip }) => {
    if (!fs.existsSync('/proc/net/if_inet6') || !fs.readFileSync('/proc/net/if_inet6', 'utf8').includes(' lo'))
      skip('this machine has no IPv6 on loopback')
    const file = join(desk.folder('in', { one: '1' }), 'one')
    const sender = desk.start(['send', file, '--listen', '::1', '--port', '0', '--json'], { user: 'ada' })
    const { connect, address } = await sender.event('listening')
    expect(address).toBe('::1')
    expect(connect).toMatch(/^\[::1\]:\d+:/)
    const received = await desk.receive(connect as string)
    expect([received.code, (await sender.end).code]).toEqual([0, 0])
  })

  test('is all that is needed: sealift ADDRESS:TOKEN receives into the folder one is in', async ({ desk }) => {
    const sender = await desk.send([desk.folder('tree', { a: '1' })])
    const here = desk.folder('here')
    const received = await desk.run([sender.connect], { cwd: here, user: 'bob' })
    expect([received.code, (await sender.process.end).code]).toEqual([0, 0])
    expect(received.stderr).toContain(`Saved to ${join(here, 'tree')}`)
    expect(desk.read('here', 'tree', 'a')).toBe('1')
  })

  test.for(['recv', 'rx'])('works behind the alias %s, and tx sends', async (alias, { desk }) => {
    const tree = desk.folder('tree', { a: '1' })
    const sender = desk.start(['tx', tree, '--pod', '--port', '0', '--json'])
    const { connect } = await sender.event('listening')
    const received = await desk.run([alias, connect as string, '-o', desk.path('out')])
    expect([received.code, (await sender.end).code]).toEqual([0, 0])
  })

  test('may leave the token to SEALIFT_TOKEN, however it is written', async ({ desk }) => {
    const sender = await desk.send([desk.folder('tree', { a: '1' })])
    const token = ` ${sender.token.toUpperCase().replace('-', '  ')} `
    const received = await desk.receive(`127.0.0.1:${sender.port}`, [], { env: { SEALIFT_TOKEN: token } })
    expect([received.code, (await sender.process.end).code]).toEqual([0, 0])
  })

  test('stays out of everything but the sender’s screen', async ({ desk }) => {
    const sender = await desk.send([desk.folder('tree', { a: '1' })])
    const received = await desk.receive(sender.connect, ['-v'])
    const sent = await sender.process.end
    expect([received.code, sent.code]).toEqual([0, 0])
    const said = received.stdout + received.stderr + sent.stderr + sent.stdout.replace(/.*"event":"listening".*\n/, '')
    expect(said).not.toContain(sender.token)
  })
})

test('ends by itself on both sides: a `process.exit()` may hang, as Node’s does at times', async ({ desk }) => {
  const env = { NODE_OPTIONS: '--import=data:text/javascript,process.exit=()=>{}' }
  const sender = await desk.send([desk.folder('tree', { a: '1' })], { env })
  const received = await desk.receive(sender.connect, [], { env })
  expect([received.code, (await sender.process.end).code]).toEqual([0, 0])
  expect((await desk.run(['receive', sender.connect, '--no-such-option'], { env })).code).toBe(2)
})

describe.concurrent('how much is said', () => {
  test('is nothing with -q, and no JSON without --json', async ({ desk }) => {
    const sender = await desk.send([desk.folder('tree', { a: '1' })])
    const received = await desk.run(['receive', sender.connect, '-q', '-o', desk.path('out')])
    expect(received).toMatchObject({ code: 0, stdout: '', stderr: '' })
  })

  test('is more with -v: who was refused', async ({ desk }) => {
    const sender = desk.start(['send', desk.folder('tree', { a: '1' }), '-v', '--pod', '--port', '0'])
    const [, port] = await sender.said(/127\.0\.0\.1:(\d+):/)
    await fetch(`http://127.0.0.1:${port as string}/`).catch(() => undefined)
    await sender.said(/Refused 127\.0\.0\.1: not_sealift/)
    sender.kill('SIGTERM')
    expect(await sender.end).toMatchObject({ code: 143 })
  })
})
