/** A server that takes only so many transfers at once: who goes first, as seen by when files land in its output folder. */

import fs from 'node:fs'
import { expect, onTestFinished, test } from 'vitest'
import { sendStream, type Transfer } from '../../../src/index.ts'
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
