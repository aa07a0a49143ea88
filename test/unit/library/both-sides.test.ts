/** The library over loopback: what both sides say, decide and fail with. */

import fs from 'node:fs'
import { join } from 'node:path'
import { describe, expect, expectTypeOf, test } from 'vitest'
import {
  type DoneEvent,
  type FileEvent,
  type ListeningEvent,
  sendFiles,
  type TransferResult,
} from '../../../src/index.ts'
import { makePlace } from '../../rigs/place.ts'
import { missing, receive, send } from '../../rigs/two-sides.ts'

describe('sendFiles and receiveFiles', () => {
  test('have typed events, and results that say where things are', async () => {
    const place = makePlace(11)
    const sender = await send(place)
    const receiver = receive(place, sender.connect)
    const [received, sent] = await Promise.all([receiver.end, sender.end])
    expect(received).toMatchObject({ savedTo: [join(place.out, 'tree')], resumedBytes: 0 })
    expect(sent).toMatchObject({ savedTo: [], files: (received as TransferResult).files })
    expect(missing(place)).toEqual([])
    for (const event of sender.events) {
      if (event.event === 'listening') expectTypeOf(event).toEqualTypeOf<ListeningEvent>()
      if (event.event === 'listening') expectTypeOf(event.connect).toEqualTypeOf<string>()
      if (event.event === 'file') expectTypeOf(event).toEqualTypeOf<FileEvent>()
      if (event.event === 'done') expectTypeOf(event).toEqualTypeOf<DoneEvent>()
    }
  })

  test('do without file events where nobody wants them', async () => {
    const place = makePlace(12)
    const sender = await send(place, { fileEvents: false })
    const receiver = receive(place, sender.connect, { fileEvents: false })
    await Promise.all([receiver.end, sender.end])
    expect([...sender.events, ...receiver.events].filter(({ event }) => event === 'file')).toEqual([])
    expect(missing(place)).toEqual([])
  })

  test('let the receiver decide: a no, another policy, a throw, all by what the offer shows', async () => {
    const place = makePlace(13)
    const refused = await send(place)
    const asked = receive(place, refused.connect, {
      accept: (offer) => {
        expect(offer).toMatchObject({
          outputDir: place.out,
          savedAs: ['tree'],
          differing: 0,
          unchanged: 0,
          peer: '127.0.0.1',
        })
        expect(offer.firstPaths[0]).toMatch(/^tree\//)
        return false
      },
    })
    expect(await asked.end).toMatchObject({ code: 'declined', exitCode: 3 })
    expect(await refused.end).toMatchObject({ code: 'rejected', exitCode: 3 })

    fs.mkdirSync(join(place.out, 'tree'))
    fs.writeFileSync(join(place.out, 'tree', 'one'), 'another')
    const overwriting = await send(place)
    const chosen = receive(place, overwriting.connect, {
      accept: async ({ differing }) => (differing === 1 ? 'overwrite' : false),
    })
    await Promise.all([chosen.end, overwriting.end])
    expect(missing(place)).toEqual([])

    fs.rmSync(join(place.out, 'tree'), { recursive: true })
    const throwing = await send(place)
    const thrown = receive(place, throwing.connect, {
      accept: () => {
        throw new Error('the dialog crashed')
      },
    })
    expect(await thrown.end).toMatchObject({ message: 'the dialog crashed' })
    throwing.transfer.cancel()
    await throwing.end
    expect(fs.readdirSync(place.out)).toEqual([])
  })

  test('fail at once, typed, and let the process go where the port is taken or the path is missing', async () => {
    const place = makePlace(14)
    const first = await send(place)
    const port = Number(/:(\d+):/.exec(first.connect)?.[1])
    const before = process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
    const second = sendFiles(join(place.source, 'one'), {
      pod: true,
      port,
      ledgerPath: join(place.root, 'ledgers/x/x.db'),
    })
    await expect(second.done).rejects.toMatchObject({ code: 'port_in_use', exitCode: 5 })
    await expect(sendFiles(join(place.root, 'no such'), { pod: true }).done).rejects.toMatchObject({
      code: 'path_missing',
    })
    // A timer that waits for a receiver would hold a program open for minutes.
    expect(process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length).toBeLessThanOrEqual(before)
    first.transfer.cancel()
    expect(await first.end).toMatchObject({ code: 'interrupted' })
  })
})
