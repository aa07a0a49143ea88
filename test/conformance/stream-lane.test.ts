/** The stream lane under the lanes' contract: over memory, over memory in small pieces, over TCP, and with chunks packed. */

import type { ByteStream } from '../../src/carriers/carrier.ts'
import { memoryPipe } from '../../src/carriers/memory.ts'
import { dialTcp, listenTcp } from '../../src/carriers/tcp.ts'
import { decodeChunk } from '../../src/codecs/codec-table.ts'
import type { CompressSetting } from '../../src/protocol/choices.ts'
import { decodeRangePage, encodeRangePages, RangeSet } from '../../src/protocol/ranges.ts'
import { systemClock } from '../../src/transfer/clock.ts'
import type { Chunk } from '../../src/transfer/lane.ts'
import { StreamLane } from '../../src/transfer/stream-lane.ts'
import { reachMoving, sessionPair } from '../unit/transfer/session-pair.ts'
import { laneSuite, type LaneSetup } from './lane.ts'

async function openLane(
  streams: [ByteStream, ByteStream],
  compress: CompressSetting = 'none',
  close = (): void => undefined,
): Promise<LaneSetup> {
  const { sender, receiver } = sessionPair(systemClock, {}, streams)
  await reachMoving({ sender, receiver })
  const lane = new StreamLane({
    session: sender,
    clock: systemClock,
    epoch: 1,
    maxChunkBytes: 1 << 20,
    compress,
    compressionLevel: null,
  })
  const arrived: Chunk[] = []
  let gate = Promise.withResolvers<undefined>()
  gate.resolve(undefined)
  receiver.listen((message) => {
    if (message.type !== 'chunk') return undefined
    const { codec, offset, rawBytes, packed } = message
    const keep = (bytes: Uint8Array): void => {
      arrived.push({ start: offset, end: offset + rawBytes, bytes: new Uint8Array(bytes) })
    }
    if (codec === 0) keep(packed)
    return (codec === 0 ? Promise.resolve() : decodeChunk(codec, packed, rawBytes).then(keep)).then(() => gate.promise)
  })
  sender.listen((message) => {
    if (message.type !== 'ack') return
    const ranges = new RangeSet()
    decodeRangePage(message.page, ranges)
    lane.acknowledge([...ranges])
  })
  return {
    lane,
    arrived,
    async acknowledge(ranges) {
      for (const page of encodeRangePages(RangeSet.of(ranges))) await receiver.send({ type: 'ack', page })
    },
    lose: (ranges) => lane.lose(ranges),
    stall() {
      gate = Promise.withResolvers<undefined>()
    },
    goOn: () => gate.resolve(undefined),
    end(how) {
      if (how === 'in order') void receiver.close(0)
      else streams[1].destroy()
    },
    close() {
      gate.resolve(undefined)
      for (const session of [sender, receiver]) session.fail(new Error('the test is over'))
      for (const stream of streams) stream.destroy()
      close()
    },
  }
}

laneSuite('a session over memory', () => openLane(memoryPipe()))
laneSuite('a session over memory in pieces', () => openLane(memoryPipe({ sliceBytes: 40_009, windowBytes: 300_000 })))
laneSuite('a session over TCP', async () => {
  const far = Promise.withResolvers<ByteStream>()
  const listener = await listenTcp({ host: '127.0.0.1', port: 0, onStream: (stream) => far.resolve(stream) })
  const near = await dialTcp({ host: '127.0.0.1', port: listener.port, timeoutMs: 10_000 })
  return openLane([near, await far.promise], 'none', () => void listener.close())
})
for (const compress of ['zstd', 'auto'] as const)
  laneSuite(`a session whose chunks are packed by ${compress}`, () => openLane(memoryPipe(), compress), 200_000)
