/** TLS under the stream carrier's contract, over loopback. */

import { setImmediate as turn } from 'node:timers/promises'

import type { ByteStream } from '../../src/carriers/carrier.ts'
import { dialTls, listenTls } from '../../src/carriers/tls.ts'
import { TestAuthority } from '../rigs/certificates.ts'
import { type StreamCarrierSetup, streamCarrierSuite } from './stream-carrier.ts'

async function loopback(): Promise<StreamCarrierSetup> {
  const authority = await TestAuthority.make()
  const accepted: ((stream: ByteStream) => void)[] = []
  const listener = await listenTls({
    host: '127.0.0.1',
    port: 0,
    own: await authority.sign(),
    clientCa: null,
    onStream: (stream) => accepted.shift()!(stream),
  })
  const trust = { ca: authority.own.cert, own: null, serverName: null }
  return {
    async pair() {
      const far = new Promise<ByteStream>((resolve) => accepted.push(resolve)).then(async (stream) => {
        await stream.seal?.()
        return stream
      })
      const near = dialTls({ host: '127.0.0.1', port: listener.port, timeoutMs: 10_000, trust })
      const ends: [ByteStream, ByteStream] = [await near, await far]
      // The server's tickets are on their way then. A side that dropped the connection before it has read them would reset it.
      for (let turns = 0; turns < 3; turns++) await turn()
      return ends
    },
    close: () => listener.close(),
  }
}

streamCarrierSuite('TLS', loopback)
