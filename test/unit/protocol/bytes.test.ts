/** Fields come back as they were written, and nothing is read past the end. */

import { describe, expect, test } from 'vitest'
import {
  ByteReader,
  ByteWriter,
  compareBytes,
  concatBytes,
  decodeUtf8,
  encodeUtf8,
  fromHex,
  toHex,
  uuidToBytes,
} from '../../../src/protocol/bytes.ts'
import { SealiftError } from '../../../src/protocol/errors.ts'

function codeOf(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    return error instanceof SealiftError ? error.code : String(error)
  }
  return 'nothing was thrown'
}

describe('ByteWriter and ByteReader', () => {
  test('every field comes back, big-endian, in a buffer that had to grow', () => {
    const writer = new ByteWriter(1)
      .u8(0xfe)
      .u16(0x0102)
      .u32(0xfffffffe)
      .u64(Number.MAX_SAFE_INTEGER)
      .i64(-(2n ** 63n))
      .bytes(Uint8Array.of(7, 8, 9))
    expect(writer.length).toBe(26)
    const bytes = writer.finish()
    expect(toHex(bytes)).toBe('fe' + '0102' + 'fffffffe' + '001fffffffffffff' + '8000000000000000' + '070809')

    const reader = new ByteReader(bytes)
    expect(reader.u8()).toBe(0xfe)
    expect(reader.u16()).toBe(0x0102)
    expect(reader.u32()).toBe(0xfffffffe)
    expect(reader.u64()).toBe(Number.MAX_SAFE_INTEGER)
    expect(reader.i64()).toBe(-(2n ** 63n))
    expect([...reader.bytes(3)]).toEqual([7, 8, 9])
    expect(reader.left).toBe(0)
    reader.end()
  })

  test('the reader honours the offset of the view that it is given', () => {
    const outer = Uint8Array.of(0xff, 0xff, 0x12, 0x34, 0xff)
    const reader = new ByteReader(outer.subarray(2, 4))
    expect(reader.u16()).toBe(0x1234)
    expect(reader.left).toBe(0)
  })

  test.each<[string, number, (reader: ByteReader) => unknown]>([
    ['u8', 1, (reader) => reader.u8()],
    ['u16', 2, (reader) => reader.u16()],
    ['u32', 4, (reader) => reader.u32()],
    ['u64', 8, (reader) => reader.u64()],
    ['i64', 8, (reader) => reader.i64()],
    ['bytes', 5, (reader) => reader.bytes(5)],
  ])('%s of a message one byte short is a protocol violation and takes nothing', (_name, length, read) => {
    const reader = new ByteReader(new Uint8Array(length - 1))
    expect(codeOf(() => read(reader))).toBe('protocol_violation')
    expect(reader.left).toBe(length - 1)
    read(new ByteReader(new Uint8Array(length)))
  })

  test('u64 above the safe integers is refused, the largest safe one is not', () => {
    expect(codeOf(() => new ByteReader(fromHex('0020000000000000')).u64())).toBe('protocol_violation')
    expect(new ByteReader(fromHex('001fffffffffffff')).u64()).toBe(Number.MAX_SAFE_INTEGER)
  })

  test('end refuses bytes that are left over', () => {
    expect(
      codeOf(() => {
        new ByteReader(new Uint8Array(1)).end()
      }),
    ).toBe('protocol_violation')
  })

  test('finish gives a copy: writing on after reset leaves it alone', () => {
    const writer = new ByteWriter().u8(1)
    const first = writer.finish()
    writer.reset()
    expect(writer.length).toBe(0)
    writer.u8(2)
    expect([...first]).toEqual([1])
    expect([...writer.finish()]).toEqual([2])
  })
})

describe('UTF-8', () => {
  test.each(['', 'plain', 'Ωß漢字🎉', '\uFEFFmark', 'a'.repeat(65), 'é'.repeat(65)])('%j comes back', (text) => {
    expect(decodeUtf8(encodeUtf8(text))).toBe(text)
  })

  test.each(['ff', '61c3', 'c080', 'eda080', 'f5808080', '61'.repeat(70) + 'ff'])('%s is no text', (hex) => {
    expect(decodeUtf8(fromHex(hex))).toBeNull()
  })
})

describe('compareBytes', () => {
  test('orders as memcmp, a prefix first', () => {
    const ordered = ['', '00', '0000', '01', '7f', '80', 'ff', 'ff00'].map(fromHex)
    for (const [at, a] of ordered.entries())
      for (const [other, b] of ordered.entries()) expect(Math.sign(compareBytes(a, b))).toBe(Math.sign(at - other))
  })
})

describe('concatBytes, hex and UUIDs', () => {
  test('parts are joined in order', () => {
    expect(toHex(concatBytes([fromHex('01'), new Uint8Array(), fromHex('0203')]))).toBe('010203')
    expect(concatBytes([]).length).toBe(0)
  })

  test('hex comes back, in either case', () => {
    expect(toHex(fromHex('00FFa0'))).toBe('00ffa0')
  })

  test.each(['0', '0g', '0x00', ' 00', '00\n'])('%j is no hex', (text) => {
    expect(codeOf(() => fromHex(text))).toBe('protocol_violation')
  })

  test('a UUID becomes 16 bytes', () => {
    expect(toHex(uuidToBytes('00112233-4455-6677-8899-aabbccddeeff'))).toBe('00112233445566778899aabbccddeeff')
  })

  test.each([
    '',
    '00112233445566778899aabbccddeeff',
    '00112233-4455-6677-8899-AABBCCDDEEFF',
    '00112233-4455-6677-8899-aabbccddeeff\n',
  ])('%j is no transfer id', (text) => {
    expect(codeOf(() => uuidToBytes(text))).toBe('protocol_violation')
  })
})
