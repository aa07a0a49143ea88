/** The doctor on real machines: good, read-only, missing, taken, damaged and hanging ones; it leaves nothing behind. */

import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect } from 'vitest'
import { type Desk, type Ended, type Event, test } from '../rigs/cli-process.ts'
import { FakeTailscaled } from '../rigs/fake-tailscaled.ts'

const isRoot = process.getuid?.() === 0
/** No Tailscale of this machine is asked. */
const NO_TAILSCALE = { TS_SOCKET: '/nonexistent/tailscaled.sock' }

/** Checks that are named in events, with the events of each. */
function checksOf({ events }: Ended): Map<string, Event[]> {
  return Map.groupBy(
    events.filter(({ event }) => event === 'check'),
    ({ check }) => String(check),
  )
}

const problemsOf = ({ events }: Ended): unknown[] =>
  events.filter(({ status }) => status === 'problem').map(({ check, code }) => `${String(check)} ${String(code)}`)

const examine = (desk: Desk, args: readonly string[] = [], env: Readonly<Record<string, string>> = {}) =>
  desk.run(['doctor', '--json', '--port', '0', '-o', desk.path('out'), ...args], { env: { ...NO_TAILSCALE, ...env } })

/** Where the ledger of the desk's user is. */
const ledgerOf = (desk: Desk): string => desk.path('home', 'user', 'data', 'sealift', 'ledger.db')

/** A ledger as a transfer leaves it. */
async function makeLedger(desk: Desk): Promise<string> {
  await desk.run(['status'])
  return ledgerOf(desk)
}

describe.concurrent('doctor', () => {
  test('a good machine: every check, readable, nothing left behind (0)', async ({ desk }) => {
    desk.folder('out')
    const ended = await desk.run(['doctor', '-o', 'out', '--port', '0'], { env: NO_TAILSCALE })
    expect([ended.code, ended.stdout]).toEqual([0, ''])
    for (const title of ['Runtime', 'Processor', 'Tailscale', 'Port', 'Ledger', 'Clock', 'Terminal'])
      expect(ended.stderr).toContain(`\n${title}\n`.slice(title === 'Runtime' ? 1 : 0))
    expect(ended.stderr).toMatch(/\nNothing is in the way[^\n]*\.\n$/)
    expect(ended.stderr).not.toMatch(/PROBLEM|\u001b|undefined|NaN/)
    // Words are not cut; only what has no space in it is longer than a line.
    for (const line of ended.stderr.split('\n')) expect(line.length <= 80 || /^ *\S+$/.test(line.slice(10))).toBe(true)
    expect(desk.names('out')).toEqual([])
    expect(fs.existsSync(dirname(ledgerOf(desk)))).toBe(false)
  })

  test('--json: one event a finding, all fields; a folder that is not there is not made (0)', async ({ desk }) => {
    const ended = await examine(desk, ['-o', desk.path('out', 'a')])
    expect([ended.code, ended.stderr]).toEqual([0, ''])
    expect([...checksOf(ended).keys()].sort()).toEqual(
      ['address', 'clock', 'disk', 'ledger', 'port', 'processor', 'runtime', 'tailscale', 'terminal'].sort(),
    )
    expect(checksOf(ended).get('disk')?.[0]).toMatchObject({ message: expect.stringMatching('not there yet') })
    expect(desk.names()).toEqual(['home'])
    for (const event of ended.events) {
      expect(Object.keys(event)).toEqual([
        'event',
        'check',
        'status',
        'message',
        'meaning',
        'advice',
        'code',
        'details',
      ])
      expect(event).toMatchObject({
        event: 'check',
        status: expect.stringMatching(/^(ok|note|warning)$/),
        message: expect.stringMatching(/^.+$/),
        meaning: expect.stringMatching(/^.+$/),
        code: null,
        details: expect.any(Object),
      })
    }
  })

  test('an output folder that is a file (2)', async ({ desk }) => {
    const folder = desk.folder('here', { file: 'x' })
    const ended = await desk.run(['doctor', '--json', '--port', '0', '-o', join(folder, 'file')], { env: NO_TAILSCALE })
    expect([ended.code, problemsOf(ended)]).toEqual([2, ['disk target_not_folder']])
    expect(ended.events.at(-1)).toMatchObject({ event: 'error', code: 'target_not_folder', exitCode: 2 })
    // The others are there all the same.
    expect(checksOf(ended).size).toBe(9)
  })

  test('an output folder and a ledger that are read-only (7)', async ({ desk, skip }) => {
    const out = desk.folder('out')
    const ledger = desk.folder('ledger')
    let ended: Ended
    if (isRoot) {
      // Root may write into any folder; a disk that is mounted read-only stops root as well.
      const mount = `mount -t tmpfs -o ro none '${out}' && mount -t tmpfs -o ro none '${ledger}'`
      if (spawnSync('unshare', ['-m', 'sh', '-c', mount]).status !== 0) skip('no disk can be mounted here')
      ended = await desk.run([], {
        shell: `exec unshare -m sh -c "${mount} && exec \\"$NODE\\" \\"$SEALIFT\\" doctor --json --port 0 -o '${out}'"`,
        env: { ...NO_TAILSCALE, DB_PATH: join(ledger, 'l.db') },
      })
    } else {
      for (const folder of [out, ledger]) fs.chmodSync(folder, 0o500)
      ended = await examine(desk, [], { DB_PATH: join(ledger, 'l.db') })
      for (const folder of [out, ledger]) fs.chmodSync(folder, 0o700)
    }
    expect([ended.code, problemsOf(ended)]).toEqual([7, ['ledger ledger_unavailable', 'disk target_read_only']])
    expect(ended.stderr).toMatch(/^error: the ledger cannot be made: .*1 more problem\)\nhint: /)
  })

  test('a port that is in use (5), and one that a sender of this user has (0)', async ({ desk }) => {
    desk.folder('out')
    desk.folder('tree', { a: '1' })
    const server = net.createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    const { port } = server.address() as net.AddressInfo
    const ended = await examine(desk, ['--port', String(port)])
    server.close()
    expect([ended.code, problemsOf(ended)]).toEqual([5, ['port port_in_use']])
    if (process.platform === 'linux') expect(ended.stderr).toContain(`process ${String(process.pid)} (node)`)

    const sender = await desk.send(['tree'])
    const own = await examine(desk, ['--port', String(sender.port)])
    expect(own.code).toBe(process.platform === 'linux' ? 0 : 5)
    if (process.platform === 'linux')
      expect(checksOf(own).get('port')?.[0]).toMatchObject({
        status: 'note',
        details: { heldByPid: sender.process.child.pid },
      })
  })

  test('a ledger that is damaged (6), newer (2), or open to others (7)', async ({ desk }) => {
    desk.folder('out')
    const path = await makeLedger(desk)
    const whole = fs.readFileSync(path)
    const judge = async (): Promise<unknown[]> => {
      const ended = await examine(desk)
      const [found] = checksOf(ended).get('ledger') ?? []
      expect(found?.['advice']).toEqual(expect.any(String))
      return [ended.code, ...problemsOf(ended)]
    }
    fs.writeFileSync(path, 'nonsense'.repeat(1000))
    expect(await judge()).toEqual([6, 'ledger ledger_corrupt'])
    expect(fs.readFileSync(path, 'utf8')).toBe('nonsense'.repeat(1000))

    fs.writeFileSync(path, whole)
    const db = new DatabaseSync(path)
    db.exec('PRAGMA user_version = 99')
    db.close()
    expect(await judge()).toEqual([2, 'ledger ledger_newer'])

    fs.writeFileSync(path, whole)
    fs.chmodSync(path, 0o644)
    expect(await judge()).toEqual([7, 'ledger ledger_unavailable'])
    expect(fs.statSync(path).mode & 0o777).toBe(0o644)
  })

  test('an unfinished transfer and its staging', async ({ desk }) => {
    desk.folder('tree', { big: new Uint8Array(4 << 20) })
    const sender = await desk.send(['tree', '--bwlimit', '1M'])
    const receiver = desk.start(desk.receiving(sender.connect))
    await receiver.event('progress', ({ bytesDone }) => Number(bytesDone) > 0)
    receiver.kill('SIGINT')
    await receiver.end
    sender.process.kill('SIGINT')
    await sender.process.end
    const ended = await examine(desk)
    expect(ended.code).toBe(0)
    expect(
      checksOf(ended)
        .get('ledger')
        ?.map(({ message }) => message),
    ).toContain('1 unfinished transfer')
    expect(checksOf(ended).get('disk')).toContainEqual(
      expect.objectContaining({
        message: expect.stringMatching(/^\.sealift-.*\.part, last used/),
        advice: expect.stringMatching(`sealift resume ${sender.transferId.slice(0, 8)}`),
      }),
    )
  })

  test('Tailscale running, and hanging, which is not waited for long', async ({ desk, onTestFinished }) => {
    desk.folder('out')
    const fake = await FakeTailscaled.start(['127.0.0.1'])
    onTestFinished(() => fake.close())
    const judge = async (): Promise<Event[]> => {
      const ended = await examine(desk, [], { TS_SOCKET: fake.socket })
      expect([ended.code, checksOf(ended).size]).toEqual([0, 9])
      return checksOf(ended).get('tailscale') ?? []
    }
    expect(await judge()).toMatchObject([
      {
        status: 'ok',
        message: '127.0.0.1 in rig.ts.net, user-1@example.net',
        meaning: expect.stringMatching('listens on 127.0.0.1'),
      },
    ])
    fake.manner = 'silent'
    expect(await judge()).toMatchObject([{ status: 'warning', details: { state: 'unreachable' } }])
  })

  test('a disk that hangs (7)', async ({ desk, skip }) => {
    const out = desk.folder('out')
    if (!isRoot || !fs.existsSync('/dev/fuse')) skip('needs root and FUSE to mount a disk that never answers')
    // Whoever holds this descriptor is the disk, and this test never answers.
    const device = fs.openSync('/dev/fuse', 'r+')
    const options = 'fd=3,rootmode=40000,user_id=0,group_id=0'
    const stdio = ['ignore', 'ignore', 'ignore', device] as const
    if (spawnSync('mount', ['-i', '-t', 'fuse', '-o', options, 'none', out], { stdio: [...stdio] }).status !== 0) {
      fs.closeSync(device)
      skip('FUSE cannot be mounted here')
    }
    try {
      const ended = await examine(desk)
      expect([ended.code, problemsOf(ended)]).toEqual([7, ['disk disk_fault']])
      expect(checksOf(ended).size).toBe(9)

      const stopped = desk.start(['doctor', '-o', out, '--port', '0'], { env: NO_TAILSCALE })
      await stopped.said(/\nLedger\n/)
      stopped.kill('SIGINT')
      const { code, stderr } = await stopped.end
      expect([code, stderr]).toEqual([130, expect.not.stringContaining('does not answer')])
    } finally {
      fs.closeSync(device)
      spawnSync('umount', [out])
    }
  })

  test('Ctrl-C in the middle of trying out the disk removes what was made (130)', async ({ desk, onTestFinished }) => {
    // A disk, not memory, where there is one: trying it out takes a moment.
    const out = fs.mkdtempSync(join(tmpdir(), 'sealift-doctor-'))
    onTestFinished(() => fs.rmSync(out, { recursive: true, force: true }))
    let ended: Ended
    let tries = 0
    do {
      const doctor = desk.start(['doctor', '-o', out, '--port', '0'], { env: NO_TAILSCALE })
      const watcher = fs.watch(out)
      watcher.once('change', () => doctor.kill('SIGINT'))
      ended = await doctor.end
      watcher.close()
      expect(fs.readdirSync(out)).toEqual([])
      // On a very busy machine the signal may come when all is over.
    } while (ended.code !== 130 && ++tries < 5)
    expect([ended.code, ended.stderr]).toEqual([
      130,
      expect.stringMatching(/stopped\nhint: nothing was changed[^\n]*\n$/),
    ])
  })

  test('-q says errors only, and unknown arguments are refused (2)', async ({ desk }) => {
    const folder = desk.folder('out', { file: '' })
    const failed = await desk.run(['doctor', '-q', '--port', '0', '-o', join(folder, 'file')], { env: NO_TAILSCALE })
    expect([failed.code, failed.stderr]).toEqual([2, expect.stringMatching(/^error: [^\n]+\n(hint: [^\n]+\n)+$/)])
    expect((await desk.run(['doctor', 'more'])).code).toBe(2)
    expect((await desk.run(['doctor', '--port', 'http'])).code).toBe(2)
  })
})
