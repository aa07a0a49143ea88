/** Sessions at the desk that are ended from outside: those of an address that was banned, and all of them. */

import { expect, test } from 'vitest'
import type { ByteStream } from '../../../src/carriers/carrier.ts'
import { memoryPipe } from '../../../src/carriers/memory.ts'
import type { Ledger } from '../../../src/ledger/ledger.ts'
import { SealiftError } from '../../../src/protocol/errors.ts'
import { ReceptionDesk } from '../../../src/server/reception-desk.ts'
import type { VisitOptions } from '../../../src/server/visit.ts'
import { watchedStream } from '../../../src/server/watched-stream.ts'
import { systemClock } from '../../../src/transfer/clock.ts'
import type { Session } from '../../../src/transfer/session.ts'
import { noProbe } from '../../../src/transfer/stage.ts'
import { makeFolder, openTestLedger } from '../ledger/place.ts'
import { sessionPair } from '../transfer/session-pair.ts'
import { until } from '../transfer/virtual-time.ts'

function optionsFor(ledger: Ledger): Omit<VisitOptions, 'claim' | 'onFault'> {
  const nothing = (): undefined => undefined
  return {
    ledger,
    clock: systemClock,
    probe: noProbe,
    guest: { owner: 'SHA256:x', label: 'x', key: null, folder: null, resumeId: new Uint8Array(16) },
    peer: '',
    name: 'box',
    maxPayloadBytes: 1 << 20,
    allowOverwrite: false,
    reportsFiles: false,
    placeNew: () => '',
    join: nothing,
    reserve: () => Promise.resolve(0),
    release: () => Promise.resolve(),
    takeTurn: () => Promise.resolve({ leave: nothing }),
    record: () => Promise.resolve(),
    bytesPerSecond: () => null,
    onTransfer: nothing,
    onEntry: nothing,
    onQueued: nothing,
    onProgress: nothing,
    onWarning: nothing,
  }
}

/** A sender at this address that has been greeted at the desk. */
async function sit(
  desk: ReceptionDesk,
  ledger: Ledger,
  address: string,
): Promise<{ sender: Session; left: Promise<unknown> }> {
  const [near, far] = memoryPipe()
  const from: ByteStream = { ...watchedStream(far, () => undefined), peer: { address, port: 1 } }
  const { sender, receiver } = sessionPair(systemClock, {}, [near, from])
  const left = desk.receive(receiver, optionsFor(ledger), noProbe)
  let isGreeted = false
  sender.listen((message) => {
    isGreeted ||= message.type === 'hello'
  })
  await until(() => isGreeted)
  return { sender, left }
}

test('a ban ends the sessions of its address, whichever of its /64, and no others', async () => {
  const ledger = await openTestLedger(makeFolder())
  const desk = new ReceptionDesk({ idleMs: 60_000, minBytesPerSecond: null })
  const [one, two, other] = [
    await sit(desk, ledger, '2001:db8::7'),
    await sit(desk, ledger, '2001:db8::8'),
    await sit(desk, ledger, '2001:db8:0:1::7'),
  ]
  await desk.dismiss('2001:db8:0:0::/64', new SealiftError('peer_refused', 'banned'))
  const { wireCode } = new SealiftError('peer_refused', '')
  expect([await one.sender.end, await two.sender.end]).toEqual(Array(2).fill({ code: wireCode, error: null }))
  await Promise.all([one.left, two.left])
  expect([other.sender.isOver, desk.size]).toEqual([false, 1])
  await desk.stop(new SealiftError('terminated', 'stopped'))
  expect(await other.sender.end).toMatchObject({ code: new SealiftError('terminated', '').wireCode })
  expect(desk.size).toBe(0)
})
