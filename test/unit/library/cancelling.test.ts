/** Stopping a transfer at each of its stages, on either side: it ends, says why, and leaves nothing behind. */

import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import {
  type ListeningEvent,
  receiveFiles,
  SealiftError,
  sendFiles,
  type SendOptions,
  sendStream,
  type StopSignal,
  type TransferEvent,
  type TransferResult,
} from '../../../src/index.ts'
import type { Stage } from '../../../src/transfer/stage.ts'
import { RECEIVER_STAGES } from '../../rigs/killed-processes.ts'
import { watchLeftovers } from '../../rigs/leftovers.ts'
import { changeLedger, makePlace, type Place } from '../../rigs/place.ts'
import { listTree } from '../../rigs/small-tree.ts'
import { follow, missing, receive, send, type Side } from '../../rigs/two-sides.ts'

const slow = process.env['SEALIFT_SLOW'] === '1'

type Ending = TransferResult | SealiftError

const WHY = 'stopped by the test'
const TREE = { files: 4, largeBytes: 9_000_000 }

/** Options that stop a transfer when the stage comes. */
function stopAt(stage: Stage): { signal: AbortSignal; probe: (at: Stage) => void } {
  const stop = new AbortController()
  const probe = (at: Stage): void => {
    if (at === stage) stop.abort(new SealiftError('interrupted', WHY))
  }
  return { signal: stop.signal, probe }
}

const wasStopped = (ending: Ending): boolean => ending instanceof SealiftError && ending.message === WHY

/** What a side said about the other one being stopped. */
const heardOfStop = ({ events }: Side, who: string): TransferEvent | undefined =>
  events.find((event) => event.event === 'warning' && event.message.includes(`the ${who} was stopped`))

/** Starts a sender that may be stopped as soon as it listens. */
async function startSender(place: Place, options: SendOptions): Promise<Side & ListeningEvent> {
  const listening = Promise.withResolvers<ListeningEvent>()
  const side = follow(
    sendFiles(place.source, { pod: true, port: 0, ledgerPath: place.senderLedger, ...options }),
    (event) => {
      if (event.event === 'listening') listening.resolve(event)
    },
  )
  return { ...(await listening.promise), ...side }
}

function isSaved(place: Place): void {
  expect(missing(place)).toEqual([])
  expect(fs.readdirSync(place.out)).toEqual(['tree'])
}

describe('a sender that is stopped', () => {
  test('while it looks at the files ends before it listens anywhere', async () => {
    const place = makePlace(30)
    const leftovers = watchLeftovers()
    const side = follow(sendFiles(place.source, { pod: true, port: 0, ledgerPath: place.senderLedger }))
    side.transfer.cancel(WHY)
    expect(await side.end).toMatchObject({ code: 'interrupted', message: WHY })
    expect(side.events).toEqual([])
    expect(fs.existsSync(place.senderLedger)).toBe(false)
    expect(await leftovers()).toEqual([])
  })

  test('while its user is asked ends before it listens anywhere, whatever the answer would have been', async () => {
    const place = makePlace(30)
    const leftovers = watchLeftovers()
    const asked = Promise.withResolvers<StopSignal>()
    const side = follow(
      sendFiles(place.source, {
        pod: true,
        port: 0,
        ledgerPath: place.senderLedger,
        chooseCompression: (signal) => new Promise(() => asked.resolve(signal)),
      }),
    )
    const signal = await asked.promise
    side.transfer.cancel()
    expect(await side.end).toMatchObject({ code: 'interrupted' })
    expect(signal.aborted).toBe(true)
    expect(side.events).toEqual([])
    expect(fs.existsSync(place.senderLedger)).toBe(false)
    expect(await leftovers()).toEqual([])
  })

  test('in the middle of a walk through very many files does not walk to its end', async () => {
    const place = makePlace(30)
    // Each folder takes longer than a turn may, so that the stop is heard in the second of them.
    const looks: string[] = []
    const readdirSync = fs.readdirSync.bind(fs)
    const slow = vi.spyOn(fs, 'readdirSync').mockImplementation(((path: string, options: object) => {
      looks.push(path)
      const until = performance.now() + 25
      while (performance.now() < until);
      return readdirSync(path, options as { withFileTypes: true })
    }) as never)
    onTestFinished(() => slow.mockRestore())
    for (let folder = 0; folder < 20; folder++) fs.mkdirSync(join(place.source, `folder ${folder}`))
    const transfer = sendFiles(place.source, { pod: true, port: 0, ledgerPath: place.senderLedger })
    setImmediate(() => transfer.cancel())
    await expect(transfer.done).rejects.toMatchObject({ code: 'interrupted' })
    expect(looks.length).toBeLessThan(10)
  })

  test.each<Stage>([
    'listening',
    'resume-key-kept',
    'handshake-confirmed',
    'offer',
    'manifest',
    'accepted',
    'acknowledged',
  ])('at %s ends, tells the receiver, leaves nothing, and goes on when it runs again', async (stage) => {
    const place = makePlace(31, TREE)
    const leftovers = watchLeftovers()
    const { signal, probe } = stopAt(stage)
    const first = await startSender(place, { signal, probe })
    const receiver = receive(place, first.connect)
    expect(await first.end).toMatchObject({ code: 'interrupted', message: WHY, retryable: true })
    expect(signal.aborted).toBe(true)
    // The port is free, and the row is nobody's: the same line runs again at once.
    const again = await send(place, { port: first.port })
    const ending = await receiver.end
    if (stage === 'accepted' || stage === 'acknowledged') {
      expect(ending).toMatchObject({ files: 7 })
      expect(heardOfStop(receiver, 'sender')).toBeDefined()
    } else {
      // It was gone before anybody came, or before anything was accepted that would be worth coming back for.
      expect(ending).toMatchObject({ code: stage === 'listening' ? 'connect_failed' : 'peer_stopped' })
      expect(await receive(place, again.connect).end).toMatchObject({ files: 7 })
    }
    expect(await again.end).toMatchObject({ files: 7 })
    isSaved(place)
    expect(await leftovers()).toEqual([])
  })

  test('when all is done is done', async () => {
    const place = makePlace(32)
    const leftovers = watchLeftovers()
    const { signal, probe } = stopAt('done')
    const sender = await startSender(place, { signal, probe })
    const receiver = receive(place, sender.connect)
    expect(await sender.end).toMatchObject({ files: 5 })
    expect(await receiver.end).toMatchObject({ files: 5 })
    // It was told that the sender knows.
    expect(receiver.events.filter(({ event }) => event === 'warning')).toEqual([])
    isSaved(place)
    expect(await leftovers()).toEqual([])
  })

  test('while it waits for a receiver that dropped out ends at once', async () => {
    const place = makePlace(33, TREE)
    const leftovers = watchLeftovers()
    const stop = stopAt('chunk')
    const sender = await startSender(place, {})
    await receive(place, sender.connect, stop).end
    expect(heardOfStop(sender, 'receiver')).toBeDefined()
    sender.transfer.cancel('I wait no longer')
    expect(await sender.end).toMatchObject({ code: 'interrupted', message: 'I wait no longer' })
    expect(await leftovers()).toEqual([])
  })

  test('with strangers in the middle of a handshake, or refused just now, drops them', async () => {
    const place = makePlace(34)
    const leftovers = watchLeftovers()
    const refused = Promise.withResolvers<unknown>()
    const sender = follow(sendFiles(place.source, { pod: true, port: 0, ledgerPath: place.senderLedger }), (event) => {
      if (event.event === 'refused') refused.resolve(event)
      if (event.event === 'listening') begin(event)
    })
    const strangers: net.Socket[] = []
    const begin = ({ port }: ListeningEvent): void => {
      for (const bytes of [new Uint8Array(), Uint8Array.of(1, 2, 3), randomBytes(100)]) {
        const stranger = net.connect({ host: '127.0.0.1', port }).on('error', () => undefined)
        stranger.write(bytes)
        strangers.push(stranger)
      }
    }
    await refused.promise
    sender.transfer.cancel()
    await sender.end
    for (const stranger of strangers) {
      if (!stranger.closed) await new Promise((closed) => stranger.once('close', closed).resume())
    }
    expect(await leftovers()).toEqual([])
  })
})

describe('a receiver that is stopped', () => {
  test.each(slow ? RECEIVER_STAGES : RECEIVER_STAGES.filter((_, at) => at % 2 === 1))(
    'at %s ends, tells the sender, leaves nothing, and goes on when it runs again',
    async (stage) => {
      const place = makePlace(36, TREE)
      const leftovers = watchLeftovers()
      const sender = await startSender(place, {})
      const { signal, probe } = stopAt(stage)
      const first = receive(place, sender.connect, { signal, probe })
      const ending = await first.end
      expect(signal.aborted).toBe(true)
      expect(wasStopped(ending) || stage === 'done', ending instanceof SealiftError ? ending.message : 'done').toBe(
        true,
      )
      if (wasStopped(ending)) {
        const { hint = '' } = ending as SealiftError
        // A checkpoint that comes by its timer, on a busy machine, is not that of the end.
        const isEarly = stage === 'after-checkpoint' && /resume/.test(hint)
        const isLate = RECEIVER_STAGES.indexOf(stage) >= RECEIVER_STAGES.indexOf('after-checkpoint')
        const isSafe = isLate && !isEarly
        // What is being published is published still, and then there is nothing left behind, and nothing to resume.
        if (isSafe) expect(hint).toMatch(/all is saved already/)
        const kept = fs.readdirSync(place.out)
        expect(kept.every((name) => (isSafe ? name === 'tree' : /^\.sealift-.*\.part$/.test(name)))).toBe(true)
        // However long ago that was: staging of an unfinished transfer is no leftover.
        for (const name of isSafe ? [] : kept) fs.utimesSync(join(place.out, name), 1000, 1000)
        const resumed = await receive(place, sender.connect).end
        expect(resumed).toMatchObject({ files: 7, savedTo: [join(place.out, 'tree')] })
        const { resumedBytes, bytes } = resumed as TransferResult
        if (isSafe) expect(resumedBytes).toBe(bytes)
        else if (stage === 'chunk') expect(resumedBytes).toBeGreaterThan(0)
      }
      expect(await sender.end).toMatchObject({ files: 7 })
      isSaved(place)
      expect(await leftovers()).toEqual([])
    },
  )

  test('with chunks that are still being unpacked writes none of them afterwards', async () => {
    const place = makePlace(44)
    const packsWell = join(place.source, 'packs well')
    fs.writeFileSync(packsWell, Buffer.alloc(12_000_000, 'sealift'))
    fs.utimesSync(packsWell, 1000, 1000)
    const leftovers = watchLeftovers()
    const sender = await startSender(place, { compress: 'zstd' })
    expect(wasStopped(await receive(place, sender.connect, stopAt('chunk')).end)).toBe(true)
    const [staging = ''] = fs.readdirSync(place.out)
    const kept = listTree(join(place.out, staging))
    for (let turns = 0; turns < 50; turns++) await new Promise((next) => setImmediate(next))
    expect(listTree(join(place.out, staging))).toEqual(kept)
    expect(await receive(place, sender.connect).end).toMatchObject({ files: 6 })
    expect(await sender.end).toMatchObject({ files: 6 })
    isSaved(place)
    expect(await leftovers()).toEqual([])
  })

  test('while its user is asked leaves no trace in the folder, and an answer that comes too late changes nothing', async () => {
    const place = makePlace(37)
    const leftovers = watchLeftovers()
    const sender = await startSender(place, {})
    const asked = Promise.withResolvers<StopSignal>()
    const answer = Promise.withResolvers<boolean>()
    const first = receive(place, sender.connect, {
      accept: (_offer, signal) => {
        asked.resolve(signal)
        return answer.promise
      },
    })
    const signal = await asked.promise
    first.transfer.cancel()
    expect(await first.end).toMatchObject({ code: 'interrupted', message: 'stopped' })
    expect(signal.aborted).toBe(true)
    expect(fs.readdirSync(place.out)).toEqual([])
    answer.resolve(true)
    await new Promise((next) => setImmediate(next))
    expect(fs.readdirSync(place.out)).toEqual([])
    expect(heardOfStop(sender, 'receiver')).toBeDefined()
    expect(await receive(place, sender.connect).end).toMatchObject({ files: 5 })
    expect(await sender.end).toMatchObject({ files: 5 })
    isSaved(place)
    expect(await leftovers()).toEqual([])
  })

  test('in a handshake with what says nothing ends at once', async () => {
    const place = makePlace(38)
    const leftovers = watchLeftovers()
    const arrived = Promise.withResolvers<net.Socket>()
    const silent = net.createServer((socket) => arrived.resolve(socket.on('error', () => undefined)))
    await new Promise<void>((listening) => silent.listen(0, '127.0.0.1', listening))
    const { port } = silent.address() as net.AddressInfo
    const receiver = receive(place, `127.0.0.1:${port}:coral-magnet`)
    const socket = await arrived.promise
    receiver.transfer.cancel()
    expect(await receiver.end).toMatchObject({ code: 'interrupted' })
    expect(fs.readdirSync(place.out)).toEqual([])
    await new Promise((closed) => {
      socket.resume().once('close', closed)
      socket.end()
    })
    await new Promise((closed) => silent.close(closed))
    expect(await leftovers()).toEqual([])
  })

  test('while it tries to come back ends at once, and goes on when it runs again', async () => {
    const place = makePlace(39, TREE)
    const leftovers = watchLeftovers()
    const stop = stopAt('acknowledged')
    const sender = await startSender(place, stop)
    const trying = Promise.withResolvers<unknown>()
    const first = follow(
      receiveFiles(sender.connect, { outputDir: place.out, ledgerPath: place.receiverLedger }),
      (event) => {
        if (event.event === 'warning' && event.code === 'connect_failed') trying.resolve(event)
      },
    )
    await sender.end
    await trying.promise
    first.transfer.cancel()
    expect(await first.end).toMatchObject({ code: 'interrupted' })
    const again = await send(place, { port: sender.port })
    expect(await receive(place, again.connect).end).toMatchObject({ files: 7 })
    expect(await again.end).toMatchObject({ files: 7 })
    isSaved(place)
    expect(await leftovers()).toEqual([])
  })
})

test('a session that cannot be taken up is closed at once', async () => {
  const place = makePlace(42)
  const leftovers = watchLeftovers()
  const sender = await startSender(place, {})
  const receiver = receive(place, sender.connect, {
    probe: (stage) => {
      if (stage === 'handshake-confirmed') changeLedger(place.receiverLedger, 'DROP TABLE resume_keys')
    },
  })
  expect(await receiver.end).toBeInstanceOf(SealiftError)
  await expect.poll(() => sender.events.some(({ event }) => event === 'warning')).toBe(true)
  sender.transfer.cancel()
  await sender.end
  expect(await leftovers()).toEqual([])
})

describe('content that is no file', () => {
  test('a stream whose source says nothing, and an output that takes nothing, stop as well', async () => {
    const place = makePlace(43)
    const leftovers = watchLeftovers()
    const listening = Promise.withResolvers<string>()
    const rest = Promise.withResolvers<undefined>()
    async function* source(): AsyncGenerator<Uint8Array> {
      yield randomBytes(100_000)
      await rest.promise
    }
    const sender = follow(sendStream(source(), { pod: true, port: 0, ledgerPath: place.senderLedger }), (event) => {
      if (event.event === 'listening') listening.resolve(event.connect)
    })
    const taken = Promise.withResolvers<unknown>()
    const receiver = follow(
      receiveFiles(await listening.promise, {
        ledgerPath: place.receiverLedger,
        output: () => new Promise(() => taken.resolve(null)),
      }),
    )
    await taken.promise
    receiver.transfer.cancel()
    // Nothing of it rests, so there is nothing to resume.
    expect(await receiver.end).toMatchObject({
      code: 'interrupted',
      hint: 'what the sender reads from a pipe cannot be read again: start both sides anew',
    })
    sender.transfer.cancel()
    expect(await sender.end).toMatchObject({ code: 'interrupted' })
    rest.resolve(undefined)
    expect(await leftovers()).toEqual([])
  })

  test('a file that goes to an output begins anew by the same line, and is not offered to be resumed', async () => {
    const place = makePlace(45, TREE)
    const sender = await send({ ...place, source: join(place.source, 'large') })
    const stop = new AbortController()
    const first = receiveFiles(sender.connect, {
      ledgerPath: place.receiverLedger,
      output: () => stop.abort(),
      signal: stop.signal,
    })
    await expect(first.done).rejects.toMatchObject({
      code: 'interrupted',
      hint: 'run the same line again while the sender waits: it begins at the first byte',
    })
    let bytes = 0
    const again = receiveFiles(sender.connect, {
      ledgerPath: place.receiverLedger,
      output: (piece) => void (bytes += piece.length),
    })
    expect(await again.done).toMatchObject({ bytes: TREE.largeBytes })
    expect(bytes).toBe(TREE.largeBytes)
    await sender.end
  })
})

describe('a stop', () => {
  test('before anything begins leaves no trace', async () => {
    const place = makePlace(40)
    const signal = AbortSignal.abort(new SealiftError('terminated', 'too late'))
    await expect(
      sendFiles(place.source, { pod: true, port: 0, signal, ledgerPath: place.senderLedger }).done,
    ).rejects.toMatchObject({ code: 'terminated' })
    await expect(
      receiveFiles('127.0.0.1:1:a-b', { signal, outputDir: place.out, ledgerPath: place.receiverLedger }).done,
    ).rejects.toMatchObject({ code: 'terminated' })
    expect(fs.readdirSync(place.out)).toEqual([])
    expect(fs.readdirSync(join(place.root, 'ledgers'))).toEqual([])
  })

  test('of both sides at once ends both', async () => {
    const place = makePlace(41, TREE)
    const leftovers = watchLeftovers()
    const stop = new AbortController()
    const { signal } = stop
    const sender = await startSender(place, { signal })
    const receiver = receive(place, sender.connect, {
      signal,
      probe: (stage) => {
        if (stage === 'after-checkpoint') stop.abort()
      },
    })
    expect([await sender.end, await receiver.end]).toEqual([
      expect.objectContaining({ code: 'interrupted', message: 'stopped' }),
      expect.objectContaining({ code: 'interrupted', message: 'stopped' }),
    ])
    expect(await leftovers()).toEqual([])
  })
})
