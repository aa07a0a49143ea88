/** Completion in the shells themselves: Tab is pressed, and what stands on the line then is looked at. */

import { spawnSync } from 'node:child_process'
import { describe, expect } from 'vitest'
import { type Desk, test } from '../rigs/cli-process.ts'
import { openTerminal } from '../rigs/terminal.ts'

interface Shell {
  readonly name: string
  readonly start: string
  /** As the help of `sealift completion` has it, in the shell that runs. */
  readonly install: string
}

const SHELLS: readonly Shell[] = [
  {
    name: 'bash',
    start: 'exec bash --norc --noprofile',
    install: String.raw`eval "$(sealift completion bash)"; PS1='> '`,
  },
  {
    name: 'zsh',
    start: 'exec zsh -f',
    install: String.raw`autoload -Uz compinit; compinit -u -D; eval "$(sealift completion zsh)"; PS1='> '`,
  },
  {
    name: 'fish',
    start: 'exec fish --no-config',
    install: 'sealift completion fish | source; function fish_prompt; echo "> "; end',
  },
]

async function unfinishedTransfer(desk: Desk): Promise<string> {
  const sender = await desk.send([desk.folder('tree', { a: '1' })], { user: 'bob' })
  sender.process.kill('SIGINT')
  await sender.process.end
  return sender.transferId
}

describe.concurrent('Tab', () => {
  test.for(SHELLS)('completes in $name', { timeout: 60_000 }, async ({ name, start, install }, { desk, skip }) => {
    if (spawnSync(name, ['--version']).error !== undefined) skip(`there is no ${name}`)
    const id = await unfinishedTransfer(desk)
    const here = desk.folder('here', { 'photos 2024/a': '1', 'photo.txt': '1', 'patterns.txt': '*.log' })
    const terminal = await openTerminal(desk, skip, { cwd: here, user: 'bob', columns: 160 })
    await terminal.type(start)
    await terminal.press('Enter')
    await terminal.shows(/[%#$>] ?$/)
    await terminal.type(install)
    await terminal.press('Enter')
    await terminal.shows(/\n> ?$/)
    const lines: readonly (readonly [typed: string, becomes: string])[] = [
      ['sealift stat', 'sealift status'],
      ['sealift send --compress=zs', 'sealift send --compress=zstd'],
      [String.raw`sealift send photos\ `, String.raw`sealift send photos\ 2024/`],
      ['sealift send --exclude-from=pat', 'sealift send --exclude-from=patterns.txt'],
      ['sealift receive -o photos', String.raw`sealift receive -o photos\ 2024/`],
      [`sealift resume ${id.slice(0, 3)}`, `sealift resume ${id}`],
      // What is typed is looked at, never run.
      ['sealift resume $(touch ran) --yes --wai', 'sealift resume $(touch ran) --yes --wait'],
    ]
    for (const [typed, becomes] of lines) {
      await terminal.type(typed)
      await terminal.press('Tab')
      await terminal.shows(`> ${becomes}`)
      await terminal.press('C-u')
    }
    expect(desk.names('here')).toEqual(['patterns.txt', 'photo.txt', 'photos 2024'])
  })

  test('makes no ledger, and says nothing of a broken one', async ({ desk }) => {
    const fresh = await desk.run(['complete', 'bash', '--', 'resume', ''])
    expect(fresh).toMatchObject({ code: 0, stdout: '', stderr: '' })
    expect(desk.names('home', 'user', 'data')).toEqual([])
    desk.folder('home/user/data/sealift', { 'ledger.db': 'no database' })
    expect(await desk.run(['complete', 'zsh', '--', 'resume', ''])).toMatchObject({ code: 0, stdout: '', stderr: '' })
  })

  test('is not there for other shells', async ({ desk }) => {
    const { code, stderr } = await desk.run(['completion', 'tcsh'])
    expect(code).toBe(2)
    expect(stderr).toMatch(/bash, zsh, fish/)
  })
})
