import { expect, test } from 'vitest'

import { codecByName } from '../../../src/codecs/codec-table.ts'
import { SealiftError } from '../../../src/protocol/errors.ts'
import { RangeSet } from '../../../src/protocol/ranges.ts'
import { type AcceptedTransfer, ReceiverSession, type Reception } from '../../../src/transfer/receiver-session.ts'
import { noProbe } from '../../../src/transfer/stage.ts'
import { HELLO, OFFER, sessionPair } from './session-pair.ts'
import { settle, until, VirtualClock } from './virtual-time.ts'

test('a chunk that waits for its turn when this side stops is never taken, however late its turn comes', async () => {
  const { sender, receiver } = sessionPair(new VirtualClock())
  const disk = Promise.withResolvers<undefined>()
  let [taken, isMoving] = [0, false]
  const incoming = {
    complete: new Promise(() => undefined),
    begin: () => undefined,
    tell: () => undefined,
    chunk: (): Promise<void> => {
      taken++
      return disk.promise
    },
  }
  const accepted = {
    incoming,
    epoch: 1,
    target: 'disk',
    mayPause: false,
    stateRuns: () => [],
    safeRanges: () => new RangeSet(),
  } as unknown as AcceptedTransfer
  const reception: Reception = {
    hello: HELLO.hello,
    offered: () => Promise.resolve(),
    accept: () => Promise.resolve(accepted),
  }
  const conversation = new ReceiverSession({ session: receiver, reception, probe: noProbe })
  const outcome = conversation.run()
  sender.listen(async ({ type }) => {
    if (type === 'hello') await sender.send(OFFER)
    if (type === 'safe') isMoving = true
  })
  await until(() => isMoving)
  const raw = new Uint8Array(1000)
  const codec = codecByName('gzip')
  const packed = await codec.encode(raw, codec.defaultLevel)
  for (const offset of [0, 1000])
    await sender.sendChunk({ codec: codec.id, epoch: 1, offset, rawBytes: raw.length }, packed)
  await until(() => taken === 1)
  await settle()
  await conversation.stop(new SealiftError('interrupted', 'stopped'))
  expect(await outcome).toMatchObject({ kind: 'ended', error: { code: 'interrupted' } })
  disk.resolve(undefined)
  await settle()
  expect(taken).toBe(1)
})
