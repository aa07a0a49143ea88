/** `sealift keygen`, as a process and on a real terminal: which files, which password, which warnings (S-54, S-55). */

import fs from 'node:fs'
import { describe, expect } from 'vitest'

import { readKeyFile } from '../../src/identity/key-file.ts'
import { normalizePassword } from '../../src/identity/password.ts'
import { fingerprintOf, parsePublicKey } from '../../src/identity/public-key.ts'
import { type Desk, type Ended, test } from '../rigs/cli-process.ts'
import { openTerminal } from '../rigs/terminal.ts'

const PASSWORD = 'correct horse battery'

/** The fingerprint of the key in a folder, if the password opens it; else the code of why not. */
async function opened(desk: Desk, folder: string, password: string | null): Promise<string> {
  const given = (): Promise<Uint8Array | null> =>
    Promise.resolve(password === null ? null : normalizePassword(password))
  try {
    return fingerprintOf((await readKeyFile(desk.path(folder, 'sealift.key'), given)).publicKey)
  } catch (error) {
    return (error as { code: string }).code
  }
}

const warningsOf = ({ events }: Ended): unknown[] =>
  events.filter(({ event }) => event === 'warning').map(({ code }) => code)

describe.concurrent('keygen', () => {
  test('as the seed has it: --output and --password with its value, said to be seen by others', async ({ desk }) => {
    const made = await desk.run(['keygen', '--output', './keys', '--password', PASSWORD, '--json'])
    expect([made.code, warningsOf(made)]).toEqual([0, ['password_shown']])
    const key = made.events.find(({ event }) => event === 'key')
    expect(key).toEqual({
      event: 'key',
      privateKey: desk.path('keys', 'sealift.key'),
      publicKey: desk.path('keys', 'sealift.pub'),
      fingerprint: await opened(desk, 'keys', PASSWORD),
    })
    const mode = (name: string): string => (fs.statSync(desk.path('keys', name)).mode & 0o777).toString(8)
    expect([mode('sealift.key'), mode('.')]).toEqual(['600', '700'])
    expect(fingerprintOf(parsePublicKey(desk.read('keys', 'sealift.pub')).key)).toBe(key?.['fingerprint'])
    expect(made.stdout + made.stderr).not.toContain(PASSWORD)
    expect(await opened(desk, 'keys', null)).toBe('auth_failed')
  })

  test('without a password leaves the key open, and says so; people get the line to pass on', async ({ desk }) => {
    const made = await desk.run(['keygen', '--output', 'keys'])
    expect([made.code, made.stdout]).toEqual([0, ''])
    expect(made.stderr).toContain('not sealed')
    expect(made.stderr).toContain(await opened(desk, 'keys', null))
    expect(made.stderr).toContain(desk.read('keys', 'sealift.pub'))
  })

  test('puts them into the user’s own folder where no other is named', async ({ desk }) => {
    expect((await desk.run(['keygen', '-q'], { user: 'ana' })).code).toBe(0)
    expect(desk.names('home', 'ana', 'config', 'sealift')).toEqual(['sealift.key', 'sealift.pub'])
  })

  test('--password before another option asks, and takes SEALIFT_PASSWORD instead', async ({ desk }) => {
    const line = ['keygen', '--password', '--output', 'keys', '--json']
    const nobody = await desk.run(line)
    expect([nobody.code, nobody.events.at(-1)?.['code'], desk.names('keys')]).toEqual([2, 'usage', []])
    const made = await desk.run(line, { env: { SEALIFT_PASSWORD: PASSWORD } })
    expect([made.code, warningsOf(made)]).toEqual([0, []])
    expect(await opened(desk, 'keys', PASSWORD)).toMatch(/^SHA256:/)
  })

  test('takes the first line of --password-file, and warns of a short one', async ({ desk }) => {
    desk.folder('here', { secret: 'kürzer\nsecond line\n', empty: '\n' })
    const made = await desk.run(['keygen', '--password-file', 'here/secret', '-o', 'keys', '--json'])
    expect([made.code, warningsOf(made)]).toEqual([0, ['password_short']])
    expect(await opened(desk, 'keys', 'kürzer')).toMatch(/^SHA256:/)
    const codes = await Promise.all(
      [
        ['--password-file', 'here/none'],
        ['--password-file', 'here/empty'],
        ['--password', 'x', '--password-file', 'here/secret'],
        ['--password='],
      ].map(async (given) => (await desk.run(['keygen', '-o', 'others', ...given])).code),
    )
    expect([codes, desk.names('others')]).toEqual([[2, 2, 2, 2], []])
  })

  test.for(['sealift.key', 'sealift.pub'])('never replaces %s, and makes no half pair', async (taken, { desk }) => {
    desk.folder('keys', { [taken]: 'mine' })
    const made = await desk.run(['keygen', '--output', 'keys', '--json'])
    expect([made.code, made.events.at(-1)?.['code']]).toEqual([3, 'conflict'])
    expect([desk.names('keys'), desk.read('keys', taken)]).toEqual([[taken], 'mine'])
  })

  test('into what is no folder, or into /proc where nothing can be made, says so', async ({ desk }) => {
    desk.folder('here', { file: '' })
    const made = await desk.run(['keygen', '--output', 'here/file'])
    expect([made.code, made.stderr]).toEqual([2, expect.stringContaining('this is no folder')])
  })

  test('takes no path, and repeats nothing of what was typed', async ({ desk }) => {
    const made = await desk.run(['keygen', '--password', 'sesame-street', 'keys'])
    expect([made.code, made.stderr.includes('sesame')]).toEqual([2, false])
  })
})

describe.concurrent('the password on a terminal', () => {
  test('is asked for twice and not shown; what differs or is empty is asked for again', async ({ desk, skip }) => {
    const terminal = await openTerminal(desk, skip, { user: 'ana' })
    await terminal.run('sealift keygen --password --output keys')
    await terminal.shows('New password:')
    await terminal.press('Enter')
    await terminal.shows(/empty[^]*New password:\s*$/)
    await terminal.type(PASSWORD)
    await terminal.press('Enter')
    await terminal.shows(/Once more:\s*$/)
    await terminal.type('something else')
    await terminal.press('Enter')
    await terminal.shows(/differ[^]*New password:\s*$/)
    for (const question of [/Once more:\s*$/, /Fingerprint/]) {
      await terminal.type(PASSWORD)
      await terminal.press('Enter')
      await terminal.shows(question)
    }
    const { status } = await terminal.ended()
    const text = await terminal.text()
    expect(status).toBe(0)
    for (const secret of [PASSWORD, 'horse', 'something else', '*']) expect(text).not.toContain(secret)
    expect(await opened(desk, 'keys', PASSWORD)).toMatch(/^SHA256:/)
  })

  test('Ctrl-C and the end of input leave nothing behind', async ({ desk, skip }) => {
    const terminal = await openTerminal(desk, skip, { user: 'ana' })
    for (const [key, status] of [
      ['C-c', 130],
      ['C-d', 3],
    ] as const) {
      await terminal.run('sealift keygen --password --output keys')
      await terminal.shows('New password:')
      await terminal.press(key)
      expect((await terminal.ended()).status).toBe(status)
    }
    expect(desk.names('keys')).toEqual([])
    // The terminal shows again what is typed.
    await terminal.run('echo seen')
    await terminal.shows('seen')
  })

  test('is not asked for where there is a key already', async ({ desk, skip }) => {
    desk.folder('keys', { 'sealift.key': 'mine' })
    const terminal = await openTerminal(desk, skip, { user: 'ana' })
    await terminal.run('sealift keygen --password --output keys')
    const { status, output } = await terminal.ended()
    expect([status, output.includes('New password')]).toEqual([3, false])
  })
})
