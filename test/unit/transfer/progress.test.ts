import { describe, expect, test } from 'vitest'

import type { ProgressEvent } from '../../../src/transfer/events.ts'
import { Progress } from '../../../src/transfer/progress.ts'
import { VirtualClock } from './virtual-time.ts'

function following(bytesTotal: number | null = 10_000_000): {
  clock: VirtualClock
  progress: Progress
  said: ProgressEvent[]
} {
  const clock = new VirtualClock()
  const said: ProgressEvent[] = []
  const progress = new Progress(clock, { transferId: 'id', bytesTotal, filesTotal: 3 }, (event) => said.push(event))
  return { clock, progress, said }
}

describe('progress', () => {
  test('is silent before acceptance, and says then where things stand', () => {
    const { progress, said } = following(null)
    progress.set(500, 1)
    progress.flush()
    expect(said).toEqual([])
    progress.start()
    progress.set(500, 1)
    expect(said).toEqual([
      {
        event: 'progress',
        transferId: 'id',
        bytesTotal: null,
        filesTotal: 3,
        bytesDone: 500,
        filesDone: 1,
        bytesPerSecond: 0,
      },
    ])
    expect([progress.bytesDone, progress.filesDone, progress.movedBytes]).toEqual([500, 1, 0])
  })

  test('speaks ten times a second at most, and always has the last word', async () => {
    const { clock, progress, said } = following()
    progress.start()
    for (let step = 0; step < 1000; step++) {
      progress.add(1000, 0)
      await clock.pass(2)
    }
    expect(said.length).toBeGreaterThanOrEqual(19)
    expect(said.length).toBeLessThanOrEqual(21)
    progress.add(7, 1)
    progress.flush()
    expect(said.at(-1)).toMatchObject({ bytesDone: 1_000_007, filesDone: 1 })
    const count = said.length
    await clock.pass(1000)
    expect(said.length).toBe(count)
    expect(clock.timers).toBe(0)
  })

  test('tells the rate of the last seconds: a stall shows, and what was there already is no speed', async () => {
    const { clock, progress, said } = following()
    progress.start()
    progress.set(9_000_000, 0)
    for (let second = 0; second < 8; second++) {
      await clock.pass(1000)
      progress.add(100_000, 0)
    }
    const steady = said.at(-1)?.bytesPerSecond ?? 0
    expect(Math.abs(steady / 100_000 - 1)).toBeLessThan(0.25)
    await clock.pass(60_000)
    progress.add(1, 0)
    expect(said.at(-1)?.bytesPerSecond).toBeLessThan(12_000)
    expect(progress.elapsedMs).toBe(68_000)
  })

  test('never tells a rate below nothing, also where a file must come again', async () => {
    const { clock, progress, said } = following()
    progress.start()
    progress.add(5000, 1)
    await clock.pass(200)
    progress.add(-5000, -1)
    expect(said.at(-1)).toMatchObject({ bytesDone: 0, filesDone: 0, bytesPerSecond: 0 })
  })

  test('counts from the first acceptance, and stops when it is told to', async () => {
    const { clock, progress, said } = following()
    expect(progress.elapsedMs).toBe(0)
    progress.start()
    progress.add(1, 0)
    await clock.pass(50)
    progress.start()
    progress.add(1, 0)
    progress.stop()
    await clock.pass(1000)
    expect(said.length).toBe(1)
    expect(progress.elapsedMs).toBe(1050)
    expect(clock.timers).toBe(0)
  })
})
