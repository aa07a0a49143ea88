/** What a dropped socket leaves behind; in a file of its own, since all sockets of the process are counted. */

import { once } from 'node:events'
import net from 'node:net'

import { expect, test } from 'vitest'

import type { ByteStream } from '../../src/carriers/carrier.ts'
import { dialTcp } from '../../src/carriers/tcp.ts'
import { watchLeftovers } from '../rigs/leftovers.ts'

test('a socket that is dropped while its orderly end is under way is let go of', async () => {
  const server = net.createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  const leftovers = watchLeftovers()
  const [stream, [far]] = (await Promise.all([
    dialTcp({ host: '127.0.0.1', port, timeoutMs: 5000 }),
    once(server, 'connection'),
  ])) as [ByteStream, [net.Socket]]
  const written = stream.write([new Uint8Array(100)])
  const ended = stream.end()
  stream.destroy()
  await expect(written).rejects.toThrow()
  await ended
  far.destroy()
  expect(await leftovers()).toEqual([])
  server.close()
})
