/** Chunks of a peer that lies: bombs, cut and changed frames, wrong lengths. All end as `codec_failed`, none costs memory. */

import { randomBytes } from 'node:crypto'

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { decodeFrame, FrameError } from '../../src/codecs/blosc-frame.ts'
import { CODEC_IDS } from '../../src/codecs/codec.ts'
import type { CodecName } from '../../src/codecs/codec.ts'
import { codecByName } from '../../src/codecs/codec-table.ts'

const NAMES = Object.keys(CODEC_IDS) as CodecName[]
const PACKING = NAMES.filter((name) => name !== 'none')
const MIB = 1 << 20
const FAILED = { name: 'SealiftError', code: 'codec_failed' }

const soft = Buffer.from(Array.from({ length: 3000 }, (_, n) => `${n * 7919} ropes, ${n % 17} anchors\n`).join(''))

interface BloscLibrary {
  default: { fromConfig(config: object): { encode(raw: Uint8Array): Promise<Uint8Array> } }
}

// declarations of this library cannot be resolved under `nodenext`
const library: unknown = await import('numcodecs/blosc')

function bloscFrame(raw: Uint8Array, config: object): Promise<Uint8Array> {
  const blosc = (library as BloscLibrary).default
  return blosc.fromConfig({ cname: 'lz4', clevel: 5, shuffle: 0, blocksize: 0, ...config }).encode(raw)
}

describe.each(NAMES)('%s', (name) => {
  const codec = codecByName(name)

  test('refuses a declared length that is longer, shorter or none', async () => {
    const packed = await codec.encode(soft, codec.defaultLevel)
    for (const declared of [0, 1, soft.length - 1, soft.length + 1, soft.length * 2, -1, 0.5, NaN, Infinity, 2 ** 53]) {
      await expect(codec.decode(packed, declared), String(declared)).rejects.toMatchObject(FAILED)
    }
  })

  test('refuses every cut', async () => {
    const packed = await codec.encode(soft.subarray(0, 1500), codec.defaultLevel)
    for (let length = 0; length < packed.length; length++) {
      await expect(codec.decode(packed.subarray(0, length), 1500)).rejects.toMatchObject(FAILED)
    }
  })

  test('answers random bytes with an error or the declared length', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), fc.nat(500), async (packed, declared) => {
        await codec.decode(packed, declared).then(
          (raw) => expect(raw.length).toBe(declared),
          (error: unknown) => expect(error).toMatchObject(FAILED),
        )
      }),
      { numRuns: 300 },
    )
  })

  test('changed bytes give an error or the declared length, and the next chunk is whole', async () => {
    const packed = await codec.encode(soft, codec.defaultLevel)
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(packed.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        async (changes) => {
          const changed = Uint8Array.from(packed)
          for (const [at, byte] of changes) changed[at] = byte
          await codec.decode(changed, soft.length).then(
            (raw) => expect(raw.length).toBe(soft.length),
            (error: unknown) => expect(error).toMatchObject(FAILED),
          )
        },
      ),
      { numRuns: 300 },
    )
    expect(Buffer.compare(await codec.decode(packed, soft.length), soft)).toBe(0)
  })
})

describe.each(PACKING)('a bomb of %s', (name) => {
  test('is stopped at the declared length and costs no memory', async () => {
    const codec = codecByName(name)
    const packed = await codec.encode(Buffer.alloc(64 * MIB), codec.defaultLevel)
    expect(packed.length).toBeLessThan(MIB)
    const before = process.memoryUsage()
    let most = 0
    for (let round = 0; round < 20; round++) {
      await expect(codec.decode(packed, MIB)).rejects.toMatchObject(FAILED)
      const now = process.memoryUsage()
      most = Math.max(most, now.arrayBuffers - before.arrayBuffers)
    }
    // twenty times 64 MiB would have shown; a few rounds of 1 MiB may wait for the collector
    expect(most).toBeLessThan(32 * MIB)
  })
})

test('zstd refuses a window that would cost 128 MiB', async () => {
  // RFC 8878 3.1.1: magic, no options, window descriptor, one last RLE block of 1,000 bytes
  const frame = (windowLog: number): Uint8Array =>
    Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x00, (windowLog - 10) << 3, 0x43, 0x1f, 0x00, 0x61)
  const zstd = codecByName('zstd')
  expect(Buffer.from(await zstd.decode(frame(23), 1000)).toString()).toBe('a'.repeat(1000))
  for (const windowLog of [24, 27, 31, 41]) {
    await expect(zstd.decode(frame(windowLog), 1000)).rejects.toMatchObject(FAILED)
  }
})

describe('blosc frames', () => {
  const codec = codecByName('blosc-lz4')

  test.each([
    ['packed', soft],
    ['stored', randomBytes(5000)],
    ['short', Buffer.from('x')],
    ['empty', Buffer.alloc(0)],
  ])('%s: every bit of the header counts', async (_, raw) => {
    const frame = await codec.encode(raw, 5)
    const survivors = new Set<string>()
    for (let bit = 0; bit < 128; bit++) {
      const changed = Uint8Array.from(frame)
      changed[bit >> 3]! ^= 1 << (bit & 7)
      await codec.decode(changed, raw.length).then(
        (back) => {
          expect(back.length).toBe(raw.length)
          // what a flip may leave readable: how the bytes of a value lie says nothing where nothing is split or shuffled
          if (Buffer.compare(back, raw) === 0) survivors.add(`byte ${bit >> 3}`)
        },
        (error: unknown) => expect(error).toMatchObject(FAILED),
      )
    }
    for (const byte of [0, 1, 4, 5, 6, 7, 12, 13, 14, 15]) expect(survivors).not.toContain(`byte ${byte}`)
  })

  test('every value of every header byte gives an error or the declared length', async () => {
    const frame = await codec.encode(soft, 5)
    for (let at = 0; at < 16; at++) {
      for (let value = 0; value < 256; value++) {
        const changed = Uint8Array.from(frame)
        changed[at] = value
        try {
          expect(decodeFrame(changed, soft.length).length).toBe(soft.length)
        } catch (error) {
          expect(error).toBeInstanceOf(FrameError)
        }
      }
    }
  })

  test('decodes what other writers make: shuffled values, split blocks, every block size', async () => {
    for (const shuffle of [0, 1]) {
      for (const blocksize of [0, 128, 1000, 4096, 65_536]) {
        for (const size of [1, 3, 127, 128, 515, 4096, 70_001]) {
          const raw = soft.subarray(0, size)
          const frame = await bloscFrame(raw, { shuffle, blocksize })
          expect(Buffer.compare(decodeFrame(frame, size), raw), `${shuffle} ${blocksize} ${size}`).toBe(0)
        }
      }
    }
  })

  test('refuses other codecs and the bit shuffle', async () => {
    for (const config of [{ cname: 'zstd' }, { cname: 'blosclz' }, { cname: 'zlib' }, { shuffle: 2 }]) {
      await expect(codec.decode(await bloscFrame(soft, config), soft.length)).rejects.toMatchObject(FAILED)
    }
  })

  /** A frame of one block, whose LZ4 bytes these are; good but for what the case makes wrong. */
  function oneBlock(rawBytes: number, lz4: number[], change: (frame: Buffer) => void = () => {}): Buffer {
    const frame = Buffer.alloc(24 + lz4.length)
    frame.set([2, 1, 0x30, 1])
    frame.writeUInt32LE(rawBytes, 4)
    frame.writeUInt32LE(rawBytes, 8)
    frame.writeUInt32LE(frame.length, 12)
    frame.writeUInt32LE(20, 16)
    frame.writeUInt32LE(lz4.length, 20)
    frame.set(lz4, 24)
    change(frame)
    return frame
  }
  const letters = [97, 98, 99, 100, 101, 102, 103, 104, 105]
  const eight = [0x80, ...letters.slice(0, 8)]

  test('reads a block made by hand', () => {
    expect(Buffer.from(decodeFrame(oneBlock(8, eight), 8)).toString()).toBe('abcdefgh')
    // one literal, a match of eight that overlaps itself, three literals
    expect(Buffer.from(decodeFrame(oneBlock(12, [0x14, 97, 1, 0, 0x30, 98, 99, 100]), 12)).toString()).toBe(
      'aaaaaaaaabcd',
    )
    // a run of 1 + 19 + 255 + 30 and one literal
    const run = Buffer.from(decodeFrame(oneBlock(306, [0x1f, 97, 1, 0, 255, 30, 0x10, 98]), 306)).toString()
    expect(run).toBe(`${'a'.repeat(305)}b`)
  })

  test.each<[string, Buffer, number]>([
    ['a block is too short', oneBlock(9, [0x70, ...letters.slice(0, 7)]), 9],
    ['a block is cut', oneBlock(8, []), 8],
    ['a block is cut', oneBlock(8, [0xf0]), 8],
    ['a block is cut', oneBlock(8, [0x10, 97, 1]), 8],
    ['a block is cut', oneBlock(30, [0x1f, 97, 1, 0]), 30],
    ['a block is cut', oneBlock(8, [0x13, 97, 1, 0]), 8],
    ['literals run over', oneBlock(8, [0x90, ...letters]), 8],
    ['literals run over', oneBlock(8, [0x80, ...letters.slice(0, 3)]), 8],
    ['a match reaches back too far', oneBlock(12, [0x14, 97, 2, 0, 0x30, 98, 99, 100]), 12],
    ['a match reaches back too far', oneBlock(12, [0x14, 97, 0, 0, 0x30, 98, 99, 100]), 12],
    ['a match runs over', oneBlock(12, [0x1b, 97, 1, 0, 0x30, 98, 99, 100]), 12],
    ['a block lies outside the frame', oneBlock(8, eight, (frame) => frame.writeUInt32LE(30, 16)), 8],
    ['a block lies outside the frame', oneBlock(8, eight, (frame) => frame.writeUInt32LE(0xffff_ffff, 16)), 8],
    ['a block reaches out of the frame', oneBlock(8, eight, (frame) => frame.writeUInt32LE(10, 20)), 8],
    ['a block reaches out of the frame', oneBlock(8, eight, (frame) => frame.writeUInt32LE(0xffff_ffff, 20)), 8],
    ['more blocks than the frame can hold', oneBlock(1000, eight, (frame) => frame.writeUInt32LE(1, 8)), 1000],
    ['a block that does not split evenly', oneBlock(1000, eight, (frame) => frame.set([0x20, 3], 2)), 1000],
    ['impossible block size', oneBlock(8, eight, (frame) => frame.writeUInt32LE(9, 8)), 8],
    ['impossible block size', oneBlock(8, eight, (frame) => frame.writeUInt32LE(0, 8)), 8],
    ['type size 0', oneBlock(8, eight, (frame) => frame.writeUInt8(0, 3)), 8],
  ])('%s (case %#)', (message, frame, rawBytes) => {
    expect(() => decodeFrame(frame, rawBytes)).toThrow(new FrameError(message))
  })

  test('a match does not reach into the block before', () => {
    // two blocks of 8: the second begins with a match
    const frame = Buffer.alloc(24 + 4 + 9 + 4 + 7)
    frame.set([2, 1, 0x30, 1])
    frame.writeUInt32LE(16, 4)
    frame.writeUInt32LE(8, 8)
    frame.writeUInt32LE(frame.length, 12)
    frame.writeUInt32LE(24, 16)
    frame.writeUInt32LE(37, 20)
    frame.writeUInt32LE(9, 24)
    frame.set(eight, 28)
    frame.writeUInt32LE(7, 37)
    frame.set([0x00, 1, 0, 0x40, 97, 98, 99], 41)
    expect(() => decodeFrame(frame, 16)).toThrow('reaches back too far')
  })

  test('any bytes behind a good header give a FrameError or the declared length', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(0x20, 0x21, 0x30, 0x31),
        fc.constantFrom(1, 4, 16, 17),
        fc.integer({ min: 1, max: 4000 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.uint8Array({ minLength: 20, maxLength: 300 }),
        (flags, typeBytes, rawBytes, share, body) => {
          const frame = Buffer.concat([Buffer.alloc(16), body])
          frame.set([2, 1, flags, typeBytes])
          frame.writeUInt32LE(rawBytes, 4)
          frame.writeUInt32LE(Math.max(1, Math.floor(rawBytes * share)), 8)
          frame.writeUInt32LE(frame.length, 12)
          // the first block begins where its bytes are, so that the fuzz gets past the offsets
          frame.writeUInt32LE(20, 16)
          frame.writeUInt32LE(frame.length - 24, 20)
          try {
            expect(decodeFrame(frame, rawBytes).length).toBe(rawBytes)
          } catch (error) {
            expect(error).toBeInstanceOf(FrameError)
          }
        },
      ),
      { numRuns: 3000 },
    )
  })
})
