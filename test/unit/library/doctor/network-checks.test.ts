/** Tailscale, addresses and the port: what each state of the machine means. */

import fs from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { TailnetState } from '../../../../src/guard/tailscale.ts'
import { judgeAddresses, readAddresses } from '../../../../src/library/doctor/address-check.ts'
import { judgePort, type PortFacts, tryPort } from '../../../../src/library/doctor/port-check.ts'
import { findPortHolder } from '../../../../src/library/doctor/port-holder.ts'
import { judgeTailnet, tailnetFacts } from '../../../../src/library/doctor/tailscale-check.ts'
import { SealiftError } from '../../../../src/protocol/errors.ts'

const signal = new AbortController().signal

describe('Tailscale', () => {
  const RUNNING: TailnetState = {
    state: 'running',
    addresses: ['100.64.0.1', 'fd7a:115c:a1e0::1'],
    userspace: false,
    tailnet: 'example.com',
    domain: 'example.ts.net',
    self: { host: 'alpha', user: 'user-1@example.com' },
    version: '1.90.0',
    health: [],
    detail: 'Tailscale runs',
    advice: null,
  }

  const judged = (over: Partial<TailnetState>, address: string | null = '100.64.0.1') =>
    judgeTailnet({ found: { ...RUNNING, ...over }, address })

  test('running', () => {
    expect(judged({})).toMatchObject([
      {
        status: 'ok',
        what: '100.64.0.1, fd7a:115c:a1e0::1 in example.com, user-1@example.com',
        meaning: expect.stringMatching('listens on 100.64.0.1;'),
        advice: null,
      },
    ])
    expect(judged({ self: { host: 'alpha', user: null } })[0]?.what).toMatch(/a machine with tags$/)
  })

  test('running without a network interface', () => {
    expect(judged({ userspace: true })).toMatchObject([
      { status: 'note', meaning: expect.stringMatching('Nothing can be received'), advice: expect.any(String) },
    ])
  })

  test('what Tailscale complains of is said too', () => {
    const findings = judged({ health: ['no DERP relay', 'no DNS'] })
    expect(findings.map(({ status, what }) => [status, what]).slice(1)).toEqual([
      ['warning', 'no DERP relay'],
      ['warning', 'no DNS'],
    ])
  })

  test.each(['no-daemon', 'stopped', 'logged-out', 'unapproved', 'starting', 'unreachable'] as const)('%s', (state) => {
    const detail = 'it is so'
    expect(judged({ state, addresses: [], detail, advice: 'sudo tailscale up' }, null)).toMatchObject([
      { status: 'warning', what: detail, meaning: expect.stringMatching('--lan'), advice: 'sudo tailscale up' },
    ])
  })

  test('not installed is no fault, running without an address that can be used is', () => {
    expect(judged({ state: 'absent', addresses: [] }, null)[0]?.status).toBe('note')
    expect(judged({ addresses: [] }, null)[0]?.status).toBe('warning')
    expect(judged({}, null)).toMatchObject([{ status: 'warning', advice: expect.stringMatching('container') }])
    // An address that no interface has, which only Tailscale speaks of.
    expect(tailnetFacts(RUNNING).address).toBeNull()
    expect(tailnetFacts({ ...RUNNING, userspace: true }).address).toBe('100.64.0.1')
    expect(tailnetFacts({ ...RUNNING, state: 'stopped', userspace: true }).address).toBeNull()
  })
})

describe('addresses', () => {
  const lan = { address: '192.168.1.20', interfaceName: 'wlan0' }

  test('which one --lan takes, and what else there is', () => {
    const [found] = judgeAddresses({ lan, all: [lan, { address: 'fd00::2', interfaceName: 'wlan0' }] })
    expect(found).toMatchObject({
      status: 'ok',
      what: expect.stringMatching('192.168.1.20 \\(wlan0\\)'),
      meaning: expect.stringMatching(/--listen: fd00::2 \(wlan0\)/),
      details: { lan: '192.168.1.20', addresses: ['192.168.1.20', 'fd00::2'] },
    })
    expect(judgeAddresses({ lan, all: [lan] })[0]?.meaning).not.toContain('--listen')
  })

  test.each([
    ['192.0.2.9', 'note'],
    ['2001:db8::1', 'note'],
    ['10.1.2.3', 'ok'],
    ['172.31.0.1', 'ok'],
    ['100.64.0.1', 'ok'],
    ['fd12::1', 'ok'],
  ])('%s: %s', (address, status) => {
    const found = { address, interfaceName: 'eth0' }
    expect(judgeAddresses({ lan: found, all: [found] })[0]?.status).toBe(status)
  })

  test('none', () => {
    expect(judgeAddresses({ lan: null, all: [] })).toMatchObject([{ status: 'warning', advice: expect.any(String) }])
  })

  test('of this machine: no loopback', () => {
    expect(readAddresses().all.map(({ address }) => address)).not.toContain('127.0.0.1')
  })
})

describe('the port', () => {
  const facts: PortFacts = {
    port: 15_820,
    tries: [{ address: '127.0.0.1', error: null }],
    holder: null,
    isOwnSender: false,
  }
  const inUse = { address: '10.0.0.1', error: new SealiftError('port_in_use', 'in use') }

  test('free: a firewall is spoken of', () => {
    expect(judgePort(facts)).toMatchObject([
      { status: 'ok', what: 'port 15820 is free on 127.0.0.1', meaning: expect.stringMatching(/firewall.*15820/) },
    ])
    expect(judgePort({ ...facts, port: 0 })[0]?.what).toBe('a free port can be had')
  })

  test('in use on one address, free on another', () => {
    const holder = { pid: 42, program: 'nginx' }
    const findings = judgePort({ ...facts, tries: [...facts.tries, inUse], holder })
    expect(findings).toMatchObject([
      { status: 'problem', code: 'port_in_use', what: 'port 15820 is in use on 10.0.0.1 by process 42 (nginx)' },
      { status: 'ok' },
    ])
    expect(judgePort({ ...facts, tries: [inUse] })[0]?.what).toBe('port 15820 is in use on 10.0.0.1')
  })

  test('held by a sender of this user that waits: no problem', () => {
    const holder = { pid: 42, program: 'node' }
    expect(judgePort({ ...facts, tries: [inUse], holder, isOwnSender: true })).toMatchObject([
      { status: 'note', what: expect.stringMatching('process 42') },
    ])
  })

  test('an address that cannot be listened on', () => {
    const error = new SealiftError('address_unavailable', 'not here', { hint: 'look' })
    expect(judgePort({ ...facts, tries: [{ address: '10.0.0.1', error }] })).toMatchObject([
      { status: 'problem', code: 'address_unavailable', what: 'not here', advice: 'look' },
    ])
  })

  test('is tried for real, and who has it is found on Linux', async () => {
    const server = net.createServer().listen(0, '127.0.0.1')
    onTestFinished(() => void server.close())
    await new Promise((resolve) => server.once('listening', resolve))
    const { port } = server.address() as net.AddressInfo
    const taken = await tryPort(port, ['127.0.0.1'], [process.pid], signal)
    expect(taken.tries[0]?.error?.code).toBe('port_in_use')
    if (process.platform === 'linux') {
      expect(taken.holder?.pid).toBe(process.pid)
      expect(taken.isOwnSender).toBe(true)
      expect((await tryPort(port, ['127.0.0.1'], [], signal)).isOwnSender).toBe(false)
    }
    await new Promise((resolve) => server.close(resolve))
    const free = await tryPort(port, ['127.0.0.1'], [], signal)
    expect(free).toEqual({ port, tries: [{ address: '127.0.0.1', error: null }], holder: null, isOwnSender: false })
    // It was only tried: the port is free again.
    expect((await tryPort(port, ['127.0.0.1'], [], signal)).tries[0]?.error).toBeNull()
  })

  test('the holder, from what the system writes', () => {
    const proc = fs.mkdtempSync(join(tmpdir(), 'sealift-proc-'))
    onTestFinished(() => fs.rmSync(proc, { recursive: true }))
    const line = (port: string, state: string, inode: number): string =>
      `   0: 0100007F:${port} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000  1000        0 ${String(inode)} 1 0`
    fs.mkdirSync(join(proc, 'net'))
    fs.writeFileSync(join(proc, 'net/tcp'), ['head', line('3DCC', '01', 7), line('3DCC', '0A', 8), ''].join('\n'))
    for (const [pid, inode] of [
      ['11', 7],
      ['12', 8],
    ] as const) {
      fs.mkdirSync(join(proc, pid, 'fd'), { recursive: true })
      fs.symlinkSync(`socket:[${String(inode)}]`, join(proc, pid, 'fd', '3'))
      fs.symlinkSync(`/usr/bin/prog${pid}`, join(proc, pid, 'exe'))
    }
    expect(findPortHolder(0x3dcc, proc)).toEqual({ pid: 12, program: 'prog12' })
    expect(findPortHolder(80, proc)).toBeNull()
    expect(findPortHolder(0x3dcc, join(proc, 'nothing'))).toBeNull()
  })
})
