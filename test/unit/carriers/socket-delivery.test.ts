/** When the memory of a piece is given back: once all of it is copied, and not before. */

import { expect, test } from 'vitest'
import { Delivery } from '../../../src/carriers/socket-delivery.ts'
import { releaseBuffer } from '../../../src/protocol/bytes.ts'

const PIECE_BYTES = 64 << 10

/** A sink whose room is this large each time, and which pauses after so many deliveries. */
function deliver(roomBytes: number, untilPause: number): { delivery: Delivery; arrived: () => Buffer } {
  const delivery = new Delivery(releaseBuffer)
  const parts: Buffer[] = []
  const room = new Uint8Array(roomBytes)
  delivery.start({
    space: () => room,
    filled(bytes) {
      parts.push(Buffer.from(room.subarray(0, bytes)))
      return parts.length % untilPause !== 0
    },
    ended: () => undefined,
  })
  return { delivery, arrived: () => Buffer.concat(parts) }
}

function piece(value: number): Uint8Array {
  return new Uint8Array(PIECE_BYTES).fill(value)
}

test('a piece that is copied at once is void after it', () => {
  const { delivery, arrived } = deliver(PIECE_BYTES, 100)
  const bytes = piece(1)
  expect(delivery.push(bytes)).toBe(true)
  expect([bytes.byteLength, arrived().equals(piece(1))]).toEqual([0, true])
})

test('a piece that waits is kept whole until the rest of it is copied', () => {
  const { delivery, arrived } = deliver(PIECE_BYTES / 4, 3)
  const bytes = piece(2)
  expect(delivery.push(bytes)).toBe(false)
  expect(bytes.byteLength).toBe(PIECE_BYTES)
  expect(delivery.resume()).toBe(true)
  expect([bytes.byteLength, arrived().equals(piece(2))]).toEqual([0, true])
})

test('a part of what others use is left alone', () => {
  const { delivery, arrived } = deliver(PIECE_BYTES, 100)
  const shared = new Uint8Array(4 * PIECE_BYTES).fill(3)
  delivery.push(shared.subarray(0, PIECE_BYTES))
  expect([shared.byteLength, arrived().length]).toEqual([4 * PIECE_BYTES, PIECE_BYTES])
})
