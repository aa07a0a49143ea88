/** A stream that reads in turn with others is still a stream: the memory carrier under the same contract. */

import { memoryPipe } from '../../src/carriers/memory.ts'
import { ReadTurns } from '../../src/guard/read-turns.ts'
import { turnedReads } from '../../src/transfer/turned-reads.ts'
import { streamCarrierSuite } from './stream-carrier.ts'

streamCarrierSuite('memory that is read in turn', () => {
  const turns = new ReadTurns((call) => void setImmediate(call))
  const turned = (stream: Parameters<typeof turnedReads>[0]): ReturnType<typeof turnedReads> =>
    turnedReads(stream, (goOn) => {
      const seat = turns.newSeat(goOn)
      seat.weigh(1)
      return seat
    })
  return Promise.resolve({
    pair() {
      const [near, far] = memoryPipe()
      return Promise.resolve([turned(near), turned(far)])
    },
    close: () => Promise.resolve(),
  })
})
