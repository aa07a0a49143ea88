import { test } from 'vitest'
import { makePlace } from '../rigs/place.ts'
import { withRun } from '../rigs/transfer-run.ts'
import { Chance } from '../rigs/seeds.ts'
const MIB = 1<<20
test('x', async () => {
    const chance = new Chance(12)
      const largeBytes = chance.integer(4 * MIB, 14 * MIB)
      const place = makePlace(chance.integer(1, 1e9), { largeBytes })
      const cuts = chance.integer(1, 5)
      const plan = (connection: number) => {
        if (connection >= cuts) return []
        const how = chance.pick(['fin', 'reset'] as const)
        const spot = chance.integer(3000, 3 * MIB)
        console.log(connection, how, spot)
        return [{ direction: 'down', spot, fault: { kind: 'cut', how } }] as const
      }
  await withRun(place, { plan }, async (run) => {
    const r = run.startReceiver()
    const a = await Promise.race([run.ended(r).catch(() => null), new Promise((f) => { const t = process.hrtime(); const i = setInterval(() => { if (process.hrtime(t)[0] > 4) { clearInterval(i); f(null) } }, 100) })])
    console.log(run.clock.elapsedMs(), JSON.stringify(r.events,null,0))
    console.log(run.clock.elapsedMs(), JSON.stringify(run.sender.events,null,0))
    console.log(run.passages.map((p) => JSON.stringify([p.bytes, p.passed])))
  })
})
