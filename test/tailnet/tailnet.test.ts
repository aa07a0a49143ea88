/**
 * Sealift on a real tailnet: real daemons, real addresses, a machine outside. `npm run test:tailnet` brings it up and says
 * why where it cannot; what was seen in the last run stands in docs/tailnet.md.
 */

import { afterAll, beforeAll, beforeEach, describe, expect } from 'vitest'
import { type CliProcess, type Ended, type StartOptions, test } from '../rigs/cli-process.ts'
import { type HostName, lanAddress, Tailnet } from '../rigs/tailnet/tailnet.ts'

const {
  SEALIFT_TAILNET_PROGRAMS: programs,
  SEALIFT_TAILNET_FOLDER: folder,
  SEALIFT_TAILNET_REASON: reason,
} = process.env
const ALPHA = '100.64.0.1'
const USER_2 = 'user-2@fake-control.example.net'
const LONGEST_MS = 120_000

/** There before any test that is not skipped. */
let tailnet: Tailnet
const isHere = programs !== undefined && folder !== undefined

/** A user of a host; several users of one host have each a home of their own. */
function at(host: HostName, user: string = host): StartOptions {
  const env = { TS_SOCKET: host === 'mallory' ? undefined : tailnet.socket(host) }
  return { behind: tailnet.on(host), env, user, longestMs: LONGEST_MS }
}

const sending = (tree: string, ...args: string[]): string[] => ['send', tree, '--json', ...args]

async function connectLine(sender: CliProcess): Promise<string> {
  return (await sender.event('listening'))['connect'] as string
}

function expectRefused(ended: Ended): void {
  expect(ended.events.at(-1)).toMatchObject({ event: 'error', code: 'peer_refused', exitCode: 4 })
  expect(ended.stdout + ended.stderr).not.toMatch(/user-|tag:|tailnet|Tailscale/)
}

const progressed = ({ bytesDone }: { [field: string]: unknown }): boolean => (bytesDone as number) > 0

describe('on a real tailnet', () => {
  beforeAll(async () => {
    if (isHere) tailnet = await Tailnet.start(programs, folder)
  })
  afterAll(() => {
    if (isHere) tailnet.close()
  })
  beforeEach(({ skip }) => skip(!isHere, reason ?? 'npm run test:tailnet brings the tailnet up'))

  test('send and receive, and both sides say who the other is', async ({ desk }) => {
    const tree = desk.folder('photos', { 'a.txt': 'alpha', 'deep/b': 'b' })
    const sender = desk.start(['send', tree], at('alpha'))
    const [, line = ''] = await sender.said(/sealift receive (\S+)/)
    expect(line).toMatch(/^100\.64\.0\.1:[a-z]+-[a-z]+$/)
    await sender.said(/Tailscale checks who connects \(fake-control\.example\.net\)/)
    const received = await desk.run(['receive', line, '-o', desk.path('out')], at('bravo'))
    const sent = await sender.end
    expect([received.code, sent.code]).toEqual([0, 0])
    expect(received.stderr).toMatch(/2 files, 6 bytes from alpha \(user-1@fake-control\.example\.net\)/)
    expect(sent.stderr).toMatch(/Connected to bravo \(user-2@fake-control\.example\.net\) at 100\.64\.0\.2/)
    expect(desk.read('out', 'photos', 'deep', 'b')).toBe('b')
  })

  test('256 MiB, and how fast', async ({ desk }) => {
    const tree = desk.folder('tree', { big: new Uint8Array(256 << 20) })
    const sender = desk.start(sending(tree), at('alpha'))
    const received = await desk.receive(await connectLine(sender), [], at('bravo'))
    expect([received.code, (await sender.end).code]).toEqual([0, 0])
    const { seconds } = received.events.at(-1) as unknown as { seconds: number }
    process.stdout.write(`256 MiB in ${seconds.toFixed(2)} s, ${(256 / seconds).toFixed(0)} MiB/s\n`)
  })

  test('over IPv6, where that address is named', async ({ desk }) => {
    const [address = ''] = tailnet.tailscale('alpha', 'ip', '-6').split('\n')
    const sender = desk.start(sending(desk.folder('tree', { a: '1' }), '--listen', address), at('alpha'))
    const line = await connectLine(sender)
    expect(line).toMatch(/^\[fd7a:115c:a1e0:/)
    const received = await desk.receive(line, [], at('bravo'))
    expect([received.code, (await sender.end).code]).toEqual([0, 0])
    expect(received.events[0]).toMatchObject({ identity: 'alpha (user-1@fake-control.example.net)' })
  })

  test('only the allowed user gets in', async ({ desk }) => {
    const sender = desk.start(sending(desk.folder('tree', { a: '1' }), '--allow-user', USER_2), at('alpha'))
    const line = await connectLine(sender)
    expectRefused(await desk.receive(line, [], at('ci')))
    await sender.said(/ci \(tag:ci\) is not one of those allowed/)
    expect((await desk.receive(line, [], at('bravo'))).code).toBe(0)
    expect((await sender.end).code).toBe(0)
  })

  test('where nobody has that login, nobody gets in', async ({ desk }) => {
    const args = sending(desk.folder('tree', { a: '1' }), '--allow-user', 'nobody@example.net')
    const sender = desk.start(args, at('alpha'))
    const line = await connectLine(sender)
    await sender.said(/no machine of nobody@example\.net is on this tailnet now; until then everybody is refused/)
    expectRefused(await desk.receive(line, [], at('bravo')))
    sender.kill('SIGINT')
    expect((await sender.end).code).toBe(130)
  })

  test('only the allowed tag gets in', async ({ desk }) => {
    const sender = desk.start(sending(desk.folder('tree', { a: '1' }), '--allow-tag', 'tag:ci'), at('alpha'))
    const line = await connectLine(sender)
    expectRefused(await desk.receive(line, [], at('bravo')))
    const received = await desk.receive(line, [], at('ci'))
    expect([received.code, (await sender.end).code]).toEqual([0, 0])
  })

  describe('a machine that is not on the tailnet', () => {
    const toAlpha = ['route', 'replace', `${ALPHA}/32`, 'via', lanAddress('alpha')]

    test('does not reach the address', async ({ desk }) => {
      const sender = desk.start(sending(desk.folder('tree', { a: '1' })), at('alpha'))
      const received = await desk.receive(await connectLine(sender), [], at('mallory'))
      expect(received.events.at(-1)).toMatchObject({ code: 'connect_failed' })
    })

    test('is refused where it reaches it by another way, and with a forged address gets no connection', async ({
      desk,
    }) => {
      const sender = desk.start(sending(desk.folder('tree', { a: '1' })), at('alpha'))
      const line = await connectLine(sender)
      tailnet.run('mallory', 'ip', ...toAlpha)
      expectRefused(await desk.receive(line, [], at('mallory')))
      await sender.said(new RegExp(`${lanAddress('mallory')} is not on this tailnet`))
      tailnet.run('mallory', 'ip', 'addr', 'add', '100.64.0.2/32', 'dev', 'eth0')
      tailnet.run('mallory', 'ip', ...toAlpha, 'src', '100.64.0.2')
      const forged = await desk.receive(line, [], at('mallory'))
      expect(forged.events.at(-1)).toMatchObject({ code: 'connect_failed' })
      tailnet.run('mallory', 'ip', 'addr', 'del', '100.64.0.2/32', 'dev', 'eth0')
      expect((await desk.receive(line, [], at('bravo'))).code).toBe(0)
      expect((await sender.end).code).toBe(0)
    })
  })

  test('without an interface (userspace networking): known by the port, and a local process is refused', async ({
    desk,
  }) => {
    const sender = desk.start(sending(desk.folder('tree', { a: '1' })), at('pod'))
    const line = await connectLine(sender)
    expect(line).toMatch(/^100\.64\.0\.4:/)
    expectRefused(await desk.receive(line.replace('100.64.0.4', '127.0.0.1'), [], at('pod', 'eve')))
    const received = await desk.receive(line, [], at('bravo'))
    const sent = await sender.end
    expect([received.code, sent.code]).toEqual([0, 0])
    expect(received.events[0]).toMatchObject({ identity: 'pod (user-4@fake-control.example.net)' })
    expect(sent.events.find(({ event }) => event === 'connected')).toMatchObject({
      peer: '127.0.0.1',
      identity: `bravo (${USER_2})`,
    })
  })

  test('a daemon that hangs: no sender starts, and one that waits refuses within seconds', async ({ desk }) => {
    const tree = desk.folder('tree', { big: new Uint8Array(8 << 20) })
    const sender = desk.start(sending(tree, '--bwlimit', '1M'), at('alpha'))
    const line = await connectLine(sender)
    // Of the same machine, so that the path does not hang too.
    const running = desk.start(desk.receiving(line), at('alpha', 'bob'))
    await running.event('progress', progressed)
    await tailnet.signalDaemon('alpha', 'SIGSTOP')
    try {
      const started = performance.now()
      const other = await desk.run(['send', desk.folder('other', { a: '1' })], at('alpha', 'ben'))
      expect(other.stderr).toMatch(/error: Tailscale cannot be asked: no answer within 2 s\nhint: restart it/)
      expect(other.code).toBe(5)
      expect(performance.now() - started).toBeLessThan(8000)
      // What runs goes on; what comes back does not get in.
      const seen = running.events.at(-1)?.['bytesDone'] as number
      await running.event('progress', ({ bytesDone }) => (bytesDone as number) > seen)
      running.kill('SIGKILL')
      await running.end
      expectRefused(await desk.receive(line, [], at('alpha', 'bob')))
      await sender.said(/100\.64\.0\.1 cannot be checked: Tailscale cannot be asked: no answer within 2 s/)
    } finally {
      await tailnet.signalDaemon('alpha', 'SIGCONT')
    }
    const resumed = await desk.receive(line, [], at('alpha', 'bob'))
    expect([resumed.code, (await sender.end).code]).toEqual([0, 0])
    expect(resumed.events.at(-1)?.['resumedBytes']).toBeGreaterThan(0)
  })

  test('a daemon that is killed and started again in the middle: the transfer goes on', async ({ desk }) => {
    const tree = desk.folder('tree', { big: new Uint8Array(8 << 20) })
    const sender = desk.start(sending(tree, '--bwlimit', '2M'), at('alpha'))
    const receiver = desk.start(desk.receiving(await connectLine(sender)), at('bravo'))
    await receiver.event('progress', progressed)
    await tailnet.signalDaemon('alpha', 'SIGKILL')
    const other = await desk.run(['send', desk.folder('other', { a: '1' })], at('alpha', 'ben'))
    expect(other.stderr).toMatch(/error: no Tailscale daemon answers/)
    await tailnet.startDaemon('alpha')
    tailnet.up('alpha')
    expect([(await receiver.end).code, (await sender.end).code]).toEqual([0, 0])
  })

  test('a line that is cut for longer than the patience of a session: it comes back by itself', async ({ desk }) => {
    const tree = desk.folder('tree', { big: new Uint8Array(8 << 20) })
    const sender = desk.start(sending(tree, '--bwlimit', '1M'), at('alpha'))
    const receiver = desk.start(desk.receiving(await connectLine(sender)), at('bravo'))
    await receiver.event('progress', progressed)
    tailnet.run('hub', 'ip', 'link', 'set', 'vbravo', 'down')
    const { message } = await receiver.event('warning')
    expect(message).toMatch(/connecting again/)
    tailnet.run('hub', 'ip', 'link', 'set', 'vbravo', 'up')
    const [received, sent] = [await receiver.end, await sender.end]
    expect([received.code, sent.code]).toEqual([0, 0])
    expect(received.events.filter(({ event }) => event === 'connected').at(-1)).toMatchObject({
      suite: 'resume+mlkem768',
      identity: 'alpha (user-1@fake-control.example.net)',
    })
  })

  test('tailscale down, up and logout are said as what they are', async ({ desk }) => {
    const tree = desk.folder('tree', { a: '1' })
    tailnet.tailscale('bravo', 'down')
    const stopped = await desk.run(['send', tree], at('bravo'))
    expect(stopped.stderr).toMatch(/error: Tailscale is stopped on this machine\nhint: start it: sudo tailscale up\n/)
    tailnet.up('bravo')
    // Until it speaks up, alpha goes on with the keys of before (WireGuard begins anew after 15 s without an answer).
    tailnet.tailscale('bravo', 'ping', '--tsmp', '--timeout=30s', ALPHA)
    const sender = desk.start(sending(tree), at('bravo'))
    expect((await desk.receive(await connectLine(sender), [], at('alpha'))).code).toBe(0)
    await sender.end
    tailnet.tailscale('bravo', 'logout')
    const loggedOut = await desk.run(['send', tree], at('bravo'))
    expect(loggedOut.stderr).toMatch(
      /error: this machine is logged out of Tailscale\nhint: log in: sudo tailscale up\n/,
    )
    expect([stopped.code, loggedOut.code]).toEqual([5, 5])
  })
})
