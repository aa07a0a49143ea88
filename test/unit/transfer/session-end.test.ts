import { expect, test } from 'vitest'

import type { ByteStream } from '../../../src/carriers/carrier.ts'
import { memoryPipe } from '../../../src/carriers/memory.ts'
import { SealiftError } from '../../../src/protocol/errors.ts'
import { sessionPair } from './session-pair.ts'
import { settle, VirtualClock } from './virtual-time.ts'

test('a farewell that cannot be sent any more leaves no timer behind', async () => {
  const clock = new VirtualClock()
  const [near, far] = memoryPipe()
  const gone = Promise.withResolvers<never>()
  const broken: ByteStream = {
    peer: near.peer,
    seal: near.seal,
    start: (sink) => near.start(sink),
    resume: () => near.resume(),
    write: () => gone.promise,
    end: () => near.end(),
    destroy: () => near.destroy(),
  }
  const { sender } = sessionPair(clock, {}, [broken, far])
  const others = clock.timers - 1
  sender.fail(new SealiftError('internal', 'a fault of this side'))
  await clock.pass(2000)
  await sender.released
  gone.reject(new SealiftError('connection_lost', 'too late'))
  await settle()
  expect(clock.timers).toBe(others)
})
