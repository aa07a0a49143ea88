/**
 * The command line on a tailnet: real processes, and a tailscaled of the test's own in whose tailnet loopback addresses are
 * machines. The whole on a real tailnet: `npm run test:tailnet`.
 */

import { networkInterfaces } from 'node:os'
import { describe, expect, vi } from 'vitest'
import { type CliProcess, type Ended, type StartOptions, test as plainTest } from '../rigs/cli-process.ts'
import { type FakeNode, FakeTailscaled } from '../rigs/fake-tailscaled.ts'

const HERE = '127.0.0.1'
const BRAVO: FakeNode = { host: 'bravo', user: 'user-2@example.net' }
const ALPHA: FakeNode = { host: 'alpha', user: 'user-1@example.net' }
const hasIPv6 = Object.values(networkInterfaces()).some((found) => found?.some(({ address }) => address === '::1'))

/** The sender's Tailscale, which sees the receiver as bravo, and the receiver's, which sees the sender as alpha. */
interface Tailnet {
  readonly alpha: FakeTailscaled
  readonly bravo: FakeTailscaled
}

const test = plainTest.extend<{ tailnet: Tailnet }>({
  // eslint-disable-next-line no-empty-pattern -- vitest reads from the pattern what a fixture needs
  tailnet: async ({}, use) => {
    const tailnet = { alpha: await FakeTailscaled.start([HERE]), bravo: await FakeTailscaled.start([HERE]) }
    tailnet.alpha.nodes.set(HERE, BRAVO)
    tailnet.bravo.nodes.set(HERE, ALPHA)
    await use(tailnet)
    await Promise.all([tailnet.alpha.close(), tailnet.bravo.close()])
  },
})

// One sender meets several receivers, one after another, and some of them wait for an answer that does not come.
vi.setConfig({ testTimeout: 60_000 })
const on = (machine: FakeTailscaled, user: string): StartOptions => ({
  user,
  env: { TS_SOCKET: machine.socket },
  longestMs: 45_000,
})
const sending = (...args: string[]): string[] => ['send', '--port', '0', '--json', ...args]

async function listening(sender: CliProcess): Promise<{ connect: string; address: string; tailnet: string | null }> {
  return (await sender.event('listening')) as unknown as { connect: string; address: string; tailnet: string | null }
}

function expectRefused(ended: Ended): void {
  expect(ended.events.at(-1)).toMatchObject({ event: 'error', code: 'peer_refused', exitCode: 4 })
  // The stranger learns that, and nothing about whom this is for.
  expect(ended.stdout + ended.stderr).not.toMatch(/user-|bravo|tag:|tailnet|Tailscale/)
  expect(ended.code).toBe(4)
}

describe.concurrent('sending on the tailnet', () => {
  test('is what happens by default; both sides say who the other is', async ({ desk, tailnet }) => {
    const tree = desk.folder('tree', { a: '1' })
    const sender = desk.start(['send', tree, '--port', '0'], on(tailnet.alpha, 'ana'))
    const [, line] = await sender.said(/sealift receive (\S+)/)
    expect(line).toMatch(/^127\.0\.0\.1:\d+:/)
    await sender.said(/Tailscale checks who connects \(rig\.ts\.net\)/)
    expect(sender.stderr).not.toMatch(/Only the token/)
    const received = await desk.run(['receive', line ?? '', '-o', desk.path('out')], on(tailnet.bravo, 'bob'))
    const sent = await sender.end
    expect([received.code, sent.code]).toEqual([0, 0])
    expect(received.stderr).toMatch(/1 file, 1 byte from alpha \(user-1@example\.net\)/)
    expect(sent.stderr).toMatch(/Connected to bravo \(user-2@example\.net\) at 127\.0\.0\.1/)
  })

  test('by IPv4 where there are both addresses, by IPv6 where there is no other', async ({ desk, tailnet, skip }) => {
    skip(!hasIPv6, 'this machine has no IPv6 on loopback')
    const tree = desk.folder('tree', { a: '1' })
    tailnet.alpha.addresses = ['::1', HERE]
    const both = desk.start(sending(tree), on(tailnet.alpha, 'ana'))
    expect(await listening(both)).toMatchObject({ address: HERE, tailnet: 'rig.ts.net' })
    both.kill('SIGTERM')
    await both.end
    tailnet.alpha.addresses = ['::1']
    tailnet.alpha.nodes.set('::1', BRAVO)
    const sender = desk.start(sending(tree), on(tailnet.alpha, 'ana'))
    const { connect } = await listening(sender)
    expect(connect).toMatch(/^\[::1\]:\d+:/)
    expect((await desk.receive(connect, [], on(tailnet.bravo, 'bob'))).code).toBe(0)
    expect((await sender.end).code).toBe(0)
  })

  test('without an interface of its own: what comes from loopback is known by its port', async ({ desk, tailnet }) => {
    tailnet.alpha.addresses = ['100.64.0.1']
    tailnet.alpha.userspace = true
    tailnet.alpha.nodes.clear()
    const sender = desk.start(sending(desk.folder('tree', { a: '1' })), on(tailnet.alpha, 'ana'))
    const { connect, address } = await listening(sender)
    expect(address).toBe('100.64.0.1')
    const place = connect.replace('100.64.0.1', HERE)
    // A process of the same machine, which no peer of the tailnet stands behind.
    expectRefused(await desk.receive(place, [], { user: 'eve' }))
    tailnet.alpha.nodes.set(`${HERE}:*`, BRAVO)
    expect((await desk.receive(place, [], { user: 'bob' })).code).toBe(0)
    expect((await sender.end).events.find(({ event }) => event === 'connected')).toMatchObject({
      identity: 'bravo (user-2@example.net)',
    })
  })
})

describe.concurrent('who is refused', () => {
  const CASES: Readonly<Record<string, { args: string[]; node: FakeNode | null; warning: RegExp }>> = {
    'a peer off the tailnet': { args: [], node: null, warning: /127\.0\.0\.1 is not on this tailnet/ },
    'a peer of another user': {
      args: ['--allow-user', 'user-3@example.net', '--allow-tag', 'tag:ci'],
      node: BRAVO,
      warning: /bravo \(user-2@example\.net\) is not one of those allowed/,
    },
    'a tagged machine where its user would be allowed': {
      args: ['--allow-user', 'user-2@example.net'],
      node: { ...BRAVO, tags: ['tag:other'] },
      warning: /bravo \(tag:other\) is not one of those allowed/,
    },
  }

  test.for(Object.entries(CASES))(
    '%s: 4 there, and the sender waits on',
    async ([, { args, node, warning }], { desk, tailnet }) => {
      if (node === null) tailnet.alpha.nodes.clear()
      else tailnet.alpha.nodes.set(HERE, node)
      const sender = desk.start(sending(desk.folder('tree', { a: '1' }), ...args), on(tailnet.alpha, 'ana'))
      const { connect } = await listening(sender)
      expectRefused(await desk.receive(connect, [], { user: 'eve' }))
      await sender.event('refused', ({ code, peer }) => code === 'peer_refused' && peer === HERE)
      await sender.said(warning)
      // It cost no guess, and whoever is meant still gets in.
      tailnet.alpha.nodes.set(HERE, args.includes('user-2@example.net') ? BRAVO : { ...BRAVO, tags: ['tag:ci'] })
      expect((await desk.receive(connect, [], on(tailnet.bravo, 'bob'))).code).toBe(0)
      expect((await sender.end).code).toBe(0)
    },
  )

  test('everybody, where the one who is allowed is not there: said at once', async ({ desk, tailnet }) => {
    const args = sending(desk.folder('tree', { a: '1' }), '--allow-user', 'nobody@example.net')
    const sender = desk.start(args, on(tailnet.alpha, 'ana'))
    const { connect } = await listening(sender)
    await sender.said(/no machine of nobody@example\.net is on this tailnet now; until then everybody is refused/)
    expectRefused(await desk.receive(connect, [], { user: 'bob' }))
    sender.kill('SIGINT')
    expect((await sender.end).code).toBe(130)
  })

  test('everybody, while Tailscale hangs; within seconds', async ({ desk, tailnet }) => {
    const sender = desk.start(sending(desk.folder('tree', { a: '1' })), on(tailnet.alpha, 'ana'))
    const { connect } = await listening(sender)
    tailnet.alpha.manner = 'silent'
    const started = performance.now()
    expectRefused(await desk.receive(connect, [], { user: 'bob' }))
    expect(performance.now() - started).toBeLessThan(6000)
    await sender.said(/cannot be checked: Tailscale cannot be asked: no answer within 2 s/)
    tailnet.alpha.manner = 'well'
    expect((await desk.receive(connect, [], { user: 'bob' })).code).toBe(0)
    expect((await sender.end).code).toBe(0)
  })

  test('nobody is, by a receiver whose own Tailscale hangs: it only does not know who sends', async ({
    desk,
    tailnet,
  }) => {
    tailnet.bravo.manner = 'silent'
    const sender = desk.start(sending(desk.folder('tree', { a: '1' })), on(tailnet.alpha, 'ana'))
    const { connect } = await listening(sender)
    const received = await desk.receive(connect, [], on(tailnet.bravo, 'bob'))
    expect(received.code).toBe(0)
    expect(received.events[0]).toMatchObject({ event: 'connected', identity: null })
  })
})

describe.concurrent('tailscaled gone in the middle', () => {
  test('harms no transfer that runs, and refuses one that comes back until it is there again', async ({
    desk,
    tailnet,
  }) => {
    // From loopback, where nobody is remembered.
    tailnet.alpha.addresses = ['100.64.0.1']
    tailnet.alpha.userspace = true
    tailnet.alpha.nodes.set(`${HERE}:*`, BRAVO).delete(HERE)
    const tree = desk.folder('tree', { big: new Uint8Array(3 << 20) })
    const sender = desk.start(sending(tree, '--bwlimit', '2M'), on(tailnet.alpha, 'ana'))
    const connect = (await listening(sender)).connect.replace('100.64.0.1', HERE)
    const first = desk.start(desk.receiving(connect), { user: 'bob' })
    await first.event('progress', ({ bytesDone }) => (bytesDone as number) > 0)
    tailnet.alpha.manner = 'hangs-up'
    // It goes on by the session that it has.
    const bytesDone = first.events.findLast(({ event }) => event === 'progress')?.['bytesDone']
    await first.event('progress', (event) => (event['bytesDone'] as number) > (bytesDone as number))
    first.kill('SIGKILL')
    await first.end
    expectRefused(await desk.receive(connect, [], { user: 'bob' }))
    tailnet.alpha.manner = 'well'
    const last = await desk.receive(connect, [], { user: 'bob' })
    expect(last.code).toBe(0)
    expect(last.events.find(({ event }) => event === 'connected')).toMatchObject({ suite: 'resume+mlkem768' })
    expect(last.events.at(-1)?.['resumedBytes']).toBeGreaterThan(0)
    expect((await sender.end).code).toBe(0)
  })

  test('sealift resume lets in whom the first line let in, and no others', async ({ desk, tailnet }) => {
    const tree = desk.folder('tree', { a: '1' })
    const first = desk.start(sending(tree, '--allow-user', 'user-2@example.net'), on(tailnet.alpha, 'ana'))
    const { transferId } = await first.event('listening')
    first.kill('SIGINT')
    await first.end
    const again = desk.start(['resume', transferId as string, '--port', '0', '--json'], on(tailnet.alpha, 'ana'))
    const { connect } = await listening(again)
    tailnet.alpha.nodes.set(HERE, { host: 'delta', user: 'user-3@example.net' })
    expectRefused(await desk.receive(connect, [], { user: 'eve' }))
    tailnet.alpha.nodes.set(HERE, BRAVO)
    expect((await desk.receive(connect, [], on(tailnet.bravo, 'bob'))).code).toBe(0)
    expect((await again.end).code).toBe(0)
  })
})

describe.concurrent('where Tailscale cannot be used', () => {
  const CASES: Readonly<Record<string, readonly [arrange: (alpha: FakeTailscaled) => void, says: RegExp]>> = {
    stopped: [
      (alpha) => (alpha.state = 'Stopped'),
      /error: Tailscale is stopped on this machine\nhint: .*tailscale up/,
    ],
    'logged out': [(alpha) => (alpha.state = 'NeedsLogin'), /logged out of Tailscale\nhint: .*tailscale up/],
    hanging: [(alpha) => (alpha.manner = 'silent'), /cannot be asked: no answer within 2 s\nhint: .*restart/],
    'with an address of no interface': [
      (alpha) => (alpha.addresses = ['100.64.0.1', 'fd7a:115c:a1e0::1']),
      /no interface here has the Tailscale address 100\.64\.0\.1 or fd7a:115c:a1e0::1/,
    ],
  }

  test.for(Object.entries(CASES))(
    '%s: 5, the reason, what helps, and the lines that work',
    async ([, [arrange, says]], { desk, tailnet }) => {
      arrange(tailnet.alpha)
      const ended = await desk.run(['send', desk.folder('tree', { a: '1' }), '--port', '0'], on(tailnet.alpha, 'ana'))
      expect(ended.stderr).toMatch(says)
      expect(ended.stderr).toMatch(/--lan[^]*--listen[^]*--pod/)
      expect(ended.code).toBe(5)
    },
  )

  test('whom to let in is a wrong usage elsewhere (2), and holds where the address is named', async ({
    desk,
    tailnet,
  }) => {
    const tree = desk.folder('tree', { a: '1' })
    for (const place of [['--pod'], ['--lan'], ['--listen', '127.0.0.2']]) {
      const ended = await desk.run(['send', tree, ...place, '--allow-tag', 'tag:ci'], on(tailnet.alpha, 'ana'))
      expect(ended.stderr).toMatch(/error: Tailscale checks --allow-user and --allow-tag, on its own address only/)
      expect(ended.code).toBe(2)
    }
    const sender = desk.start(sending(tree, '--listen', HERE, '--allow-tag', 'tag:ci'), on(tailnet.alpha, 'ana'))
    expectRefused(await desk.receive((await listening(sender)).connect, [], { user: 'eve' }))
    sender.kill('SIGTERM')
    await sender.end
  })
})
