/** All codecs through the table: what goes in comes out, at every size and level that matters, and the choice for `auto`. */

import { createHash, randomBytes } from 'node:crypto'

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { CODEC_IDS } from '../../../src/codecs/codec.ts'
import type { CodecName } from '../../../src/codecs/codec.ts'
import {
  AUTO_LEVEL,
  codecById,
  codecByName,
  decodeChunk,
  encodeChunk,
  pickCodec,
  worthCompressing,
} from '../../../src/codecs/codec-table.ts'
import { COMPRESS_SETTINGS } from '../../../src/protocol/choices.ts'
import { createZstd } from '../../../src/codecs/zstd.ts'

const NAMES = Object.keys(CODEC_IDS) as CodecName[]
const MIB = 1 << 20

/** Text-like and the same every time: words of a small set, in an order that a hash decides. */
function text(sizeBytes: number): Uint8Array {
  const words = ['harbour', 'crane ', 'anchor\n', 'ballast, ', 'the ', 'rope ', 'of ', 'tide. ']
  let out = ''
  for (let round = 0; out.length < sizeBytes; round++) {
    for (const byte of createHash('sha256').update(String(round)).digest()) out += `${words[byte & 7]!}${byte >> 3}`
  }
  return Buffer.from(out.slice(0, sizeBytes))
}

describe('wire numbers', () => {
  test('are those of the protocol', () => {
    expect(CODEC_IDS).toEqual({ none: 0, zstd: 1, gzip: 2, 'blosc-lz4': 3 })
    for (const name of NAMES) expect(codecById(CODEC_IDS[name])).toBe(codecByName(name))
    expect(COMPRESS_SETTINGS.toSorted()).toEqual([...NAMES, 'auto'].toSorted())
  })

  test('an unknown one is the peer’s fault', async () => {
    for (const id of [4, 255, -1, 1.5]) expect(() => codecById(id)).toThrow(/unknown codec/)
    await expect(decodeChunk(4, new Uint8Array(1), 1)).rejects.toMatchObject({ code: 'protocol_violation' })
  })
})

describe.each(NAMES)('%s', (name) => {
  const codec = codecByName(name)

  test.each([0, 1, 15, 16, 127, 128, 129, 511, 4096, 65_537, 1_000_003, MIB])('gives %i bytes back', async (size) => {
    for (const raw of [new Uint8Array(size), text(size), randomBytes(size)]) {
      const before = createHash('sha256').update(raw).digest('hex')
      const packed = await codec.encode(raw, codec.defaultLevel)
      const back = await codec.decode(packed, size)
      expect(back.length).toBe(size)
      expect(Buffer.compare(back, raw)).toBe(0)
      expect(createHash('sha256').update(raw).digest('hex')).toBe(before)
    }
  })

  test('has every level it promises and no other', async () => {
    const raw = text(20_000)
    const { min, max } = codec.levels
    for (let level = min; level <= max; level++) {
      expect(Buffer.compare(await codec.decode(await codec.encode(raw, level), raw.length), raw)).toBe(0)
    }
    for (const level of [min - 1, max + 1, 0.5, NaN]) {
      await expect(codec.encode(raw, level)).rejects.toMatchObject({ code: 'settings_invalid' })
    }
  })

  test('decodes what it encoded, whatever it was', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ byte: fc.nat(255), times: fc.integer({ min: 1, max: 3000 }) }), { maxLength: 40 }),
        async (runs) => {
          const raw = Buffer.concat(runs.map(({ byte, times }) => Buffer.alloc(times, byte)))
          const packed = await codec.encode(raw, codec.defaultLevel)
          expect(Buffer.compare(await codec.decode(packed, raw.length), raw)).toBe(0)
        },
      ),
      { numRuns: 60 },
    )
  })

  test('works on a view into the middle of a buffer', async () => {
    const around = text(30_000)
    const raw = around.subarray(1001, 21_001)
    const packed = await codec.encode(raw, codec.defaultLevel)
    const shifted = new Uint8Array(packed.length + 7)
    shifted.set(packed, 3)
    const back = await codec.decode(shifted.subarray(3, 3 + packed.length), raw.length)
    expect(Buffer.compare(back, raw)).toBe(0)
  })
})

describe.each(NAMES.filter((name) => name !== 'none'))('%s', (name) => {
  const codec = codecByName(name)

  test('borrows what it is given, and no longer', async () => {
    for (const raw of [Buffer.from(text(5000)), randomBytes(5000)]) {
      const expected = Buffer.from(raw)
      const packed = Buffer.from(await codec.encode(raw, codec.defaultLevel))
      raw.fill(0)
      const back = await codec.decode(packed, 5000)
      packed.fill(0)
      expect(Buffer.compare(back, expected)).toBe(0)
    }
  })
})

test('many chunks at once keep apart', async () => {
  for (const name of NAMES) {
    const codec = codecByName(name)
    const raws = Array.from({ length: 12 }, (_, n) => text(50_000 + n))
    const packed = await Promise.all(raws.map((raw) => codec.encode(raw, codec.defaultLevel)))
    const back = await Promise.all(packed.map((bytes, n) => codec.decode(bytes, raws[n]!.length)))
    back.forEach((bytes, n) => expect(Buffer.compare(bytes, raws[n]!)).toBe(0))
  }
})

test('a Node without zstd says what to do', async () => {
  const zstd = createZstd({})
  const failure = { code: 'settings_invalid', hint: expect.stringContaining('gzip') }
  await expect(zstd.encode(new Uint8Array(9), 1)).rejects.toMatchObject(failure)
  await expect(zstd.decode(new Uint8Array(9), 9)).rejects.toMatchObject(failure)
})

describe('encodeChunk', () => {
  test.each(NAMES)('%s: packs what shrinks and leaves alone what does not', async (name) => {
    const codec = codecByName(name)
    const soft = text(100_000)
    const packed = await encodeChunk(codec, soft, codec.defaultLevel)
    expect(packed.codecId).toBe(codec.id)
    if (name !== 'none') expect(packed.bytes.length).toBeLessThan(soft.length / 2)
    expect(Buffer.compare(await decodeChunk(packed.codecId, packed.bytes, soft.length), soft)).toBe(0)

    for (const hard of [randomBytes(100_000), new Uint8Array(0), new Uint8Array(1)]) {
      const left = await encodeChunk(codec, hard, codec.defaultLevel)
      expect(left.codecId).toBe(0)
      expect(left.bytes).toBe(hard)
    }
  })
})

describe('pickCodec', () => {
  const soft = text(MIB)
  const hard = randomBytes(MIB)

  test('auto is zstd where it is worth it', () => {
    expect(pickCodec('auto', null, soft)).toEqual({ codec: codecByName('zstd'), level: AUTO_LEVEL })
    expect(pickCodec('auto', 7, soft)).toEqual({ codec: codecByName('zstd'), level: 7 })
    expect(pickCodec('auto', null, hard).codec).toBe(codecByName('none'))
    expect(pickCodec('auto', 7, hard).codec).toBe(codecByName('none'))
  })

  test('a named codec is taken whatever the bytes', () => {
    for (const name of NAMES) {
      expect(pickCodec(name, null, hard)).toEqual({ codec: codecByName(name), level: codecByName(name).defaultLevel })
    }
    expect(pickCodec('gzip', 9, soft).level).toBe(9)
    expect(pickCodec('none', 9, soft).level).toBe(0)
  })
})

describe('worthCompressing', () => {
  test.each([1000, 2000, 4096, 4097, 70_000, MIB])('tells %i bytes of text from random ones', (size) => {
    expect(worthCompressing(text(size))).toBe(true)
    expect(worthCompressing(new Uint8Array(size))).toBe(true)
    for (let round = 0; round < 50; round++) expect(worthCompressing(randomBytes(size))).toBe(false)
  })

  test('packs a few soft bytes too', () => {
    expect(worthCompressing(text(128))).toBe(true)
    expect(worthCompressing(text(300))).toBe(true)
  })

  test('skips what is packed already', async () => {
    // enough distinct text that the packed form is larger than the sample
    const digits = Buffer.from(
      Array.from({ length: 60_000 }, (_, n) => createHash('md5').update(String(n)).digest('hex')).join(''),
    )
    for (const name of ['zstd', 'gzip'] as const) {
      const codec = codecByName(name)
      const packed = await codec.encode(digits, codec.defaultLevel)
      expect(worthCompressing(digits)).toBe(true)
      expect(worthCompressing(packed.subarray(0, MIB))).toBe(false)
    }
  })

  test('sees a soft half wherever it lies', () => {
    const hard = randomBytes(MIB / 2)
    const soft = new Uint8Array(MIB / 2)
    expect(worthCompressing(Buffer.concat([hard, soft]))).toBe(true)
    expect(worthCompressing(Buffer.concat([soft, hard]))).toBe(true)
  })

  test('nothing that small is worth a frame', () => {
    expect(worthCompressing(new Uint8Array(0))).toBe(false)
    expect(worthCompressing(new Uint8Array(127))).toBe(false)
  })
})
