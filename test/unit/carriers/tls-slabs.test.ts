import { expect, test } from 'vitest'
import { slabReleaser } from '../../../src/carriers/tls/slabs.ts'

test.each<[string, readonly [offset: number, bytes: number][], boolean]>([
  [
    'all of it came, in order',
    [
      [0, 40],
      [40, 60],
    ],
    true,
  ],
  ['it came in one piece', [[0, 100]], true],
  [
    'a part in the middle went elsewhere',
    [
      [0, 40],
      [60, 40],
    ],
    false,
  ],
  ['its start went elsewhere', [[40, 60]], false],
  ['its end has not come', [[0, 99]], false],
])('a slab of which %s', (_, pieces, isGivenBack) => {
  const slab = new ArrayBuffer(100)
  const release = slabReleaser()
  for (const [offset, bytes] of pieces) release(new Uint8Array(slab, offset, bytes))
  expect(slab.detached).toBe(isGivenBack)
})

test('a piece of other memory between two of a slab keeps the slab from being given back', () => {
  const slab = new ArrayBuffer(100)
  const release = slabReleaser()
  release(new Uint8Array(slab, 0, 40))
  const other = new Uint8Array(10)
  release(other)
  release(new Uint8Array(slab, 40, 60))
  expect([slab.detached, other.buffer.detached]).toEqual([false, true])
})
