/** The door of a server: who guesses wrong too often is turned away, whoever lifts that is heard, and this machine never is. */

import { setImmediate } from 'node:timers/promises'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { ByteSink, ByteStream } from '../../../src/carriers/carrier.ts'
import { SERVER_SETTINGS } from '../../../src/config/server-settings.ts'
import { resolveSettings } from '../../../src/config/settings.ts'
import { ServerToken } from '../../../src/guard/server-token.ts'
import type { Ban } from '../../../src/ledger/bans.ts'
import type { Ledger } from '../../../src/ledger/ledger.ts'
import { encodeUtf8 } from '../../../src/protocol/bytes.ts'
import { Door } from '../../../src/server/door.ts'
import { systemClock } from '../../../src/transfer/clock.ts'
import type { Session } from '../../../src/transfer/session.ts'
import { makeFolder, openTestLedger } from '../ledger/place.ts'

const { values: settings } = resolveSettings(SERVER_SETTINGS, {
  flags: {},
  environment: { ST_MAX_CONCURRENT_PER_IP: '2' },
  file: null,
})

async function makeDoor(): Promise<{ door: Door; ledger: Ledger; bans: Ban[] }> {
  const ledger = await openTestLedger(makeFolder())
  const bans: Ban[] = []
  const secret = new ServerToken(encodeUtf8('four-words-of-it'), () => systemClock.nowMs())
  const onFault = (error: Error): never => {
    throw error
  }
  const door = new Door({ settings, ledger, secret, clock: systemClock, onBan: (ban) => bans.push(ban), onFault })
  return { door, ledger, bans }
}

/** So many wrong guesses from there. @returns how many were compared */
function guessWrong(door: Door, address: string, times: number): number {
  let compared = 0
  for (let time = 0; time < times; time++) {
    if (door.gate?.guess(address) !== true) continue
    compared++
    door.gate.wrong(address)
  }
  return compared
}

test('three wrong guesses in a minute ban an address, for others too that have its /64, and until it is lifted', async () => {
  const { door, ledger, bans } = await makeDoor()
  expect(guessWrong(door, '2001:db8::7', 5)).toBe(3)
  await vi.waitFor(() => expect(bans).toHaveLength(1))
  await expect(door.check({ address: '2001:db8::8', port: 1 })).rejects.toMatchObject({ code: 'peer_refused' })
  await door.check({ address: '2001:db8:0:1::7', port: 1 })
  await ledger.bans.remove(bans[0]?.address ?? '')
  await door.check({ address: '2001:db8::7', port: 1 })
})

test('a key that is not on the list counts like a wrong guess; a right guess takes nothing back', async () => {
  const { door, bans } = await makeDoor()
  await door.strangerCame('192.0.2.7')
  door.gate?.guess('192.0.2.7')
  door.gate?.spend('192.0.2.7')
  await door.strangerCame('192.0.2.7')
  expect(bans).toEqual([])
  await door.strangerCame('192.0.2.7')
  expect(bans).toMatchObject([{ address: '192.0.2.7' }])
})

test('this machine is never banned, and all guesses of it are looked at within the limit of all', async () => {
  const { door, bans } = await makeDoor()
  expect(guessWrong(door, '127.0.0.1', 100)).toBe(60)
  await door.check({ address: '127.0.0.1', port: 1 })
  expect(bans).toEqual([])
})

test('of strangers of one address the oldest goes, and is counted no more', async () => {
  const { door } = await makeDoor()
  const dropped: number[] = []
  const streams = [0, 1, 2].map((at) => {
    const stream: ByteStream = {
      peer: { address: '192.0.2.7', port: at },
      seal: undefined,
      start: () => undefined,
      resume: () => undefined,
      write: () => Promise.resolve(),
      end: () => Promise.resolve(),
      destroy: () => undefined,
    }
    const entered = door.enter(stream, () => {
      dropped.push(at)
      entered.destroy()
    })
    return entered
  })
  expect([dropped, door.connections]).toEqual([[0], 2])
  for (const stream of streams) stream.destroy()
  expect(door.connections).toBe(0)
})

/** A connection on which there is always more to read. @returns how much was read */
function flood(door: Door, address: string, weight: number): () => number {
  const peer = { address, port: 1 }
  const state = { isPaused: false, isOver: false, readBytes: 0 }
  const stream: ByteStream = {
    peer,
    seal: undefined,
    start: (sink) => void deliver(sink),
    resume: () => void (state.isPaused = false),
    write: () => Promise.resolve(),
    end: () => Promise.resolve(),
    destroy: () => void (state.isOver = true),
  }
  const deliver = async (sink: ByteSink): Promise<void> => {
    while (!state.isOver) {
      await setImmediate()
      if (!state.isPaused) state.isPaused = !sink.filled(sink.space().length)
    }
  }
  const entered = door.enter(stream, () => undefined)
  const room = new Uint8Array(64 << 10)
  entered.start({
    space: () => room,
    filled: (bytes) => {
      state.readBytes += bytes
      return true
    },
    ended: () => undefined,
  })
  const session: unknown = { peer }
  door.letIn(session as Session)?.weigh(address, weight)
  onTestFinished(() => entered.destroy())
  return () => state.readBytes
}

test('where no rate divides what there is, connections are read by the weight of what they bring', async () => {
  const { door } = await makeDoor()
  const [urgent, plain] = [flood(door, '192.0.2.7', 10), flood(door, '192.0.2.8', 1)]
  while (urgent() < 128 << 20) await setImmediate()
  expect(plain() / urgent()).toBeGreaterThan(0.08)
  expect(plain() / urgent()).toBeLessThan(0.12)
})
