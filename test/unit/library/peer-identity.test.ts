/** What Tailscale tells a receiver: who it is connected to, and why it cannot connect. */

import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { adviseOnReaching, identifyPeer } from '../../../src/library/peer-identity.ts'
import { FakeTailscaled } from '../../rigs/fake-tailscaled.ts'

let fake: FakeTailscaled

beforeEach(async () => {
  fake = await FakeTailscaled.start()
  vi.stubEnv('TS_SOCKET', fake.socket)
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await fake.close()
})

test('who is at an address; nobody, where there is no Tailscale', async () => {
  fake.nodes.set('100.64.0.2', { host: 'bravo', user: 'ana@example.net' })
  expect(await identifyPeer({ address: '100.64.0.2', port: 15_820 })).toBe('bravo (ana@example.net)')
  vi.stubEnv('TS_SOCKET', '/nonexistent/tailscaled.sock')
  expect(await identifyPeer({ address: '100.64.0.2', port: 15_820 })).toBeNull()
})

test.each(['100.64.0.2', '100.127.255.254', 'fd7a:115c:a1e0::2', 'bravo.tail1234.ts.net'])(
  '%s: why it cannot be reached without Tailscale',
  async (host) => {
    expect(await adviseOnReaching(host)).toBeNull()
    fake.state = 'Stopped'
    const [says, advice] = (await adviseOnReaching(host))?.split('\n') ?? []
    expect(says).toBe(`${host} looks like Tailscale's: Tailscale is stopped on this machine`)
    expect(advice).toMatch(/^start it: (sudo )?tailscale up$/)
    fake.state = 'Running'
    fake.userspace = true
    expect(await adviseOnReaching(host)).toMatch(/without an interface/)
  },
)

test.each(['192.168.1.20', '100.63.0.1', '100.128.0.1', 'fd00::1', 'tail.ts.net.example.com'])(
  '%s is no address of a tailnet: nothing is asked',
  async (host) => {
    fake.state = 'Stopped'
    expect(await adviseOnReaching(host)).toBeNull()
    expect(fake.asked).toEqual([])
  },
)
