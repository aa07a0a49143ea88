/** The library over loopback: many transfers in one process, stopped at any stage, and nothing left behind. */

import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, expectTypeOf, test } from 'vitest'
import {
  type DoneEvent,
  type FileEvent,
  type ListeningEvent,
  receiveFiles,
  type ReceiveOptions,
  SealiftError,
  sendFiles,
  type SendOptions,
  type Transfer,
  type TransferEvent,
  type TransferResult,
} from '../../../src/index.ts'
import type { Stage } from '../../../src/transfer/stage.ts'
import { makePlace, type Place } from '../../rigs/place.ts'
import { differences, listTree } from '../../rigs/small-tree.ts'

interface Side {
  readonly events: TransferEvent[]
  readonly transfer: Transfer
  readonly end: Promise<TransferResult | SealiftError>
}

function follow(transfer: Transfer, onEvent: (event: TransferEvent) => void = () => undefined): Side {
  const events: TransferEvent[] = []
  const run = async (): Promise<TransferResult | SealiftError> => {
    for await (const event of transfer) {
      events.push(event)
      onEvent(event)
    }
    return transfer.done.catch((error: unknown) => error as SealiftError)
  }
  return { events, transfer, end: run() }
}

async function send(place: Place, options: SendOptions = {}): Promise<Side & { connect: string }> {
  const listening = Promise.withResolvers<string>()
  const transfer = sendFiles(place.source, {
    pod: true,
    port: 0,
    waitMs: 15_000,
    ledgerPath: place.senderLedger,
    ...options,
  })
  const side = follow(transfer, (event) => {
    if (event.event === 'listening') listening.resolve(event.connect)
  })
  void side.end.then((error) => listening.reject(error as SealiftError))
  return { ...side, connect: await listening.promise }
}

const receive = (place: Place, connect: string, options: ReceiveOptions = {}): Side =>
  follow(receiveFiles(connect, { outputDir: place.out, ledgerPath: place.receiverLedger, ...options }))

const arrived = (place: Place): string[] => differences(listTree(place.source), listTree(join(place.out, 'tree')))

describe('sendFiles and receiveFiles', () => {
  test('have typed events, and results that say where things are', async () => {
    const place = makePlace(11)
    const sender = await send(place)
    const receiver = receive(place, sender.connect)
    const [received, sent] = await Promise.all([receiver.end, sender.end])
    expect(received).toMatchObject({ savedTo: [join(place.out, 'tree')], resumedBytes: 0 })
    expect(sent).toMatchObject({ savedTo: [], files: (received as TransferResult).files })
    expect(arrived(place)).toEqual([])
    for (const event of sender.events) {
      if (event.event === 'listening') expectTypeOf(event).toEqualTypeOf<ListeningEvent>()
      if (event.event === 'listening') expectTypeOf(event.connect).toEqualTypeOf<string>()
      if (event.event === 'file') expectTypeOf(event).toEqualTypeOf<FileEvent>()
      if (event.event === 'done') expectTypeOf(event).toEqualTypeOf<DoneEvent>()
    }
  })

  test('run side by side in one process, also with one ledger for all', async () => {
    const places = [21, 22, 23, 24].map((seed) => makePlace(seed, { files: 5, largeBytes: 400_000 }))
    const ledgerPath = (places[0] as Place).senderLedger
    const ends = await Promise.all(
      places.map(async (place) => {
        const sender = await send(place, { ledgerPath })
        const receiver = receive(place, sender.connect, { ledgerPath })
        return Promise.all([receiver.end, sender.end])
      }),
    )
    for (const [at, [received, sent]] of ends.entries()) {
      expect([received, sent], `pair ${at}`).toEqual([
        expect.objectContaining({ resumedBytes: 0 }),
        expect.objectContaining({ resumedBytes: 0 }),
      ])
      expect(arrived(places[at] as Place)).toEqual([])
    }
  })

  test('do without file events where nobody wants them', async () => {
    const place = makePlace(12)
    const sender = await send(place, { fileEvents: false })
    const receiver = receive(place, sender.connect, { fileEvents: false })
    await Promise.all([receiver.end, sender.end])
    expect([...sender.events, ...receiver.events].filter(({ event }) => event === 'file')).toEqual([])
    expect(arrived(place)).toEqual([])
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
    expect(arrived(place)).toEqual([])

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

describe('a stop', () => {
  const SENDER_STAGES: readonly Stage[] = ['listening', 'offer', 'manifest', 'accepted', 'done']
  const RECEIVER_STAGES: readonly Stage[] = [
    'accepted',
    'chunk',
    'before-checkpoint',
    'after-checkpoint',
    'before-sync',
    'before-publish',
  ]

  test.each([
    ...SENDER_STAGES.map((stage) => ['sender', stage] as const),
    ...RECEIVER_STAGES.map((stage) => ['receiver', stage] as const),
  ])('of the %s at %s ends both well, and the next run ends the transfer', async (side, stage) => {
    const place = makePlace(31, { files: 4, largeBytes: 1_500_000 })
    const stop = new AbortController()
    const probe = (at: Stage): void => {
      if (at === stage) stop.abort(new SealiftError('interrupted', 'stopped by the test'))
    }
    const sender = await send(place, side === 'sender' ? { signal: stop.signal, probe } : {})
    const receiver = receive(place, sender.connect, side === 'receiver' ? { signal: stop.signal, probe } : {})
    const stopped = await (side === 'sender' ? sender : receiver).end
    if (!(stopped instanceof SealiftError)) {
      // So late that all was done.
      expect(['done', 'before-sync', 'before-publish']).toContain(stage)
    } else expect(stopped).toMatchObject({ code: 'interrupted', message: 'stopped by the test' })
    // What is being published is published still, and then there is nothing to resume.
    if (stage === 'before-publish' && stopped instanceof SealiftError)
      expect(stopped.hint).toMatch(/all is saved already/)
    if (side === 'sender') receiver.transfer.cancel()
    if (side === 'sender') await receiver.end
    expect(fs.readdirSync(place.out).filter((name) => !name.endsWith('.part') && name !== 'tree')).toEqual([])

    let again = sender
    if (side === 'sender') again = await send(place, { port: Number(/:(\d+):/.exec(sender.connect)?.[1]) })
    const finishing = receive(place, again.connect)
    expect(await finishing.end).not.toBeInstanceOf(SealiftError)
    expect(await again.end).not.toBeInstanceOf(SealiftError)
    expect(arrived(place)).toEqual([])
    expect(fs.readdirSync(place.out)).toEqual(['tree'])
  })

  test('before anything begins leaves no trace', async () => {
    const place = makePlace(32)
    const signal = AbortSignal.abort(new SealiftError('terminated', 'too late'))
    await expect(
      sendFiles(place.source, { pod: true, port: 0, signal, ledgerPath: place.senderLedger }).done,
    ).rejects.toMatchObject({ code: 'terminated' })
    await expect(
      receiveFiles('127.0.0.1:1:a-b', { signal, outputDir: place.out, ledgerPath: place.receiverLedger }).done,
    ).rejects.toMatchObject({ code: 'terminated' })
    expect(fs.readdirSync(place.out)).toEqual([])
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
