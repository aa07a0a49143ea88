/** Whatever the codec, the level, the data and the cuts: what arrives through two whole sides is what was sent. */

import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'vitest'
import { codecByName } from '../../src/codecs/codec-table.ts'
import { COMPRESS_SETTINGS, type CompressSetting } from '../../src/protocol/choices.ts'
import type { Planned } from '../rigs/chaos-proxy.ts'
import { listSurroundings, makePlace, type Place } from '../rigs/place.ts'
import { Chance, seedOr, under } from '../rigs/seeds.ts'
import { longBytes } from '../rigs/small-tree.ts'
import { withRun } from '../rigs/transfer-run.ts'

const MIB = 1 << 20
const slow = process.env['SEALIFT_SLOW'] === '1'

/** Some of what files are made of: noise, text, zeros, and stretches of each. */
function content(chance: Chance, length: number): Uint8Array {
  const bytes = longBytes(chance, length)
  const kind = chance.pick(['noise', 'text', 'zeros', 'mixed'] as const)
  if (kind === 'text') for (let at = 0; at < length; at++) bytes[at] = 97 + ((bytes[at] as number) & 15)
  if (kind === 'zeros') bytes.fill(0)
  if (kind === 'mixed') {
    for (let at = 0; at < length; at += chance.integer(1000, 200_000))
      bytes.fill(7, at, at + chance.integer(1, 100_000))
  }
  return bytes
}

function furnish(place: Place, chance: Chance): Place {
  for (let file = 0; file < 8; file++) {
    const length = chance.pick([chance.integer(1, 5000), chance.integer(1, 300_000), chance.integer(1, 3 * MIB)])
    const path = join(place.source, `${file} of many`)
    fs.writeFileSync(path, content(chance, length))
    fs.utimesSync(path, 1_600_000_000, 1_600_000_000 + file)
  }
  return { ...place, surroundings: listSurroundings(place) }
}

function levelOf(setting: CompressSetting, chance: Chance): number | undefined {
  if (chance.integer(0, 2) === 0) return undefined
  const { min, max } = codecByName(setting === 'auto' ? 'zstd' : setting).levels
  return chance.integer(min, Math.min(max, 9) + 1)
}

test('arrives as it was', { timeout: slow ? 600_000 : 60_000 }, async () => {
  const seed = seedOr(31)
  const chance = new Chance(seed)
  for (let round = 0; round < (slow ? 60 : COMPRESS_SETTINGS.length); round++) {
    const compress = COMPRESS_SETTINGS[round % COMPRESS_SETTINGS.length] as CompressSetting
    const compressionLevel = levelOf(compress, chance)
    const place = furnish(makePlace(chance.integer(1, 1e9)), chance)
    const cuts = chance.integer(0, 3)
    const plan = (connection: number): Planned[] => {
      const how = chance.pick(['fin', 'reset'] as const)
      const spot = chance.integer(3000, MIB)
      return connection < cuts ? [{ direction: 'down', spot, fault: { kind: 'cut', how } }] : []
    }
    await under(`seed ${seed}, round ${round}, ${compress} ${String(compressionLevel)}, ${cuts} cuts`, () =>
      withRun(place, { plan, send: { compress, compressionLevel } }, async (run) => {
        await run.receiveAll()
        await run.checkDone()
      }),
    )
    place.remove()
  }
})
