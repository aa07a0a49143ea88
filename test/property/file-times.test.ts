/** Times come back from a real file to the microsecond, however they are cut on the way. */

import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { clampMtimeNs, isSameMtime, writableTime } from '../../src/files/file-times.ts'

let place = ''
let fd = -1

beforeAll(() => {
  place = fs.mkdtempSync(join(tmpdir(), 'sealift-times-'))
  fd = fs.openSync(join(place, 'file'), 'w')
})

afterAll(() => {
  fs.closeSync(fd)
  fs.rmSync(place, { recursive: true })
})

function throughTheDisk(mtimeNs: bigint): fs.BigIntStats {
  const time = writableTime(mtimeNs)
  fs.futimesSync(fd, time, time)
  return fs.fstatSync(fd, { bigint: true })
}

function floorTo(ns: bigint, unit: bigint): bigint {
  return (ns - (((ns % unit) + unit) % unit)) / unit
}

const YEAR_2200_NS = 7_258_118_400_000_000_000n

test('any time from 1902 to 2200 is right to the microsecond', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -2_100_000_000_000_000_000n, max: YEAR_2200_NS }), (mtimeNs) => {
      const back = throughTheDisk(mtimeNs).mtimeNs
      expect(floorTo(back, 1000n)).toBe(floorTo(mtimeNs, 1000n))
    }),
    { numRuns: 3000 },
  )
})

test('whole milliseconds stay whole', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 4_102_444_800_000 }), (ms) => {
      expect(Math.floor(Number(throughTheDisk(BigInt(ms) * 1_000_000n).mtimeNs / 1000n) / 1000)).toBe(ms)
    }),
    { numRuns: 3000 },
  )
})

test('what was written counts as unchanged', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: YEAR_2200_NS }), (mtimeNs) => {
      const back = throughTheDisk(mtimeNs).mtimeNs
      const { mtimeMs } = fs.fstatSync(fd)
      expect(isSameMtime(mtimeMs, mtimeNs, () => back)).toBe(true)
    }),
    { numRuns: 1000 },
  )
})

test('no time of a peer can break it', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }), (mtimeNs) => {
      const back = throughTheDisk(mtimeNs).mtimeNs
      const apart = back - clampMtimeNs(mtimeNs)
      expect(apart < 2000n && apart > -2000n).toBe(true)
    }),
    { examples: [[0n], [-1n], [1n], [-(1n << 63n)], [(1n << 63n) - 1n]], numRuns: 1000 },
  )
})
