import { expect, test } from 'vitest'

import { SealiftError } from '../../../src/protocol/errors.ts'
import { Sender, type SenderOptions } from '../../../src/transfer/sender.ts'
import { sessionPair } from './session-pair.ts'
import { settle, VirtualClock } from './virtual-time.ts'

const newSender = (clock: VirtualClock): Sender =>
  new Sender({ clock, waitMs: 1000 } as Partial<SenderOptions> as SenderOptions)

test('a session that is confirmed after a stop is told why, and gone with the farewell of the receiver: no clock moves', async () => {
  const clock = new VirtualClock()
  const sender = newSender(clock)
  const stopped = new SealiftError('interrupted', 'stopped')
  await sender.stop(stopped)
  const pair = sessionPair(clock)
  pair.receiver.listen(() => undefined)
  await sender.join(pair.sender)
  await sender.close()
  expect(await pair.receiver.end).toEqual({ code: stopped.wireCode, error: null })
  await pair.receiver.released
  expect(clock.timers).toBe(0)
  await expect(sender.end).rejects.toBe(stopped)
})

test('a receiver that says no farewell holds the end of a sender for two seconds, and no longer', async () => {
  const clock = new VirtualClock()
  const sender = newSender(clock)
  await sender.stop(new SealiftError('interrupted', 'stopped'))
  const { sender: session } = sessionPair(clock)
  let isClosed = false
  void sender.join(session)
  void sender.close().then(() => (isClosed = true))
  await clock.pass(1999)
  expect(isClosed).toBe(false)
  await clock.pass(1)
  await settle()
  expect(isClosed).toBe(true)
})
