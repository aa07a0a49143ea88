import { expect, test } from 'vitest'
import { ServerPlace } from '../rigs/server-place.ts'
import { SlowPath } from '../rigs/slow-path.ts'

const MIB = 1 << 20

test('four streams', async () => {
  const place = new ServerPlace({ ST_OPEN: 'yes' })
  await place.start()
  const path = await SlowPath.start({ port: place.server.port, oneWayMs: 25, windowBytes: 256 << 10 })
  const content = new Uint8Array(24 * MIB).map((_, i) => (i * 7919) >> 8)
  const file = place.plant('alice', 'a.bin', content)
  const file2 = place.plant('bob', 'b.bin', content)
  const to = `127.0.0.1:${path.port}`
  const [one, four] = await Promise.all([
    place.pushed('bob', file2, { to }),
    place.pushed('alice', file, { to, streams: 4 }),
  ])
  console.log(one.error, four.error, one.result, four.result, path.connections, place.events.map(e => JSON.stringify(e)).filter(l => !l.includes('progress')).join('\n'))
  console.log(four.events.filter((e) => e.event !== 'progress'))
}, 20000)
