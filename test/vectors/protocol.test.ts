/**
 * The project's own vectors of records, messages, manifests and ranges: a change of one byte on the wire shows here.
 * Records are opened by `node:crypto` alone, so that they do not only agree with themselves.
 */

import { createDecipheriv, createHash, createHmac } from 'node:crypto'
import type { CipherGCMTypes } from 'node:crypto'
import { readFileSync } from 'node:fs'

import { describe, expect, test } from 'vitest'

import { nodeCrypto } from '../../src/crypto/node.ts'
import { fromHex, toHex } from '../../src/protocol/bytes.ts'
import { encodeManifestPages, ManifestDecoder } from '../../src/protocol/manifest-pages.ts'
import { decodeMessage, MESSAGE } from '../../src/protocol/messages.ts'
import { decodeRangePage, encodeRangePages, RangeSet } from '../../src/protocol/ranges.ts'
import { RecordOpener, RecordSealer } from '../../src/protocol/records.ts'
import { buildManifest, encodeAny, manifestVectors, messageVectors, rangeVectors, toJson } from './generate-protocol.ts'
import type { ManifestVectors, MessageVectors, RangeVectors, RecordVectors } from './generate-protocol.ts'

function read(name: string): unknown {
  return JSON.parse(readFileSync(new URL(name, import.meta.url), 'utf8'))
}

const records = read('records.json') as RecordVectors
const messages = read('messages.json') as MessageVectors
const manifests = read('manifest.json') as ManifestVectors
const ranges = read('ranges.json') as RangeVectors

/** HKDF-Expand for at most 32 bytes: one block. */
function expand(secret: Buffer, label: string, length: number): Buffer {
  return createHmac('sha256', secret).update(`sealift/1 ${label}`).update(Uint8Array.of(1)).digest().subarray(0, length)
}

describe('records.json', () => {
  test.each(records.cases)('$name: opens with HKDF and the cipher alone', ({ cipher, secret, records: listed }) => {
    expect(listed.map(({ counter }) => counter)).toEqual([0, 1, 2, 65_535, 65_536])
    for (const { counter, plaintext, record } of listed) {
      let traffic: Buffer = Buffer.from(secret, 'hex')
      for (let turn = 0; turn < Math.floor(counter / 65_536); turn++) traffic = expand(traffic, 'next', 32)
      const nonce = expand(traffic, 'iv', 12)
      nonce.writeUInt32BE((nonce.readUInt32BE(8) ^ counter) >>> 0, 8)
      const bytes = Buffer.from(record, 'hex')
      expect(bytes.readUInt32BE(0)).toBe(bytes.length - 4)
      const decipher = createDecipheriv(cipher as CipherGCMTypes, expand(traffic, 'key', 32), nonce, {
        authTagLength: 16,
      })
      decipher.setAAD(bytes.subarray(0, 4))
      decipher.setAuthTag(bytes.subarray(-16))
      const opened = Buffer.concat([decipher.update(bytes.subarray(4, -16)), decipher.final()])
      expect(opened.toString('hex')).toBe(plaintext)
    }
  })

  test.each(records.cases)('$name: what is sealed and opened here', ({ cipher, secret, records: listed }) => {
    const sealer = new RecordSealer(nodeCrypto, cipher, fromHex(secret))
    const opener = new RecordOpener(nodeCrypto, cipher, fromHex(secret))
    const byCounter = new Map(listed.map((vector) => [vector.counter, vector]))
    for (let counter = 0; counter <= 65_536; counter++) {
      const vector = byCounter.get(counter)
      const record = sealer.seal([vector === undefined ? Uint8Array.of(15) : fromHex(vector.plaintext)])
      const sealed = Buffer.concat(record.slice(1))
      if (vector === undefined) opener.open(sealed)
      else {
        expect(toHex(Buffer.concat(record))).toBe(vector.record)
        expect(toHex(opener.open(fromHex(vector.record).subarray(4)))).toBe(vector.plaintext)
      }
    }
  })
})

describe('messages.json', () => {
  test('is what the generator writes, and has every kind of message', () => {
    expect(messages).toEqual(toJson(messageVectors()))
    expect(new Set(messages.messages.map(({ type }) => type))).toEqual(new Set(Object.values(MESSAGE)))
  })

  test.each(messages.messages)('$name', ({ type, fields, plaintext }) => {
    const bytes = fromHex(plaintext)
    expect(bytes[0]).toBe(type)
    const message = decodeMessage(bytes)
    expect(toJson(message)).toEqual(fields)
    expect(toHex(encodeAny(message))).toBe(plaintext)
  })

  test.each(messages.refused)('refused: $name', ({ plaintext }) => {
    expect(() => decodeMessage(fromHex(plaintext))).toThrow(
      expect.objectContaining({ code: 'protocol_violation' }) as Error,
    )
  })
})

describe('manifest.json', () => {
  test('is what the generator writes', () => {
    expect(manifests).toEqual(manifestVectors())
  })

  test.each(manifests.cases)('$name', ({ entries, bytes, digest }) => {
    const pages = [...encodeManifestPages(buildManifest(entries))]
    expect(pages.map(toHex).join('')).toBe(bytes)
    expect(createHash('sha256').update(fromHex(bytes)).digest('hex')).toBe(digest)
    const decoder = new ManifestDecoder()
    decoder.push(fromHex(bytes))
    const { manifest } = decoder
    const read = Array.from({ length: manifest.count }, (_, at) => ({
      kind: manifest.kind(at),
      parent: manifest.parent(at),
      name: toHex(manifest.nameBytes(at)),
      mode: manifest.mode(at),
      mtimeNs: String(manifest.mtimeNs(at)),
      sizeBytes: manifest.sizeBytes(at),
      priority: manifest.priority(at),
      target: manifest.target(at),
    }))
    expect(read).toEqual(entries)
  })

  test.each(manifests.refused)('refused: $name', ({ code, bytes }) => {
    expect(code).toBe('manifest_invalid')
    expect(() => new ManifestDecoder().push(fromHex(bytes))).toThrow(expect.objectContaining({ code }) as Error)
  })
})

describe('ranges.json', () => {
  test('is what the generator writes', () => {
    expect(ranges).toEqual(rangeVectors())
  })

  test.each(ranges.cases)('$name', ({ ranges: listed, page }) => {
    const set = RangeSet.of(listed.map(([start, end]) => ({ start, end })))
    expect([...encodeRangePages(set)].map(toHex)).toEqual([page])
    const back = new RangeSet()
    decodeRangePage(fromHex(page), back)
    expect([...back].map(({ start, end }) => [start, end])).toEqual(listed)
  })

  test.each(ranges.refused)('refused: $name', ({ page }) => {
    expect(() => decodeRangePage(fromHex(page), new RangeSet(), ranges.limit)).toThrow(
      expect.objectContaining({ code: 'protocol_violation' }) as Error,
    )
  })
})
