/** A server that takes only so many transfers at once: who goes first, as seen by when files land in its output folder. */

import fs from 'node:fs'
import { expect, onTestFinished, test, vi } from 'vitest'
import { listTransfers, sendStream, type Transfer } from '../../../src/index.ts'
import { ChaosProxy } from '../../rigs/chaos-proxy.ts'
import { ended, type PushEnd, ServerPlace } from '../../rigs/server-place.ts'

async function serve(settings: Record<string, string> = {}): Promise<ServerPlace> {
  const place = new ServerPlace({ ST_OPEN: 'yes', ST_MAX_ACTIVE: '1', ST_MAX_CONCURRENT_PER_IP: '100', ...settings })
  await place.start()
  return place
}

interface Occupied {
  readonly transfer: Transfer
  /** Lets it come to its end. */
  release(): Promise<PushEnd>
}

/** A transfer that runs until it is told to end. */
async function occupy(place: ServerPlace, name = 'running'): Promise<Occupied> {
  const end = Promise.withResolvers<undefined>()
  async function* pipe(): AsyncGenerator<Uint8Array> {
    yield new TextEncoder().encode(name)
    await end.promise
  }
  const transfer = sendStream(pipe(), { ...place.pushOptions(name), fileName: `${name}.txt` })
  const outcome = ended(transfer)
  onTestFinished(() => end.resolve(undefined))
  await place.heard('progress', ({ bytesDone }) => bytesDone > 0)
  return {
    transfer,
    release: () => {
      end.resolve(undefined)
      return outcome
    },
  }
}

interface Queued {
  readonly transfer: Transfer
  readonly end: Promise<PushEnd>
  readonly places: number[]
}

/** A push that has to wait, and waits. */
async function queue(place: ServerPlace, name: string, priority?: number): Promise<Queued> {
  const before = place.events.length
  const transfer = place.push(name, place.plant(name, `${name}.txt`, name), { priority })
  const places: number[] = []
  const told = Promise.withResolvers<undefined>()
  const end = ended(transfer, (event) => {
    if (event.event !== 'queued') return
    places.push(event.place)
    told.resolve(undefined)
  })
  await Promise.race([told.promise, end])
  expect(place.events.slice(before)).toContainEqual(expect.objectContaining({ event: 'queued' }))
  return { transfer, end, places }
}

/** Files in the order in which they got their names. */
function landed(place: ServerPlace): string[] {
  const at = (name: string): bigint => fs.statSync(`${place.out}/${name}`, { bigint: true }).ctimeNs
  return place.list().sort((a, b) => (at(a) < at(b) ? -1 : 1))
}

test('files land by the priority of their transfers, and among equals by who came first', async () => {
  const place = await serve()
  const running = await occupy(place)
  const ends = []
  for (const [name, priority] of [
    ['low', 1],
    ['high', 9],
    ['plain', undefined],
    ['late', 5],
  ] as const)
    ends.push(await queue(place, name, priority))
  expect(ends[0]?.transfer.waiting).toMatchObject({ reason: 'queue', place: 1, remainingMs: null })
  expect(place.list().filter((name) => name.endsWith('.txt'))).toEqual([])
  expect((await running.release()).error).toBeNull()
  for (const { end } of ends) expect((await end).error).toBeNull()
  expect(landed(place)).toEqual(['running.txt', 'high.txt', 'plain.txt', 'late.txt', 'low.txt'])
})

test('who leaves the line makes room, and the others are told', async () => {
  const place = await serve()
  const running = await occupy(place)
  const [one, two, three] = [await queue(place, 'one'), await queue(place, 'two'), await queue(place, 'three')]
  expect([one.places, two.places, three.places]).toEqual([[1], [2], [3]])
  one.transfer.cancel()
  expect((await one.end).error).toMatchObject({ code: 'interrupted' })
  expect((await running.release()).error).toBeNull()
  for (const { end } of [two, three]) expect((await end).error).toBeNull()
  // Where it is said once a second, the end of the wait may come first.
  expect([two.places.at(-1), three.places.at(-1)].every((last) => last !== undefined && last <= 3)).toBe(true)
  expect(landed(place).filter((name) => name.endsWith('.txt'))).toEqual(['running.txt', 'two.txt', 'three.txt'])
})

test('a server that stops tells those in line to come back, and they are in when it runs again', async () => {
  const place = await serve()
  const running = await occupy(place)
  const waiting = await queue(place, 'waiting')
  await place.stop()
  running.transfer.cancel()
  await place.start()
  const { error, events } = await waiting.end
  expect(error).toBeNull()
  expect(events).toContainEqual(expect.objectContaining({ event: 'warning', code: 'terminated' }))
  expect(place.read('waiting.txt')).toBe('waiting')
})

test('a transfer that runs and is cut off goes on in front of those who wait', async () => {
  const place = await serve()
  const isQueued = Promise.withResolvers<undefined>()
  const up = { direction: 'up' } as const
  const proxy = await ChaosProxy.start({
    port: place.server.port,
    plan: (connection) =>
      connection > 0
        ? []
        : [
            { ...up, spot: 2_000_000, fault: { kind: 'call', run: () => isQueued.promise } },
            { ...up, spot: 2_000_001, fault: { kind: 'cut', how: 'reset' } },
          ],
  })
  onTestFinished(() => proxy.close())
  const file = place.plant('cut', 'cut.bin', new Uint8Array(6_000_000))
  const cut = ended(place.push('cut', file, { to: `127.0.0.1:${String(proxy.port)}` }))
  await place.heard('progress', ({ bytesDone }) => bytesDone > 0)
  const waiting = await queue(place, 'waiting', 9)
  isQueued.resolve(undefined)
  const { error, result } = await cut
  expect([error, (await waiting.end).error]).toEqual([null, null])
  expect(result?.resumedBytes).toBe(0)
  expect(landed(place)).toEqual(['cut.bin', 'waiting.txt'])
})

test('status at both sides says that it is pending, with its priority, and the audit log that it waited', async () => {
  const place = await serve()
  const running = await occupy(place)
  const { end } = await queue(place, 'high', 9)
  const both = async (): Promise<unknown[]> => {
    const ledgers = [place.path('high', 'ledger', 'l.db'), place.path('server-ledger', 'l.db')]
    const rows = await Promise.all(ledgers.map((ledgerPath) => listTransfers({ ledgerPath })))
    return rows.flat().map(({ filename, status, priority }) => (filename === 'high.txt' ? [status, priority] : null))
  }
  await vi.waitFor(async () => expect(await both()).toEqual([['pending', 9], ['pending', 9], null]))
  await running.release()
  await end
  expect(await both()).toEqual([['completed', 9], ['completed', 9], null])
  await place.stop()
  const lines = fs.readFileSync(place.path('server-ledger', 'server-log', 'audit.jsonl'), 'utf8')
  expect(lines.match(/"status":"queued"/g)).toHaveLength(1)
})

test('of a rate of all together the urgent get more: a larger file lands before a smaller one', async () => {
  const place = await serve({ ST_MAX_ACTIVE: '0', ST_BWLIMIT: '5MB' })
  const push = (name: string, bytes: number, priority: number): Promise<PushEnd> =>
    place.pushed(name, place.plant(name, `${name}.bin`, new Uint8Array(bytes)), { priority })
  const urgent = push('urgent', 3_500_000, 9)
  await place.heard('progress', ({ bytesDone }) => bytesDone > 0)
  const plain = push('plain', 800_000, 0)
  expect([(await urgent).error, (await plain).error]).toEqual([null, null])
  expect(landed(place)).toEqual(['urgent.bin', 'plain.bin'])
})
