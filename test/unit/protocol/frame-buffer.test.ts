import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { FrameBuffer } from '../../../src/protocol/frame-buffer.ts'

function fill(buffer: FrameBuffer, ...bytes: readonly number[]): void {
  buffer.space().set(bytes)
  buffer.advance(bytes.length)
}

describe('a frame buffer', () => {
  test('gives bytes in the order in which they came, as views', () => {
    const buffer = new FrameBuffer(16)
    fill(buffer, 1, 2, 3, 4, 5)
    expect(buffer.length).toBe(5)
    expect([...(buffer.peek(2) ?? [])]).toEqual([1, 2])
    expect([...(buffer.take(3) ?? [])]).toEqual([1, 2, 3])
    expect(buffer.take(3)).toBe(null)
    expect(buffer.peek(3)).toBe(null)
    expect([...(buffer.take(2) ?? [])]).toEqual([4, 5])
    expect(buffer.take(0)?.length).toBe(0)
  })

  test('reads a word of any value without a sign', () => {
    const buffer = new FrameBuffer(16)
    fill(buffer, 0xff, 0xff, 0xff)
    expect(buffer.peekU32()).toBe(null)
    fill(buffer, 0xfe)
    expect(buffer.peekU32()).toBe(0xffff_fffe)
    expect(buffer.length).toBe(4)
    buffer.take(4)
    fill(buffer, 0, 1, 2, 3)
    expect(buffer.peekU32()).toBe(0x0001_0203)
  })

  test('has room as long as less than the whole of it waits', () => {
    const buffer = new FrameBuffer(8)
    fill(buffer, 1, 2, 3, 4, 5, 6, 7, 8)
    expect(buffer.space().length).toBe(0)
    buffer.take(1)
    expect(buffer.space().length).toBe(1)
    expect([...(buffer.take(7) ?? [])]).toEqual([2, 3, 4, 5, 6, 7, 8])
    expect(buffer.space().length).toBe(8)
  })

  test('keeps what waits when it grows, and never shrinks', () => {
    const buffer = new FrameBuffer(8)
    fill(buffer, 1, 2, 3, 4, 5, 6)
    buffer.take(4)
    buffer.grow(32)
    expect([buffer.length, buffer.space().length]).toEqual([2, 30])
    buffer.grow(4)
    expect(buffer.space().length).toBe(30)
    expect([...(buffer.take(2) ?? [])]).toEqual([5, 6])
  })

  test('lets room be filled that was given before it grows', () => {
    const buffer = new FrameBuffer(8)
    fill(buffer, 1, 2)
    const held = buffer.space()
    buffer.grow(32)
    held.set([3, 4, 5])
    expect([...(buffer.take(1) ?? [])]).toEqual([1])
    buffer.advance(3)
    expect(buffer.space().length).toBe(28)
    expect([...(buffer.take(4) ?? [])]).toEqual([2, 3, 4, 5])
  })

  test('gives its memory back at once when it is released', () => {
    const buffer = new FrameBuffer(1 << 20)
    fill(buffer, 1, 2, 3)
    const room = buffer.space()
    buffer.release()
    expect([room.buffer.byteLength, buffer.length, buffer.space().length]).toEqual([0, 0, 0])
  })

  test('moves nothing while two of the largest frames come one behind the other', () => {
    const frameBytes = 1000
    const buffer = new FrameBuffer(2 * frameBytes)
    fill(buffer, ...new Uint8Array(frameBytes + 700))
    const room = buffer.space()
    buffer.take(frameBytes)
    const after = buffer.space()
    expect([after.length, after.byteOffset]).toEqual([300, room.byteOffset])
  })

  test('gives the same frames however the bytes come, within one buffer of two frames', () => {
    const frame = fc.integer({ min: 0, max: 60 })
    fc.assert(
      fc.property(
        fc.array(frame, { minLength: 1, maxLength: 30 }),
        fc.infiniteStream(fc.integer({ min: 1, max: 100 })),
        (lengths, cuts) => {
          const stream: number[] = []
          for (const [index, length] of lengths.entries())
            stream.push(0, 0, 0, length, ...new Array<number>(length).fill(index))
          const buffer = new FrameBuffer(128)
          const frames: number[][] = []
          for (let at = 0; at < stream.length;) {
            const room = buffer.space()
            expect(room.length).toBeGreaterThan(0)
            const bytes = Math.min(room.length, cuts.next().value as number, stream.length - at)
            room.set(stream.slice(at, at + bytes))
            buffer.advance(bytes)
            at += bytes
            for (;;) {
              const length = buffer.peekU32()
              if (length === null || buffer.length < 4 + length) break
              buffer.take(4)
              frames.push([...(buffer.take(length) ?? [])])
            }
          }
          expect(frames).toEqual(lengths.map((length, index) => new Array<number>(length).fill(index)))
        },
      ),
      { numRuns: 300 },
    )
  })

  test('does not move a record for each small read: a stream through it is linear', () => {
    const buffer = new FrameBuffer(2 << 20)
    const startMs = performance.now()
    let taken = 0
    for (let read = 0; read < 20_000; read++) {
      const bytes = Math.min(7001, buffer.space().length)
      buffer.advance(bytes)
      while (buffer.length >= 1 << 20) taken += buffer.take(1 << 20)?.length ?? 0
    }
    expect(taken).toBeGreaterThan(100 << 20)
    expect(performance.now() - startMs).toBeLessThan(2000)
  })
})
