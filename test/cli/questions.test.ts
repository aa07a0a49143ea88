/** What people are asked on a real terminal, and what becomes of each answer. */

import fs from 'node:fs'
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { describe, expect } from 'vitest'
import { type Desk, type Files, type Listening, test } from '../rigs/cli-process.ts'
import { openTerminal, type Terminal, type TerminalOptions } from '../rigs/terminal.ts'

type Skip = (reason: string) => void

/** Ada's terminal, in the folder `there`. */
const adas = (desk: Desk, skip: Skip): Promise<Terminal> =>
  openTerminal(desk, skip, { user: 'ada', cwd: desk.folder('there'), columns: 100 })

/** Bob's terminal, in the folder `here`. */
const bobs = (desk: Desk, skip: Skip, options: TerminalOptions = {}): Promise<Terminal> =>
  openTerminal(desk, skip, { user: 'bob', cwd: desk.folder('here'), ...options })

/** Bob is asked about what Ada sends. */
async function asked(
  desk: Desk,
  skip: Skip,
  files: Files,
  options: TerminalOptions = {},
): Promise<{ sender: Listening; terminal: Terminal }> {
  const [sender, terminal] = await Promise.all([
    desk.send([desk.folder('tree', files)], { user: 'ada' }),
    bobs(desk, skip, options),
  ])
  await terminal.run(`sealift receive ${sender.connect}`)
  await terminal.shows(/Accept\? \[Y|\[s\]top\?/)
  return { sender, terminal }
}

/** What the terminal does with keys: a program that leaves it in another state has not ended well. */
async function modes(terminal: Terminal): Promise<string> {
  await terminal.run('stty -a')
  return (await terminal.ended()).output
}

const PROJECT: Files = {
  'main.py': 'main',
  'venv/pyvenv.cfg': 'cfg',
  'venv/lib/module.py': 'module',
  'sub/__pycache__/main.pyc': 'cached',
}
const LEAVE_OUT = 'Leave out venv (2 files, 9 bytes) and sub/__pycache__ (1 file, 6 bytes)? [Y/n]'

describe.concurrent('a sender', () => {
  test('is asked what to leave out and whether to compress, again after anything else than an answer', async ({
    desk,
    skip,
  }) => {
    const terminal = await adas(desk, skip)
    desk.folder('there/project', PROJECT)
    const before = await modes(terminal)
    await terminal.run('sealift send project --pod --port 0')
    await terminal.shows(LEAVE_OUT)
    await terminal.answer('maybe')
    await terminal.shows(`maybe\nPlease answer y or n.\n${LEAVE_OUT}`)
    await terminal.answer('')
    await terminal.shows('Compress? [y/N]')
    await terminal.answer('')
    await terminal.shows(
      /Sending 1 file, 4 bytes\. {2}On the other machine run:\n {4}sealift receive 127\.0\.0\.1:\d+:[a-z]+-[a-z]+(\n|$)/,
    )
    // What was agreed to is not said again.
    expect(await terminal.output()).not.toContain('Left out')
    await terminal.press('C-c')
    expect(await terminal.ended()).toMatchObject({ status: 130 })
    expect(await modes(terminal)).toBe(before)
  })

  test('who leaves nothing out sends the transfer that --all sends', async ({ desk, skip }) => {
    const terminal = await adas(desk, skip)
    desk.folder('there/project', PROJECT)
    for (const options of ['--compress none', '--compress none --all']) {
      await terminal.run(`sealift send project --pod --port 0 ${options}`)
      if (!options.endsWith('--all')) {
        await terminal.shows(LEAVE_OUT)
        await terminal.answer('n')
      }
      await terminal.shows('Sending 4 files, 19 bytes.')
      expect(await terminal.output()).not.toContain('Compress?')
      await terminal.press('C-c')
      await terminal.ended()
    }
    const { events } = await desk.run(['status', '--all', '--json'], { user: 'ada' })
    expect(events).toMatchObject([{ event: 'transfer', role: 'sender', file_size: 19 }])
  })

  test('compresses by the codec of that question', async ({ desk, skip }) => {
    const terminal = await adas(desk, skip)
    const text = 'All work and no play makes Jack a dull boy.\n'.repeat(9000)
    desk.folder('there', { text })
    await terminal.run('sealift send text --pod --port 0')
    await terminal.shows('Compress? [y/N]')
    await terminal.answer('YES')
    await terminal.shows('sealift receive')
    const connect = /sealift receive (\S+)/.exec(await terminal.output())?.[1] as string
    const received = await desk.receive(connect)
    expect(await terminal.ended()).toMatchObject({
      status: 0,
      output: expect.stringMatching(/Transfer complete: 396,000 bytes sent in [\d.]+ s \(/) as string,
    })
    expect(received.events.at(-1)?.['bytesOnWire']).toBeLessThan(text.length / 4)
    expect(desk.read('out', 'text')).toBe(text)
  })

  test.for([
    ['a path that is not there', 'sealift send project missing --pod', 2, /^error: missing does not exist\nhint: .*$/],
    ['--dry-run', 'sealift send project --dry-run', 0, /^Would leave out .*\n.*\nWould send 1 file, 4 bytes\.$/],
    [
      'no terminal to ask on',
      'sealift send project --pod --port 0 --wait 1 </dev/null',
      5,
      /^Left out project\/venv \(2 files, 9 bytes\) and/,
    ],
    [
      '--yes',
      'sealift send project --pod --port 0 --wait 1 --yes',
      5,
      /^Left out project\/venv \(2 files, 9 bytes\) and/,
    ],
  ] as const)('is asked nothing with %s', async ([, line, status, says], { desk, skip }) => {
    const terminal = await adas(desk, skip)
    desk.folder('there/project', PROJECT)
    await terminal.run(line)
    const ended = await terminal.ended()
    expect(ended.status).toBe(status)
    expect(ended.output).toMatch(says)
    expect(ended.output).not.toMatch(/\[Y\/n\]|\[y\/N\]/)
  })

  test.for([
    ['C-d', 3, 'error: the question was not answered\nhint: '],
    ['C-c', 130, 'stopped\nhint: '],
  ] as const)('who answers with %s ends it (%i), and keeps nothing', async ([key, status, says], { desk, skip }) => {
    const terminal = await adas(desk, skip)
    desk.folder('there/project', PROJECT)
    const before = await modes(terminal)
    for (const question of [LEAVE_OUT, 'Compress? [y/N]']) {
      await terminal.run('sealift send project --pod --port 0')
      await terminal.shows(LEAVE_OUT)
      if (question !== LEAVE_OUT) await terminal.answer('')
      await terminal.shows(question)
      await terminal.press(key)
      const ended = await terminal.ended()
      expect(ended.status).toBe(status)
      expect(ended.output).toContain(`${question}\n${says}`)
    }
    expect(await modes(terminal)).toBe(before)
    expect(desk.names('home', 'ada', 'data')).toEqual([])
  })
})

describe.concurrent('a sender without Tailscale', () => {
  test.for([
    ['Enter', 5, /^error: [^\n]+\nhint: .*--lan .*--listen .*--pod /s],
    ['C-d', 3, /^error: the question was not answered\n/],
    ['C-c', 130, /^stopped\n/],
  ] as const)(
    'is asked whether to listen on the local network; %s is no (%i)',
    async ([key, status, says], { desk, skip }) => {
      const isLan = ({ internal, family }: NetworkInterfaceInfo): boolean => !internal && family === 'IPv4'
      if (!Object.values(networkInterfaces()).some((found) => found?.some(isLan) === true))
        skip('this machine has no address on a local network')
      const terminal = await openTerminal(desk, skip, {
        user: 'ada',
        cwd: desk.folder('there', { a: '1' }),
        columns: 100,
        env: { TS_SOCKET: desk.path('nowhere') },
      })
      await terminal.run('sealift send a')
      await terminal.shows('Compress? [y/N]')
      await terminal.answer('')
      await terminal.shows(/\. Listen on\s+[\d.]+ \(\S+\)\? \[y\/N\]$/)
      await terminal.press(key)
      const ended = await terminal.ended()
      expect(ended.status).toBe(status)
      expect(ended.output.replace(/^.*\[y\/N\]\n/s, '')).toMatch(says)
      expect(desk.names('home', 'ada', 'data')).toEqual([])
    },
  )
})

describe.concurrent('a receiver', () => {
  test('is shown what comes, hidden things and programs first, and asked; Enter is yes', async ({ desk, skip }) => {
    const files: Files = { 'a.txt': '1', '.ssh/authorized_keys': 'key', 'bin/run': { content: '#!', mode: 0o755 } }
    const { sender, terminal } = await asked(desk, skip, files)
    expect(await terminal.output()).toMatch(
      /\n3 files, 6 bytes from \S+ \(127\.0\.0\.1\):\n {2}hidden: \.ssh\/authorized_keys\n {2}executable: bin\/run\n {2}a\.txt {2}bin\/run\ninto \.\/tree \(.* free\)\nAccept\? \[Y\/n\]$/,
    )
    expect(desk.names('here')).toEqual([])
    await terminal.answer('')
    expect(await terminal.ended()).toMatchObject({ status: 0, output: expect.stringContaining('Saved to ') as string })
    expect((await sender.process.end).code).toBe(0)
    expect(desk.read('here', 'tree', 'a.txt')).toBe('1')
  })

  test.for([
    ['n', 3, 'error: declined; nothing was received', 'error: the receiver said no'],
    ['C-d', 3, 'error: the question was not answered', 'error: nobody answered at the receiver'],
  ] as const)(
    'who answers with %s takes nothing (3), and the sender is told',
    async ([key, status, says, told], { desk, skip }) => {
      const { sender, terminal } = await asked(desk, skip, { a: '1' })
      if (key === 'n') await terminal.answer(key)
      else await terminal.press(key)
      const ended = await terminal.ended()
      expect(ended.status).toBe(status)
      expect(ended.output).toMatch(new RegExp(`Accept\\? \\[Y/n\\] ?n?\\n${says}\\nhint: `))
      const sent = await sender.process.end
      expect(sent.code).toBe(3)
      expect(sent.stderr).toMatch(new RegExp(`^${told}\\nhint: .*\\n$`))
      expect(desk.names('here')).toEqual([])
    },
  )

  test('who stops at the question leaves nothing, and the sender hears it at once and waits on', async ({
    desk,
    skip,
  }) => {
    const { sender, terminal } = await asked(desk, skip, { a: '1' })
    await terminal.press('C-c')
    const ended = await terminal.ended()
    expect(ended.status).toBe(130)
    expect(ended.output).toMatch(/Accept\? \[Y\/n\]\nstopped\nhint: /)
    await sender.process.event(
      'warning',
      ({ code, message }) => code === 'interrupted' && /was stopped; waiting/.test(message as string),
    )
    expect(desk.names('here')).toEqual([])
    expect(await modes(terminal)).toMatch(/ icanon /)
    // The old line still works: it comes by its key.
    await terminal.run(`sealift receive ${sender.connect}`)
    await terminal.shows('Accept? [Y/n]')
    await terminal.answer('y')
    expect(await terminal.ended()).toMatchObject({ status: 0 })
    expect((await sender.process.end).code).toBe(0)
  })

  test.for([
    ['is stopped', 'SIGINT', 5, /Accept\? \[Y\/n\]\nerror: the sender was stopped\nhint: /],
    ['is killed', 'SIGKILL', -1, /Accept\? \[Y\/n\]\nwarning: .*; connecting again\n/],
  ] as const)(
    'need not answer when the sender %s: the question ends by itself',
    async ([, signal, status, says], { desk, skip }) => {
      const { sender, terminal } = await asked(desk, skip, { a: '1' })
      sender.process.kill(signal)
      await terminal.shows(says)
      if (status > 0) expect(await terminal.ended()).toMatchObject({ status })
      else await terminal.press('C-c')
      expect((await terminal.ended()).output).not.toMatch(/Accept.*Accept/s)
      expect(desk.names('here')).toEqual([])
    },
  )

  test('has all listed a screen at a time on asking for it, and is asked again', async ({ desk, skip }) => {
    const files = Object.fromEntries(Array.from({ length: 60 }, (_, at) => [`f${String(at).padStart(2, '0')}`, 'x']))
    const { sender, terminal } = await asked(desk, skip, files, { rows: 20 })
    expect(await terminal.output()).toMatch(/f00 {2}f01 .* and 4\d more\n.*\nAccept\? \[Y\/n\/l\]$/s)
    await terminal.answer('l')
    await terminal.shows(/1 byte {2}tree\/f18\nEnter shows more, q goes back:$/)
    await terminal.answer('')
    await terminal.shows(/1 byte {2}tree\/f37\nEnter shows more, q goes back:$/)
    await terminal.answer('q')
    await terminal.shows(/back: q\nAccept\? \[Y\/n\/l\]$/)
    await terminal.answer('y')
    expect(await terminal.ended()).toMatchObject({ status: 0 })
    expect((await sender.process.end).code).toBe(0)
  })

  test('sees hostile names on lines of their own, on 40 columns too', async ({ desk, skip }) => {
    const name = 'n'.repeat(200)
    const files = { [name]: '1', '.red\u001b[31m\r': '2', 'cod\u202egpj.exe': '3', 'a\u200bb': '4' }
    const { terminal } = await asked(desk, skip, files, { columns: 40 })
    const lines = await terminal.screen()
    const start = lines.findIndex((line) => line.startsWith('4 files'))
    expect(lines.slice(start, start + 5).map((line) => line.replace(/from.*|into.*/, ''))).toEqual([
      '4 files, 4 bytes ',
      String.raw`  hidden: .red\x1b[31m\x0d`,
      String.raw`  a\u{200b}b  cod\u{202e}gpj.exe`,
      `    ${'n'.repeat(24)}…${'n'.repeat(11)}`,
      '',
    ])
    await terminal.answer('n')
    await terminal.ended()
  })
})

describe.concurrent('what is in the way', () => {
  const OLD = 1_500_000_000
  const NEW = 1_700_000_000
  const theirs: Files = {
    a: { content: 'theirs', mtime: 1_600_000_000 },
    b: { content: 'theirs', mtime: 1_600_000_000 },
    c: { content: 'same', mtime: OLD },
    d: { content: 'fresh', mtime: OLD },
  }
  const mine: Files = {
    a: { content: 'mine', mtime: OLD },
    b: { content: 'mine here', mtime: NEW },
    c: { content: 'same', mtime: OLD },
  }
  const QUESTION = '[K]eep both, [o]verwrite, [u]pdate, [l]eave mine, or [s]top?'

  async function answered(
    desk: Desk,
    skip: Skip,
    ...answers: string[]
  ): Promise<{ status: number; output: string; contents: string[][]; sent: number | null }> {
    desk.folder('here/tree', mine)
    const { sender, terminal } = await asked(desk, skip, theirs)
    for (const answer of answers) {
      await terminal.shows(/\[s\]top\?$/)
      await terminal.answer(answer)
    }
    const ended = await terminal.ended()
    const sent = await sender.process.end
    const contents = desk
      .names('here')
      .map((name) => [name, ...desk.names('here', name).map((file) => desk.read('here', name, file))])
    return { ...ended, sent: sent.code, contents }
  }

  test('is named with sizes and times of both, with what each answer does, and only an answer counts', async ({
    desk,
    skip,
  }) => {
    const { status, output, contents, sent } = await answered(desk, skip, 'overlook', '?', 'o')
    expect([status, sent]).toEqual([0, 0])
    expect(output).toMatch(
      /There already, and different: 2 files\.\n {2}tree\/a: theirs 6 bytes, 2020-09-13 .*; yours 4 bytes, 2017-07-14 \S+\n/,
    )
    expect(output).toMatch(/yours 9 bytes, 2023-11-1\d \S+,\s+newer\n/)
    expect(output).toMatch(
      / {2}k {2}keeps both: what comes is saved as 'tree \(1\)'\n {2}o {2}overwrites 2 files of yours\n {2}u {2}overwrites only what is older: 1 file\n/,
    )
    expect(output).toContain(`${QUESTION} overlook\nPlease answer k, o, u, l or s.\n${QUESTION} ?`)
    expect(output.match(/tree\/a: theirs/g)).toHaveLength(2)
    expect(output).toMatch(/\nReplaced 2 files of yours: tree\/a {2}tree\/b$/)
    expect(contents).toEqual([['tree', 'theirs', 'theirs', 'same', 'fresh']])
  })

  test.for([
    [
      '',
      0,
      [
        ['tree', 'mine', 'mine here', 'same'],
        ['tree (1)', 'theirs', 'theirs', 'same', 'fresh'],
      ],
    ],
    ['Update', 0, [['tree', 'theirs', 'mine here', 'same', 'fresh']]],
    ['s', 3, [['tree', 'mine', 'mine here', 'same']]],
  ] as const)('after %j is as it says (%i)', async ([answer, status, contents], { desk, skip }) => {
    const ended = await answered(desk, skip, answer)
    expect(ended).toMatchObject({ status, sent: status, contents })
  })

  test('is asked about though the sender wishes for something, and keeping both renames no root that is the same', async ({
    desk,
    skip,
  }) => {
    const roots: Files = { one: { content: 'same', mtime: OLD }, two: 'theirs' }
    const folder = desk.folder('roots', roots)
    desk.folder('here', { ...roots, two: 'mine' })
    const sender = await desk.send([join(folder, 'one'), join(folder, 'two'), '--conflict', 'skip'], { user: 'ada' })
    const terminal = await bobs(desk, skip)
    await terminal.run(`sealift receive ${sender.connect}`)
    await terminal.shows('[K]eep both, [o]verwrite, [l]eave mine, or [s]top?')
    await terminal.answer('k')
    expect(await terminal.ended()).toMatchObject({ status: 0 })
    expect(desk.names('here')).toEqual(['one', 'two', 'two (1)'])
  })
})

describe.concurrent('what is typed for address and token', () => {
  const loud = (token: string): string => token.toUpperCase().replace('-', '  ')

  test('is asked for again until it is one, and means the same in capitals and with spaces', async ({ desk, skip }) => {
    const [sender, terminal] = await Promise.all([desk.send([desk.folder('tree', { a: '1' })]), bobs(desk, skip)])
    await terminal.run('sealift receive --yes')
    expect(await terminal.ended()).toMatchObject({ status: 2 })
    await terminal.run('sealift receive')
    await terminal.shows(/^Address of the sender:$/)
    await terminal.answer('')
    for (const garbage of ['two hosts', '127.0.0.1:99999', '::1']) {
      await terminal.answer(garbage)
      await terminal.shows(/Address of the sender:$/)
    }
    expect((await terminal.output()).match(/no address to receive from|no port/g)).toHaveLength(3)
    await terminal.answer(`sealift receive 127.0.0.1:${String(sender.port)}`)
    await terminal.shows(/Token:$/)
    await terminal.answer(` "${loud(sender.token)}"`)
    await terminal.shows('Accept? [Y/n]')
    await terminal.answer('')
    expect(await terminal.ended()).toMatchObject({ status: 0 })
    expect((await sender.process.end).code).toBe(0)
    expect(fs.existsSync(desk.path('here', 'tree', 'a'))).toBe(true)
  })

  test.for([
    ['C-d', 3, /Token:\nerror: the question was not answered\nhint: /],
    ['C-c', 130, /Token:\nstopped\nhint: /],
  ] as const)('ends with %s (%i)', async ([key, status, says], { desk, skip }) => {
    const terminal = await bobs(desk, skip)
    await terminal.run('sealift receive 127.0.0.1')
    await terminal.shows(/Token:$/)
    await terminal.press(key)
    const ended = await terminal.ended()
    expect(ended.status).toBe(status)
    expect(ended.output).toMatch(says)
  })

  test('means the same in the address, however its words are set apart', async ({ desk }) => {
    const sender = await desk.send([desk.folder('tree', { a: '1' })])
    const token = sender.token.toUpperCase().replace('-', ' : ')
    const received = await desk.receive(`127.0.0.1:${String(sender.port)}:${token}`)
    expect([received.code, (await sender.process.end).code]).toEqual([0, 0])
  })
})
