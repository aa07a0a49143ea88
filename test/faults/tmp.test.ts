import { test } from 'vitest'
import { makePlace } from '../rigs/place.ts'
import { withRun } from '../rigs/transfer-run.ts'
test.each([['down',5],['up',3],['up', 8],['down',2]] as const)('x %s %s', async (direction, border) => {
  const place = makePlace(1)
  await withRun(place, { plan: (c) => c === 0 ? [{ direction, spot: { border, delta: 0 }, fault: { kind: 'cut', how: 'silence' } }] : [] }, async (run) => {
    const r = run.startReceiver()
    const a = await run.ended(r)
    console.log(run.clock.elapsedMs(), r.events, a.error?.message, a.error?.hint)
    const b = await run.ended(run.sender)
    console.log(run.clock.elapsedMs(), run.sender.events, b.error?.message)
  })
})
