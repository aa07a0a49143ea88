/** Where a sender listens: Tailscale's address where there is one, else what was named, else the right reason why not. */

import { networkInterfaces } from 'node:os'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { findListenPlace, type ListenOptions } from '../../../src/library/listen-address.ts'
import { FakeTailscaled } from '../../rigs/fake-tailscaled.ts'

/** Loopback stands in for the tailnet's addresses: an interface has it everywhere. */
const HERE = '127.0.0.1'
let fake: FakeTailscaled

beforeEach(async () => {
  fake = await FakeTailscaled.start([HERE])
  vi.stubEnv('TS_SOCKET', fake.socket)
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await fake.close()
})

const hasIPv6 = Object.values(networkInterfaces()).some((found) => found?.some(({ address }) => address === '::1'))

async function placeOf(options: ListenOptions = {}): Promise<unknown> {
  const { host, address, tailnet } = await findListenPlace(options)
  return { host, address, tailnet: tailnet?.name ?? null }
}

describe('on the tailnet', () => {
  test('by default', async () => {
    expect(await placeOf()).toEqual({ host: HERE, address: HERE, tailnet: 'rig.ts.net' })
  })

  test('IPv4 where there are both, IPv6 where there is no other', async ({ skip }) => {
    skip(!hasIPv6, 'this machine has no IPv6 on loopback')
    fake.addresses = ['::1', HERE]
    expect(await placeOf()).toMatchObject({ host: HERE })
    fake.addresses = ['::1']
    expect(await placeOf()).toMatchObject({ host: '::1', address: '::1' })
  })

  test('an address of no interface is passed over for one that an interface has', async () => {
    fake.addresses = ['100.64.0.1', HERE]
    expect(await placeOf()).toMatchObject({ host: HERE, address: HERE })
  })

  test('without an interface of its own: bound to loopback, and said as others reach it', async () => {
    fake.userspace = true
    fake.addresses = ['fd7a:115c:a1e0::1', '100.64.0.1']
    const place = { host: HERE, address: '100.64.0.1', tailnet: 'rig.ts.net' }
    expect(await placeOf()).toEqual(place)
    expect(await placeOf({ listen: '100.64.0.1' })).toEqual(place)
  })

  test('checked also where its address was named, and not where another was', async () => {
    expect(await placeOf({ listen: HERE })).toMatchObject({ tailnet: 'rig.ts.net' })
    expect(await placeOf({ listen: '127.0.0.2' })).toEqual({ host: '127.0.0.2', address: '127.0.0.2', tailnet: null })
    expect(await placeOf({ listen: '0.0.0.0' })).toMatchObject({ tailnet: null })
    expect(await placeOf({ pod: true })).toMatchObject({ host: HERE, tailnet: null })
  })
})

describe('where Tailscale cannot be used', () => {
  const CASES: readonly (readonly [name: string, arrange: () => unknown, says: RegExp, advice: RegExp])[] = [
    ['stopped', () => (fake.state = 'Stopped'), /^Tailscale is stopped/, /^start it: (sudo )?tailscale up/],
    ['logged out', () => (fake.state = 'NeedsLogin'), /^this machine is logged out/, /^log in: (sudo )?tailscale up/],
    ['not approved', () => (fake.state = 'NeedsMachineAuth'), /^this machine is not approved/, /^an admin/],
    ['starting', () => (fake.state = 'Starting'), /^Tailscale is still starting/, /^try again/],
    ['without an address', () => (fake.addresses = null), /^Tailscale runs and has no address/, /restart/],
    ['talking nonsense', () => (fake.manner = 'garbage'), /^Tailscale cannot be asked: .*no sense/, /restart/],
    ['not running', () => fake.close(), /^no Tailscale daemon answers at TS_SOCKET/, /start/],
    [
      'of another machine',
      () => (fake.addresses = ['100.64.0.1']),
      /^no interface here has the Tailscale address 100\.64\.0\.1/,
      /container/,
    ],
  ]

  test.each(CASES)('%s: says so, what helps, and the lines that work', async (_name, arrange, says, advice) => {
    await arrange()
    const error: unknown = await findListenPlace({}).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'no_tailscale', message: expect.stringMatching(says) as string })
    const { hint } = error as { hint: string }
    expect(hint).toMatch(advice)
    for (const option of ['--lan', '--listen', '--pod']) expect(hint).toContain(option)
  })

  const hasLan = Object.values(networkInterfaces()).some((found) => found?.some(({ internal }) => !internal))

  test('the local network is offered with the reason, and taken on a yes', async ({ skip }) => {
    skip(!hasLan, 'this machine is on no network')
    fake.state = 'Stopped'
    const asked = vi.fn().mockResolvedValueOnce(true).mockReturnValueOnce(false)
    const place = await findListenPlace({ listenOnLan: asked })
    expect(place.tailnet).toBeNull()
    expect(asked).toHaveBeenCalledWith(
      { address: place.address, interfaceName: expect.any(String) as string },
      'Tailscale is stopped on this machine',
      expect.any(AbortSignal),
    )
    await expect(findListenPlace({ listenOnLan: asked })).rejects.toMatchObject({ code: 'no_tailscale' })
  })

  test('the local network is not offered where only some may come', async () => {
    fake.state = 'Stopped'
    const asked = vi.fn().mockReturnValue(true)
    await expect(findListenPlace({ listenOnLan: asked, allowTags: ['tag:ci'] })).rejects.toMatchObject({
      code: 'no_tailscale',
    })
    expect(asked).not.toHaveBeenCalled()
  })

  test('an address that may be its own is not taken without its word', async () => {
    fake.manner = 'error'
    await expect(findListenPlace({ listen: '100.64.0.1' })).rejects.toMatchObject({ code: 'no_tailscale' })
    expect(await placeOf({ listen: '192.0.2.1' })).toMatchObject({ tailnet: null })
    fake.manner = 'well'
    fake.state = 'Stopped'
    await expect(findListenPlace({ listen: '100.64.0.1' })).rejects.toMatchObject({
      code: 'no_tailscale',
      message: "100.64.0.1 looks like Tailscale's: Tailscale is stopped on this machine",
    })
  })
})

test.each<[ListenOptions, string]>([
  [{ pod: true, lan: true }, 'usage'],
  [{ pod: true, allowUsers: ['ana@example.net'] }, 'usage'],
  [{ lan: true, allowTags: ['tag:ci'] }, 'usage'],
  [{ listen: '127.0.0.2', allowUsers: ['ana@example.net'] }, 'usage'],
  [{ listen: 'localhost', allowUsers: ['ana@example.net'] }, 'usage'],
  [{ allowTags: ['ci'] }, 'settings_invalid'],
])('%j: %s', async (options, code) => {
  await expect(findListenPlace(options)).rejects.toMatchObject({ code })
})
