import { describe, expect, test } from 'vitest'
import { isLoopback, parseSource, sourceOf } from '../../../src/guard/peer-address.ts'

describe('a source', () => {
  test.each([
    ['192.168.1.20', '192.168.1.20'],
    ['::ffff:192.168.1.20', '192.168.1.20'],
    ['::FFFF:c0a8:0114', '192.168.1.20'],
    ['0:0:0:0:0:ffff:192.168.1.20', '192.168.1.20'],
    ['memory', 'memory'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::1', '2001:db8:1:2::/64'],
    ['2001:0DB8:0001:0002:ffff::', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['2001:db8:0:0:1::', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['fe80::abcd:1%wlan0', 'fe80:0:0:0::/64'],
    ['2001:db8:1:3::1', '2001:db8:1:3::/64'],
    ['fd7a:115c:a1e0:ab12:4843:cd96:6242:1', 'fd7a:115c:a1e0:ab12:4843:cd96:6242:1'],
    ['fd7a:115c:a1e0::2', 'fd7a:115c:a1e0:0:0:0:0:2'],
  ])('of %s is %s', (address, source) => {
    expect(sourceOf(address)).toBe(source)
  })

  test.each(['127.0.0.1', '127.8.9.1', '::1', '0:0:0:0:0:0:0:1', '::ffff:127.0.0.1'])('%s is this machine', (address) =>
    expect(isLoopback(address)).toBe(true),
  )

  test.each(['128.0.0.1', '::2', '::', '::ffff:10.0.0.1', '2001:db8::1', 'memory', '127.evil'])(
    '%s is not this machine',
    (address) => expect(isLoopback(address)).toBe(false),
  )

  test.each([
    ['192.0.2.7', '192.0.2.7'],
    [' [2001:db8::7] ', '2001:db8:0:0::/64'],
    ['2001:db8:0:0::/64', '2001:db8:0:0::/64'],
    ['2001:db8:1:2::/64', '2001:db8:1:2::/64'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['fd7a:115c:a1e0:0:0:0:0:2', 'fd7a:115c:a1e0:0:0:0:0:2'],
  ])('%s as a person writes it is %s', (text, source) => expect(parseSource(text)).toBe(source))

  test.each(['', 'host', '192.0.2', '192.0.2.7:9000', '1.2.3.4/8', '2001:db8::/48', '\u001b[2J'])(
    '%j is no address, and that is one harmless line',
    (text) => {
      expect(() => parseSource(text)).toThrow(expect.objectContaining({ code: 'usage' }))
      expect(() => parseSource(text)).not.toThrow(/\u001b|\n/)
    },
  )
})
