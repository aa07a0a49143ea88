import { expect, test } from 'vitest'
import { PlaceTeller } from '../../../src/server/place-teller.ts'
import { VirtualClock } from '../transfer/virtual-time.ts'

function tellers(): { clock: VirtualClock; teller: PlaceTeller; said: number[]; hold(): PromiseWithResolvers<void> } {
  const clock = new VirtualClock()
  const said: number[] = []
  let held: PromiseWithResolvers<void> | null = null
  const teller = new PlaceTeller(clock, (place) => {
    said.push(place)
    return held?.promise ?? Promise.resolve()
  })
  return { clock, teller, said, hold: () => (held = Promise.withResolvers()) }
}

test('a place is said at once, its changes once a second, the newest, and again each minute', async () => {
  const { clock, teller, said } = tellers()
  for (const place of [9, 8, 7, 6]) teller.tell(place)
  expect(said).toEqual([9])
  await clock.pass(1000)
  expect(said).toEqual([9, 6])
  await clock.pass(59_000)
  expect(said).toEqual([9, 6])
  await clock.pass(180_999)
  expect(said).toEqual([9, 6, 6, 6, 6])
  teller.stop()
  await clock.pass(600_000)
  teller.tell(1)
  expect([said.length, clock.timers]).toEqual([5, 0])
})

test('who does not read is told nothing more until it has', async () => {
  const { clock, teller, said, hold } = tellers()
  const held = hold()
  for (let place = 100; place > 0; place--) {
    teller.tell(place)
    await clock.pass(60_000)
  }
  expect(said).toEqual([100])
  held.resolve()
  await clock.pass(0)
  expect(said).toEqual([100, 1])
  teller.stop()
})

test('who is gone is told nothing more', async () => {
  const { clock, teller, said, hold } = tellers()
  hold().reject(new Error('gone'))
  teller.tell(2)
  await clock.pass(600_000)
  teller.tell(1)
  expect([said, clock.timers]).toEqual([[2], 0])
})
