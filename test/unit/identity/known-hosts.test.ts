/** Keys of servers that were met before: remembered once, a hard stop when they change (S-10). */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'

import { KnownHosts } from '../../../src/identity/known-hosts.ts'
import { fingerprintOf, formatPublicKey } from '../../../src/identity/public-key.ts'
import { ServerTrust } from '../../../src/identity/server-trust.ts'
import { SealiftError } from '../../../src/protocol/errors.ts'
import { makeFolder, noOtherUser } from './place.ts'

const code = (name: string): Error => expect.objectContaining({ name: 'SealiftError', code: name }) as Error
const keyOf = (byte: number): Uint8Array => new Uint8Array(32).fill(byte)
const [A, B] = [keyOf(1), keyOf(2)]

function newList(text?: string): KnownHosts {
  const path = join(makeFolder(), 'sealift', 'known_hosts')
  if (text !== undefined) {
    fs.mkdirSync(join(path, '..'))
    fs.writeFileSync(path, text, { mode: 0o600 })
  }
  return new KnownHosts(path)
}

const contentOf = ({ path }: KnownHosts): string => fs.readFileSync(path, 'utf8')

describe('the list', () => {
  test('has nobody in it until somebody was met, and then exactly that one, by host and port', () => {
    const list = newList()
    expect(list.find('host', 9000)).toBe(null)
    list.remember('host', 9000, A)
    list.remember('other', 9000, B)
    expect(list.find('host', 9000)).toEqual({ key: A, line: 1 })
    expect(list.find('HOST', 9000)).toEqual({ key: A, line: 1 })
    expect(list.find('other', 9000)?.key).toEqual(B)
    expect([list.find('host', 9001), list.find('hos', 9000), list.find('host.', 9000)]).toEqual([null, null, null])
    expect(contentOf(list)).toBe(`host:9000 ${formatPublicKey(A)}\nother:9000 ${formatPublicKey(B)}\n`)
  })

  test('is for its owner alone, in a folder of its owner', () => {
    const list = newList()
    list.remember('host', 9000, A)
    expect([fs.statSync(list.path).mode & 0o777, fs.statSync(join(list.path, '..')).mode & 0o777]).toEqual([
      0o600, 0o700,
    ])
  })

  test('writes IPv6 in brackets', () => {
    const list = newList()
    list.remember('FD7A:115C::1', 9000, A)
    expect(contentOf(list)).toMatch(/^\[fd7a:115c::1\]:9000 /)
    expect(list.find('fd7a:115c::1', 9000)?.key).toEqual(A)
  })

  test('does not grow by meeting the same server again', () => {
    const list = newList()
    for (let at = 0; at < 3; at++) list.remember('host', 9000, A)
    expect(contentOf(list).split('\n').length).toBe(2)
  })

  test('may have comments and empty lines, and those of other programs stay', () => {
    const list = newList(`# mine\n\n  \nhost:9000   ${formatPublicKey(A)}  \r\nwhat:1 is this\n`)
    expect(list.find('host', 9000)).toEqual({ key: A, line: 4 })
    list.remember('other', 1, B)
    expect(contentOf(list)).toContain('# mine\n\n')
    expect(list.find('other', 1)).toEqual({ key: B, line: 6 })
  })

  test('whose last line is cut does not believe it, and goes on behind it', () => {
    const list = newList(`host:9000 ${formatPublicKey(A)}\nother:9000 sealift-x255`)
    expect([list.find('host', 9000)?.key, list.find('other', 9000)]).toEqual([A, null])
    const whole = newList(`host:9000 ${formatPublicKey(A)}`)
    expect(whole.find('host', 9000)).toBe(null)
    whole.remember('new', 1, B)
    expect([whole.find('new', 1)?.key, whole.find('host', 9000)?.key]).toEqual([B, A])
  })

  test('with a line for this host that names no key is a fault, not a first meeting', () => {
    for (const rest of ['', 'sealift-x25519', 'sealift-x25519 AAAA', `${formatPublicKey(A)} name`, 'ssh-rsa AAAA']) {
      const list = newList(`host:9000 ${rest}\n`)
      expect(() => list.find('host', 9000)).toThrow(code('settings_invalid'))
      expect(() => list.remember('host', 9000, A)).toThrow(code('settings_invalid'))
    }
  })

  test('that others may write, or another user owns, is not believed', ({ skip }) => {
    for (const mode of [0o620, 0o602, 0o666]) {
      const list = newList(`host:9000 ${formatPublicKey(A)}\n`)
      fs.chmodSync(list.path, mode)
      expect(() => list.find('host', 9000)).toThrow(code('settings_invalid'))
      expect(() => list.remember('other', 9000, A)).toThrow(code('settings_invalid'))
    }
    const readable = newList(`host:9000 ${formatPublicKey(A)}\n`)
    fs.chmodSync(readable.path, 0o644)
    expect(readable.find('host', 9000)?.key).toEqual(A)
    if (noOtherUser !== null) skip(noOtherUser)
    fs.chownSync(readable.path, 12_345, 12_345)
    expect(() => readable.find('host', 9000)).toThrow(code('settings_invalid'))
  })

  test('takes no host that could pass for another line', () => {
    for (const host of ['', 'a b', 'a\nb:1', '#a', 'a\u0000b'])
      expect(() => newList().remember(host, 9000, A)).toThrow(code('usage'))
  })

  test('of ten processes that meet another key each at the same moment, one counts, and the others are told', async () => {
    const list = newList()
    const source = `
      const { KnownHosts } = await import(${JSON.stringify(new URL('../../../src/identity/known-hosts.ts', import.meta.url).href)})
      process.stdin.once('data', () => {
        try {
          new KnownHosts(process.argv[1]).remember('host', 9000, new Uint8Array(32).fill(Number(process.argv[2])))
          console.log('kept')
        } catch (error) { console.log(error.code) }
        process.exit()
      })
      console.log('ready')`
    const children = Array.from({ length: 6 }, (_, at) =>
      spawn(process.execPath, ['--input-type=module', '-e', source, '--', list.path, String(at)], {
        stdio: ['pipe', 'pipe', 'inherit'],
      }),
    )
    const said = children.map((child) => {
      let text = ''
      child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part))
      return { ready: once(child.stdout, 'data'), end: once(child, 'close').then(() => text) }
    })
    await Promise.all(said.map(({ ready }) => ready))
    for (const child of children) child.stdin.write('go\n')
    const ends = (await Promise.all(said.map(({ end }) => end))).map((text) => text.split('\n')[1])
    expect(ends.filter((end) => end === 'kept').length).toBe(1)
    expect(ends.filter((end) => end === 'key_changed').length).toBe(5)
    expect(list.find('host', 9000)?.key[0]).toBe(ends.indexOf('kept'))
  })
})

describe('the key that a server shows', () => {
  const trust = (knownHosts: KnownHosts, pin: string | null = null): ServerTrust =>
    new ServerTrust({ host: 'host', port: 9000, pin, knownHosts })

  test('is taken the first time, and remembered only once the server has let us in', async () => {
    const list = newList()
    const first = trust(list)
    expect(first.isKnown).toBe(false)
    first.check(A)
    expect([list.find('host', 9000), first.isKnown]).toEqual([null, false])
    await first.confirm(A)
    expect([list.find('host', 9000)?.key, first.isKnown]).toEqual([A, true])
    // In this process and in the next.
    for (const later of [first, trust(list)]) {
      later.check(A)
      expect(() => later.check(B)).toThrow(code('key_changed'))
    }
  })

  test('that has changed is a hard stop, with both fingerprints and the line, and an exit status of 4', () => {
    const list = newList(`# mine\nhost:9000 ${formatPublicKey(A)}\n`)
    const error = (() => {
      try {
        trust(list).check(B)
        return null
      } catch (thrown) {
        return thrown as SealiftError
      }
    })()
    expect([error?.code, error?.exitCode, error?.retryable]).toEqual(['key_changed', 4, false])
    for (const told of ['host:9000', fingerprintOf(A), fingerprintOf(B)]) expect(error?.message).toContain(told)
    expect(error?.hint).toContain(`line 2 of ${list.path}`)
  })

  test('a changed key is not remembered, whatever comes after', async () => {
    const list = newList(`host:9000 ${formatPublicKey(A)}\n`)
    const later = trust(list)
    expect(() => later.check(B)).toThrow(code('key_changed'))
    await expect(later.confirm(B)).rejects.toThrow(code('key_changed'))
    expect(contentOf(list)).toBe(`host:9000 ${formatPublicKey(A)}\n`)
  })

  test('that was named counts, whatever is remembered; what is remembered stays', async () => {
    const known = newList(`host:9000 ${formatPublicKey(A)}\n`)
    const pinned = trust(known, fingerprintOf(B))
    expect(pinned.isKnown).toBe(true)
    pinned.check(B)
    await pinned.confirm(B)
    expect(contentOf(known)).toBe(`host:9000 ${formatPublicKey(A)}\n`)
    expect(() => trust(known, fingerprintOf(B)).check(A)).toThrow(code('key_changed'))

    const empty = newList()
    const first = trust(empty, fingerprintOf(B))
    first.check(B)
    await first.confirm(B)
    expect(empty.find('host', 9000)?.key).toEqual(B)
  })

  test('another key that was remembered meanwhile ends it', async () => {
    const list = newList()
    const first = trust(list)
    first.check(A)
    list.remember('host', 9000, B)
    await expect(first.confirm(A)).rejects.toThrow(code('key_changed'))
  })

  test('of two connections that met two keys, the one that is let in first counts', async () => {
    const list = newList()
    const both = trust(list)
    both.check(A)
    both.check(B)
    await both.confirm(A)
    await expect(both.confirm(B)).rejects.toThrow(code('key_changed'))
    await both.confirm(A)
    expect(list.find('host', 9000)?.key).toEqual(A)
  })

  test('a list that cannot be believed ends it before anything is dialled', () => {
    const list = newList('x')
    fs.chmodSync(list.path, 0o666)
    expect(() => trust(list)).toThrow(code('settings_invalid'))
  })

  test('a list that cannot be written is told, and is no success', async () => {
    const file = join(makeFolder(), 'file')
    const list = new KnownHosts(join(file, 'known_hosts'))
    const first = trust(list)
    first.check(A)
    fs.writeFileSync(file, '')
    await expect(first.confirm(A)).rejects.toThrow(SealiftError)
  })
})
