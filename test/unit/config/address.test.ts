import { describe, expect, test } from 'vitest'

import { formatAddress, parseConnectAddress, parsePort } from '../../../src/config/address.ts'
import { SealiftError } from '../../../src/protocol/errors.ts'

describe('an address to receive from', () => {
  test.each([
    ['host', 'host', 15_820, null],
    ['host:1234', 'host', 1234, null],
    ['host:coral-magnet', 'host', 15_820, 'coral-magnet'],
    ['host:1234:coral-magnet', 'host', 1234, 'coral-magnet'],
    ['192.168.1.20:15820:coral magnet', '192.168.1.20', 15_820, 'coral magnet'],
    ['  host.example:coral-magnet\n', 'host.example', 15_820, 'coral-magnet'],
    ['[fe80::1%eth0]:1234:coral-magnet', 'fe80::1%eth0', 1234, 'coral-magnet'],
    ['[::1]', '::1', 15_820, null],
    ['[::1]:coral-magnet', '::1', 15_820, 'coral-magnet'],
    ['host:1234:', 'host', 1234, null],
    ['host:', 'host', 15_820, null],
    ['host:1password', 'host', 15_820, '1password'],
    ['host:65535', 'host', 65_535, null],
    ['host : 1234 : Coral Magnet ', 'host', 1234, ' Coral Magnet'],
    ['host:coral:magnet', 'host', 15_820, 'coral:magnet'],
    ['cafe:1234:Coral : Magnet', 'cafe', 1234, 'Coral : Magnet'],
  ])('%j', (text, host, port, token) => {
    expect(parseConnectAddress(text)).toEqual({ host, port, token })
  })

  test.each([
    '',
    ' ',
    ':coral-magnet',
    ':1234',
    '[]:1234',
    '[::1',
    '::1]:5',
    'two hosts:1234',
    '-oProxyCommand=x',
    'host:0',
    'host:65536:coral-magnet',
    'host:123456789:coral-magnet',
    '[::1]x:5',
    '::1',
    'fe80::1',
    '2001:db8::1:15820:coral-magnet',
    'fe80:beef:cafe',
    'fe80::coral',
    'host:coral::magnet',
    'host:coral:15820:magnet',
  ])('%j is none, and the error says how one looks', (text) => {
    let error: unknown
    try {
      parseConnectAddress(text)
    } catch (thrown) {
      error = thrown
    }
    expect(error).toBeInstanceOf(SealiftError)
    expect(error).toMatchObject({ code: 'usage', exitCode: 2 })
    expect((error as SealiftError).hint).toBeDefined()
    expect((error as SealiftError).message).not.toContain('coral')
  })
})

describe('a port', () => {
  test.each([
    ['0', 0],
    ['15820', 15_820],
    ['65535', 65_535],
    [' 80 ', 80],
  ])('%j', (text, port) => {
    expect(parsePort(text, '--port')).toBe(port)
  })

  test.each(['', '-1', '65536', '1e3', '0x50', '80a', '8 0', '999999', 'http'])('%j is none', (text) => {
    expect(() => parsePort(text, '--port')).toThrow(
      expect.objectContaining({ code: 'usage', message: expect.stringContaining('--port') as string }) as Error,
    )
  })
})

test('an address is shown with IPv6 in brackets, and short without the usual port', () => {
  expect(formatAddress('host', 1234)).toBe('host:1234')
  expect(formatAddress('::1', 15_820)).toBe('[::1]:15820')
  expect(formatAddress('::1', 15_820, true)).toBe('[::1]')
  expect(formatAddress('host', 15_820, true)).toBe('host')
  expect(formatAddress('host', 1234, true)).toBe('host:1234')
  for (const [host, port] of [
    ['::1', 80],
    ['host', 15_820],
  ] as const)
    expect(parseConnectAddress(formatAddress(host, port))).toEqual({ host, port, token: null })
})
