import { describe, expect, test } from 'vitest'

import { nodeCrypto } from '../../../src/crypto/node.ts'
import { concatBytes, toHex } from '../../../src/protocol/bytes.ts'
import type { BulkKey, CipherName, CryptoPort } from '../../../src/protocol/crypto-port.ts'
import { MAX_RECORD_BYTES, RECORDS_PER_KEY, TAG_BYTES } from '../../../src/protocol/limits.ts'
import { checkRecordLength, RECORD_OVERHEAD_BYTES, RecordOpener, RecordSealer } from '../../../src/protocol/records.ts'

const CIPHERS: readonly CipherName[] = ['aes-256-gcm', 'chacha20-poly1305']
const PING = Uint8Array.of(15)
const INVALID = expect.objectContaining({ name: 'SealiftError', code: 'record_invalid' }) as Error

function ends(cipher: CipherName, crypto: CryptoPort = nodeCrypto): { sealer: RecordSealer; opener: RecordOpener } {
  const secret = nodeCrypto.randomBytes(32)
  return {
    sealer: new RecordSealer(crypto, cipher, secret.slice()),
    opener: new RecordOpener(crypto, cipher, secret.slice()),
  }
}

/** What follows the length word of the next record. */
function sealed(sealer: RecordSealer, ...parts: readonly Uint8Array[]): Uint8Array {
  return concatBytes(sealer.seal(parts)).subarray(4)
}

/** A port that seals nothing, counts the keys it makes, and calls `used` for each record. */
function counting(used: (key: string, nonce: string) => void): CryptoPort {
  const bulkKey = (_: CipherName, key: Uint8Array): BulkKey => {
    const name = toHex(key)
    return {
      seal(nonce, _aad, parts) {
        used(name, toHex(nonce))
        return [...parts, new Uint8Array(TAG_BYTES)]
      },
      open: (_nonce, _aad, record) => record.slice(0, -TAG_BYTES),
    }
  }
  return { ...nodeCrypto, kem: null, ciphers: nodeCrypto.ciphers, bulkKey }
}

describe.each(CIPHERS)('records of %s', (cipher) => {
  test('say again what was sealed, in any number of parts', () => {
    const { sealer, opener } = ends(cipher)
    for (const parts of [[PING], [PING, new Uint8Array(1000).fill(7)], [PING, new Uint8Array(), PING]])
      expect(toHex(opener.open(sealed(sealer, ...parts)))).toBe(toHex(concatBytes(parts)))
  })

  test('are a length word, the ciphertext and a tag; the word counts the last two', () => {
    const record = concatBytes(ends(cipher).sealer.seal([new Uint8Array(300)]))
    expect(record.length).toBe(300 + RECORD_OVERHEAD_BYTES)
    expect(new DataView(record.buffer).getUint32(0)).toBe(300 + TAG_BYTES)
  })

  test('of the same plaintext are never the same', () => {
    const { sealer } = ends(cipher)
    const seen = new Set(Array.from({ length: 300 }, () => toHex(sealed(sealer, PING))))
    expect(seen.size).toBe(300)
  })

  test('that are changed in any bit, cut or lengthened are refused', () => {
    const plaintext = Uint8Array.of(15, 1, 2)
    const secret = nodeCrypto.randomBytes(32)
    const good = sealed(new RecordSealer(nodeCrypto, cipher, secret.slice()), plaintext)
    const open = (record: Uint8Array): Uint8Array => new RecordOpener(nodeCrypto, cipher, secret.slice()).open(record)
    expect(toHex(open(good))).toBe(toHex(plaintext))
    for (let bit = 0; bit < good.length * 8; bit++) {
      const bad = good.slice()
      bad[bit >> 3] = (bad[bit >> 3] as number) ^ (1 << (bit & 7))
      expect(() => open(bad)).toThrow(INVALID)
    }
    for (let length = 0; length < good.length; length++) expect(() => open(good.slice(0, length))).toThrow(INVALID)
    expect(() => open(concatBytes([good, Uint8Array.of(0)]))).toThrow(INVALID)
  })

  test.each([
    ['left out', (records: Uint8Array[]) => records.slice(1)],
    ['swapped', ([a, b]: Uint8Array[]) => [b, a]],
    ['sent twice', ([a, b]: Uint8Array[]) => [a, a, b]],
    ['of the other direction', () => [sealed(ends(cipher).sealer, PING)]],
  ])('that are %s are refused', (_, tamper) => {
    const { sealer, opener } = ends(cipher)
    const records = tamper([sealed(sealer, PING), sealed(sealer, PING)]) as Uint8Array[]
    expect(() => {
      for (const record of records) opener.open(record)
    }).toThrow(INVALID)
  })

  test('borrow their plaintext only for the call', () => {
    const { sealer, opener } = ends(cipher)
    const plaintext = Uint8Array.of(15, 9, 9)
    const record = sealed(sealer, plaintext)
    plaintext.fill(0)
    const opened = opener.open(record)
    record.fill(0)
    expect([...opened]).toEqual([15, 9, 9])
  })
})

describe('the ratchet', () => {
  test('turns after 65,536 records at both ends, and the counter runs on', () => {
    const { sealer, opener } = ends('aes-256-gcm')
    for (let at = 0; at < RECORDS_PER_KEY + 4; at++) {
      const record = sealer.seal([PING])
      const opened = opener.open(record.length === 2 ? (record[1] as Uint8Array) : concatBytes(record.slice(1)))
      if (opened[0] !== 15) throw new Error(`record ${at} is wrong`)
    }
  })

  test('gives a new key and IV every 65,536 records and no other, and zeroes the secret before', () => {
    const keys = new Map<string, number>()
    const nonces: string[] = []
    const crypto = counting((key, nonce) => {
      keys.set(key, (keys.get(key) ?? 0) + 1)
      nonces.push(nonce)
    })
    const secret = nodeCrypto.randomBytes(32)
    const sealer = new RecordSealer(crypto, 'aes-256-gcm', secret)
    for (let at = 0; at < RECORDS_PER_KEY; at++) sealer.seal([PING])
    expect([...keys.values()]).toEqual([RECORDS_PER_KEY])
    expect(secret.some((byte) => byte !== 0)).toBe(true)
    for (let at = 0; at < RECORDS_PER_KEY + 1; at++) sealer.seal([PING])
    expect([...keys.values()]).toEqual([RECORDS_PER_KEY, RECORDS_PER_KEY, 1])
    expect(secret.every((byte) => byte === 0)).toBe(true)
    // The nonce is the IV with the counter laid over it: within one key the difference of two is that of their counters.
    const word = (at: number): bigint => BigInt(`0x${nonces[at] as string}`)
    expect(word(0) ^ word(1)).toBe(1n)
    expect(word(0) ^ word(65_535)).toBe(65_535n)
    expect(word(65_536) ^ word(65_537)).toBe(1n)
    expect(word(65_536) ^ word(131_071)).toBe(65_535n)
    expect(word(65_535) ^ word(65_536)).not.toBe(65_535n ^ 65_536n)
  })

  test('never uses a nonce twice with a key, over many sessions in both directions', () => {
    const seen = new Set<string>()
    let records = 0
    const crypto = counting((key, nonce) => {
      records++
      seen.add(`${key} ${nonce}`)
    })
    for (let session = 0; session < 100; session++) {
      for (const sealer of [ends('aes-256-gcm', crypto).sealer, ends('chacha20-poly1305', crypto).sealer])
        for (let at = 0; at < 600; at++) sealer.seal([PING])
    }
    const long = ends('aes-256-gcm', crypto).sealer
    for (let at = 0; at < 2 * RECORDS_PER_KEY + 10; at++) long.seal([PING])
    expect(seen.size).toBe(records)
  })

  test('leaves no secret behind when it is destroyed', () => {
    const secrets = [nodeCrypto.randomBytes(32), nodeCrypto.randomBytes(32)] as const
    new RecordSealer(nodeCrypto, 'aes-256-gcm', secrets[0]).destroy()
    new RecordOpener(nodeCrypto, 'aes-256-gcm', secrets[1]).destroy()
    expect(concatBytes(secrets).every((byte) => byte === 0)).toBe(true)
  })
})

describe('the length word', () => {
  test.each([0, 1, 15, 16, MAX_RECORD_BYTES + 1, 2 ** 31, 2 ** 32 - 1, -1])(
    '%d is refused before anything is done for it',
    (length) => {
      expect(() => checkRecordLength(length)).toThrow(expect.objectContaining({ code: 'record_invalid' }) as Error)
    },
  )

  test('goes from one byte of plaintext to a whole chunk', () => {
    expect(checkRecordLength(17)).toBe(17)
    expect(checkRecordLength(MAX_RECORD_BYTES)).toBe(MAX_RECORD_BYTES)
  })

  test('is covered by the tag', () => {
    const seen: Uint8Array[] = []
    const crypto: CryptoPort = {
      ...counting(() => undefined),
      bulkKey: () => ({
        seal: (_nonce, aad, parts) => {
          seen.push(aad.slice())
          return [...parts]
        },
        open: (_nonce, aad, record) => {
          seen.push(aad.slice())
          return record
        },
      }),
    }
    const { sealer, opener } = ends('aes-256-gcm', crypto)
    sealer.seal([new Uint8Array(0x10203)])
    opener.open(new Uint8Array(0x10213))
    expect(seen.map(toHex)).toEqual(['00010213', '00010213'])
  })
})
