/** The memory carrier under the stream carrier's contract: as it is, cut into odd pieces, with a window of a few bytes. */

import type { ByteStream } from '../../src/carriers/carrier.ts'
import { memoryNetwork, memoryPipe } from '../../src/carriers/memory.ts'
import type { MemoryPipeOptions } from '../../src/carriers/memory.ts'
import { streamCarrierSuite } from './stream-carrier.ts'
import type { StreamCarrierSetup } from './stream-carrier.ts'

function pipes(options: MemoryPipeOptions): () => Promise<StreamCarrierSetup> {
  return () => Promise.resolve({ pair: () => Promise.resolve(memoryPipe(options)), close: () => Promise.resolve() })
}

streamCarrierSuite('memory', pipes({}))
streamCarrierSuite('memory in slices', pipes({ sliceBytes: 1021, windowBytes: 50_000 }))

streamCarrierSuite('a memory network', () => {
  const network = memoryNetwork()
  let accepted: ByteStream | null = null
  const listener = network.listen((stream) => (accepted = stream))
  return Promise.resolve({
    async pair() {
      const near = await network.dial()
      return [near, accepted!]
    },
    close: () => listener.close(),
  })
})
