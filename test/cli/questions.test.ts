/** What people are asked on a real terminal, and what becomes of each answer. */

import { describe, expect } from 'vitest'
import { type Desk, test } from '../rigs/cli-process.ts'
import { openTerminal, type Terminal } from '../rigs/terminal.ts'

/** Bob's terminal, in the folder `here`. */
const bobs = (desk: Desk, skip: (reason: string) => void): Promise<Terminal> =>
  openTerminal(desk, skip, { user: 'bob', cwd: desk.folder('here') })

describe.concurrent('consent', () => {
  test('is asked for; Enter is yes', async ({ desk, skip }) => {
    const sender = await desk.send([desk.folder('tree', { a: '1' })])
    const terminal = await bobs(desk, skip)
    await terminal.run(`sealift receive ${sender.connect}`)
    await terminal.shows('Accept? [Y/n]')
    expect(desk.names('here')).toEqual([])
    await terminal.press('Enter')
    expect(await terminal.ended()).toMatchObject({ status: 0, output: expect.stringContaining('Saved to ') as string })
    expect(desk.read('here', 'tree', 'a')).toBe('1')
  })
})
