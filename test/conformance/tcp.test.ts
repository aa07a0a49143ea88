/** TCP under the stream carrier's contract: over IPv4, by a name with several addresses, and where accepted sockets copy. */

import { once } from 'node:events'
import net from 'node:net'

import { expect, test } from 'vitest'

import type { ByteStream } from '../../src/carriers/carrier.ts'
import { dialTcp, listenTcp } from '../../src/carriers/tcp.ts'
import { streamCarrierSuite } from './stream-carrier.ts'
import type { StreamCarrierSetup } from './stream-carrier.ts'

async function loopback(listenHost: string, dialHost: string, inPlace = true): Promise<StreamCarrierSetup> {
  const accepted: ((stream: ByteStream) => void)[] = []
  const listener = await listenTcp({
    host: listenHost,
    port: 0,
    inPlace,
    onStream: (stream) => accepted.shift()!(stream),
  })
  return {
    async pair() {
      const far = new Promise<ByteStream>((resolve) => accepted.push(resolve))
      const near = await dialTcp({ host: dialHost, port: listener.port, timeoutMs: 10_000 })
      return [near, await far]
    },
    close: () => listener.close(),
  }
}

streamCarrierSuite('TCP', () => loopback('127.0.0.1', '127.0.0.1'))
streamCarrierSuite('TCP by name', () => loopback('127.0.0.1', 'localhost'))
streamCarrierSuite('TCP that copies', () => loopback('127.0.0.1', '127.0.0.1', false))

test('the suite above runs over real sockets', async () => {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  const [stream] = await Promise.all([
    dialTcp({ host: '127.0.0.1', port, timeoutMs: 5000 }),
    once(server, 'connection'),
  ])
  expect(stream.peer).toEqual({ address: '127.0.0.1', port })
  stream.destroy()
  server.close()
})
