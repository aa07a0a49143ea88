/** F-06: peers that say nothing, say it slowly, or do not listen. All time is virtual. */

import fs from 'node:fs'
import net from 'node:net'
import { once } from 'node:events'
import { setTimeout as realDelay } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { dialTcp } from '../../src/carriers/tcp.ts'
import { nodeCrypto } from '../../src/crypto/node.ts'
import { normalizeToken } from '../../src/identity/token.ts'
import { encodeRangePages, RangeSet } from '../../src/protocol/ranges.ts'
import { systemClock } from '../../src/transfer/clock.ts'
import { Dialer } from '../../src/transfer/dialling.ts'
import type { Session } from '../../src/transfer/session.ts'
import { makePlace } from '../rigs/place.ts'
import { type TransferRun, withRun } from '../rigs/transfer-run.ts'

const SECOND_MS = 1000
const MINUTE_MS = 60 * SECOND_MS
const MAGIC = [0x53, 0x4c, 0x46, 0x54]

interface Stranger {
  readonly socket: net.Socket
  /** Virtual milliseconds for which it was let stay. */
  readonly stayed: Promise<number>
}

/** A connection to the sender that is none of ours. */
async function connectStranger(run: TransferRun): Promise<Stranger> {
  const socket = net.connect(run.proxy.port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  const startedMs = run.clock.elapsedMs()
  socket.on('error', () => undefined)
  socket.resume()
  const stayed = new Promise<number>((resolve) => {
    socket.on('close', () => resolve(run.clock.elapsedMs() - startedMs))
  })
  await once(socket, 'connect')
  return { socket, stayed }
}

test('a stranger who says nothing is let go after 10 seconds, and does not keep the receiver out', async () => {
  const place = makePlace(61)
  await withRun(place, {}, async (run) => {
    const stranger = await connectStranger(run)
    const stayedMs = await stranger.stayed
    expect(stayedMs).toBeGreaterThan(8 * SECOND_MS)
    expect(stayedMs).toBeLessThan(13 * SECOND_MS)
    const others = await Promise.all([connectStranger(run), connectStranger(run)])
    await run.receiveAll()
    await run.checkDone()
    await Promise.all(others.map(({ stayed }) => stayed))
  })
})

test('a stranger who says the right thing, a byte every second, is let go after 10 seconds too', async () => {
  const place = makePlace(62)
  await withRun(place, {}, async (run) => {
    const { socket, stayed } = await connectStranger(run)
    let sent = 0
    const drip = (): void => {
      if (socket.destroyed) return
      socket.write(Uint8Array.of(MAGIC[sent] ?? 1))
      sent++
      systemClock.after(SECOND_MS, drip)
    }
    drip()
    expect(await stayed).toBeLessThan(13 * SECOND_MS)
    expect(sent).toBeGreaterThan(5)
    await run.receiveAll()
    await run.checkDone()
  })
})

test('two hundred strangers do not keep the receiver out', async () => {
  const place = makePlace(63)
  await withRun(place, {}, async (run) => {
    const strangers = await Promise.all(Array.from({ length: 200 }, () => connectStranger(run)))
    await run.receiveAll()
    await run.checkDone()
    for (const { socket } of strangers) socket.destroy()
  })
})

test.each([
  { name: 'says nothing', says: Uint8Array.of() },
  { name: 'begins to speak and stops', says: Uint8Array.from([...MAGIC, 1, 2, 4, 0]) },
])('a sender that takes the connection and $name: the receiver gives up after 10 seconds', async ({ says }) => {
  const place = makePlace(64)
  await withRun(place, {}, async (run) => {
    const sockets: net.Socket[] = []
    const server = net.createServer((socket) => {
      sockets.push(socket)
      socket.on('error', () => undefined)
      socket.write(says)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as net.AddressInfo
    const startedMs = run.clock.elapsedMs()
    const { error } = await run.ended(run.startReceiver({}, `127.0.0.1:${port}:${run.token}`))
    expect(error).toMatchObject({ code: 'peer_silent', exitCode: 5 })
    expect(run.clock.elapsedMs() - startedMs).toBeLessThan(13 * SECOND_MS)
    for (const socket of sockets) socket.destroy()
    server.close()
  })
})

/** Comes in by the token, as a receiver would, and says what a test wants. */
async function enter(run: TransferRun): Promise<Session> {
  const dialer = new Dialer({
    crypto: nodeCrypto,
    clock: systemClock,
    purpose: 'direct',
    role: 'receiver',
    token: normalizeToken(run.token),
    dial: (signal) => dialTcp({ host: '127.0.0.1', port: run.proxy.port, timeoutMs: 10_000, signal }),
    resumeKeys: () => [],
    commit: () => Promise.resolve(),
    confirmed: () => Promise.resolve(),
  })
  const { session } = await dialer.connect(new AbortController().signal)
  return session
}

test('a receiver that pings but never reads what is sent: the sender ends the session after a minute', async () => {
  const place = makePlace(65, { largeBytes: 20 << 20 })
  await withRun(place, { send: { waitMs: 2 * MINUTE_MS } }, async (run) => {
    const session = await enter(run)
    const stuck = new Promise<void>(() => undefined)
    session.listen((message) => {
      if (message.type === 'chunk') return stuck
      if (message.type !== 'manifest' || !message.last) return undefined
      void session.send({ type: 'accept', accept: { epoch: 1 } })
      for (const page of encodeRangePages(new RangeSet())) void session.send({ type: 'safe', last: true, page })
      return undefined
    })
    await session.send({ type: 'hello', hello: { name: 'stuck', maxChunkBytes: 1 << 20, known: null } })
    const startedMs = run.clock.elapsedMs()
    const { error } = await run.ended(run.sender)
    expect(run.sender.events.find((event) => event.event === 'warning')).toMatchObject({ code: 'peer_silent' })
    expect(error).toMatchObject({ code: 'nobody_came', exitCode: 5 })
    const tookMs = run.clock.elapsedMs() - startedMs
    expect(tookMs).toBeGreaterThan(3 * MINUTE_MS - 5 * SECOND_MS)
    expect(tookMs).toBeLessThan(3 * MINUTE_MS + 30 * SECOND_MS)
    session.fail(new Error('over'))
  })
})

test('a receiver that was confirmed and then says nothing at all: the session ends after 30 seconds', async () => {
  const place = makePlace(66)
  const plan = (): { direction: 'up'; spot: { border: number; delta: number }; fault: { kind: 'stall' } }[] => [
    { direction: 'up', spot: { border: 2, delta: 0 }, fault: { kind: 'stall' } },
  ]
  await withRun(place, { plan, send: { waitMs: MINUTE_MS } }, async (run) => {
    const startedMs = run.clock.elapsedMs()
    const session = await enter(run)
    const { error } = await run.ended(run.sender)
    expect(error).toMatchObject({ code: 'nobody_came' })
    expect(run.clock.elapsedMs() - startedMs).toBeLessThan(MINUTE_MS + 40 * SECOND_MS)
    session.fail(new Error('over'))
  })
})

test('nobody comes: the sender ends when it was told to', async () => {
  const place = makePlace(67)
  await withRun(place, { send: { waitMs: 20 * SECOND_MS } }, async (run) => {
    const { error } = await run.ended(run.sender)
    expect(error).toMatchObject({ code: 'nobody_came', exitCode: 5 })
    expect(run.clock.elapsedMs()).toBeLessThan(25 * SECOND_MS)
  })
})

test('a person may think for four minutes', async () => {
  const place = makePlace(68)
  const accept = (): Promise<boolean> => new Promise((resolve) => setTimeout(resolve, 4 * MINUTE_MS, true))
  await withRun(place, { receive: { accept } }, async (run) => {
    await run.receiveAll()
    await run.checkDone()
    expect(run.clock.elapsedMs()).toBeGreaterThan(4 * MINUTE_MS)
    expect(run.receivers[0]?.events.filter((event) => event.event === 'connected')).toHaveLength(1)
  })
})

test('a person may not think for ever: after ten minutes both sides hear that nobody answered', async () => {
  const place = makePlace(69)
  // Not even one who does not listen to the signal.
  const accept = (): Promise<boolean> => new Promise(() => undefined)
  await withRun(place, { receive: { accept }, send: { waitMs: 30 * MINUTE_MS } }, async (run) => {
    const receiver = run.startReceiver()
    await run.clock.pass(0)
    while (run.clock.elapsedMs() < 9.5 * MINUTE_MS) await realDelay(10)
    const { error } = await run.ended(receiver)
    expect(error).toMatchObject({ code: 'unanswered', exitCode: 3 })
    expect(error?.message).toMatch(/^nobody answered within 10 minutes/)
    const { error: told } = await run.ended(run.sender)
    expect(told).toMatchObject({ code: 'unanswered', exitCode: 3, message: 'nobody answered at the receiver' })
    expect(fs.readdirSync(place.out)).toEqual([])
    expect(run.clock.elapsedMs()).toBeLessThan(11 * MINUTE_MS)
  })
})
