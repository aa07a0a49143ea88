/** What goes in front, as the other side sees it: by the order in which content comes, and by what is safe in the middle. */

import fs from 'node:fs'
import { basename, join } from 'node:path'
import { expect, test } from 'vitest'
import { sendFiles, type SendOptions } from '../../../src/index.ts'
import { RangeSet } from '../../../src/protocol/ranges.ts'
import { sendToRaw } from '../../rigs/loopback-pair.ts'
import { makePlace } from '../../rigs/place.ts'
import { ended, ServerPlace } from '../../rigs/server-place.ts'

const MIB = 1 << 20
/** In the order of the manifest. */
const FILES: Readonly<Record<string, number>> = {
  'a.bin': 2 * MIB,
  'b.txt': 100,
  'c.bin': 100,
  'd.txt': 3 * MIB,
  'e.md': 50,
  'f.bin': 100,
}

function plant(root: string): string {
  const tree = join(root, 'tree')
  fs.mkdirSync(tree, { recursive: true })
  for (const [name, size] of Object.entries(FILES)) fs.writeFileSync(join(tree, name), new Uint8Array(size).fill(7))
  return tree
}

/** Files in the order in which the last of their content came, by the chunks that a receiver saw. */
async function arrivals(options: SendOptions): Promise<{ names: string[]; warnings: string[] }> {
  const place = makePlace(1)
  const { peer, events, end, transfer } = await sendToRaw(plant(place.root), {
    ledgerPath: place.senderLedger,
    ...options,
  })
  peer.say({ type: 'hello', hello: { name: 'raw', maxChunkBytes: MIB, known: null } })
  await peer.until('manifest')
  peer.say({ type: 'accept', accept: { epoch: 1 } })
  peer.say({ type: 'safe', last: true, page: new Uint8Array() })
  const arrived = new RangeSet()
  const names: string[] = []
  while (names.length < Object.keys(FILES).length) {
    const { offset, rawBytes } = await peer.until('chunk')
    arrived.add(offset, offset + rawBytes)
    let start = 0
    for (const [name, size] of Object.entries(FILES)) {
      if (!names.includes(name) && arrived.contains(start, start + size)) names.push(name)
      start += size
    }
  }
  transfer.cancel()
  await end
  return {
    names,
    warnings: events.flatMap((event) =>
      event.event === 'warning' && event.code === 'not_first' ? [event.message] : [],
    ),
  }
}

test('files come in the order of the patterns, and the others behind them in their own', async () => {
  const { names, warnings } = await arrivals({ first: ['e.md', '*.txt', '*.jpg'] })
  expect(names).toEqual(['e.md', 'b.txt', 'd.txt', 'a.bin', 'c.bin', 'f.bin'])
  expect(warnings).toEqual(['*.jpg: nothing to send first matches this'])
})

test('without patterns they come as they are listed', async () => {
  expect((await arrivals({})).names).toEqual(Object.keys(FILES))
})

/** How much of a file is staged; `null` where nothing is. */
function stagedBytes(place: ServerPlace, name: string): number | null {
  const staging = join(place.out, place.list()[0] ?? '')
  const path = fs.readdirSync(staging, { recursive: true, encoding: 'utf8' }).find((one) => basename(one) === name)
  return path === undefined ? null : fs.statSync(join(staging, path)).size
}

test('what is first is safe when it is cut off, and another order goes on with the same transfer', async () => {
  const place = new ServerPlace({ ST_OPEN: 'yes' })
  await place.start()
  const tree = plant(place.path('ana'))
  const transfer = place.push('ana', tree, { first: ['d.txt'], bytesPerSecond: 4_000_000 })
  let sizes: (number | null)[] = []
  const { error, events } = await ended(transfer, (event) => {
    if (event.event !== 'progress' || event.bytesDone < 3 * MIB || sizes.length > 0) return
    sizes = ['d.txt', 'f.bin'].map((name) => stagedBytes(place, name))
    transfer.cancel()
  })
  expect(error).toMatchObject({ code: 'interrupted' })
  expect(sizes).toEqual([3 * MIB, null])
  const again = await place.pushed('ana', tree, { first: ['f.bin'] })
  expect(again.error).toBeNull()
  expect(again.result?.resumedBytes).toBeGreaterThanOrEqual(3 * MIB)
  const id = events.find(({ event }) => event === 'progress')
  expect(id).toMatchObject({ transferId: again.result?.transferId })
  for (const [name, size] of Object.entries(FILES)) expect(place.read('tree', name).length).toBe(size)
})

test('a pattern that takes away is refused before anything is sent', async () => {
  const place = makePlace(2)
  const { done } = sendFiles(plant(place.root), {
    pod: true,
    port: 0,
    ledgerPath: place.senderLedger,
    first: ['!a.bin'],
  })
  await expect(done).rejects.toMatchObject({ code: 'settings_invalid' })
})
