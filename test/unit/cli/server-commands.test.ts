/** `audit`, `ban` and `quota` as they are run, in this process: what they say, and what they leave in the ledger. */

import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { buildProgram, runLine } from '../../../src/cli/program.ts'
import { flushEvents } from '../../../src/cli/output.ts'
import { openLedger } from '../../../src/ledger/ledger.ts'
import { systemClock } from '../../../src/transfer/clock.ts'
import { AuditLog } from '../../../src/server/audit-log.ts'
import { makeFolder, openTestLedger, receiverOf } from '../ledger/place.ts'

const ANA = `SHA256:${'a'.repeat(43)}`
const ID = '0a0a0a0a-0000-4000-8000-00000000000a'

let folder = ''
let path = ''
beforeEach(() => {
  folder = makeFolder()
  path = join(folder, 'data', 'ledger.db')
  vi.stubEnv('DB_PATH', path)
})
afterEach(() => vi.unstubAllEnvs())

/** Runs a line. @returns what it wrote, without the line ends */
async function run(...line: string[]): Promise<{ stderr: string[]; events: Record<string, unknown>[] }> {
  const written = { stdout: '', stderr: '' }
  const spies = (['stdout', 'stderr'] as const).map((name) =>
    vi.spyOn(process[name], 'write').mockImplementation((text, ...rest) => {
      written[name] += String(text)
      const done = rest.at(-1)
      if (typeof done === 'function') done()
      return true
    }),
  )
  try {
    await runLine(buildProgram(new AbortController().signal), line)
    await flushEvents()
  } finally {
    for (const spy of spies) spy.mockRestore()
  }
  const lines = (text: string): string[] => text.split('\n').slice(0, -1)
  return {
    stderr: lines(written.stderr),
    events: lines(written.stdout).map((text) => JSON.parse(text) as Record<string, unknown>),
  }
}

const fails = (code: string, message: RegExp): unknown =>
  expect.objectContaining({ code, message: expect.stringMatching(message), hint: expect.any(String) })

/** What a server wrote down. */
async function serve(): Promise<void> {
  const ledger = await openTestLedger(folder)
  let wallMs = Date.parse('2026-05-01T11:59:00Z')
  const log = await AuditLog.open({
    records: ledger.audit,
    folder: join(folder, 'logs'),
    clock: systemClock,
    wallMs: () => (wallMs += 60_000),
    rotationBytes: 1e7,
    retentionMs: 1e12,
    onFault: (error) => {
      throw error
    },
  })
  await Promise.all([
    log.write({ event: 'server', detail: { status: 'started' } }),
    log.write({ event: 'refusal', peer: '192.0.2.7', detail: { code: 'auth_failed', message: 'a\u001b[2J\\b' } }),
    log.write({ event: 'transfer', peer: '192.0.2.8', owner: ANA, transfer: ID, detail: { status: 'completed' } }),
  ])
  await log.close()
  await ledger.close()
}

describe('audit', () => {
  test('shows the lines, harmless for a terminal', async () => {
    await serve()
    const { stderr } = await run('audit')
    expect(stderr).toEqual([
      '2026-05-01T12:01:00.000Z  server      -  status=started',
      String.raw`2026-05-01T12:02:00.000Z  refusal     192.0.2.7  code=auth_failed  message=a\x1b[2J\\b`,
      `2026-05-01T12:03:00.000Z  transfer    192.0.2.8  ${ANA}  ${ID}  status=completed`,
    ])
    const { events } = await run('audit', '--json')
    expect(events).toHaveLength(3)
    expect(events[1]).toMatchObject({
      event: 'audit',
      seq: 2,
      time: '2026-05-01T12:02:00.000Z',
      subject: 'refusal',
      peer: '192.0.2.7',
      detail: { code: 'auth_failed' },
      prev: events[0]?.['hash'],
    })
  })

  test.each([
    [
      ['--since', '2026-05-01T12:02:00Z'],
      [2, 3],
    ],
    [
      ['--since', '2026-05-01'],
      [1, 2, 3],
    ],
    [['--since', '2030-01-01'], []],
    [['--peer', '192.0.2.7'], [2]],
    [['--peer', ANA], [3]],
    [['--peer', '192.0.2.7', '--since', '2026-05-01 12:03:00Z'], []],
  ])('%j shows lines %j', async (options, seqs) => {
    await serve()
    expect((await run('audit', '--json', ...options)).events.map(({ seq }) => seq)).toEqual(seqs)
  })

  test('--verify says that it is whole, and of a change which line it was', async () => {
    await serve()
    const { stderr } = await run('audit', '--verify')
    expect(stderr[0]).toBe('The audit log is whole: lines 1 to 3, 1 file')
    expect((await run('audit', '--verify', '--json')).events).toMatchObject([
      { event: 'verified', whole: true, firstSeq: 1, lastSeq: 3, files: 1, unfiled: 0, faults: [] },
    ])
    const db = new DatabaseSync(path)
    db.exec(`UPDATE audit SET line = replace(line, '192.0.2.8', '192.0.2.9')`)
    db.close()
    await expect(run('audit', '--verify')).rejects.toMatchObject({ code: 'audit_broken', exitCode: 6 })
  })

  test.each([
    [['--since', 'never'], 'settings_invalid', /--since is no time: "never"/],
    [['--since', '2026-13-01'], 'settings_invalid', /--since/],
    [['--verify', '--peer', 'x'], 'usage', /--verify/],
  ])('%j is refused', async (options, code, message) => {
    await expect(run('audit', ...options)).rejects.toEqual(fails(code, message))
  })
})

describe('ban', () => {
  test('lists what lasts, lifts it, and that is in the audit log', async () => {
    expect((await run('ban')).stderr).toEqual(['No address is banned.'])
    const ledger = await openLedger({ path })
    await ledger.bans.add({ address: '2001:db8:1:2::/64', reason: 'auth_failed', durationMs: 3_600_000 })
    expect((await run('ban', 'list')).stderr).toEqual([
      expect.stringMatching(/^2001:db8:1:2::\/64 {2}1 h left, since 20\d\d-\S+Z {2}auth_failed$/),
    ])
    expect((await run('ban', 'list', '--json')).events).toMatchObject([
      { event: 'ban', address: '2001:db8:1:2::/64', code: 'auth_failed' },
    ])
    expect((await run('ban', 'remove', '2001:db8:1:2::9', '--json')).events).toEqual([
      { event: 'unbanned', address: '2001:db8:1:2::/64' },
    ])
    expect(await ledger.bans.find('2001:db8:1:2::/64')).toBeNull()
    await ledger.close()
    expect((await run('audit', '--json')).events).toMatchObject([
      { subject: 'ban', peer: '2001:db8:1:2::/64', detail: { status: 'lifted' } },
    ])
  })

  test.each([
    [['remove'], /address/],
    [['remove', '192.0.2.7'], /192\.0\.2\.7 is not banned/],
    [['remove', 'host'], /no address: host/],
    [['list', '192.0.2.7'], /list/],
  ])('%j is refused', async (line, message) => {
    await expect(run('ban', ...line)).rejects.toEqual(fails('usage', message))
  })
})

describe('quota', () => {
  test('shows what was sent, sets and removes, and that is in the audit log', async () => {
    const ledger = await openLedger({ path })
    const transfer = await ledger.transfers.create(receiverOf(ID))
    const free = { totalBytes: null, ownerBytes: null, diskBytes: 1e12 }
    await ledger.quotas.reserve({ transfer, owner: ANA, bytes: 2_097_152 }, free)
    await ledger.close()
    expect((await run('quota')).stderr).toEqual([
      'total  0 bytes received, 2.0 MiB under way',
      `${ANA}  0 bytes received, 2.0 MiB under way`,
    ])
    expect((await run('quota', 'set', ANA, '50MiB')).stderr).toEqual([
      `${ANA}  0 bytes of 50.0 MiB received, 2.0 MiB under way`,
    ])
    expect((await run('quota', 'remove', ANA, '--json')).events).toEqual([
      { event: 'quota', owner: ANA, limitBytes: null, publishedBytes: 0, reservedBytes: 2_097_152 },
    ])
    expect((await run('audit', '--json', '--peer', ANA)).events).toMatchObject([
      { subject: 'quota', detail: { status: 'set', bytes: 52_428_800 } },
      { subject: 'quota', detail: { status: 'removed' } },
    ])
  })

  test.each([
    [['set', ANA], 'usage', /owner and a size/],
    [['set', ANA, 'much'], 'settings_invalid', /no size: "much"/],
    [['set', ANA, '-5'], 'settings_invalid', /no size/],
    [['set', 'ana', '5'], 'usage', /no owner: ana/],
    [['set', 'total', '5'], 'usage', /no owner: total/],
    [['remove', ANA], 'usage', /no quota of its own/],
    [['remove'], 'usage', /owner/],
    [['list', ANA], 'usage', /list/],
  ])('%j is refused', async (line, code, message) => {
    await expect(run('quota', ...line)).rejects.toEqual(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    )
  })
})
