/** Ctrl-C on a real terminal, at every stage: what is said, what is left, and how the terminal is then. */

import net from 'node:net'
import { describe, expect } from 'vitest'
import { type Desk, test } from '../rigs/cli-process.ts'
import { openTerminal, type Terminal } from '../rigs/terminal.ts'

type Skip = (reason: string) => void

/** Many things one after another, each of which may take a moment. */
const PATIENT = { timeout: 60_000 }
const CONTENT = Buffer.alloc(12_000_000, 'sealift')
const SLOW = '--bwlimit 500K'
const HINT = /stopped\nhint: run the same line again, or:?\s+sealift resume [0-9a-f-]{36}$/

const open = (desk: Desk, skip: Skip, env: Readonly<Record<string, string>> = {}): Promise<Terminal> =>
  openTerminal(desk, skip, { user: 'ada', cwd: desk.folder('here'), columns: 100, env })

/** Presses Ctrl-C; what follows is true of every stage. @returns what was written */
async function interrupt(terminal: Terminal, status = 130): Promise<string> {
  await terminal.press('C-c')
  const ended = await terminal.ended()
  expect(ended.status).toBe(status)
  expect(ended.output).not.toMatch(/\^C|█|░|%/)
  expect(await terminal.isTidy()).toBe(true)
  // What is typed is seen.
  await terminal.run('echo typed')
  expect((await terminal.ended()).output).toBe('typed')
  return ended.output
}

async function isFree(port: number): Promise<boolean> {
  const server = net.createServer()
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

describe.concurrent('Ctrl-C at a sender', () => {
  test(
    'that waits, in a new transfer and in one that is resumed, while it moves, and while it waits again',
    PATIENT,
    async ({ desk, skip }) => {
      const terminal = await open(desk, skip)
      const tree = desk.folder('tree', { large: CONTENT })
      await terminal.run(`sealift send ${tree} --pod --port 0 -y ${SLOW}`)
      await terminal.shows('Waiting for the receiver')
      expect(await interrupt(terminal)).toMatch(HINT)

      await terminal.run(`sealift resume $(sealift status --json | grep -o '[0-9a-f-]\\{36\\}' | head -n 1) ${SLOW}`)
      await terminal.shows('Waiting for the receiver')
      const connect = /sealift receive (\S+)/.exec(await terminal.output())?.[1] as string
      const port = Number(connect.split(':')[1])
      const receiver = desk.start(desk.receiving(connect), { user: 'bob' })
      await terminal.shows(/\d+%/)
      expect(await interrupt(terminal)).toMatch(HINT)
      expect(await isFree(port)).toBe(true)
      await receiver.said(/the sender was stopped/)

      await terminal.run(`sealift send ${tree} --pod --port ${String(port)} -y ${SLOW}`)
      await terminal.shows(/\d+%/)
      receiver.kill('SIGINT')
      expect((await receiver.end).code).toBe(130)
      await terminal.shows('waiting for the receiver to come back')
      expect(await interrupt(terminal)).toMatch(HINT)
    },
  )

  test('that looks through a tree on a slow disk', PATIENT, async ({ desk, skip }) => {
    const slow = `import fs from 'node:fs'
const { lstatSync } = fs
fs.lstatSync = (...args) => {
  for (const untilMs = performance.now() + 1; performance.now() < untilMs; );
  return lstatSync(...args)
}`
    desk.folder('disk', { 'slow.mjs': slow })
    const files = Array.from({ length: 10_000 }, (_, at) => [`d${String(at % 20)}/${String(at)}`, ''])
    const tree = desk.folder('tree', Object.fromEntries(files))
    const terminal = await open(desk, skip, { NODE_OPTIONS: `--import=${desk.path('disk', 'slow.mjs')}` })
    await terminal.run(`sealift send ${tree} --pod --port 0 -y`)
    await terminal.shows('Looking through the files')
    const startMs = performance.now()
    expect(await interrupt(terminal)).toBe('stopped\nhint: run the same line again: it goes on with what is missing')
    expect(performance.now() - startMs).toBeLessThan(5000)
    expect(desk.names('home', 'ada', 'data')).toEqual([])
  })

  test(
    'twice, with a receiver that answers nothing: at once, and the terminal is as it was',
    PATIENT,
    async ({ desk, skip }) => {
      const terminal = await open(desk, skip)
      await terminal.run(`sealift send ${desk.folder('tree', { large: CONTENT })} --pod --port 0 -y ${SLOW}`)
      await terminal.shows('Waiting for the receiver')
      const connect = /sealift receive (\S+)/.exec(await terminal.output())?.[1] as string
      const receiver = desk.start(desk.receiving(connect), { user: 'bob' })
      await terminal.shows(/\d+%/)
      receiver.kill('SIGSTOP')
      await terminal.press('C-c')
      await terminal.shows('Stopping; Ctrl-C once more ends it at once')
      expect(await interrupt(terminal)).not.toMatch(/Stopping/)
    },
  )
})

describe.concurrent('Ctrl-C at a receiver', () => {
  test(
    'while it moves, and when it comes back: what is safe stays, and the sender hears of it',
    PATIENT,
    async ({ desk, skip }) => {
      const terminal = await open(desk, skip)
      const sender = await desk.send([desk.folder('tree', { large: CONTENT })], { user: 'bob' })
      await terminal.run(`sealift receive ${sender.connect} -y ${SLOW}`)
      await terminal.shows(/\d+%/)
      expect(await interrupt(terminal)).toMatch(HINT)
      await sender.process.said(/the receiver was stopped; waiting for it to come back/)
      expect(desk.names('here')).toEqual([`.sealift-${sender.transferId}.part`])

      await terminal.run(`sealift resume ${sender.transferId.slice(0, 8)} ${SLOW}`)
      await terminal.shows(/\d+%/)
      expect(await interrupt(terminal)).toMatch(HINT)

      await terminal.run(`sealift receive ${sender.connect} -y`)
      expect(await terminal.ended()).toMatchObject({ status: 0 })
      expect(desk.names('here')).toEqual(['tree'])
    },
  )
})

describe.concurrent('a window that is closed', () => {
  test('ends what runs in it, and the other side is told', PATIENT, async ({ desk, skip }) => {
    const terminal = await open(desk, skip)
    await terminal.run(`sealift send ${desk.folder('tree', { large: CONTENT })} --pod --port 0 -y ${SLOW}`)
    await terminal.shows('Waiting for the receiver')
    const connect = /sealift receive (\S+)/.exec(await terminal.output())?.[1] as string
    const receiver = desk.start(desk.receiving(connect), { user: 'bob' })
    await receiver.event('progress', ({ bytesDone }) => (bytesDone as number) > 0)
    await terminal.close()
    await receiver.said(/the sender was stopped/)
  })
})
