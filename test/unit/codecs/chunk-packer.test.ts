/** What packing in vain may cost under `auto`, and that nothing else is ever left unpacked. */

import { randomBytes } from 'node:crypto'

import { expect, test } from 'vitest'

import { ChunkPacker } from '../../../src/codecs/chunk-packer.ts'
import { worthCompressing } from '../../../src/codecs/codec-table.ts'
import { zstd } from '../../../src/codecs/zstd.ts'

const MIB = 1 << 20
const soft = Buffer.from('harbour, crane and anchor\n'.repeat(2000))

/** Looks soft wherever a sample of a chunk is taken, and is as good as random. */
const deceiving = (() => {
  const bytes = randomBytes(MIB)
  for (let run = 0; run < 16; run++) {
    const start = Math.floor((run * (MIB - 256)) / 15)
    bytes.fill(0, start, start + 256)
  }
  return bytes
})()

/** Packs the same chunk so often, one after the other. @returns how often it was tried */
async function pack(packer: ChunkPacker, chunk: Uint8Array, times: number): Promise<number> {
  let tried = 0
  for (let time = 0; time < times; time++) {
    const packing = packer.pack(chunk)
    if (packing === null) continue
    tried++
    await packing
  }
  return tried
}

test('chunks that only look soft are tried less and less often', async () => {
  expect(worthCompressing(deceiving)).toBe(true)
  const packer = new ChunkPacker('auto', null)
  expect(await pack(packer, deceiving, 130)).toBeLessThanOrEqual(8)
  // one in 65 from then on
  expect(await pack(packer, deceiving, 195)).toBe(3)
})

test('the first chunk that shrinks is found at the next try, and ends that', async () => {
  const packer = new ChunkPacker('auto', null)
  await pack(packer, deceiving, 10)
  const missed = 20 - (await pack(packer, soft, 20))
  expect(missed).toBeLessThanOrEqual(8)
  expect(await pack(packer, soft, 20)).toBe(20)
  // and a later failure costs one chunk again, not many
  await pack(packer, deceiving, 1)
  expect(await pack(packer, soft, 20)).toBe(19)
})

test('several under way at once that fail together count as one failure', async () => {
  const packer = new ChunkPacker('auto', null)
  const together = [packer.pack(deceiving), packer.pack(deceiving), packer.pack(deceiving)]
  expect(together).not.toContain(null)
  await Promise.all(together.filter((one) => one !== null))
  expect(packer.pack(soft)).toBe(null)
  expect(packer.pack(soft)).not.toBe(null)
})

test('a few bytes that do not shrink say nothing of the others', async () => {
  const packer = new ChunkPacker('auto', null)
  const few = randomBytes(160).map((byte) => byte & 127)
  expect(await pack(packer, few, 5)).toBe(5)
  expect(packer.pack(soft)).not.toBe(null)
})

test('what is hard by its sample is never tried, and a codec that was named always is', async () => {
  expect(await pack(new ChunkPacker('auto', null), randomBytes(MIB), 5)).toBe(0)
  expect(await pack(new ChunkPacker('zstd', 1), deceiving, 5)).toBe(5)
  expect(await pack(new ChunkPacker('none', 7), soft, 5)).toBe(0)
})

test('the level is the one that was asked for', async () => {
  const fast = await new ChunkPacker('auto', null).pack(soft)
  const asked = await new ChunkPacker('auto', 19).pack(soft)
  expect(Buffer.compare((fast as { bytes: Uint8Array }).bytes, await zstd.encode(soft, 1))).toBe(0)
  expect(Buffer.compare((asked as { bytes: Uint8Array }).bytes, await zstd.encode(soft, 19))).toBe(0)
  await expect(new ChunkPacker('zstd', 99).pack(soft)).rejects.toMatchObject({ code: 'settings_invalid' })
})
