/** Key files: what is sealed, what opens, and which files are not believed (S-54, S-55). */

import fs from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'

import { nodeCrypto } from '../../../src/crypto/node.ts'
import {
  createKeyFile,
  generateKeyPair,
  openKeyPair,
  readKeyFile,
  readOrCreateKeyFile,
  sealKeyPair,
} from '../../../src/identity/key-file.ts'
import { encodeUtf8, toHex } from '../../../src/protocol/bytes.ts'
import { makeFolder, noOtherUser } from './place.ts'

const code = (name: string): Error => expect.objectContaining({ name: 'SealiftError', code: name }) as Error
const none = (): Promise<null> => Promise.resolve(null)
const PASSWORD = 'correct horse battery'
const given =
  (text = PASSWORD) =>
  (): Promise<Uint8Array> =>
    Promise.resolve(encodeUtf8(text))
const pair = generateKeyPair()

/** The bytes of a key file, changed, as a key file again. */
function changed(text: string, change: (bytes: Buffer) => Buffer | undefined): string {
  const lines = text.trim().split('\n')
  const bytes = Buffer.from(lines.slice(1, -1).join(''), 'base64')
  const after = change(bytes) ?? bytes
  return [lines[0], ...(after.toString('base64').match(/.{1,64}/g) ?? []), lines.at(-1), ''].join('\n')
}

/** Cheap, since it is opened again and again; what a real one costs is looked at once. */
const sealed = await sealKeyPair(pair, encodeUtf8(PASSWORD), { N: 2 ** 10, r: 8, p: 1 })
const open = await sealKeyPair(pair, null)

describe('a sealed key', () => {
  test('opens under its password, and only then', async () => {
    expect(await openKeyPair(sealed, given())).toEqual(pair)
    await expect(openKeyPair(sealed, given('Correct horse battery'))).rejects.toThrow(code('auth_failed'))
    await expect(openKeyPair(sealed, none)).rejects.toThrow(code('auth_failed'))
  })

  test('holds the private key in no form, and is another file each time', async () => {
    const text = Buffer.from(sealed.split('\n').slice(1, -2).join(''), 'base64').toString('hex')
    expect(text).toContain(toHex(pair.publicKey))
    expect(text).not.toContain(toHex(pair.privateKey))
    expect(await sealKeyPair(pair, encodeUtf8(PASSWORD), { N: 2 ** 10, r: 8, p: 1 })).not.toBe(sealed)
  })

  test('has the form of docs/identities.md, and the cost', async () => {
    const text = await sealKeyPair(pair, encodeUtf8(PASSWORD))
    const bytes = Buffer.from(text.split('\n').slice(1, -2).join(''), 'base64')
    expect([bytes.length, ...bytes.subarray(0, 5)]).toEqual([133, 1, 1, 17, 8, 1])
    expect(text).toMatch(/^-----BEGIN SEALIFT PRIVATE KEY-----\n([A-Za-z0-9+/=]{1,64}\n){3}-----END [A-Z ]+-----\n$/)
    // By the rules of that page alone.
    const { scryptSync, createDecipheriv } = await import('node:crypto')
    const derived = scryptSync(PASSWORD, bytes.subarray(5, 21), 64, { N: 2 ** 17, r: 8, p: 1, maxmem: 2 ** 28 })
    expect(derived.subarray(32)).toEqual(bytes.subarray(21, 53))
    const cipher = createDecipheriv('aes-256-gcm', derived.subarray(0, 32), Buffer.alloc(12), { authTagLength: 16 })
    cipher.setAAD(bytes.subarray(0, 85))
    cipher.setAuthTag(bytes.subarray(117))
    const privateKey = Buffer.concat([cipher.update(bytes.subarray(85, 117)), cipher.final()])
    expect(privateKey.toString('hex')).toBe(toHex(pair.privateKey))
  })

  test('zeroes the password that it was given to open with', async () => {
    const password = encodeUtf8(PASSWORD)
    await openKeyPair(sealed, () => Promise.resolve(password))
    expect(password.every((byte) => byte === 0)).toBe(true)
  })

  test('with any byte changed does not open, and a changed commitment or salt looks like a wrong password', async () => {
    // One byte of every field: version, protection, cost, salt, commitment, public key, ciphertext, tag.
    const expected: Readonly<Record<number, string>> = {
      0: 'settings_invalid',
      1: 'settings_invalid',
      2: 'auth_failed',
      5: 'auth_failed',
      21: 'auth_failed',
      53: 'settings_invalid',
      85: 'settings_invalid',
      132: 'settings_invalid',
    }
    for (const [at, name] of Object.entries(expected)) {
      const text = changed(sealed, (bytes) => {
        // Down, so that the cost is no higher.
        bytes[Number(at)] = (bytes[Number(at)] as number) ^ (Number(at) === 2 ? 0x03 : 0x80)
        return undefined
      })
      await expect(openKeyPair(text, given()), at).rejects.toThrow(code(name))
    }
  })

  test.each([
    ['N = 2^30', [30, 8, 1]],
    ['N = 2^255', [255, 8, 1]],
    ['N = 2^19', [19, 8, 1]],
    ['r = 255', [17, 255, 1]],
    ['p = 255', [17, 8, 255]],
    ['a cost that scrypt does not know', [17, 1, 1]],
    ['no N', [0, 8, 1]],
    ['no r', [17, 0, 1]],
    ['no p', [17, 8, 0]],
  ])('that asks for %s is refused before anything of it is spent, or anybody asked', async (_, cost) => {
    const password = vi.fn(given())
    const text = changed(sealed, (bytes) => {
      bytes.set(cost, 2)
      return undefined
    })
    await expect(openKeyPair(text, password)).rejects.toThrow(code('settings_invalid'))
    expect(password).not.toHaveBeenCalled()
  })
})

describe('an open key', () => {
  test('opens by itself, and asks nobody', async () => {
    const password = vi.fn(given())
    expect(await openKeyPair(open, password)).toEqual(pair)
    expect(password).not.toHaveBeenCalled()
  })

  test('whose two halves are not of each other is damaged', async () => {
    for (const at of [2, 40]) {
      const text = changed(open, (bytes) => {
        bytes[at] = (bytes[at] as number) ^ 8
        return undefined
      })
      await expect(openKeyPair(text, none)).rejects.toThrow(code('settings_invalid'))
    }
  })
})

test.each([
  ['nothing', ''],
  ['text', 'hello'],
  ['a public key', `sealift-x25519 ${Buffer.from(pair.publicKey).toString('base64')}`],
  ['another PEM', open.replaceAll('SEALIFT ', '')],
  ['no last line', open.trim().split('\n').slice(0, -1).join('\n')],
  ['no bytes', changed(open, () => Buffer.alloc(0))],
  ['a byte too few', changed(open, (bytes) => bytes.subarray(0, -1))],
  ['a byte too many', changed(open, (bytes) => Buffer.concat([bytes, Buffer.alloc(1)]))],
  ['a sealed one that is cut', changed(sealed, (bytes) => bytes.subarray(0, 60))],
  ['a sealed one with a byte too many', changed(sealed, (bytes) => Buffer.concat([bytes, Buffer.alloc(1)]))],
  ['a protection that nobody knows', changed(open, (bytes) => Buffer.from([1, 2, ...bytes.subarray(2)]))],
  ['base64 with a hole', open.replace(/\n(.{10})/, '\n$1 ')],
])('%s is no key file', async (_, text) => {
  await expect(openKeyPair(text, given())).rejects.toThrow(code('settings_invalid'))
})

describe('the file', () => {
  test('is made 0600, in a folder 0700, and comes back', async () => {
    const path = join(makeFolder(), 'keys', 'sealift.key')
    await createKeyFile(path, pair, null)
    expect([fs.statSync(path).mode & 0o777, fs.statSync(join(path, '..')).mode & 0o777]).toEqual([0o600, 0o700])
    expect(await readKeyFile(path, none)).toEqual(pair)
  })

  test('is never replaced, nor written through a link', async () => {
    const folder = makeFolder()
    const [path, link, target] = [join(folder, 'key'), join(folder, 'link'), join(folder, 'target')]
    fs.writeFileSync(path, 'mine', { mode: 0o600 })
    fs.symlinkSync(target, link)
    for (const taken of [path, link]) await expect(createKeyFile(taken, pair, null)).rejects.toThrow(code('conflict'))
    expect([fs.readFileSync(path, 'utf8'), fs.existsSync(target)]).toEqual(['mine', false])
  })

  test('is told by its path when something is wrong with it, and never by what is in it', async () => {
    const path = join(makeFolder(), 'key')
    fs.writeFileSync(path, sealed, { mode: 0o600 })
    const error = (await readKeyFile(path, given('wrong password')).catch((thrown: unknown) => thrown)) as Error
    expect(error.message).toContain(path)
    expect(error.message).not.toContain('wrong password')
    await expect(readKeyFile(`${path}s`, none)).rejects.toThrow(code('settings_invalid'))
  })

  test.each([0o640, 0o604, 0o660, 0o644, 0o620, 0o777, 0o610])('with mode %o is refused', async (mode) => {
    const path = join(makeFolder(), 'key')
    fs.writeFileSync(path, open)
    fs.chmodSync(path, mode)
    const error = (await readKeyFile(path, none).catch((thrown: unknown) => thrown)) as { code: string; hint: string }
    expect([error.code, error.hint]).toEqual(['settings_invalid', `close it: chmod 600 ${path}`])
  })

  test('with mode 400 is read', async () => {
    const path = join(makeFolder(), 'key')
    fs.writeFileSync(path, open, { mode: 0o400 })
    expect(await readKeyFile(path, none)).toEqual(pair)
  })

  test('of another user is refused', async ({ skip }) => {
    if (noOtherUser !== null) skip(noOtherUser)
    const path = join(makeFolder(), 'key')
    fs.writeFileSync(path, open, { mode: 0o600 })
    fs.chownSync(path, 12_345, 12_345)
    await expect(readKeyFile(path, none)).rejects.toThrow(code('settings_invalid'))
  })

  test('that is a link, a folder, a pipe or far too long is refused, and nothing waits for it', async () => {
    const folder = makeFolder()
    const at = (name: string): string => join(folder, name)
    fs.writeFileSync(at('key'), open, { mode: 0o600 })
    fs.symlinkSync(at('key'), at('link'))
    fs.mkdirSync(at('folder'), { mode: 0o700 })
    fs.writeFileSync(at('long'), open + ' '.repeat(5000), { mode: 0o600 })
    fs.writeFileSync(at('bytes'), Buffer.alloc(100, 0xff), { mode: 0o600 })
    const { execFileSync } = await import('node:child_process')
    execFileSync('mkfifo', ['-m', '600', at('pipe')])
    for (const name of ['link', 'folder', 'pipe', 'long', 'bytes'])
      await expect(readKeyFile(at(name), none), name).rejects.toThrow(code('settings_invalid'))
  })
})

describe('the key of a server', () => {
  test('is made at the first start, and is the same from then on', async () => {
    const path = join(makeFolder(), 'sealift', 'server.key')
    const first = await readOrCreateKeyFile(path, none)
    const second = await readOrCreateKeyFile(path, none)
    expect([first.isNew, second.isNew]).toEqual([true, false])
    expect(second.pair).toEqual(first.pair)
    expect(nodeCrypto.equal(first.pair.publicKey, pair.publicKey)).toBe(false)
  })

  test('is one key, also where several start at once', async () => {
    const path = join(makeFolder(), 'server.key')
    const starts = await Promise.all(Array.from({ length: 8 }, () => readOrCreateKeyFile(path, none)))
    expect(starts.filter(({ isNew }) => isNew).length).toBe(1)
    expect(new Set(starts.map(({ pair: { publicKey } }) => toHex(publicKey))).size).toBe(1)
  })

  test('that is there and cannot be used is not replaced', async () => {
    const path = join(makeFolder(), 'server.key')
    fs.writeFileSync(path, 'damaged', { mode: 0o600 })
    await expect(readOrCreateKeyFile(path, none)).rejects.toThrow(code('settings_invalid'))
    expect(fs.readFileSync(path, 'utf8')).toBe('damaged')
  })
})
