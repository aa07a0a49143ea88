/** What Node does not document and `socket-own-reads.ts` relies on, and what it does where that is not so. */

import { once } from 'node:events'
import net from 'node:net'
import { promisify } from 'node:util'

import { afterEach, expect, test } from 'vitest'

import { readInPlace } from '../../../src/carriers/socket-own-reads.ts'

const closing: (() => void)[] = []

afterEach(() => {
  for (const close of closing.splice(0)) close()
})

async function connection(): Promise<{ server: net.Server; accepted: net.Socket; far: net.Socket }> {
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const far = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1')
  const [accepted] = (await once(server, 'connection')) as [net.Socket]
  closing.push(
    () => server.close(),
    () => far.destroy(),
  )
  return { server, accepted, far }
}

test('what comes lands in the buffer that was given, and nothing before the socket is resumed', async () => {
  const { accepted, far } = await connection()
  const room = new Uint8Array(64)
  let landedBytes = 0
  const full = Promise.withResolvers<undefined>()
  const { socket, readsInPlace } = readInPlace(accepted, {
    buffer: () => room.subarray(landedBytes),
    callback: (bytes) => {
      landedBytes += bytes
      if (landedBytes === 11) full.resolve(undefined)
      return true
    },
  })
  closing.push(() => socket.destroy())
  expect(readsInPlace).toBe(true)
  expect(socket.allowHalfOpen).toBe(true)
  expect(socket.remotePort).toBe((far.address() as net.AddressInfo).port)
  far.write('first ')
  await promisify(setImmediate)()
  expect(landedBytes).toBe(0)
  socket.resume()
  far.write('words')
  await full.promise
  expect(Buffer.from(room.subarray(0, 11)).toString()).toBe('first words')
})

test('what was accepted is counted no longer, and the connection lives on until it is closed', async () => {
  const { server, accepted, far } = await connection()
  const { socket } = readInPlace(accepted, { buffer: () => new Uint8Array(64), callback: () => true })
  await promisify(setImmediate)()
  expect(await promisify(server.getConnections.bind(server))()).toBe(0)
  socket.write('still here')
  const [said] = (await once(far, 'data')) as [Buffer]
  expect(said.toString()).toBe('still here')
  const failed = new Promise((resolve) => far.once('error', resolve))
  socket.resetAndDestroy()
  expect(await failed).toMatchObject({ code: 'ECONNRESET' })
})

test('a socket that cannot be told where to read stays as it is', async () => {
  const { accepted, far } = await connection()
  const { _handle: handle } = accepted as unknown as { _handle: object }
  Object.defineProperty(handle, 'useUserBuffer', { value: undefined })
  const { socket, readsInPlace } = readInPlace(accepted, {
    buffer: () => expect.unreachable('it was asked for a buffer'),
    callback: () => expect.unreachable('it read into one'),
  })
  closing.push(() => socket.destroy())
  expect(readsInPlace).toBe(false)
  expect(socket).toBe(accepted)
  far.write('words')
  socket.resume()
  const [said] = (await once(socket, 'data')) as [Buffer]
  expect(said.toString()).toBe('words')
})
