/** `sealift receive` as the server, in a process of its own: what it says of its settings, and that it keeps secrets. */

import fs from 'node:fs'
import { describe, expect } from 'vitest'
import { sendFiles } from '../../src/index.ts'
import { type Desk, test } from '../rigs/cli-process.ts'

const CANARY = 'canary-abacus-zenith-quartz'
const WRONG = 'wrongcanary-abacus-zenith-quartz'

describe('--print-config', () => {
  test('shows each setting with its source, starts nothing and shows no secret', async ({ desk }) => {
    fs.writeFileSync(desk.path('settings'), 'ST_PORT=1111\nST_LAYOUT=by-date\nST_LOG_PATH="a\u001b[2J"\n')
    const { code, stdout, stderr } = await desk.run(
      ['receive', '--print-config', '--config', desk.path('settings'), '--rate-limit', '5MB', '-o', 'in'],
      { env: { ST_PORT: '2222', LOG_LEVEL: 'WARN', SEALIFT_TOKEN: CANARY, SEALIFT_PASSWORD: CANARY } },
    )
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/^ST_PORT=2222 {2}# environment: /m)
    expect(stdout).toMatch(/^LOG_LEVEL=WARN {2}# environment: /m)
    expect(stdout).toMatch(/^ST_LAYOUT=by-date {2}# file: /m)
    expect(stdout).toMatch(/^ST_LOG_PATH=a\\x1b\[2J {2}# file: /m)
    expect(stdout).toMatch(/^ST_RATE_LIMIT_BYTES_PER_SEC=5MB {2}# flag: /m)
    expect(stdout).toMatch(/^ST_OUTPUT_DIR=in {2}# flag: /m)
    expect(stdout).toMatch(/^ST_HOST=0\.0\.0\.0 {2}# default: /m)
    expect(stdout).not.toContain('canary')
    expect(fs.existsSync(desk.path('in'))).toBe(false)
  })

  test('says all faults at once, a line each, and where each was written', async ({ desk }) => {
    fs.writeFileSync(desk.path('settings'), 'ST_LAYOUT=sideways\nST_NONSENSE=1\n')
    const { code, stdout, stderr } = await desk.run(
      ['receive', '--print-config', '--config', desk.path('settings'), '--ban-threshold', 'none'],
      { env: { ST_PORT: '70000', ST_MAX_PAYLOAD_SIZE: '-1' } },
    )
    expect([code, stdout]).toEqual([2, ''])
    const faults = stderr.trimEnd().split('\n')
    expect(faults[0]).toMatch(/^error: 5 settings /)
    for (const name of [
      'ST_PORT',
      'ST_MAX_PAYLOAD_SIZE',
      '--ban-threshold',
      'ST_LAYOUT of the settings file',
      'ST_NONSENSE',
    ])
      expect(faults.filter((line) => line.startsWith('hint: ') && line.includes(name))).toHaveLength(1)
    expect(faults).toHaveLength(6)
  })
})

/** All that a server left behind but what it received and its own key and ledger. */
function textsOf(folder: string): string {
  const files = fs.readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return files.map(({ parentPath, name }) => fs.readFileSync(`${parentPath}/${name}`, 'latin1')).join('\n')
}

async function serve(desk: Desk, env: Record<string, string>, args: readonly string[]) {
  const server = desk.start(
    ['receive', '--host', '127.0.0.1', '--port', '0', '-o', desk.path('in'), '--health-port', '0', ...args],
    { env: { ...env, ST_LOG_PATH: desk.path('log'), LOG_LEVEL: 'trace' } },
  )
  const [, port = ''] = await server.said(
    /Receiving on 127\.0\.0\.1:(\d+)[^]*Health: http:\/\/127\.0\.0\.1:\d+\/health/,
  )
  const push = (secrets: { token?: string; password?: string }) =>
    sendFiles(desk.path('tree'), {
      to: `127.0.0.1:${port}`,
      ledgerPath: desk.path('ledger', 'l.db'),
      configFolder: desk.path('config'),
      ...secrets,
    }).done
  return { server, push }
}

describe('a secret that was given', () => {
  test.for(['token', 'password'] as const)(
    'as a %s is in nothing that a server says or logs',
    async (kind, { desk }) => {
      desk.folder('tree', { a: 'content' })
      const { server, push } = await serve(desk, { [`SEALIFT_${kind.toUpperCase()}`]: CANARY }, [])
      await push({ [kind]: CANARY })
      await expect(push({ [kind]: WRONG })).rejects.toMatchObject({ code: 'auth_failed' })
      await server.said(/refused \(auth_failed\)/)
      server.kill('SIGTERM')
      const { code, stdout, stderr } = await server.end
      expect([code, stdout]).toEqual([143, ''])
      expect(desk.read('in', 'tree', 'a')).toBe('content')
      const log = textsOf(desk.path('log'))
      for (const word of ['started', 'connected', 'done', 'refused', 'stopped'])
        expect(log).toContain(`"msg":"${word}"`)
      // Neither as it was given nor as it is compared.
      expect(stderr + log).not.toMatch(/canary|abacus|zenith|quartz/i)
    },
  )
})
