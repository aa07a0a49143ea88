import { expect, test } from 'vitest'
import { SealiftError } from '../../../src/protocol/errors.ts'
import { CLASS_MS, MAX_QUEUED, TransferQueue, type Turn } from '../../../src/server/transfer-queue.ts'
import { VirtualClock } from '../transfer/virtual-time.ts'

/** Transfers at a queue: who is in, in the order in which they came in, and where the others were last told to be. */
class Line {
  readonly clock = new VirtualClock()
  readonly queue: TransferQueue
  readonly began: string[] = []
  readonly places = new Map<string, number>()
  readonly turns = new Map<string, Turn>()
  readonly refused = new Map<string, string>()
  readonly #stops = new Map<string, AbortController>()

  constructor(maxActive: number | null) {
    this.queue = new TransferQueue({ maxActive, clock: this.clock })
  }

  async come(id: string, priority = 5): Promise<void> {
    const stop = new AbortController()
    this.#stops.set(id, stop)
    const onPlace = (place: number): unknown => this.places.set(id, place)
    this.queue.enter({ transferId: id, priority, signal: stop.signal, onPlace }).then(
      (turn) => {
        this.began.push(id)
        this.turns.set(id, turn)
        this.places.delete(id)
      },
      (error: unknown) => {
        this.refused.set(id, (error as SealiftError).code)
        this.places.delete(id)
      },
    )
    await this.clock.pass(0)
  }

  async goAway(id: string): Promise<void> {
    this.#stops.get(id)?.abort(new SealiftError('connection_lost', 'gone'))
    await this.clock.pass(0)
  }

  async leave(id: string, comesBack = false): Promise<void> {
    this.turns.get(id)?.leave(comesBack)
    await this.clock.pass(0)
  }

  /** Lets one after the other run to its end. */
  async runOut(): Promise<string[]> {
    for (let at = 0; at < this.began.length; at++) await this.leave(this.began[at] as string)
    return this.began
  }
}

test('the most urgent goes first, and among equals who came first', async () => {
  const line = new Line(1)
  for (const [id, priority] of [
    ['now', 0],
    ['a', 1],
    ['b', 5],
    ['c', 9],
    ['d', 5],
    ['e', 9],
  ] as const)
    await line.come(id, priority)
  expect(line.began).toEqual(['now'])
  expect(Object.fromEntries(line.places)).toEqual({ c: 1, e: 2, b: 3, d: 4, a: 5 })
  expect(line.queue.length).toBe(5)
  expect(await line.runOut()).toEqual(['now', 'c', 'e', 'b', 'd', 'a'])
  expect(line.queue.length).toBe(0)
})

test('as many run at once as may, and with no limit nobody waits', async () => {
  const line = new Line(2)
  for (const id of ['a', 'b', 'c']) await line.come(id)
  expect(line.began).toEqual(['a', 'b'])
  await line.leave('b')
  expect(line.began).toEqual(['a', 'b', 'c'])
  const free = new Line(null)
  for (let at = 0; at < 50; at++) await free.come(String(at))
  expect(free.began).toHaveLength(50)
})

test('who waits goes up a priority each ten minutes, so that nobody starves', async () => {
  const line = new Line(1)
  await line.come('now')
  await line.come('old', 0)
  await line.clock.pass(9 * CLASS_MS - 1)
  await line.come('urgent', 9)
  expect(line.places.get('old')).toBe(2)
  await line.clock.pass(1)
  await line.come('urgent too', 9)
  expect(Object.fromEntries(line.places)).toEqual({ urgent: 1, old: 2, 'urgent too': 3 })
  expect(await line.runOut()).toEqual(['now', 'urgent', 'old', 'urgent too'])
})

test('who leaves the line makes room, and has its place again if it is back soon', async () => {
  const line = new Line(1)
  for (const id of ['now', 'a', 'b']) await line.come(id)
  await line.goAway('a')
  expect([line.refused.get('a'), Object.fromEntries(line.places)]).toEqual(['connection_lost', { b: 1 }])
  await line.clock.pass(29_000)
  await line.come('a')
  expect(Object.fromEntries(line.places)).toEqual({ a: 1, b: 2 })
  await line.goAway('a')
  await line.clock.pass(31_000)
  await line.come('a')
  expect(Object.fromEntries(line.places)).toEqual({ b: 1, a: 2 })
})

test('who runs and is cut off has its room kept for half a minute', async () => {
  const line = new Line(1)
  for (const id of ['a', 'b']) await line.come(id)
  await line.leave('a', true)
  await line.clock.pass(29_000)
  await line.come('a')
  expect(line.began).toEqual(['a', 'a'])
  await line.clock.pass(60_000)
  expect(line.began).toEqual(['a', 'a'])
  await line.leave('a', true)
  await line.clock.pass(30_000)
  expect(line.began).toEqual(['a', 'a', 'b'])
})

test('a session more of a transfer that runs takes no room, and the last one to leave gives it back', async () => {
  const line = new Line(1)
  await line.come('a')
  const first = line.turns.get('a')
  await line.come('a')
  await line.come('b')
  expect(line.began).toEqual(['a', 'a'])
  first?.leave(false)
  first?.leave(false)
  await line.clock.pass(0)
  expect(line.began).toEqual(['a', 'a'])
  await line.leave('a')
  expect(line.began).toEqual(['a', 'a', 'b'])
})

test('only so many may wait, and those who left are not remembered without end', async () => {
  const line = new Line(1)
  await line.come('now')
  const gone = new AbortController()
  const enter = (id: string, signal: AbortSignal): Promise<unknown> =>
    line.queue.enter({ transferId: id, priority: 5, signal, onPlace: () => undefined }).catch((error: unknown) => error)
  const all = Array.from({ length: MAX_QUEUED }, (_, at) => enter(String(at), gone.signal))
  expect(await enter('one more', gone.signal)).toMatchObject({ code: 'server_busy', retryable: true })
  gone.abort(new SealiftError('terminated', 'stopped'))
  await Promise.all(all)
  expect(line.queue.length).toBe(0)
  await line.leave('now')
  await line.come('after')
  expect(line.began).toEqual(['now', 'after'])
})

test('once it is closed nobody is let in, and no room is kept', async () => {
  const line = new Line(1)
  for (const id of ['a', 'b']) await line.come(id)
  line.queue.close()
  await line.leave('a', true)
  await line.come('c')
  expect([line.began, line.clock.timers]).toEqual([['a'], 0])
  await line.goAway('b')
  expect(line.refused.get('b')).toBe('connection_lost')
})
