/** Pipes and texts as people type them: real `tar`, real pipes, real processes. */

import fs from 'node:fs'
import { describe, expect } from 'vitest'
import { openTerminal } from '../rigs/terminal.ts'
import { type CliProcess, type Desk, type Files, test, treeOf } from '../rigs/cli-process.ts'

const TREE: Files = {
  'a.txt': { content: 'alpha\n', mode: 0o640, mtime: 1_600_000_000 },
  'deep/b': { content: Uint8Array.of(0, 1, 255), mtime: 1_500_000_000 },
  'deep/empty': { content: '', mtime: 1_400_000_000 },
  'deep/to-a': { link: '../a.txt' },
}
const SEALIFT = '"$NODE" "$SEALIFT"'
const SEND = `${SEALIFT} send --pod --port 0`

/** Starts a sender in a shell, and waits for the address that it shows. */
async function sendInShell(desk: Desk, shell: string): Promise<{ process: CliProcess; address: string }> {
  const process = desk.start([], { shell, user: 'ada' })
  const [, address = ''] = await process.said(/sealift receive (127\.0\.0\.1:\d+:[a-z]+-[a-z]+)\n/)
  return { process, address }
}

describe.concurrent('a pipe', () => {
  test('is saved as one file under the name that was given', async ({ desk }) => {
    desk.folder('tree', TREE)
    const { process, address } = await sendInShell(desk, `tar c tree | ${SEND} - --name tree.tar`)
    expect(process.stderr).toContain('Sending standard input.')
    const received = await desk.receive(address)
    expect([received.code, (await process.end).code]).toEqual([0, 0])
    expect(desk.names('out')).toEqual(['tree.tar'])
    fs.mkdirSync(desk.path('unpacked'))
    const unpacked = await desk.run([], { shell: 'tar x -C unpacked -f out/tree.tar' })
    expect(unpacked.code).toBe(0)
    expect(Object.keys(treeOf(desk.path('unpacked', 'tree')))).toEqual(Object.keys(treeOf(desk.path('tree'))))
    expect(received.events.at(-1)).toMatchObject({
      event: 'done',
      files: 1,
      bytes: fs.statSync(desk.path('out', 'tree.tar')).size,
    })
  })

  test('goes on into a pipe, and nothing stays beside it', async ({ desk }) => {
    const tree = desk.folder('tree', TREE)
    const { process, address } = await sendInShell(desk, `tar c tree | ${SEND} -`)
    fs.mkdirSync(desk.path('there'))
    const shell = `cd there && ${SEALIFT} receive ${address} -o - | tar x`
    const received = await desk.run([], { shell, user: 'bob' })
    expect([received.code, (await process.end).code]).toEqual([0, 0])
    expect(treeOf(desk.path('there', 'tree'))).toEqual(treeOf(tree))
    expect(desk.names('there')).toEqual(['tree'])
    // What is said is not in the way of what is written.
    expect(received.stdout).toBe('')
    expect(received.stderr).toMatch(/into standard output\n[\s\S]*its SHA-256 is that of the sender\./)
  })

  test('of bytes that come one by one is there before it ends', async ({ desk, expect }) => {
    fs.writeFileSync(desk.path('go'), '')
    const shell = `(printf a; while [ -e go ]; do sleep 0.02; done; printf b) | ${SEND} -`
    const { process, address } = await sendInShell(desk, shell)
    const receiver = desk.start(['receive', address, '-o', '-'], { user: 'bob' })
    await expect.poll(() => receiver.stdout, { timeout: 10_000 }).toBe('a')
    fs.rmSync(desk.path('go'))
    expect([(await receiver.end).code, (await process.end).code]).toEqual([0, 0])
    expect(receiver.stdout).toBe('ab')
  })

  test('whose reader has enough ends both sides, each with a line', async ({ desk }) => {
    const { process, address } = await sendInShell(desk, `head -c 40000000 /dev/zero | ${SEND} -`)
    const shell = `(${SEALIFT} receive ${address} -o -; echo "ended with $?" >&2) | head -c 1`
    const received = await desk.run([], { shell, user: 'bob' })
    const sent = await process.end
    expect(received.stdout).toBe('\0')
    expect(received.stderr).toMatch(
      /\nerror: standard output was closed before all was written\nhint: [^\n]+\nended with 7\n$/,
    )
    expect(sent.stderr).toMatch(/\nerror: the receiver's output was closed before all was written\nhint: [^\n]+\n$/)
    expect(sent.code).toBe(7)
  })

  test('whose reader takes nothing is left by Ctrl-C at once', async ({ desk, expect }) => {
    const { process, address } = await sendInShell(desk, `head -c 40000000 /dev/zero | ${SEND} -`)
    // Nobody reads the output of this one.
    const receiver = desk.start(['receive', address, '-o', '-'], { user: 'bob' })
    receiver.child.stdout?.pause()
    await receiver.said(/into standard output/)
    receiver.kill('SIGINT')
    await expect.poll(() => receiver.child.exitCode, { timeout: 5000 }).toBe(130)
    receiver.child.stdout?.resume()
    await receiver.end
    process.killAll()
  })

  test('whose sender is stopped ends the receiver: nothing stays, and neither says that it can be resumed', async ({
    desk,
  }) => {
    const sender = desk.start(['send', '-', '--pod', '--port', '0', '--json'], { user: 'ada', hasInput: true })
    sender.child.stdin?.write('abc')
    const { connect, bytes, transferId } = await sender.event('listening')
    expect(bytes).toBeNull()
    const receiver = desk.start(desk.receiving(connect as string), { user: 'bob' })
    await receiver.event('progress', ({ bytesDone }) => bytesDone === 3)
    sender.kill('SIGINT')
    const [sent, received] = [await sender.end, await receiver.end]
    expect([sent.code, received.code]).toEqual([130, 5])
    expect(received.events.at(-1)).toMatchObject({ event: 'error', code: 'peer_stopped', retryable: false })
    expect(received.stderr).toContain('cannot be resumed')
    expect(sent.stderr).not.toContain('sealift resume')
    expect(desk.names('out')).toEqual([])
    for (const user of ['ada', 'bob']) {
      const resumed = await desk.run(['resume', transferId as string], { user })
      expect(resumed.code).toBe(2)
      expect(resumed.stderr).toMatch(/^error: this transfer has ended/)
    }
  })

  test('whose sender was killed says at resume that it was read once, and is over then', async ({ desk }) => {
    const sender = desk.start(['send', '-', '--pod', '--port', '0', '--json'], { hasInput: true })
    const { transferId } = await sender.event('listening')
    expect((await desk.run(['resume', transferId as string])).stderr).toMatch(
      /^error: process \d+ already works on this/,
    )
    sender.kill('SIGKILL')
    await sender.end
    const resumed = await desk.run(['resume', transferId as string])
    expect([resumed.code, resumed.stderr]).toEqual([
      2,
      expect.stringMatching(/^error: what this transfer sent was read once/),
    ])
    expect((await desk.run(['status'])).stderr).toMatch(/ failed /)
  })

  test('is sent alone, not from a terminal, and not in a dry run', async ({ desk }) => {
    desk.folder('in', { a: 'a' })
    const mistakes: [args: string[], line: RegExp][] = [
      [['send', '-', 'in'], /- cannot stand beside other paths/],
      [['send', '-', '-'], /- cannot stand beside other paths/],
      [['send', 'in', '--name', 'x'], /--name is for standard input only/],
      [['send', '-', '--name', 'a/b'], /a name with a separator/],
      [['send', '-', '--name', '..'], /a name that is a dot path/],
      [['send', '-', '--dry-run'], /--dry-run looks at files only/],
      [['receive', '127.0.0.1:1:a-b', '-o', '-', '--json'], /--json writes to standard output already/],
    ]
    for (const [args, line] of mistakes) {
      const { code, stderr } = await desk.run([...args, ...(args[0] === 'send' ? ['--pod', '--port', '0'] : [])])
      expect([args, code, stderr]).toEqual([args, 2, expect.stringMatching(line)])
      expect(stderr).toMatch(/^error: [^\n]+\nhint: [^\n]+\n$/)
    }
  })

  test('does not come from a terminal, nor go to one', async ({ desk, skip }) => {
    const terminal = await openTerminal(desk, skip)
    for (const [line, words] of [
      ['sealift send - --pod --port 0', 'standard input is a terminal'],
      ['sealift receive 127.0.0.1:1:a-b -o -', 'standard output is a terminal'],
    ] as const) {
      await terminal.run(line)
      const { status, output } = await terminal.ended()
      expect([line, status, output]).toEqual([line, 2, expect.stringContaining(`error: ${words}`)])
    }
  })

  test('is shown on a terminal as it goes, without an end that nobody knows', async ({ desk, skip }) => {
    const sender = await openTerminal(desk, skip, { user: 'ada' })
    await sender.run('(printf abc; sleep 60) | sealift send - --pod --port 0')
    await sender.shows(/sealift receive (\S+)/)
    const [, address = ''] = /sealift receive (\S+)/.exec(await sender.output()) ?? []
    const receiver = await openTerminal(desk, skip, { user: 'bob' })
    await receiver.run(`sealift receive ${address} -o out`)
    await receiver.shows('Accept? [Y/n]')
    await receiver.press('Enter')
    await receiver.shows(/\n +3 bytes +(\S+\/s|the sender has nothing to send)/)
    await sender.shows(/\n +3 bytes +(\S+\/s|nothing comes through the pipe)/)
    await sender.press('C-c')
    expect((await sender.ended()).output).toMatch(/stopped\nhint: [^\n]*cannot be read again/)
    const { status, output } = await receiver.ended()
    expect(status).toBe(5)
    expect(output).toContain('error: the sender has ended, and what it read from a pipe cannot be read again')
  })
})

describe.concurrent('several files into an output', () => {
  test('are refused: usage here, a refusal there', async ({ desk }) => {
    const sender = await desk.send([desk.folder('tree', TREE)])
    const received = await desk.run(['receive', sender.connect, '-o', '-'])
    expect([received.code, (await sender.process.end).code]).toEqual([2, 3])
    expect(received.stdout).toBe('')
    expect(received.stderr).toMatch(/error: only one file can be written to an output, and the sender offers 3 files\n/)
  })
})

describe.concurrent('a text', () => {
  test('is on stdout as it was sent, and in no file', async ({ desk }) => {
    const { process, address } = await sendInShell(desk, `printf 'sé\\\\cret\\n\\033[31m' | ${SEND} --text -`)
    expect(process.stderr).toContain('Sending a text of 14 bytes.')
    const received = await desk.run(['receive', address, '-o', desk.path('out')], { user: 'bob' })
    expect([received.code, (await process.end).code]).toEqual([0, 0])
    expect(received.stdout).toBe('sé\\cret\n\u001b[31m')
    expect(received.stderr).toMatch(/A text, 14 bytes, from /)
    expect(desk.names('out')).toEqual([])
  })

  test('is an event for programs', async ({ desk }) => {
    const text = 'a\u001b[2J\r\n'
    const sender = await desk.send(['--text', text])
    const { events } = await desk.receive(sender.connect)
    expect(events.filter(({ event }) => event === 'text')).toEqual([
      { event: 'text', transferId: sender.transferId, text },
    ])
    expect(events.some(({ event }) => event === 'file')).toBe(false)
    expect((await sender.process.end).code).toBe(0)
  })

  test('draws nothing on a terminal, where it is asked about first', async ({ desk, skip }) => {
    const sender = await desk.send(['--text', 'one\u001b[2Jtwo\r\n\u202ethree\\'])
    const terminal = await openTerminal(desk, skip, { user: 'bob' })
    await terminal.run(`sealift receive ${sender.connect}`)
    await terminal.shows('A text, ')
    await terminal.shows('Accept? [Y/n]')
    expect(await terminal.output()).not.toContain('one')
    await terminal.press('Enter')
    const { status, output } = await terminal.ended()
    expect([status, output]).toEqual([0, expect.stringContaining('\none\\x1b[2Jtwo\n\\u{202e}three\\')])
  })

  test('too long, empty, no text, or beside paths is a mistake', async ({ desk }) => {
    const mistakes: [shell: string, code: number, line: RegExp][] = [
      [`${SEND} --text ''`, 2, /the text to send is empty/],
      [`${SEND} --text a b`, 2, /--text is sent alone/],
      [`printf '\\377' | ${SEND} --text -`, 2, /no text \(UTF-8\)/],
      [`head -c 1048577 /dev/zero | ${SEND} --text -`, 7, /over 1 MiB/],
    ]
    for (const [shell, code, line] of mistakes) {
      const ended = await desk.run([], { shell })
      expect([shell, ended.code, ended.stderr]).toEqual([shell, code, expect.stringMatching(line)])
    }
  })
})
