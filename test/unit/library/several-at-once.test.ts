/** Many transfers in one process, which share a ledger, a folder, a sender's files: each is its own. */

import fs from 'node:fs'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import {
  listTransfers,
  receiveFiles,
  resumeTransfer,
  SealiftError,
  sendFiles,
  type TransferResult,
} from '../../../src/index.ts'
import { openLedger } from '../../../src/ledger/ledger.ts'
import type { Stage } from '../../../src/transfer/stage.ts'
import { watchLeftovers } from '../../rigs/leftovers.ts'
import { makePlace, type Place } from '../../rigs/place.ts'
import { Chance } from '../../rigs/seeds.ts'
import { differences, listTree, makeTree } from '../../rigs/small-tree.ts'
import { follow, missing, receive, send } from '../../rigs/two-sides.ts'

const done = expect.not.objectContaining({ name: 'SealiftError' }) as unknown

describe('ten pairs in one process', () => {
  test('with one ledger and one output folder: every tree arrives, under a name of its own', async () => {
    const warnings: Error[] = []
    const onWarning = (warning: Error): void => void warnings.push(warning)
    process.on('warning', onWarning)
    const place = makePlace(21, { files: 5 })
    const leftovers = watchLeftovers()
    const stop = new AbortController()
    const sources = Array.from({ length: 10 }, (_, at) => {
      const source = join(place.root, `source ${at}`, 'tree')
      makeTree(source, new Chance(100 + at), { files: 4, largeBytes: 300_000 + at })
      return source
    })
    const shared = { ledgerPath: place.senderLedger, signal: stop.signal }
    const saved = await Promise.all(
      sources.map(async (source) => {
        const sender = await send({ ...place, source }, shared)
        const receiver = receive(place, sender.connect, shared)
        const [received, sent] = await Promise.all([receiver.end, sender.end])
        expect(received).toMatchObject({ transferId: sent.transferId, resumedBytes: 0, files: 7 })
        return (received as TransferResult).savedTo[0] as string
      }),
    )
    expect(new Set(saved).size).toBe(10)
    for (const [at, folder] of saved.entries())
      expect(differences(listTree(sources[at] as string), listTree(folder))).toEqual([])
    expect(fs.readdirSync(place.out).length).toBe(10)
    const records = await listTransfers({ ledgerPath: place.senderLedger })
    expect(records.map(({ status }) => status)).toEqual(new Array(20).fill('completed'))
    expect(await leftovers()).toEqual([])
    await nextTurn()
    process.off('warning', onWarning)
    expect(warnings).toEqual([])
  })

  test('go on by themselves after their connections broke, each with its own', async () => {
    // More than an INIT has room for keys, so that a receiver's own must not be crowded out by the others'.
    const place = makePlace(22, { files: 2 })
    const shared = { ledgerPath: place.senderLedger }
    const pairs = Array.from({ length: 10 }, async (_, at) => {
      const source = join(place.root, `source ${at}`, `tree ${at}`)
      makeTree(source, new Chance(200 + at), { files: 2, largeBytes: 200_000 })
      const stop = new AbortController()
      const probe = (stage: Stage): void => {
        if (stage === 'accepted') stop.abort()
      }
      const first = await send({ ...place, source }, { ...shared, signal: stop.signal, probe })
      const receiver = receive(place, first.connect, shared)
      expect(await first.end).toMatchObject({ code: 'interrupted' })
      const again = await send({ ...place, source }, { ...shared, port: first.port })
      expect([await receiver.end, await again.end]).toEqual([done, done])
      expect(receiver.events.filter(({ event }) => event === 'connected').length).toBe(2)
      expect(differences(listTree(source), listTree(join(place.out, `tree ${at}`)))).toEqual([])
    })
    await Promise.all(pairs)
    expect(fs.readdirSync(place.out).length).toBe(10)
  })

  test('with ledgers of their own', async () => {
    const places = [23, 24, 25].map((seed) => makePlace(seed))
    await Promise.all(
      places.map(async (place) => {
        const sender = await send(place)
        expect([await receive(place, sender.connect).end, await sender.end]).toEqual([done, done])
        expect(missing(place)).toEqual([])
      }),
    )
  })
})

describe('two senders of the same files', () => {
  test('are two transfers, each with a receiver of its own', async () => {
    const place = makePlace(26)
    const other: Place = { ...place, out: join(place.root, 'target', 'other') }
    const [one, two] = await Promise.all([send(place), send(place)])
    const [first, second] = [receive(place, one.connect), receive(other, two.connect)]
    const ends = [await first.end, await second.end, await one.end, await two.end]
    expect(ends).toEqual([done, done, done, done])
    expect(new Set(ends.map((end) => (end as { transferId: string }).transferId)).size).toBe(2)
    expect([missing(place), missing(other)]).toEqual([[], []])
  })

  test('do not take each other’s transfer up, nor over: only one that nobody works on', async () => {
    const place = makePlace(27)
    const left = await send(place)
    left.transfer.cancel()
    await left.end
    const first = await send(place)
    const second = await send(place)
    const ids = [left, first, second].map(
      ({ events }) => (events.find(({ event }) => event === 'listening') as { transferId: string }).transferId,
    )
    expect(ids[1]).toBe(ids[0])
    expect(ids[2]).not.toBe(ids[0])
    // Changed files make a new transfer, which must not stand in for one that is under way.
    fs.writeFileSync(join(place.source, 'one'), 'changed')
    // Whole milliseconds, which both sides hold exactly.
    fs.utimesSync(join(place.source, 'one'), 2000, 2000)
    const third = await send(place)
    const rows = await listTransfers({ ledgerPath: place.senderLedger })
    expect(rows.map(({ status }) => status)).toEqual(['pending', 'pending', 'pending'])
    expect(await receive(place, third.connect).end).toEqual(done)
    for (const { transfer } of [first, second]) transfer.cancel()
    await Promise.all([first.end, second.end, third.end])
    const after = await listTransfers({ ledgerPath: place.senderLedger })
    expect(after.map(({ status }) => status)).toEqual(['completed', 'pending', 'pending'])
    expect(missing(place)).toEqual([])
  })

  test('by its id, a transfer that is under way is busy', async () => {
    const place = makePlace(28)
    const sender = await send(place)
    const [{ id } = { id: '' }] = await listTransfers({ ledgerPath: place.senderLedger })
    await expect(resumeTransfer(id, { ledgerPath: place.senderLedger }).done).rejects.toMatchObject({
      code: 'transfer_busy',
      exitCode: 2,
      transferId: id,
    })
    sender.transfer.cancel()
    expect(await sender.end).toMatchObject({ code: 'interrupted' })
  })
})

describe('two receivers of one sender', () => {
  test.each([
    ['in the same folder, while the first is asked', 'asked', 'same'],
    ['in the same folder, while files move', 'moving', 'same'],
    ['in another folder, while the first is asked', 'asked', 'other'],
    ['in another folder, while files move', 'moving', 'other'],
  ] as const)('%s: the second is refused, and the first goes on', async (_, when, where) => {
    const place = makePlace(29, { files: 2, largeBytes: 1_500_000 })
    const sender = await send(place)
    const reached = Promise.withResolvers<unknown>()
    const goOn = Promise.withResolvers<boolean>()
    const first = receive(place, sender.connect, {
      accept: () => {
        if (when === 'moving') return true
        reached.resolve(null)
        return goOn.promise
      },
      probe: (stage) => {
        if (stage === 'chunk') reached.resolve(null)
      },
      ...(when === 'moving' ? { bytesPerSecond: 2_000_000 } : {}),
    })
    await reached.promise
    const out = where === 'same' ? place.out : join(place.root, 'target', 'other')
    const second = await receive({ ...place, out }, sender.connect).end
    expect(second).toBeInstanceOf(SealiftError)
    expect(['auth_failed', 'transfer_busy']).toContain((second as SealiftError).code)
    goOn.resolve(true)
    expect([await first.end, await sender.end]).toEqual([done, done])
    expect(first.events.filter(({ event }) => event === 'connected').length).toBe(1)
    expect(missing(place)).toEqual([])
  })

  test('in the same moment: one gets all, the other is refused', async () => {
    const place = makePlace(30)
    const sender = await send(place)
    const both = [receive(place, sender.connect), receive(place, sender.connect)]
    const ends = await Promise.all(both.map(({ end }) => end))
    expect(ends.filter((end) => !(end instanceof SealiftError)).length).toBe(1)
    expect(await sender.end).toEqual(done)
    expect(missing(place)).toEqual([])
    expect(fs.readdirSync(place.out)).toEqual(['tree'])
  })
})

describe('one ledger', () => {
  test('is opened and closed by many at once, a new one too', async () => {
    const place = makePlace(31)
    const path = join(place.root, 'ledgers', 'shared', 'l.db')
    await Promise.all(
      Array.from({ length: 40 }, async (_, at) => {
        const ledger = await openLedger({ path })
        await ledger.transfers.create({
          id: `00000000-0000-4000-8000-${String(at).padStart(12, '0')}`,
          role: 'sender',
          transferType: 'upload',
          filename: 'x',
        })
        await ledger.close()
      }),
    )
    expect((await listTransfers({ ledgerPath: path })).length).toBe(40)
  })

  test('serves who lists it while others write', async () => {
    const place = makePlace(32, { files: 2, largeBytes: 300_000 })
    const shared = { ledgerPath: place.senderLedger }
    let over = false
    const seen = new Set<string>()
    const watch = async (): Promise<void> => {
      while (!over) {
        for (const { status } of await listTransfers(shared)) seen.add(status)
        await nextTurn()
      }
    }
    const watching = [watch(), watch()]
    const sender = await send(place, shared)
    expect([await receive(place, sender.connect, shared).end, await sender.end]).toEqual([done, done])
    over = true
    await Promise.all(watching)
    expect(seen.has('in_progress')).toBe(true)
  })
})

describe('what nobody reads', () => {
  test('does not hold a transfer up', async () => {
    const place = makePlace(33)
    const connect = Promise.withResolvers<string>()
    const sender = sendFiles(place.source, { pod: true, port: 0, ledgerPath: place.senderLedger })
    void (async () => {
      // Left as soon as it has said what was wanted.
      for await (const event of sender) {
        if (event.event !== 'listening') continue
        connect.resolve(event.connect)
        break
      }
    })()
    const receiver = receiveFiles(await connect.promise, { outputDir: place.out, ledgerPath: place.receiverLedger })
    expect([await receiver.done, await sender.done]).toEqual([
      expect.objectContaining({ files: 5, role: 'receiver' }),
      expect.objectContaining({ files: 5, role: 'sender' }),
    ])
    // The rest can be read afterwards, with all that is said of files.
    for (const side of [follow(sender), follow(receiver)]) {
      expect(await side.end).toEqual(done)
      const files = side.events.filter(({ event }) => event === 'file')
      const whole = { status: 'ok', sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string }
      expect(files).toEqual(new Array(5).fill(expect.objectContaining(whole)))
      expect(side.events.at(-1)).toMatchObject({ event: 'done' })
    }
  })
})
