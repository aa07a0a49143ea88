/** What Tailscale tells a receiver: who it is connected to, and why it cannot connect. */

import net from 'node:net'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { receiveFiles } from '../../../src/index.ts'
import { adviseOnReaching, identifyPeer } from '../../../src/library/peer-identity.ts'
import { FakeTailscaled } from '../../rigs/fake-tailscaled.ts'
import { makePlace } from '../../rigs/place.ts'

let fake: FakeTailscaled
const never = new AbortController().signal

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
  expect(await identifyPeer({ address: '100.64.0.2', port: 15_820 }, never)).toBe('bravo (ana@example.net)')
  vi.stubEnv('TS_SOCKET', '/nonexistent/tailscaled.sock')
  expect(await identifyPeer({ address: '100.64.0.2', port: 15_820 }, never)).toBeNull()
})

test('nobody waits for a Tailscale that hangs once the transfer is over', async () => {
  fake.manner = 'silent'
  // The time of no answer never comes.
  vi.useFakeTimers({ toFake: ['setTimeout'] })
  const asked = fake.question()
  const stranger = net.createServer((socket) => {
    socket.on('error', () => undefined).resume()
    void asked.then(() => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'))
  })
  await new Promise<void>((listening) => stranger.listen(0, '127.0.0.1', listening))
  const { port } = stranger.address() as net.AddressInfo
  const { out: outputDir, receiverLedger: ledgerPath } = makePlace(1)
  const transfer = receiveFiles(`127.0.0.1:${port}:coral-magnet`, { outputDir, ledgerPath })
  await expect(transfer.done).rejects.toMatchObject({ code: 'not_sealift' })
  vi.useRealTimers()
  await new Promise((closed) => stranger.close(closed))
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
