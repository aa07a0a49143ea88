/** A paced stream is still a stream: the memory carrier under the same contract, held to a rate that leaves it time. */

import { memoryPipe } from '../../src/carriers/memory.ts'
import { systemClock } from '../../src/transfer/clock.ts'
import { pacer } from '../../src/transfer/pacing.ts'
import { streamCarrierSuite } from './stream-carrier.ts'

const BYTES_PER_SECOND = 400_000_000

streamCarrierSuite('memory at 400 MB a second', () =>
  Promise.resolve({
    pair() {
      const [near, far] = memoryPipe()
      return Promise.resolve([pacer(BYTES_PER_SECOND, systemClock)(near), pacer(BYTES_PER_SECOND, systemClock)(far)])
    },
    close: () => Promise.resolve(),
  }),
)
