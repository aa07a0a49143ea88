/** What tailscaled is asked and what is made of its answers, against a server that answers and refuses as it does. */

import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { readPeople, readTailnet, type TailscaleQuery, whoIs } from '../../../src/guard/tailscale.ts'
import { defaultAccess, type TailscaleAccess } from '../../../src/guard/tailscale-doors.ts'
import { FakeTailscaled, type Manner } from '../../rigs/fake-tailscaled.ts'

/** Long enough for an answer on a busy machine, short enough to wait for one that does not come. */
const HANGING: Pick<TailscaleQuery, 'timeoutMs'> = { timeoutMs: 100 }

let fake: FakeTailscaled
let access: TailscaleAccess

beforeEach(async () => {
  fake = await FakeTailscaled.start(['100.64.0.1', 'fd7a:115c:a1e0::1'])
  access = { doors: [{ kind: 'socket', path: fake.socket }], commands: [], env: {} }
})
afterEach(() => fake.close())

describe('the state of this machine', () => {
  test('running: addresses, tailnet, who this is', async () => {
    expect(await readTailnet({ access })).toEqual({
      state: 'running',
      addresses: ['100.64.0.1', 'fd7a:115c:a1e0::1'],
      userspace: false,
      tailnet: 'rig.ts.net',
      domain: 'rig.ts.net',
      self: { host: 'alpha', user: 'user-1@example.net' },
      version: '1.100.0-t0123456789',
      health: [],
      detail: 'Tailscale runs: alpha 100.64.0.1 fd7a:115c:a1e0::1',
      advice: null,
    })
    expect(fake.asked).toEqual(['/localapi/v0/status?peers=false'])
  })

  test('a tagged machine has no user, and userspace networking is seen', async () => {
    fake.self = { host: 'ci', tags: ['tag:ci'] }
    fake.userspace = true
    expect(await readTailnet({ access })).toMatchObject({ self: { host: 'ci', user: null }, userspace: true })
  })

  test.each([
    ['Stopped', 'stopped', /stopped.*tailscale up/],
    ['NeedsLogin', 'logged-out', /logged out.*tailscale up/],
    ['NeedsMachineAuth', 'unapproved', /not approved.*admin/],
    ['Starting', 'starting', /starting.*moment/],
    ['NoState', 'starting', /starting/],
    ['InUseOtherUser', 'unreachable', /another user/],
    ['Dreaming', 'unreachable', /Dreaming/],
  ])('%s is %s', async (spelt, state, says) => {
    fake.state = spelt
    fake.addresses = null
    const found = await readTailnet({ access })
    expect(found).toMatchObject({ state, addresses: [], tailnet: null, domain: '' })
    expect(`${found.detail} ${String(found.advice)}`).toMatch(says)
  })

  test.each<[Manner, RegExp]>([
    ['silent', /no answer within 0.1 s/],
    ['half', /no answer within 0.1 s/],
    ['endless', /too long/],
    ['garbage', /no sense/],
    ['error', /error \(500\)/],
    ['hangs-up', /broke off/],
  ])('%s: unreachable, with the reason', async (manner, says) => {
    fake.manner = manner
    // What is not about waiting gets all the time there is.
    const query = manner === 'silent' || manner === 'half' ? { access, ...HANGING } : { access }
    const found = await readTailnet(query)
    expect(found).toMatchObject({ state: 'unreachable', addresses: [] })
    expect(found.detail).toMatch(says)
  })

  test('a socket that nobody serves any more, and none at all: no daemon', async () => {
    const left = fake.socket
    await fake.close()
    expect(await readTailnet({ access })).toMatchObject({ state: 'no-daemon' })
    fs.mkdirSync(join(left, '..'))
    fs.writeFileSync(left, '')
    expect(await readTailnet({ access })).toMatchObject({ state: 'no-daemon' })
    fs.rmSync(join(left, '..'), { recursive: true })
  })

  test('no socket and no command: absent', async () => {
    expect(await readTailnet({ access: { doors: [], commands: ['/nonexistent/tailscale'], env: {} } })).toMatchObject({
      state: 'absent',
      detail: 'there is no Tailscale on this machine',
    })
  })

  test('is called off by its signal', async () => {
    fake.manner = 'silent'
    const stop = new AbortController()
    const asked = fake.question()
    const state = readTailnet({ access, signal: stop.signal })
    await asked
    stop.abort()
    expect(await state).toMatchObject({ state: 'unreachable' })
  })
})

describe('who a peer is', () => {
  test('a machine of a user', async () => {
    const bravo = { host: 'bravo', user: 'User-2@example.net' }
    fake.nodes.set('100.64.0.2', bravo).set('fd7a:115c:a1e0::2', bravo)
    expect(await whoIs('100.64.0.2', 40_000, { access })).toEqual({
      id: 'nbravoCNTRL',
      host: 'bravo',
      domain: 'rig.ts.net',
      user: 'User-2@example.net',
      tags: [],
      addresses: ['100.64.0.2', 'fd7a:115c:a1e0::2'],
      shared: false,
      expired: false,
    })
    expect(fake.asked).toEqual(['/localapi/v0/whois?addr=100.64.0.2%3A40000&proto=tcp'])
  })

  test('by IPv6, and by an IPv4 address in its IPv6 form', async () => {
    fake.nodes
      .set('fd7a:115c:a1e0::2', { host: 'bravo', user: 'a' })
      .set('100.64.0.3', { host: 'ci', tags: ['tag:ci'] })
    expect(await whoIs('fd7a:115c:a1e0::2', 1, { access })).toMatchObject({ host: 'bravo' })
    expect(await whoIs('::ffff:100.64.0.3', 1, { access })).toMatchObject({ host: 'ci', user: null, tags: ['tag:ci'] })
  })

  test('from loopback, by its port (userspace networking)', async () => {
    fake.nodes.set('127.0.0.1:40001', { host: 'bravo', user: 'a' })
    expect(await whoIs('127.0.0.1', 40_001, { access })).toMatchObject({ host: 'bravo' })
    expect(await whoIs('127.0.0.1', 40_002, { access })).toBeNull()
  })

  test('shared, sharing and expired machines are seen as such', async () => {
    fake.nodes
      .set('100.64.0.4', { host: 'a', user: 'x', sharer: 12 })
      .set('100.64.0.5', { host: 'b', user: 'x', sharee: true })
      .set('100.64.0.6', { host: 'c', user: 'x', expired: true })
    expect(await whoIs('100.64.0.4', 1, { access })).toMatchObject({ shared: true, expired: false })
    expect(await whoIs('100.64.0.5', 1, { access })).toMatchObject({ shared: true })
    expect(await whoIs('100.64.0.6', 1, { access })).toMatchObject({ shared: false, expired: true })
  })

  test('nobody of the tailnet is null', async () => {
    expect(await whoIs('192.168.1.20', 1, { access })).toBeNull()
  })

  test.each<[Manner, RegExp]>([
    ['silent', /no answer/],
    ['half', /no answer/],
    ['endless', /too long/],
    ['garbage', /no sense/],
    ['error', /500/],
    ['hangs-up', /broke off/],
  ])('%s: throws, since that is not "nobody"', async (manner, says) => {
    fake.manner = manner
    fake.nodes.set('100.64.0.2', { host: 'bravo', user: 'a' })
    const query = manner === 'silent' || manner === 'half' ? { access, ...HANGING } : { access }
    await expect(whoIs('100.64.0.2', 1, query)).rejects.toMatchObject({
      code: 'no_tailscale',
      message: expect.stringMatching(says) as string,
    })
  })

  test('what is no address gets 400, and throws', async () => {
    await expect(whoIs('fe80::1%eth0', 1, { access })).rejects.toMatchObject({ code: 'no_tailscale' })
  })

  test('a daemon that has gone: throws', async () => {
    await fake.close()
    await expect(whoIs('100.64.0.2', 1, { access })).rejects.toMatchObject({ code: 'no_tailscale' })
  })
})

test('who there is on the tailnet', async () => {
  fake.nodes
    .set('100.64.0.2', { host: 'bravo', user: 'user-2@example.net' })
    .set('100.64.0.3', { host: 'ci', tags: ['tag:ci'] })
  expect(await readPeople({ access })).toEqual({
    users: ['user-1@example.net', 'user-2@example.net', 'tagged-devices'],
    tags: ['tag:ci'],
  })
})

describe('the tailscale command, where there is no socket', () => {
  let folder: string
  beforeEach(({ skip }) => {
    skip(process.platform === 'win32', 'the command of these tests is a shell script')
    folder = fs.mkdtempSync(join(tmpdir(), 'sealift-tailscale-'))
  })
  afterEach(() => fs.rmSync(folder, { recursive: true }))

  /** A `tailscale` that does this, and writes its arguments to a file. */
  function command(script: string): TailscaleAccess {
    fs.writeFileSync(join(folder, 'tailscale'), `#!/bin/sh\necho "$*" >> "${folder}/args"\n${script}\n`, {
      mode: 0o755,
    })
    return { doors: [], commands: [join(folder, 'tailscale')], env: { PATH: '/usr/bin:/bin' } }
  }
  const asked = (): string => fs.readFileSync(join(folder, 'args'), 'utf8')

  test('status and whois', async () => {
    const status = '{"BackendState":"Running","TailscaleIPs":["100.64.0.1"],"Self":null,"TUN":true}'
    const whois = '{"Node":{"StableID":"n1","Name":"bravo.rig.ts.net."},"UserProfile":{"LoginName":"a@b"}}'
    const access = command(`case "$1" in status) echo '${status}';; whois) echo '${whois}';; esac`)
    expect(await readTailnet({ access })).toMatchObject({ state: 'running', addresses: ['100.64.0.1'] })
    expect(await whoIs('fd7a::2', 7, { access })).toMatchObject({ host: 'bravo', user: 'a@b', addresses: [] })
    expect(asked()).toBe('status --json --peers=false\nwhois --json [fd7a::2]:7\n')
  })

  test.each([
    ['echo "peer not found" >&2; exit 1', null],
    ['echo "no match for IP:port" >&2; exit 1', null],
  ])('%s: nobody', async (script, peer) => {
    expect(await whoIs('100.64.0.9', 1, { access: command(script) })).toBe(peer)
  })

  test('without a daemon', async () => {
    const says = "failed to connect to local tailscaled; it doesn't appear to be running"
    const access = command(`echo "${says}" >&2; exit 1`)
    expect(await readTailnet({ access })).toMatchObject({ state: 'no-daemon' })
    await expect(whoIs('100.64.0.9', 1, { access })).rejects.toMatchObject({ code: 'no_tailscale' })
  })

  test('that hangs, with a child that holds its output, fails or floods: unreachable', async () => {
    expect(await readTailnet({ access: command('sleep 2 & exec sleep 2'), ...HANGING })).toMatchObject({
      detail: 'Tailscale cannot be asked: no answer within 0.1 s',
    })
    expect(await readTailnet({ access: command('exit 3') })).toMatchObject({ state: 'unreachable' })
    expect(await readTailnet({ access: command('yes') })).toMatchObject({
      detail: 'Tailscale cannot be asked: its answer is too long',
    })
  })
})

describe('where Tailscale is looked for', () => {
  test('TS_SOCKET, and then nowhere else', () => {
    expect(defaultAccess({ TS_SOCKET: '/x/y.sock' })).toEqual({
      doors: [{ kind: 'socket', path: '/x/y.sock' }],
      commands: [],
      env: { TS_SOCKET: '/x/y.sock' },
    })
  })

  test('by the command on the path, not in a folder that depends on the current one', () => {
    const folder = fs.mkdtempSync(join(tmpdir(), 'sealift-tailscale-'))
    fs.writeFileSync(join(folder, 'tailscale'), '', { mode: 0o755 })
    const below = relative(process.cwd(), folder)
    expect(defaultAccess({ PATH: `/nonexistent:${below}:${folder}` }, 'linux').commands).toEqual([
      join(folder, 'tailscale'),
    ])
    expect(defaultAccess({ PATH: `/nonexistent:${below}` }, 'linux').commands).toEqual([])
    fs.chmodSync(join(folder, 'tailscale'), 0o644)
    expect(defaultAccess({ PATH: folder }, 'linux').commands).toEqual([])
    fs.rmSync(folder, { recursive: true })
  })

  test('on Windows by its pipe', () => {
    expect(defaultAccess({}, 'win32').doors).toEqual([
      { kind: 'socket', path: String.raw`\\.\pipe\ProtectedPrefix\Administrators\Tailscale\tailscaled` },
    ])
  })
})
