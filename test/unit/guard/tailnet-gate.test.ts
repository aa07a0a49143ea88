/** Who of the tailnet may connect: the rule, its exceptions, and that any doubt refuses. */

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { readTailnet, type TailscaleQuery } from '../../../src/guard/tailscale.ts'
import { readAllowed, TailnetGate } from '../../../src/guard/tailnet-gate.ts'
import { identify } from '../../../src/guard/tailnet-identity.ts'
import { FakeTailscaled, type FakeNode, type Manner } from '../../rigs/fake-tailscaled.ts'

const ANA: FakeNode = { host: 'bravo', user: 'Ana@example.net' }
const BEN: FakeNode = { host: 'delta', user: 'ben@example.net' }
const CI: FakeNode = { host: 'ci', tags: ['tag:ci', 'tag:linux'] }

let fake: FakeTailscaled
let query: TailscaleQuery
let nowMs = 0

beforeEach(async () => {
  fake = await FakeTailscaled.start()
  query = { access: { doors: [{ kind: 'socket', path: fake.socket }], commands: [], env: {} } }
  fake.nodes.set('100.64.0.2', ANA).set('100.64.0.3', BEN).set('100.64.0.4', CI)
})
afterEach(() => fake.close())

async function gateFor(users: readonly string[] = [], tags: readonly string[] = []): Promise<TailnetGate> {
  const home = await readTailnet(query)
  return new TailnetGate({ home, address: '100.64.0.1', allowed: readAllowed(users, tags), query, nowMs: () => nowMs })
}

/** `in`, or why not. */
async function verdict(gate: TailnetGate, address: string, port = 40_000): Promise<string> {
  try {
    await gate.check({ address, port })
    return 'in'
  } catch (error) {
    expect(error).toMatchObject({ code: 'peer_refused' })
    return (error as Error).message
  }
}

test.each<[users: string[], tags: string[], letIn: string[]]>([
  [[], [], ['ana', 'ben', 'ci']],
  [['ana@EXAMPLE.net'], [], ['ana']],
  [['ana@example.net', 'ben@example.net'], [], ['ana', 'ben']],
  [[], ['tag:ci'], ['ci']],
  [[], ['tag:linux', 'tag:other'], ['ci']],
  [['ben@example.net'], ['tag:ci'], ['ben', 'ci']],
  [[], ['tag:CI'], []],
  [['nobody@example.net'], [], []],
  // The name that tagged machines go by is no login.
  [['tagged-device'], [], []],
])('allowed users %j, tags %j: %j come in', async (users, tags, letIn) => {
  const gate = await gateFor(users, tags)
  const found: string[] = []
  for (const [name, address] of Object.entries({ ana: '100.64.0.2', ben: '100.64.0.3', ci: '100.64.0.4' })) {
    const said = await verdict(gate, address)
    if (said === 'in') found.push(name)
    else expect(said).toMatch(/\(.*\) is not one of those allowed$/)
  }
  expect(found).toEqual(letIn)
})

describe('who is refused without being named', () => {
  test('an address that the tailnet does not know, in its range or not', async () => {
    const gate = await gateFor()
    for (const address of ['100.64.0.99', '192.168.1.20', '127.0.0.1', 'fd7a:115c:a1e0::99'])
      expect(await verdict(gate, address)).toBe(`${address} is not on this tailnet`)
  })

  test('a machine of another tailnet, however it got here', async () => {
    const gate = await gateFor()
    const others: FakeNode[] = [
      { ...ANA, sharer: 7 },
      { ...ANA, sharee: true },
      { ...ANA, domain: 'other.ts.net' },
      { ...ANA, domain: 'evilrig.ts.net' },
      { ...CI, domain: 'other.ts.net' },
    ]
    for (const node of others) {
      fake.nodes.set('100.64.0.5', node)
      expect(await verdict(gate, '100.64.0.5')).toMatch(/belongs to another tailnet/)
    }
  })

  test('an expired one, even if it is named', async () => {
    fake.nodes.set('100.64.0.5', { ...ANA, expired: true })
    expect(await verdict(await gateFor(['ana@example.net']), '100.64.0.5')).toMatch(/expired/)
  })
})

test('a machine that was shared comes in for its user, never for its tag', async () => {
  const gate = await gateFor(['ana@example.net'], ['tag:ci'])
  fake.nodes.set('100.64.0.5', { ...ANA, sharer: 7 }).set('100.64.0.6', { ...CI, domain: 'other.ts.net' })
  expect(await verdict(gate, '100.64.0.5')).toBe('in')
  expect(await verdict(gate, '100.64.0.6')).toMatch(/another tailnet/)
})

test('a name from outside cannot draw on the terminal', async () => {
  fake.nodes.set('100.64.0.5', { host: 'x\u001b[2J', user: 'y' })
  expect(await verdict(await gateFor(['ana@example.net']), '100.64.0.5')).not.toContain('\u001b')
})

describe('doubt refuses', () => {
  test.each<Manner>(['silent', 'half', 'endless', 'garbage', 'error', 'hangs-up'])('%s', async (manner) => {
    query = { ...query, timeoutMs: manner === 'silent' || manner === 'half' ? 100 : 2000 }
    const gate = await gateFor()
    fake.manner = manner
    expect(await verdict(gate, '100.64.0.2')).toMatch(/^100\.64\.0\.2 cannot be checked: /)
  })

  test('a daemon that has gone, is stopped, or belongs to another tailnet by now', async () => {
    const gate = await gateFor()
    expect(await verdict(gate, '100.64.0.2')).toBe('in')
    nowMs += 10_000
    fake.state = 'Stopped'
    expect(await verdict(gate, '100.64.0.2')).toMatch(/stopped/)
    fake.state = 'Running'
    fake.domain = 'other.ts.net'
    expect(await verdict(gate, '100.64.0.2')).toMatch(/another tailnet now/)
    fake.domain = 'rig.ts.net'
    fake.tailnet = 'other.example'
    expect(await verdict(gate, '100.64.0.2')).toMatch(/another tailnet now/)
    fake.tailnet = 'rig.ts.net'
    fake.addresses = ['100.64.0.77']
    expect(await verdict(gate, '100.64.0.2')).toMatch(/another tailnet now/)
    await fake.close()
    expect(await verdict(gate, '100.64.0.2')).toMatch(/not running/)
  })
})

describe('what is remembered', () => {
  test('who passed, for a few seconds; who did not, never', async () => {
    const gate = await gateFor()
    await verdict(gate, '100.64.0.2')
    const asked = fake.asked.length
    expect(await verdict(gate, '::ffff:100.64.0.2', 40_001)).toBe('in')
    expect(fake.asked.length).toBe(asked)
    nowMs += 2999
    expect(await verdict(gate, '100.64.0.2')).toBe('in')
    expect(fake.asked.length).toBe(asked)
    // It is not renewed by being used.
    nowMs += 1
    fake.nodes.delete('100.64.0.2')
    expect(await verdict(gate, '100.64.0.2')).toMatch(/not on this tailnet/)
    fake.nodes.set('100.64.0.2', ANA)
    expect(await verdict(gate, '100.64.0.2')).toBe('in')
  })

  test('one from loopback by its port only (userspace networking)', async () => {
    fake.userspace = true
    fake.nodes.set('127.0.0.1:40000', ANA)
    const gate = await gateFor()
    expect(await verdict(gate, '127.0.0.1', 40_000)).toBe('in')
    expect(await verdict(gate, '127.0.0.1', 40_001)).toMatch(/not on this tailnet/)
  })

  test('who it was, for the connection that was checked', async () => {
    const gate = await gateFor()
    const place = { address: '100.64.0.4', port: 1 }
    await gate.check(place)
    expect(gate.identityOf(place)).toBe('ci (tag:ci, tag:linux)')
    expect(gate.identityOf({ ...place })).toBeNull()
  })
})

test('whoever is allowed and not there is found', async () => {
  const never = new AbortController().signal
  const none = { absent: [], isEverybody: false }
  expect(await (await gateFor()).findAbsent(never)).toEqual(none)
  expect(await (await gateFor(['ANA@example.net'])).findAbsent(never)).toEqual(none)
  expect(await (await gateFor(['nobody@example.net'])).findAbsent(never)).toEqual({
    absent: ['nobody@example.net'],
    isEverybody: true,
  })
  const gate = await gateFor(['ana@example.net', 'nobody@example.net'], ['tag:ci', 'tag:none'])
  expect(await gate.findAbsent(never)).toEqual({ absent: ['nobody@example.net', 'tag:none'], isEverybody: false })
  fake.manner = 'error'
  expect(await gate.findAbsent(never)).toEqual(none)
  fake.manner = 'silent'
  expect(await gate.findAbsent(AbortSignal.abort())).toEqual(none)
})

test.each([
  [[''], []],
  [['tag:ci'], []],
  [['tagged-devices'], []],
  [[], ['ci']],
  [[], ['tag:']],
  [[], ['tag:a b']],
])('no login or tag: %j %j', (users, tags) => {
  expect(() => readAllowed(users, tags)).toThrow(expect.objectContaining({ code: 'settings_invalid' }) as Error)
})

describe('who is at an address that was dialled', () => {
  test('a machine of the tailnet', async () => {
    expect(await identify('100.64.0.2', 15_820, query)).toBe('bravo (Ana@example.net)')
    expect(await identify('::ffff:100.64.0.4', 15_820, query)).toBe('ci (tag:ci, tag:linux)')
  })

  test('nobody, where Tailscale does not vouch for it', async () => {
    expect(await identify('192.168.1.20', 1, query)).toBeNull()
    fake.nodes.set('100.64.0.5', { ...ANA, expired: true }).set('127.0.0.1:7', ANA)
    expect(await identify('100.64.0.5', 1, query)).toBeNull()
    expect(await identify('127.0.0.1', 7, query)).toBeNull()
    // What is dialled does not go through it then: an address of that look is anybody's.
    fake.userspace = true
    expect(await identify('100.64.0.2', 1, query)).toBeNull()
    fake.userspace = false
    fake.state = 'Stopped'
    expect(await identify('100.64.0.2', 1, query)).toBeNull()
    fake.manner = 'silent'
    expect(await identify('100.64.0.2', 1, { ...query, timeoutMs: 100 })).toBeNull()
  })
})
