/** How a transfer looks on a real terminal: the progress line, its waits, widths and names. */

import { once } from 'node:events'
import fs from 'node:fs'
import net, { type AddressInfo } from 'node:net'
import { describe, expect } from 'vitest'
import { type CliProcess, type Desk, test } from '../rigs/cli-process.ts'
import { openTerminal, type Terminal } from '../rigs/terminal.ts'

type Skip = (reason: string) => void

/** Many things one after another, each of which may take a moment. */
const PATIENT = { timeout: 60_000 }
const CONTENT = Buffer.alloc(3_000_000, 'sealift')
const SLOW = '--bwlimit 500K'

const open = (desk: Desk, skip: Skip, columns = 80): Promise<Terminal> =>
  openTerminal(desk, skip, { user: 'ada', cwd: desk.folder('here'), columns })

/** Starts a sender on the terminal. @returns what a receiver connects to */
async function sendOn(terminal: Terminal, line: string): Promise<string> {
  await terminal.run(`sealift send ${line} --pod --port 0 -y`)
  await terminal.shows(/sealift receive \S+:\S+/)
  return /sealift receive (\S+)/.exec(await terminal.output())?.[1] ?? ''
}

/** The progress lines among what was seen: one is right, more are torn. */
function progressLines(seen: string): string[] {
  return seen.split('\n').filter((line) => /\d+%|█|Waiting|Connecting/.test(line))
}

describe.concurrent('the progress line', () => {
  test('of a sender waits, moves, and fits every width', PATIENT, async ({ desk, skip }) => {
    const terminal = await open(desk, skip)
    // Long enough for a machine that is busy with other things: nothing here waits for its end.
    const tree = desk.folder('tree', { large: Buffer.alloc(28_000_000), small: 's' })
    const connect = await sendOn(terminal, `${tree} ${SLOW}`)
    await terminal.shows(/\nWaiting for the receiver, (5 min|4 min 5\d s) left$/)
    await terminal.resize(40, 24)
    await terminal.shows(/\nWaiting, (5 min|4 min \d+ s) left$/)
    const receiver = desk.start(desk.receiving(connect), { user: 'bob', longestMs: PATIENT.timeout })
    await terminal.shows(/\n *\d+% {2} *\d\.\d of 26\.7 MiB( {2}\d+ s left)?$/)
    for (const columns of [100, 40, 62, 20, 80]) {
      await terminal.resize(columns, 24)
      const seen = await terminal.shows(columns < 80 ? /\n *\d+%[^\n█]*$/ : /\n█*░* +\d+% {2}/)
      expect(progressLines(seen)).toHaveLength(1)
      for (const line of await terminal.screen()) expect(line.length).toBeLessThanOrEqual(columns)
    }
    await terminal.press('C-c')
    expect((await terminal.ended()).status).toBe(130)
    receiver.kill('SIGINT')
    await receiver.end
  })

  test('of a sender is gone at the end', PATIENT, async ({ desk, skip }) => {
    const terminal = await open(desk, skip)
    const connect = await sendOn(terminal, `${desk.folder('tree', { large: CONTENT, small: 's' })} --bwlimit 1M`)
    const receiver = desk.start(desk.receiving(connect), { user: 'bob' })
    await terminal.shows(/\d+%/)
    const { status, output } = await terminal.ended()
    expect([status, (await receiver.end).code]).toEqual([0, 0])
    expect(output).toMatch(/\nConnected to [^█%]+\nTransfer complete: 3,000,001 bytes sent/)
    expect(progressLines(await terminal.text())).toEqual([])
    expect(await terminal.isTidy()).toBe(true)
  })

  test('says that the receiver is asked, that it is silent, and that it left', PATIENT, async ({ desk, skip }) => {
    const [terminal, other] = await Promise.all([open(desk, skip), open(desk, skip)])
    const large = Buffer.alloc(12_000_000, 'sealift')
    const connect = await sendOn(terminal, desk.folder('tree', { large }))
    await other.run(`sealift receive ${connect} ${SLOW}`)
    await other.shows(/Accept\?.*$/)
    await terminal.shows('Waiting for the receiver to accept')
    // The question has the terminal to itself.
    expect(progressLines(await other.text())).toEqual([])
    await other.press('Enter')
    await other.shows(/\d+%.*KiB\/s \(--bwlimit\)/)
    await other.press('C-z')
    await terminal.shows(/no answer from the receiver for \d+ s$/)
    expect(await other.isTidy()).toBe(true)
    await other.run('fg')
    await other.shows(/\d+%.*KiB\/s/)
    await terminal.shows(/\d+%.*iB\/s/)
    await other.press('C-c')
    await terminal.shows(/waiting for the receiver to come back, 4 min 5\d s left$/)
    await terminal.press('C-c')
    expect((await terminal.ended()).status).toBe(130)
  })

  test('of a receiver says that it connects, and connects again', PATIENT, async ({ desk, skip, onTestFinished }) => {
    const silent = net.createServer().listen(0, '127.0.0.1')
    onTestFinished(() => void silent.close())
    await once(silent, 'listening')
    const terminal = await open(desk, skip)
    await terminal.run(`sealift receive 127.0.0.1:${String((silent.address() as AddressInfo).port)}:coral-magnet`)
    await terminal.shows(/^Connecting, \d+ s now$/)
    await terminal.press('C-c')
    expect(await terminal.ended()).toMatchObject({ status: 130, output: expect.stringMatching(/^stopped\n/) as string })
    expect(desk.names('here')).toEqual([])
    const sender = await desk.send([desk.folder('tree', { large: CONTENT })])
    await terminal.run(`sealift receive ${sender.connect} -y ${SLOW}`)
    await terminal.shows(/\d+%/)
    sender.process.kill('SIGKILL')
    await terminal.shows(/connecting again in \d s$/)
    // The line says it, and the reason stands there once.
    expect((await terminal.output()).match(/nothing listens there/g)?.length ?? 0).toBeLessThanOrEqual(1)
    await terminal.press('C-c')
    expect((await terminal.ended()).status).toBe(130)
  })
})

describe.concurrent('words', () => {
  test('are wrapped between words, hostile names escaped, and the line to copy is left whole', async ({
    desk,
    skip,
  }) => {
    const terminal = await open(desk, skip, 40)
    const tree = desk.folder('tree', { a: '1', ['\u001b[2J\u202e日本語 out']: { link: '/etc/passwd' } })
    await sendOn(terminal, tree)
    const screen = await terminal.screen()
    const text = screen.join('\n')
    expect(text).toMatch(/warning: .*\\x1b\[2J\\u\{202e\}日本語/)
    expect(text).not.toMatch(/[\u001b\u202e]/)
    expect(await terminal.text()).toMatch(/\n {4}sealift receive 127\.0\.0\.1:\d+:[a-z]+-[a-z]+(\n|$)/)
    await terminal.press('C-c')
    const { output } = await terminal.ended()
    expect(output).toMatch(/\nstopped\nhint: run the same line again, or:\n {2}sealift resume [0-9a-f-]{36}$/)
  })
})

describe.concurrent('status', () => {
  test(
    '--watch stays in its place, fits when the terminal is made narrow, and leaves it tidy',
    PATIENT,
    async ({ desk, expect, skip }) => {
      const terminal = await open(desk, skip, 120)
      const name = `${'名前 '.repeat(30)}.txt`
      const sender = await desk.send([`${desk.folder('tree', { [name]: 'x' })}/${name}`], { user: 'ada' })
      await terminal.run('sealift status --watch')
      await terminal.shows(/pending/)
      const second = await desk.send([desk.folder('other', { a: '1' })], { user: 'ada' })
      await terminal.shows(new RegExp(second.transferId))
      for (const columns of [40, 120, 50]) {
        await terminal.resize(columns, 24)
        const widest = async (): Promise<number> => Math.max(...(await terminal.screen()).map((line) => line.length))
        // Until it is drawn for the new width, the terminal cuts it.
        await expect.poll(widest, { timeout: 10_000 }).toBeLessThan(columns)
        const screen = await terminal.screen()
        for (const id of [sender.transferId, second.transferId])
          expect(screen.filter((line) => line.startsWith(id))).toHaveLength(1)
      }
      await terminal.press('C-c')
      const { status, output } = await terminal.ended()
      // It stays readable on the screen of before.
      expect([status, output.split(sender.transferId).length - 1]).toEqual([0, 1])
      expect(await terminal.isTidy()).toBe(true)
    },
  )
})

describe.concurrent('a terminal that can do little', () => {
  /** What arrives at the terminal, byte for byte. */
  const raw = (desk: Desk, line: string, env: Record<string, string>): CliProcess =>
    desk.start([], {
      shell: `script -qec '"$NODE" "$SEALIFT" ${line}' /dev/null </dev/null >&2`,
      env: { OUT: desk.path('out'), ...env },
    })

  test.for([
    ['TERM=dumb gets no control characters, and no progress line', { TERM: 'dumb' }, /[^\P{Cc}\r\n]|█/u],
    ['NO_COLOR gets no colour', { TERM: 'xterm', NO_COLOR: '1' }, /\u001b\[[\d;]*m/],
  ] as const)('%s', async ([, env, unwanted], { desk, skip }) => {
    if (!fs.existsSync('/usr/bin/script')) skip('there is no script(1) to make a terminal with')
    const sender = await desk.send([desk.folder('tree', { a: CONTENT })])
    const receiver = raw(desk, 'receive "$CONNECT" -o "$OUT" -y --bwlimit 3M', { CONNECT: sender.connect, ...env })
    await receiver.said(/Saved to/)
    await receiver.end
    expect(receiver.stderr).not.toMatch(unwanted)
    expect((await sender.process.end).code).toBe(0)
  })
})
