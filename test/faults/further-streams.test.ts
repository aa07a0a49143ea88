/** One transfer over several connections: its rate on a long path, and what becomes of it when some of them break. */

import fs from 'node:fs'
import { join } from 'node:path'
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { receiveFiles, type SendOptions, sendStream } from '../../src/index.ts'
import { makePlace } from '../rigs/place.ts'
import { ended, type PushEnd, ServerPlace } from '../rigs/server-place.ts'
import { SlowPath, type SlowPathOptions } from '../rigs/slow-path.ts'
import { missing, receive, send } from '../rigs/two-sides.ts'

const MIB = 1 << 20

/** No two pieces of it are alike. */
function content(bytes: number): Uint8Array {
  const words = new Uint32Array(bytes / 4)
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i, 0x9e37_79b1)
  return new Uint8Array(words.buffer)
}

/** 50 ms from a byte to the word that it came, and a small window: 2.6 MB/s for each connection, however fast the rest. */
const LONG = { oneWayMs: 25, windowBytes: 128 << 10 }
/** The same in little, for what is not about rates: long enough for connections to be cut in the middle. */
const SHORT = { oneWayMs: 2, windowBytes: 64 << 10 }

async function newPath(options: SlowPathOptions): Promise<SlowPath> {
  const path = await SlowPath.start(options)
  onTestFinished(() => path.close())
  return path
}

interface Push {
  readonly place: ServerPlace
  readonly path: SlowPath
  readonly file: string
  pushed(options: SendOptions): Promise<PushEnd>
  /** What arrived is what was sent, and nothing else is there. */
  expectWhole(): void
}

async function newPush(bytes: number, options: Omit<SlowPathOptions, 'port'>): Promise<Push> {
  const place = new ServerPlace({ ST_OPEN: 'yes' })
  await place.start()
  const path = await newPath({ ...options, port: place.server.port })
  const sent = content(bytes)
  const file = place.plant('alice', 'large.bin', sent)
  return {
    place,
    path,
    file,
    pushed: (given) => place.pushed('alice', file, { to: `127.0.0.1:${String(path.port)}`, ...given }),
    expectWhole: () => {
      expect(place.list()).toEqual(['large.bin'])
      expect(Buffer.compare(fs.readFileSync(join(place.out, 'large.bin')), sent)).toBe(0)
    },
  }
}

test('four streams move at least three times as much as one, on a path of 50 ms with a small window', async () => {
  const [alone, together] = await Promise.all([newPush(0, LONG), newPush(0, LONG)])
  // more than comes through while it is looked at
  for (const { file } of [alone, together]) fs.truncateSync(file, 256 * MIB)
  const stop = new AbortController()
  const pushes = [alone.pushed({ signal: stop.signal }), together.pushed({ streams: 4, signal: stop.signal })]
  // all four are at work
  while (together.path.arrivedBytes < 3 * MIB) await delay(20)
  expect(together.path.connections).toBe(4)
  const before = [alone.path.arrivedBytes, together.path.arrivedBytes] as const
  await delay(1500)
  const [one, four] = [alone.path.arrivedBytes - before[0], together.path.arrivedBytes - before[1]]
  expect(four / one).toBeGreaterThanOrEqual(3)
  expect(alone.path.connections).toBe(1)
  stop.abort()
  // what is under way would take its time
  for (const { path } of [alone, together]) await path.close()
  for (const { error } of await Promise.all(pushes)) expect(error?.code).toBe('interrupted')
})

describe('on a push, when', () => {
  const bytes = 12 * MIB

  test('one of the further connections breaks in the middle, its work goes to the others and it is opened anew', async () => {
    const push = await newPush(bytes, SHORT)
    const { path } = push
    // The third one is to have work to lose, however late it comes, and the others to wait for the fourth.
    for (const first of [0, 1])
      path.when(
        () => path.carriedBytes(first) >= MIB,
        () => path.hold(first),
      )
    path.when(
      () => path.carriedBytes(2) >= MIB,
      () => path.cut(2),
    )
    path.when(
      () => path.connections === 4,
      () => path.goOn(),
    )
    const { error, events, result } = await push.pushed({ streams: 3 })
    expect(error).toBeNull()
    push.expectWhole()
    expect(path.connections).toBe(4)
    // not a word of it, and only what was under way there went twice
    expect(
      events.filter(({ event, ...rest }) => event === 'warning' && 'code' in rest && rest.code !== 'server_new'),
    ).toEqual([])
    expect(result?.bytesOnWire).toBeLessThan(bytes + 4 * MIB)
    expect(push.place.events.filter(({ event }) => event === 'connected')).toHaveLength(1)
  })

  test('the first connection breaks, all end, and the next session opens its own', async () => {
    const push = await newPush(bytes, SHORT)
    const { path } = push
    path.when(
      () => path.carriedBytes(0) >= MIB,
      () => path.hold(0),
    )
    path.when(
      () => path.connections === 3 && path.carriedBytes(0) >= MIB,
      () => path.cut(0),
    )
    const { error, result } = await push.pushed({ streams: 3 })
    expect(error).toBeNull()
    push.expectWhole()
    expect(path.connections).toBeGreaterThan(4)
    expect(push.place.events.filter(({ event }) => event === 'connected')).toHaveLength(2)
    expect(result?.bytesOnWire).toBeGreaterThan(bytes)
  })

  test('no further connection can be made, it goes on over one and says so once', async () => {
    const push = await newPush(bytes, SHORT)
    const { path } = push
    path.refuseAfter(1)
    path.when(
      () => path.carriedBytes(0) >= MIB,
      () => {
        path.hold(0)
        // one of the three has been refused three times by then
        path.when(
          () => path.refused >= 9,
          () => path.goOn(),
        )
      },
    )
    const { error, events } = await push.pushed({ streams: 4 })
    expect(error).toBeNull()
    push.expectWhole()
    const warnings = events.flatMap((event) =>
      event.event === 'warning' && event.code !== 'server_new' ? [event] : [],
    )
    expect(warnings).toEqual([
      expect.objectContaining({ message: expect.stringMatching(/^no further stream .* goes on over one/) as string }),
    ])
  })
})

test('what comes through a pipe, faster than several connections carry it, is whole', async () => {
  const place = new ServerPlace({ ST_OPEN: 'yes' })
  await place.start()
  const sent = content(40 * MIB)
  async function* pipe(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < sent.length; at += MIB) {
      yield sent.subarray(at, at + MIB)
      await nextTurn()
    }
  }
  const { error } = await ended(sendStream(pipe(), { ...place.pushOptions('alice'), streams: 6 }))
  expect(error).toBeNull()
  expect(Buffer.compare(fs.readFileSync(join(place.out, 'stdin')), sent)).toBe(0)
})

describe('in a direct transfer, so many as the one that wants more says:', () => {
  test.each([
    { sender: 4, receiver: undefined, connections: 4 },
    { sender: 2, receiver: 3, connections: 3 },
    { sender: undefined, receiver: undefined, connections: 1 },
  ])('$sender and $receiver', async ({ sender, receiver, connections }) => {
    const place = makePlace(7)
    fs.writeFileSync(join(place.source, 'large.bin'), content(3 * MIB))
    const sending = await send(place, { streams: sender })
    const path = await newPath({ ...SHORT, port: sending.port })
    const connect = sending.connect.replace(`:${String(sending.port)}:`, `:${String(path.port)}:`)
    const receiving = receive(place, connect, { streams: receiver })
    expect(await receiving.end).toMatchObject({ role: 'receiver' })
    expect(await sending.end).toMatchObject({ role: 'sender' })
    expect(missing(place)).toEqual([])
    expect(path.connections).toBe(connections)
  })

  test('into an output, which takes things in order, there is one', async () => {
    const place = makePlace(8)
    const sent = content(3 * MIB)
    const file = join(place.root, 'large.bin')
    fs.writeFileSync(file, sent)
    const sending = await send({ ...place, source: file }, { streams: 4 })
    const path = await newPath({ ...SHORT, port: sending.port })
    const connect = sending.connect.replace(`:${String(sending.port)}:`, `:${String(path.port)}:`)
    const taken: Uint8Array[] = []
    const transfer = receiveFiles(connect, {
      output: (piece) => void taken.push(piece),
      ledgerPath: place.receiverLedger,
    })
    await transfer.done
    await sending.end
    expect(Buffer.compare(Buffer.concat(taken), sent)).toBe(0)
    expect(path.connections).toBe(1)
  })
})
