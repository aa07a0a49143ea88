/** A text that arrives: how it looks on a real terminal. */

import { describe, expect } from 'vitest'
import { test } from '../rigs/cli-process.ts'
import { openTerminal } from '../rigs/terminal.ts'

describe.concurrent('a text', () => {
  test('stands on lines of its own, harmless, and nothing is drawn over it', async ({ desk, skip }) => {
    const [sender, terminal] = await Promise.all([
      desk.send(['--text', 'the code is 1234\n\u001b[31mred'], { user: 'ada' }),
      openTerminal(desk, skip, { user: 'bob', cwd: desk.folder('here'), columns: 100 }),
    ])
    await terminal.run(`sealift receive ${sender.connect} -y`)
    const { status, output } = await terminal.ended()
    expect(status).toBe(0)
    const lines = output.trimEnd().split('\n')
    expect(lines.at(-2)).toBe('the code is 1234')
    expect(lines.at(-1)).toMatch(/^\\.*\[31mred$/)
    expect(await sender.process.end).toMatchObject({ code: 0 })
  })
})
