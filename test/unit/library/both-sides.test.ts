/** The library over loopback: what both sides say, decide, wait for and fail with. */

import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, expectTypeOf, test } from 'vitest'
import {
  type DoneEvent,
  type FileEvent,
  type ListeningEvent,
  listTransfers,
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
    const { bytes } = sent as TransferResult
    for (const ledgerPath of [place.senderLedger, place.receiverLedger])
      expect(await listTransfers({ ledgerPath })).toMatchObject([
        { status: 'completed', fileSize: bytes, bytesDone: bytes },
      ])
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

  test('without a token or a key to come back by, a receiver is used wrongly, and asks nobody', async () => {
    const place = makePlace(15)
    const sender = await send(place)
    const receiver = receive(place, `127.0.0.1:${sender.port}`)
    expect(await receiver.end).toMatchObject({
      code: 'usage',
      hint: `give the token that the sender shows behind its address: 127.0.0.1:${sender.port}:TOKEN`,
    })
    sender.transfer.cancel()
    await sender.end
    expect(sender.events.map(({ event }) => event)).toEqual(['listening'])
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

describe('what is waited for', () => {
  const PATIENT = { timeout: 10_000 }

  test('is there to be shown: the receiver, its answer, and its coming back', async () => {
    const place = makePlace(34)
    const sender = await send(place)
    expect(sender.transfer.waiting).toMatchObject({ reason: 'receiver' })
    expect(sender.transfer.waiting?.remainingMs).toBeLessThanOrEqual(15_000)
    const asked = Promise.withResolvers<undefined>()
    const answered = Promise.withResolvers<boolean>()
    const receiver = receive(place, sender.connect, {
      accept: () => {
        asked.resolve(undefined)
        return answered.promise
      },
    })
    expect(receiver.transfer.waiting?.reason ?? 'connecting').toBe('connecting')
    await asked.promise
    expect(sender.transfer.waiting).toMatchObject({ reason: 'answer', remainingMs: null })
    // Here it is the user who is waited for, and who knows.
    expect(receiver.transfer.waiting).toBe(null)
    receiver.transfer.cancel()
    await receiver.end
    await expect.poll(() => sender.transfer.waiting?.reason, PATIENT).toBe('return')
    sender.transfer.cancel()
    await sender.end
    expect(sender.transfer.waiting).toBe(null)
  })

  test('is the sender, where nothing listens any more', async () => {
    const place = makePlace(35, { files: 2, largeBytes: 900_000 })
    const sender = await send(place)
    const receiver = receive(place, sender.connect, { bytesPerSecond: 400_000 })
    await expect.poll(() => receiver.events.some(({ event }) => event === 'progress'), PATIENT).toBe(true)
    sender.transfer.cancel()
    await sender.end
    await expect.poll(() => receiver.transfer.waiting?.reason, PATIENT).toBe('retry')
    expect(receiver.transfer.waiting?.remainingMs).toBeLessThan(8000)
    receiver.transfer.cancel()
    expect(await receiver.end).toMatchObject({ code: 'interrupted' })
  })
})

describe('importing the library', () => {
  test('does nothing: no files, no listeners, no timers, no modules of SQLite, and the process ends', () => {
    const index = fileURLToPath(new URL('../../../src/index.ts', import.meta.url))
    const script = `
      const before = process.eventNames().length
      const library = await import(${JSON.stringify(index)})
      console.log(JSON.stringify({
        names: Object.keys(library).sort(),
        listeners: process.eventNames().length - before,
        resources: process.getActiveResourcesInfo().filter((name) => name === 'Timeout' || name.includes('Server')),
        heavy: process.moduleLoadList.filter((name) => /sqlite|http2/.test(name) && name.startsWith('NativeModule')),
      }))`
    const place = makePlace(33)
    const child = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      cwd: place.out,
      encoding: 'utf8',
      timeout: 10_000,
      env: { PATH: process.env['PATH'], HOME: place.out, XDG_DATA_HOME: place.out },
    })
    expect([child.status, child.stderr]).toEqual([0, ''])
    expect(JSON.parse(child.stdout)).toEqual({
      names: expect.arrayContaining(['SealiftError', 'receiveFiles', 'sendFiles']) as string[],
      listeners: 0,
      resources: [],
      heavy: [],
    })
    expect(fs.readdirSync(place.out)).toEqual([])
  })
})
