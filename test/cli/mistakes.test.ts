/** Whatever is wrong: one clear line, hints, the exit status of the contract, no stack trace, and nothing left behind. */

import fs from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect } from 'vitest'
import { type Desk, Ended, test } from '../rigs/cli-process.ts'

/** The form of every error on stderr: one line, then hints. */
const ERROR_FORM = /^error: [^\n]+\n(hint: [^\n]+\n)+$/

function expectError(ended: Ended, code: number, pattern: RegExp): void {
  expect(ended.stderr).toMatch(pattern)
  expect(ended.stderr).toMatch(ERROR_FORM)
  expect([ended.code, ended.signal]).toEqual([code, null])
}

/** The same end without what was said before the fault. */
const faultOf = (ended: Ended): Ended =>
  new Ended(ended.code, ended.signal, ended.stdout, ended.stderr.replace(/^(?!error|hint).*\n/gm, ''))

/** A server that does this with each connection. */
async function serve(onConnection: (socket: net.Socket) => void): Promise<{ port: number; close(): void }> {
  const sockets = new Set<net.Socket>()
  const server = net.createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    onConnection(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as net.AddressInfo).port,
    close() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** Everything under the output folder that is no staging. */
const arrived = (desk: Desk): string[] => desk.names('out').filter((name) => !name.endsWith('.part'))

describe.concurrent('a line that cannot be', () => {
  const LINES: readonly (readonly [line: string, code: number, says: RegExp])[] = [
    ['send', 2, /no path|nothing to send/],
    ['send missing --pod', 2, /missing does not exist/],
    ['send tree tree --pod', 2, /given twice/],
    ['send tree ./tree/ --pod', 2, /given twice/],
    ['send tree tree/sub --pod', 2, /lies inside/],
    ['send tree other/tree --pod', 2, /same name/],
    ['send / --pod', 2, /root of the file system/],
    ['send socket --pod', 2, /neither a file nor a folder/],
    ['send tree --pod --lan', 2, /one of --pod, --lan and --listen/],
    ['send tree --pod --frobnicate', 2, /unknown option '--frobnicate'/],
    ['send -x --pod', 2, /unknown option '-x'[^]*\.\/-x/],
    ['send tree --pod --por 1', 2, /unknown option '--por'[^]*--port/],
    ['send tree --pod --port', 2, /--port.*argument missing/],
    ['send tree --pod --port 65536', 2, /--port/],
    ['send tree --pod --port -1', 2, /--port/],
    ['send tree --pod --port http', 2, /--port/],
    ['send tree --pod --wait 0', 2, /--wait/],
    ['send tree --pod --wait soon', 2, /--wait/],
    ['send tree --pod --bwlimit fast', 2, /--bwlimit/],
    ['send tree --pod --bwlimit 12', 2, /--bwlimit/],
    ['send tree --pod --conflict maybe', 2, /--conflict/],
    ['send tree --pod --compress rar', 2, /--compress/],
    ['send tree --pod --compress gzip --compression-level 10', 2, /gzip has no compression level 10/],
    ['send tree --pod --compress blosc-lz4 --compression-level 10', 2, /blosc-lz4 has no compression level 10/],
    ['send tree --pod --compression-level 23', 2, /--compression-level must be from 1 to 22/],
    ['send tree --pod --compress zstd --compression-level 0', 2, /--compression-level must be from 1 to 22/],
    ['send tree --pod --compression-level high', 2, /--compression-level must be from 1 to 22/],
    ['send tree --pod --priority 10', 2, /--priority/],
    ['send tree --pod --exclude-from missing', 2, /--exclude-from/],
    ['send tree --all --pod --exclude *', 2, /left out/],
    ['send tree', 5, /Tailscale[^]*--lan[^]*--listen[^]*--pod/],
    ['send tree --listen 192.0.2.1', 5, /192\.0\.2\.1/],
    ['send tree --listen nonsense.invalid', 5, /nonsense\.invalid/],
    ['receive', 2, /address/],
    ['receive 127.0.0.1', 2, /token/],
    ['receive [::1:word-word', 2, /no address/],
    ['receive :word-word', 2, /no address/],
    ['receive 127.0.0.1:99999:word-word', 2, /port/],
    ['receive 127.0.0.1:0:word-word', 2, /port 0/],
    ['receive 127.0.0.1:1:', 2, /token/],
    ['receive 127.0.0.1:1:-', 2, /token/],
    ['receive 127.0.0.1:1:word-word more', 2, /too many arguments[^]*in quotes[^]* -o/],
    ['receive 127.0.0.1:1 --token=word-word', 2, /unknown option '--token'/],
    ['receive 127.0.0.1:1:word-word --conflict never', 2, /--conflict/],
    ['receive 127.0.0.1:1:word-word --pod', 2, /unknown option/],
    ['receive 127.0.0.1:1:word-word', 5, /refused|cannot connect/],
    ['receive nowhere.invalid:word-word', 5, /nowhere\.invalid/],
    ['receive 127.0.0.1:1:word-word -o tree/a', 2, /is not a folder/],
    ['127.0.0.1:1:word-word', 5, /cannot connect/],
    ['frobnicate', 2, /unknown command/],
    ['sned tree', 2, /unknown command 'sned'\nhint: Did you mean send\?/],
    ['help sned', 2, /unknown command 'sned'/],
    ['completion', 2, /missing required argument[^]*sealift completion --help/],
    ['tree', 2, /sealift send tree/],
    ['--frobnicate', 2, /unknown option/],
    ['status 12345', 2, /no transfer 12345/],
    ['status --frob', 2, /unknown option/],
    ['ban remove host', 2, /no address: host/],
    ['quota set ana 5', 2, /no owner: ana/],
    ['resume', 2, /which transfer/],
    ['resume 12345', 2, /no transfer 12345/],
  ]

  test.for(LINES)('sealift %s: %i', async ([line, code, says], { desk }) => {
    desk.folder('tree', { a: '1', 'sub/b': '2' })
    desk.folder('other/tree', { a: '1' })
    if (line.includes('socket')) {
      const server = net.createServer().listen(desk.path('socket'))
      await new Promise((resolve) => server.once('listening', resolve))
      const ended = await desk.run(line.split(' '))
      server.close()
      expectError(ended, code, says)
      return
    }
    const ended = await desk.run(line.split(' ').filter(Boolean))
    expectError(ended, code, says)
    expect(ended.stdout).toBe('')
    expect(desk.names()).toEqual(['home', 'other', 'tree'])
    expect(ended.stderr).not.toContain('word-word')
  })

  test('is one JSON event with --json, and the same on stderr', async ({ desk }) => {
    const ended = await desk.run(['send', 'missing', '--pod', '--json'])
    expect(ended.events).toEqual([
      {
        event: 'error',
        code: 'path_missing',
        message: 'missing does not exist',
        hint: expect.any(String) as string,
        exitCode: 2,
        retryable: false,
      },
    ])
    expectError(ended, 2, /missing does not exist/)
  })
})

describe.concurrent('files that are hard to name or read', () => {
  test('a file named like an option goes as ./-x and behind --', async ({ desk }) => {
    desk.folder('here', { '-x': '1' })
    for (const args of [['./-x'], ['--', '-x']]) {
      const sender = await desk.send(args, { cwd: desk.path('here') })
      const received = await desk.receive(sender.connect)
      expect([received.code, (await sender.process.end).code]).toEqual([0, 0])
    }
    expect(desk.read('out', '-x')).toBe('1')
  })

  test('what cannot be read is named, and the rest arrives (8)', async ({ desk, skip }) => {
    const tree = desk.folder('tree', { fine: '1', 'locked/inside': '2', secret: '3' })
    if (process.getuid?.() === 0) {
      // For root nothing is unreadable but what is not there any more.
      const sender = await desk.send([tree])
      fs.rmSync(join(tree, 'secret'))
      const received = await desk.receive(sender.connect)
      const sent = await sender.process.end
      expect([received.code, sent.code]).toEqual([8, 8])
      expect(desk.names('out', 'tree')).toEqual(['fine', 'locked'])
      expect(sent.stderr).toMatch(/warning: tree\/secret: is gone/)
      const failed = [sent, received].map(({ events }) =>
        events.filter(({ status }) => status === 'failed').map(({ path }) => path),
      )
      expect(failed).toEqual([['tree/secret'], ['tree/secret']])
      return
    }
    if (process.platform === 'win32') skip('modes mean nothing there')
    fs.chmodSync(join(tree, 'locked'), 0)
    fs.chmodSync(join(tree, 'secret'), 0)
    const sender = await desk.send([tree])
    const received = await desk.receive(sender.connect)
    const sent = await sender.process.end
    fs.chmodSync(join(tree, 'locked'), 0o700)
    expect([received.code, sent.code]).toEqual([0, 8])
    expect(sent.stderr).toMatch(/tree\/locked/)
    expect(sent.stderr).toMatch(/tree\/secret/)
  })
})

describe.concurrent('the ledger', () => {
  const line = (desk: Desk): string[] => ['send', desk.folder('tree', { a: '1' }), '--pod', '--port', '0']

  test('damaged: says so and where it is', async ({ desk }) => {
    const folder = desk.folder('ledger')
    fs.chmodSync(folder, 0o700)
    fs.writeFileSync(join(folder, 'l.db'), 'this is no database, it is a text of some length '.repeat(100), {
      mode: 0o600,
    })
    for (const args of [line(desk), ['status']]) {
      const ended = await desk.run(args, { env: { DB_PATH: join(folder, 'l.db') } })
      expectError(ended, 6, /damaged.*l\.db|l\.db.*damaged/)
    }
  })

  test('of a newer Sealift: is left alone', async ({ desk }) => {
    const path = join(desk.folder('ledger'), 'l.db')
    fs.chmodSync(desk.path('ledger'), 0o700)
    expect(await desk.run(['status'], { env: { DB_PATH: path } })).toMatchObject({ code: 0 })
    const db = new DatabaseSync(path)
    db.exec('PRAGMA user_version = 999')
    db.close()
    expectError(await desk.run(line(desk), { env: { DB_PATH: path } }), 2, /newer/)
  })

  test('that others may read: is refused', async ({ desk }) => {
    const path = join(desk.folder('ledger'), 'l.db')
    fs.chmodSync(desk.path('ledger'), 0o700)
    await desk.run(['status'], { env: { DB_PATH: path } })
    fs.chmodSync(path, 0o644)
    expectError(await desk.run(['status'], { env: { DB_PATH: path } }), 7, /others may read/)
  })

  test('holds a transfer for one process at a time: the second says who has it', async ({ desk }) => {
    const tree = desk.folder('tree', { a: '1' })
    const first = await desk.send([tree])
    const second = await desk.run(['resume', first.transferId, '--port', '0'])
    expectError(second, 2, new RegExp(`process ${String(first.process.child.pid)}`))
    const received = await desk.receive(first.connect)
    expect([received.code, (await first.process.end).code]).toEqual([0, 0])
  })
})

describe.concurrent('listening', () => {
  test('on a port that is taken: 5', async ({ desk }) => {
    const { port, close } = await serve(() => undefined)
    const ended = await desk.run(['send', desk.folder('tree', { a: '1' }), '--pod', '--port', String(port)])
    close()
    expectError(ended, 5, /127\.0\.0\.1:\d+.*in use/)
  })

  test('when nobody comes: 5 after --wait', async ({ desk }) => {
    const ended = await desk.run(['send', desk.folder('tree', { a: '1' }), '--pod', '--port', '0', '--wait', '1', '-q'])
    expectError(ended, 5, /nobody connected within 1 second/)
  })

  test('goes on when strangers knock', async ({ desk }) => {
    const sender = await desk.send([desk.folder('tree', { a: '1' })])
    const knock = (bytes: string | Uint8Array): Promise<void> =>
      new Promise((resolve) => {
        const socket = net.connect(sender.port, '127.0.0.1', () => socket.end(bytes))
        socket
          .on('error', () => undefined)
          .on('close', () => resolve())
          .resume()
      })
    await Promise.all([
      knock('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
      knock(Uint8Array.of(0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3)),
      knock(''),
      knock(Uint8Array.of(0x53, 0x4c, 0x46, 0x54, 99, 1, 0, 0)),
      knock(Uint8Array.of(0x53, 0x4c, 0x46, 0x54, 1, 1, 0xff, 0xff)),
      knock(new Uint8Array(10_000)),
    ])
    // This one never says a word.
    const silent = net.connect(sender.port, '127.0.0.1')
    const received = await desk.receive(sender.connect)
    silent.destroy()
    const sent = await sender.process.end
    expect([received.code, sent.code]).toEqual([0, 0])
    const refused = sent.events.filter(({ event }) => event === 'refused')
    expect(refused.map(({ code }) => code)).toEqual(expect.arrayContaining(['not_sealift', 'version_mismatch']))
    for (const { peer, until } of refused) expect([peer, until]).toEqual(['127.0.0.1', null])
  })
})

describe.concurrent('tokens', () => {
  const other = (token: string): string => (token.startsWith('wrong') ? 'other-guess' : 'wrong-guess')

  test('a wrong one is refused (4) with a loud notice, and the honest receiver still gets in', async ({ desk }) => {
    const sender = desk.start(['send', desk.folder('tree', { a: '1' }), '--pod', '--port', '0'])
    const [, port, token] = (await sender.said(/127\.0\.0\.1:(\d+):(\S+)/)) as unknown as [string, string, string]
    const wrong = await desk.run(['receive', `127.0.0.1:${port}:${other(token)}`, '-o', desk.path('out')], {
      user: 'eve',
    })
    expectError(wrong, 4, /token/)
    await sender.said(/warning: 127\.0\.0\.1 tried a wrong token/)
    const right = await desk.receive(`127.0.0.1:${port}:${token}`)
    expect([right.code, (await sender.end).code]).toEqual([0, 0])
  })

  test('three wrong ones void it, and the sender ends at once (4)', async ({ desk }) => {
    const sender = await desk.send([desk.folder('tree', { a: '1' })])
    for (let guess = 0; guess < 3; guess++) {
      const wrong = await desk.receive(`127.0.0.1:${sender.port}:${other(sender.token)}`, [], { user: 'eve' })
      expect(wrong.code).toBe(4)
    }
    const sent = await sender.process.end
    expect(sent.code).toBe(4)
    expect(sent.events.at(-1)).toMatchObject({ event: 'error', code: 'token_burned', exitCode: 4 })
    expect(sent.stderr).toMatch(/error: too many wrong tokens.*\nhint: /)
    expect(desk.names('out')).toEqual([])
  })

  test('a spent one lets nobody else in (4), and the transfer goes on', async ({ desk }) => {
    const sender = await desk.send([desk.folder('tree', { large: Buffer.alloc(8_000_000, 'large') })])
    const first = desk.start(desk.receiving(sender.connect, ['--bwlimit', '1M']), { user: 'bob' })
    await first.event('progress')
    const second = await desk.run(['receive', sender.connect, '-o', desk.path('stolen')], { user: 'eve' })
    expectError(second, 4, /token/)
    expect(desk.names('stolen')).toEqual([])
    const doneBefore = first.events.at(-1)?.['bytesDone'] as number
    await first.event('progress', ({ bytesDone }) => (bytesDone as number) > doneBefore)
    await sender.process.said(/warning: 127\.0\.0\.1 tried a token after this one was used up/)
  })
})

describe.concurrent('what is no sender', () => {
  const receive = (desk: Desk, port: number): Promise<Ended> =>
    desk.run(['receive', `127.0.0.1:${port}:word-word`, '-o', desk.path('out')])

  test('a web server: 5', async ({ desk }) => {
    const { port, close } = await serve((socket) =>
      socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')),
    )
    expectError(await receive(desk, port), 5, /does not speak Sealift/)
    close()
  })

  test('a peer of another version: 3', async ({ desk }) => {
    const { port, close } = await serve((socket) =>
      socket.write(Uint8Array.of(0x53, 0x4c, 0x46, 0x54, 77, 2, 0, 4, 1, 2, 3, 4)),
    )
    expectError(await receive(desk, port), 3, /version/)
    close()
  })

  test('a server that hangs up at once, each time: 5', async ({ desk }) => {
    let connections = 0
    const { port, close } = await serve((socket) => {
      connections++
      socket.destroy()
    })
    const ended = await receive(desk, port)
    close()
    expect(ended.stderr).toMatch(/^(warning: [^\n]+; connecting again\n){3}error: [^\n]+\nhint: [^\n]+\n$/)
    expect([ended.code, connections]).toEqual([5, 4])
    expect(arrived(desk)).toEqual([])
  })

  test('a server that says nothing: 5, after the handshake’s deadline', async ({ desk }) => {
    const { port, close } = await serve(() => undefined)
    expectError(await receive(desk, port), 5, /said nothing/)
    close()
  })
})

describe.concurrent('where it goes', () => {
  test('a file in place of the output folder: 2, and the token is not spent', async ({ desk }) => {
    const sender = await desk.send([desk.folder('tree', { a: '1' })])
    const file = join(desk.folder('target', { file: 'mine' }), 'file')
    expectError(await desk.run(['receive', sender.connect, '-o', file]), 2, /not a folder/)
    expectError(await desk.run(['receive', sender.connect, '-o', join(file, 'deeper')]), 2, /not a folder/)
    expect(desk.read('target', 'file')).toBe('mine')
    const received = await desk.receive(sender.connect)
    expect([received.code, (await sender.process.end).code]).toEqual([0, 0])
  })

  /** Runs a receiver where `out` is a file system of its own. */
  const inside = (desk: Desk, connect: string, mount: string): Promise<Ended> =>
    desk.run([], {
      shell: `unshare -m sh -c '${mount} && exec "$NODE" "$SEALIFT" receive "$CONNECT" -o "$OUT"'`,
      env: { CONNECT: connect, OUT: desk.folder('out') },
    })
  const mayMount = async (desk: Desk): Promise<boolean> =>
    (
      await desk.run([], {
        shell: `unshare -m sh -c 'mount -t tmpfs -o size=1m none "$OUT"'`,
        env: { OUT: desk.folder('out') },
      })
    ).code === 0

  test('a read-only file system: 7; the sender waits on for a better one', async ({ desk, skip }) => {
    if (!(await mayMount(desk))) skip('file systems cannot be mounted here')
    const sender = await desk.send([desk.folder('tree', { a: '1' })])
    const ended = await inside(desk, sender.connect, 'mount -t tmpfs -o ro none "$OUT"')
    expectError(faultOf(ended), 7, /read-only|cannot be written/)
    const again = await desk.receive(sender.connect)
    expect([again.code, (await sender.process.end).code]).toEqual([0, 0])
  })

  test('too small a file system: 7 before anything is written, with what is needed and what is free', async ({
    desk,
    skip,
  }) => {
    if (!(await mayMount(desk))) skip('file systems cannot be mounted here')
    const sender = await desk.send([desk.folder('tree', { large: new Uint8Array(3_000_000) })])
    const ended = await inside(desk, sender.connect, 'mount -t tmpfs -o size=1m none "$OUT"')
    expectError(faultOf(ended), 7, /not enough space: [\d.]+ MiB needed, 1\.0 MiB free/)
    const again = await desk.receive(sender.connect)
    expect([again.code, (await sender.process.end).code]).toEqual([0, 0])
  })
})

describe.concurrent('a shell that behaves badly', () => {
  test('a reader that goes away after one line ends nothing with a trace', async ({ desk }) => {
    const tree = desk.folder('tree', { a: '1', b: '2' })
    const sender = desk.start([], {
      shell: `"$NODE" "$SEALIFT" send "$TREE" --pod --port 0 --json | head -n 1; exit 0`,
      env: { TREE: tree },
    })
    const { connect } = await sender.event('listening')
    const received = await desk.run([], {
      shell: `"$NODE" "$SEALIFT" receive "$CONNECT" --json -o "$OUT" | head -n 1`,
      env: { CONNECT: connect as string, OUT: desk.path('out') },
    })
    expect([received.stderr, (await sender.end).stderr]).toEqual(['', ''])
    expect(desk.names('out', 'tree')).toEqual(['a', 'b'])
  })

  test('closed standard streams change nothing but what is seen', async ({ desk }) => {
    const sender = await desk.send([desk.folder('tree', { a: '1' })])
    const received = await desk.run([], {
      shell: `"$NODE" "$SEALIFT" receive "$CONNECT" -o "$OUT" <&- >&- 2>&-`,
      env: { CONNECT: sender.connect, OUT: desk.path('out') },
    })
    expect([received.code, (await sender.process.end).code]).toEqual([0, 0])
    expect(desk.read('out', 'tree', 'a')).toBe('1')
  })
})

describe.concurrent('help', () => {
  test.for([
    ['--help'],
    ['send', '--help'],
    // Who asks for help does not know better yet.
    ['send', '--nonsense', '--conflict', 'maybe', '--port', '-h'],
    ['receive', '-h'],
    ['help', 'rx'],
    ['help'],
    [],
  ])('sealift %s %s goes to stdout with examples and 0', async (args, { desk }) => {
    const ended = await desk.run(args)
    expect([ended.code, ended.stderr]).toEqual([0, ''])
    expect(ended.stdout).toMatch(/^Usage: sealift/)
    expect(ended.stdout).toMatch(/Examples:\n/)
  })

  test('--version is that of the package', async ({ desk }) => {
    const { version } = JSON.parse(fs.readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
      version: string
    }
    expect(await desk.run(['--version'])).toMatchObject({ code: 0, stdout: `${version}\n`, stderr: '' })
  })
})
