/** A client that is stopped between the two doors of a server: its channel is confirmed, and it is not let in yet. */

import { expect, test } from 'vitest'

import { encodeUtf8 } from '../../../src/protocol/bytes.ts'
import { SealiftError } from '../../../src/protocol/errors.ts'
import { Client, ServerDoor, TOKEN } from './server-door.ts'
import { settle, VirtualClock } from './virtual-time.ts'

test('has ended at once, however long the server makes up its mind', async () => {
  const clock = new VirtualClock()
  const judging = Promise.withResolvers<'nothing'>()
  const door = new ServerDoor(clock, { judge: () => judging.promise })
  const client = new Client(clock, () => door.network.dial(), { token: encodeUtf8(TOKEN) })
  const stop = new AbortController()
  const coming = client.dialer.connect(stop.signal).catch((error: unknown) => error)
  // The channel is confirmed, and nothing was said in it.
  await settle(100)
  expect(client.applicant.asked).toBeNull()
  stop.abort(new SealiftError('interrupted', 'stopped'))
  // No time passes.
  expect(await Promise.race([coming, settle(100)])).toMatchObject({ code: 'interrupted' })
  judging.resolve('nothing')
  client.close()
  door.close()
  await clock.pass(20_000)
  expect(clock.timers).toBe(0)
})
