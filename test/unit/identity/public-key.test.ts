import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { fingerprintOf, formatPublicKey, parseFingerprint, parsePublicKey } from '../../../src/identity/public-key.ts'

const invalid = expect.objectContaining({ code: 'settings_invalid' }) as Error
const key = Uint8Array.from({ length: 32 }, (_, at) => at)
const BASE64 = 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8='

describe('a public key', () => {
  test('is one line, with its name behind it', () => {
    expect(formatPublicKey(key)).toBe(`sealift-x25519 ${BASE64}`)
    expect(formatPublicKey(key, 'alice@laptop')).toBe(`sealift-x25519 ${BASE64} alice@laptop`)
    expect(parsePublicKey(`  sealift-x25519  ${BASE64}\talice@laptop \r\n`)).toEqual({ key, name: 'alice@laptop' })
    expect(parsePublicKey(`sealift-x25519 ${BASE64}`)).toEqual({ key, name: null })
  })

  test('comes back from its line, whatever its name is made of', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.string({ unit: 'grapheme' }), (bytes, name) => {
        const line = formatPublicKey(bytes, name)
        expect(line).not.toMatch(/[\n\r\p{Cc}]/u)
        const read = parsePublicKey(line)
        expect(read.key).toEqual(bytes)
        expect(formatPublicKey(read.key, read.name)).toBe(line)
      }),
    )
  })

  test.each([
    ['nothing', ''],
    ['another kind', `ssh-ed25519 ${BASE64}`],
    ['a private key', '-----BEGIN SEALIFT PRIVATE KEY-----'],
    ['no key', 'sealift-x25519'],
    ['31 bytes', `sealift-x25519 ${Buffer.alloc(31).toString('base64')}`],
    ['33 bytes', `sealift-x25519 ${Buffer.alloc(33).toString('base64')}`],
    ['no padding', `sealift-x25519 ${BASE64.slice(0, -1)}`],
    ['bits behind the last byte', `sealift-x25519 ${BASE64.slice(0, -2)}9=`],
    ['base64url', `sealift-x25519 ${Buffer.alloc(32, 0xff).toString('base64url')}=`],
    ['two words behind it', `sealift-x25519 ${BASE64} alice laptop`],
    ['a name of 65 characters', `sealift-x25519 ${BASE64} ${'x'.repeat(65)}`],
    ['a name that draws', `sealift-x25519 ${BASE64} \u001b[31mred`],
  ])('%s is refused, and not repeated', (_, line) => {
    expect(() => parsePublicKey(line)).toThrow(invalid)
    try {
      parsePublicKey(line)
    } catch (error) {
      expect(String(error)).not.toContain(BASE64.slice(4))
    }
  })
})

describe('a fingerprint', () => {
  test('is SHA-256 of the 32 bytes, in base64 without padding', () => {
    // echo -n … | xxd -r -p | openssl dgst -sha256 -binary | base64
    expect(fingerprintOf(key)).toBe('SHA256:Yw3NKWbEM2aRElRIu7JbT/QSpJxzLbLIq8G4WBvXEN0')
    expect(fingerprintOf(key)).toHaveLength(50)
  })

  test('is read as it is shown, and nothing else is', () => {
    const fingerprint = fingerprintOf(key)
    expect(parseFingerprint(` ${fingerprint}\n`, '--server-key')).toBe(fingerprint)
    for (const text of ['', 'SHA256:', fingerprint.slice(0, -1), `${fingerprint}=`, fingerprint.toLowerCase(), BASE64])
      expect(() => parseFingerprint(text, '--server-key')).toThrow(invalid)
  })
})
