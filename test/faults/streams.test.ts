/** F-01 for pipes and texts: the connection breaks, and what can be read only once arrives all the same, in order and once. */

import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { receiveFiles, type SealiftError, sendFiles, sendStream } from '../../src/index.ts'
import type { Passage, Planned } from '../rigs/chaos-proxy.ts'
import { SideProcess } from '../rigs/children.ts'
import { changeLedger, makePlace } from '../rigs/place.ts'
import { mountSmall } from '../rigs/small-disk.ts'
import { Chance, seedOr, under } from '../rigs/seeds.ts'
import { expectSaved, inPieces, noise, Output, withOwnPlace, withStream, withText } from '../rigs/stream-run.ts'
import type { RunOptions, TransferRun } from '../rigs/transfer-run.ts'

const MIB = 1 << 20
const slow = process.env['SEALIFT_SLOW'] === '1'
const SMALL = noise(5000)
const smallPieces = (): AsyncIterable<Uint8Array> => inPieces(SMALL, 2000)

/** Cuts the first connections, each at a byte of what comes down. */
const cutsAt =
  (chance: Chance, cuts: number, most: number) =>
  (connection: number): Planned[] =>
    connection < cuts
      ? [
          {
            direction: 'down',
            spot: chance.integer(3000, most),
            fault: { kind: 'cut', how: chance.pick(['fin', 'reset'] as const) },
          },
        ]
      : []

/** Sender and receiver end well. */
async function bothDone(run: TransferRun, options: Parameters<TransferRun['startReceiver']>[0] = {}): Promise<void> {
  const receiver = run.startReceiver(options)
  const [received, sent] = [await run.ended(receiver), await run.ended(run.sender)]
  expect([received.error, sent.error]).toEqual([null, null])
}

/** What passes where nothing goes wrong. */
async function smallPassage(): Promise<Passage> {
  let passage: Passage | undefined
  await withStream(smallPieces, {}, async (run) => {
    await bothDone(run)
    expectSaved(run.place, 'stdin', SMALL)
    passage = run.passages[0]
  })
  return passage as Passage
}

describe('a stream into a folder', () => {
  test('heals from a cut at every border of a small session, and a byte behind it', { timeout: 120_000 }, async () => {
    const { borders } = await smallPassage()
    expect(borders.down.length).toBeGreaterThan(8)
    for (const direction of ['up', 'down'] as const) {
      for (const border of borders[direction].keys()) {
        for (const delta of slow ? [-1, 0, 1] : [border % 2]) {
          const fault = { kind: 'cut', how: 'fin' } as const
          const plan: RunOptions['plan'] = (connection) =>
            connection === 0 ? [{ direction, spot: { border, delta }, fault }] : []
          await under(`${direction}, border ${border} ${delta}`, () =>
            withStream(smallPieces, { plan }, async (run) => {
              await bothDone(run)
              expectSaved(run.place, 'stdin', SMALL)
            }),
          )
        }
      }
    }
  })

  test('heals from cut after cut, and sends little twice', { timeout: 60_000 }, async () => {
    const seed = seedOr(41)
    const chance = new Chance(seed)
    const content = noise(12 * MIB + 345)
    const cuts = 5
    await under(`seed ${seed}`, () =>
      withStream(
        () => inPieces(content, 100_000),
        { plan: cutsAt(chance, cuts, 3 * MIB) },
        async (run) => {
          await bothDone(run)
          expectSaved(run.place, 'stdin', content)
          expect(run.passages.length).toBe(cuts + 1)
          const passed = run.passages.reduce((sum, { passed: { down } }) => sum + down, 0)
          expect(passed - content.length).toBeLessThan(cuts * MIB + 100_000)
          const done = run.sender.events.at(-1)
          expect(done).toMatchObject({ event: 'done', bytes: content.length, files: 1 })
          const totals = run.sender.events.flatMap((event) => (event.event === 'progress' ? [event.bytesTotal] : []))
          expect([totals[0], totals.at(-1)]).toEqual([null, content.length])
          expect(run.sender.events.find(({ event }) => event === 'listening')).toMatchObject({ bytes: null, files: 1 })
        },
      ),
    )
  })

  test('of no bytes, and of one, arrive', async () => {
    for (const content of [new Uint8Array(), Uint8Array.of(7)]) {
      await withStream(
        () => inPieces(content, 1),
        { sliceBytes: 7 },
        async (run) => {
          await bothDone(run)
          expectSaved(run.place, 'stdin', content)
        },
      )
    }
  })

  test('that falls silent for an hour is waited for', async () => {
    const rest = Promise.withResolvers<undefined>()
    async function* source(): AsyncGenerator<Uint8Array> {
      yield SMALL.subarray(0, 10)
      await rest.promise
      yield SMALL.subarray(10)
    }
    await withStream(source, {}, async (run) => {
      const receiver = run.startReceiver()
      while (run.lastProgress(run.sender)?.bytesDone !== 10) await run.clock.pass(100)
      await run.clock.pass(5000)
      expect([receiver, run.sender].map(({ transfer }) => transfer.waiting?.reason)).toEqual(['input', 'input'])
      await run.clock.pass(3_600_000)
      expect([receiver, run.sender].map(({ transfer }) => transfer.waiting?.reason)).toEqual(['input', 'input'])
      rest.resolve(undefined)
      expect([(await run.ended(receiver)).error, (await run.ended(run.sender)).error]).toEqual([null, null])
      expect(run.passages.length).toBe(1)
      expectSaved(run.place, 'stdin', SMALL)
    })
  })

  test('that breaks off is saved nowhere, and both sides say why', async () => {
    async function* source(): AsyncGenerator<Uint8Array> {
      yield* inPieces(SMALL, 1000)
      throw Object.assign(new Error('i/o error'), { code: 'EIO' })
    }
    await withStream(source, {}, async (run) => {
      const [received, sent] = [await run.ended(run.startReceiver()), await run.ended(run.sender)]
      expect(sent.error).toMatchObject({ code: 'source_unreadable', exitCode: 8, retryable: false })
      expect(sent.error?.message).toContain('EIO')
      expect(received.error).toMatchObject({ code: 'source_unreadable', exitCode: 8, retryable: false })
      expect(fs.readdirSync(run.place.out)).toEqual([])
      const events = [...run.sender.events, ...(run.receivers[0]?.events ?? [])].map(({ event }) => event)
      expect(events).not.toContain('done')
    })
  })

  test('ends with its sender: nothing of it stays, and no hint to resume it', async () => {
    async function* source(): AsyncGenerator<Uint8Array> {
      yield SMALL
      await new Promise(() => undefined)
    }
    await withStream(source, {}, async (run) => {
      const receiver = run.startReceiver()
      while (run.lastProgress(receiver)?.bytesDone !== SMALL.length) await run.clock.pass(100)
      run.sender.transfer.cancel()
      const { error } = await run.ended(receiver)
      expect(error).toMatchObject({ code: 'peer_stopped', exitCode: 5, retryable: false })
      expect(error?.hint).toContain('cannot be resumed')
      expect(fs.readdirSync(run.place.out)).toEqual([])
      const { error: stopped } = await run.ended(run.sender)
      expect(stopped).toMatchObject({ code: 'interrupted' })
      expect(stopped?.hint).not.toContain('resume')
    })
  })

  test('of no end stops before the disk is full, and goes on once there is room', async (context) => {
    let last = false
    let sent = 0
    async function* source(): AsyncGenerator<Uint8Array> {
      for (; !last; sent += SMALL.length) {
        await new Promise((resolve) => setImmediate(resolve))
        yield SMALL
      }
    }
    await withStream(source, {}, async (run) => {
      const { out } = run.place
      mountSmall(context, out, 'size=20m')
      const full = await run.ended(run.startReceiver())
      expect(full.error).toMatchObject({ code: 'disk_full', exitCode: 7 })
      expect(fs.statfsSync(out).bavail * fs.statfsSync(out).bsize).toBeGreaterThan(8 * MIB)
      expect(spawnSync('mount', ['-o', 'remount,size=200m', out]).status).toBe(0)
      last = true
      expect([(await run.ended(run.startReceiver())).error, (await run.ended(run.sender)).error]).toEqual([null, null])
      expect(fs.readdirSync(out)).toEqual(['stdin'])
      expect(fs.statSync(join(out, 'stdin')).size).toBe(sent)
      // Before the place is removed.
      spawnSync('umount', ['--lazy', out])
    })
  })

  test(
    'goes on with a receiver that is killed in the middle of it, at each of a few stages',
    { timeout: 60_000 },
    async () => {
      for (const [stage, time] of [
        ['chunk', 3],
        ['before-checkpoint', 1],
        ['after-checkpoint', 1],
        ['before-publish', 1],
        ['after-end', 1],
      ] as const) {
        const place = makePlace(1)
        const transfer = sendStream(inPieces(noise(10 * MIB), 64 << 10), {
          pod: true,
          port: 0,
          ledgerPath: place.senderLedger,
          waitMs: 20_000,
        })
        const listening = Promise.withResolvers<string>()
        void (async () => {
          for await (const event of transfer) if (event.event === 'listening') listening.resolve(event.connect)
        })()
        const target = await listening.promise
        const options = { outputDir: place.out, ledgerPath: place.receiverLedger }
        const killed = new SideProcess({ role: 'receiver', target, options, kill: { stage, time } })
        expect((await killed.ended).event, stage).toBe('killed')
        const second = await new SideProcess({ role: 'receiver', target, options, kill: null }).ended
        expect(second, stage).toMatchObject({ event: 'end', error: null })
        await transfer.done
        expectSaved(place, 'stdin', noise(10 * MIB))
      }
    },
  )

  /** A receiver that has acknowledged so much, is stopped, and loses all of it. */
  async function afterLoss(
    bytes: number,
    check: (run: TransferRun, error: SealiftError | null) => void,
  ): Promise<void> {
    const rest = Promise.withResolvers<undefined>()
    const content = noise(bytes)
    async function* source(): AsyncGenerator<Uint8Array> {
      yield* inPieces(content, 256 << 10)
      await rest.promise
    }
    await withStream(source, {}, async (run) => {
      const first = run.startReceiver()
      while (run.lastProgress(run.sender)?.bytesDone !== bytes) await run.clock.pass(50)
      first.transfer.cancel()
      await run.ended(first)
      fs.rmSync(join(run.place.out, fs.readdirSync(run.place.out)[0] as string), { recursive: true })
      changeLedger(run.place.receiverLedger, 'DELETE FROM ranges')
      rest.resolve(undefined)
      const received = await run.ended(run.startReceiver())
      const sent = await run.ended(run.sender)
      expect(received.error?.code).toBe(sent.error?.code)
      check(run, received.error)
      if (received.error === null) expectSaved(run.place, 'stdin', content)
    })
  }

  test('cannot give again what a receiver lost and the sender does not hold: both say so', async () => {
    await afterLoss(36 * MIB, (run, error) => {
      expect(error).toMatchObject({ code: 'source_vanished', exitCode: 8, retryable: false })
      expect(fs.readdirSync(run.place.out)).toEqual([])
    })
  })

  test('gives all of it again while it is held', async () => {
    await afterLoss(2 * MIB, (_, error) => expect(error).toBeNull())
  })
})

describe('one file into an output', () => {
  test.each([
    ['a stream', 'stdin'],
    ['a file', 'file'],
  ])('%s heals from cuts, in order and nothing twice', { timeout: 60_000 }, async (_, source) => {
    const seed = seedOr(42)
    const content = noise(6 * MIB + 77)
    const output = new Output()
    const options: RunOptions = { plan: cutsAt(new Chance(seed), 4, 2 * MIB) }
    const body = async (run: TransferRun): Promise<void> => {
      await bothDone(run, { output: output.write, outputDir: undefined })
      expect(Buffer.compare(output.bytes, content), 'what was written').toBe(0)
      expect(fs.readdirSync(run.place.out)).toEqual([])
      expect(run.passages.length).toBe(5)
    }
    await under(`seed ${seed}`, () =>
      source === 'stdin'
        ? withStream(() => inPieces(content, 70_000), options, body)
        : withOwnPlace(
            {
              ...options,
              sends: (place, given) => {
                fs.writeFileSync(join(place.aside, 'file'), content)
                return sendFiles(join(place.aside, 'file'), given)
              },
            },
            body,
          ),
    )
  })

  test('holds the sender back while it takes nothing, for minutes, and is not taken for dead', async () => {
    const content = noise(32 * MIB)
    let read = 0
    async function* source(): AsyncGenerator<Uint8Array> {
      for await (const piece of inPieces(content, 256 << 10)) {
        read += piece.length
        yield piece
      }
    }
    const open = Promise.withResolvers<undefined>()
    const pieces: Uint8Array[] = []
    const output = async (bytes: Uint8Array): Promise<void> => {
      await open.promise
      pieces.push(bytes)
    }
    await withStream(source, {}, async (run) => {
      const receiver = run.startReceiver({ output, outputDir: undefined })
      while (run.lastProgress(receiver) === undefined) await run.clock.pass(50)
      await run.clock.pass(600_000)
      expect(run.passages.length).toBe(1)
      const reasons = () => [receiver, run.sender].map(({ transfer }) => transfer.waiting?.reason)
      // Its PINGs cross a real socket, which takes a moment of its own.
      for (let tries = 0; tries < 200 && reasons()[1] !== 'peer'; tries++) await run.clock.pass(1000)
      expect(reasons()).toEqual(['output', 'peer'])
      expect(run.passages[0]?.passed.down).toBeLessThan(30 * MIB)
      expect(read).toBeGreaterThan(0)
      open.resolve(undefined)
      expect([(await run.ended(receiver)).error, (await run.ended(run.sender)).error]).toEqual([null, null])
      expect(Buffer.compare(Buffer.concat(pieces), content)).toBe(0)
      expect(run.passages.length).toBe(1)
    })
  })

  test('that takes no more ends both sides, and the sender is told why', async () => {
    let taken = 0
    const output = (bytes: Uint8Array): void => {
      taken += bytes.length
      if (taken > MIB) throw new Error('enough')
    }
    await withStream(
      () => inPieces(noise(5 * MIB), 100_000),
      {},
      async (run) => {
        const [received, sent] = [
          await run.ended(run.startReceiver({ output, outputDir: undefined })),
          await run.ended(run.sender),
        ]
        expect(received.error).toMatchObject({ code: 'target_gone', exitCode: 7 })
        expect(received.error?.message).toContain('enough')
        expect(sent.error).toMatchObject({ code: 'target_gone', exitCode: 7 })
      },
    )
  })

  test('is no place for a tree: usage here, a refusal there', async () => {
    await withOwnPlace({ sends: (place, given) => sendFiles(place.source, given) }, async (run) => {
      const output = new Output()
      const received = await run.ended(run.startReceiver({ output: output.write, outputDir: undefined }))
      const sent = await run.ended(run.sender)
      expect(received.error).toMatchObject({ code: 'usage', exitCode: 2 })
      expect(sent.error).toMatchObject({ code: 'policy_refused', exitCode: 3 })
      expect(output.bytes.length).toBe(0)
    })
  })

  test('and a folder at once is a mistake', async () => {
    const transfer = receiveFiles('127.0.0.1:1:a-b', { output: () => undefined, outputDir: '.' })
    await expect(transfer.done).rejects.toMatchObject({ code: 'usage' })
  })
})

describe('a text', () => {
  const text = 'secret\u2028 \u001b[31m\n'.repeat(9000)
  const textsOf = ({ events }: TransferRun['receivers'][number]): string[] =>
    events.flatMap((event) => (event.event === 'text' ? [event.text] : []))

  test('heals from cuts, comes once and is saved nowhere', async () => {
    const seed = seedOr(43)
    await under(`seed ${seed}`, () =>
      withText(text, { plan: cutsAt(new Chance(seed), 3, 90_000) }, async (run) => {
        const receiver = run.startReceiver()
        expect([(await run.ended(receiver)).error, (await run.ended(run.sender)).error]).toEqual([null, null])
        expect(run.passages.length).toBe(4)
        expect(textsOf(receiver)).toEqual([text])
        expect(fs.readdirSync(run.place.out)).toEqual([])
        // Neither its content nor its digest, which would give a short one away, rests or is told elsewhere.
        const events = [...receiver.events, ...run.sender.events].map(({ event }) => event)
        expect(events).not.toContain('file')
        for (const ledger of [run.place.senderLedger, run.place.receiverLedger])
          expect(fs.readFileSync(ledger).includes('secret')).toBe(false)
      }),
    )
  })

  test('heals from a receiver that is stopped and started again', async () => {
    const plan = (connection: number): Planned[] =>
      connection === 0 ? [{ direction: 'down', spot: 50_000, fault: { kind: 'stall' } }] : []
    await withText(text, { plan }, async (run) => {
      const first = run.startReceiver()
      while (run.lastProgress(run.sender) === undefined) await run.clock.pass(20)
      first.transfer.cancel()
      await run.ended(first)
      const second = run.startReceiver()
      expect([(await run.ended(second)).error, (await run.ended(run.sender)).error]).toEqual([null, null])
      expect([textsOf(first), textsOf(second)]).toEqual([[], [text]])
    })
  })

  test('is asked about, and may be declined', async () => {
    await withText('no thanks', {}, async (run) => {
      const asked: unknown[] = []
      const receiver = run.startReceiver({
        accept: ({ kind, bytes, files }) => {
          asked.push([kind, bytes, files])
          return false
        },
      })
      expect((await run.ended(receiver)).error).toMatchObject({ code: 'declined' })
      expect((await run.ended(run.sender)).error).toMatchObject({ code: 'rejected', exitCode: 3 })
      expect([asked, textsOf(receiver)]).toEqual([[['text', 9, 1]], []])
    })
  })
})
