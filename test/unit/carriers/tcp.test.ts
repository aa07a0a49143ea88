/** What TCP adds to the contract: addresses, ports, closing, time-outs and the words for what goes wrong. */

import { once } from 'node:events'
import net from 'node:net'

import { afterEach, describe, expect, test, vi } from 'vitest'

import type { ByteSink, ByteStream, StreamListener } from '../../../src/carriers/carrier.ts'
import { dialFault, listenFault } from '../../../src/carriers/socket-faults.ts'
import { dialTcp, listenTcp } from '../../../src/carriers/tcp.ts'
import { SealiftError } from '../../../src/protocol/errors.ts'

const streams: ByteStream[] = []
const listeners: StreamListener[] = []

afterEach(async () => {
  vi.restoreAllMocks()
  for (const stream of streams.splice(0)) stream.destroy()
  for (const listener of listeners.splice(0)) await listener.close()
})

async function listen(host: string, port = 0): Promise<{ listener: StreamListener; next: () => Promise<ByteStream> }> {
  const accepted: ByteStream[] = []
  const waiting: ((stream: ByteStream) => void)[] = []
  const onStream = (stream: ByteStream): void => {
    streams.push(stream)
    const first = waiting.shift()
    if (first === undefined) accepted.push(stream)
    else first(stream)
  }
  const listener = await listenTcp({ host, port, onStream })
  listeners.push(listener)
  return {
    listener,
    next: async () => accepted.shift() ?? (await new Promise<ByteStream>((resolve) => waiting.push(resolve))),
  }
}

async function dial(host: string, port: number): Promise<ByteStream> {
  const stream = await dialTcp({ host, port, timeoutMs: 10_000 })
  streams.push(stream)
  return stream
}

/** Resolves with all that came until the end. */
function everything(stream: ByteStream): Promise<string> {
  return new Promise((resolve, reject) => {
    const room = new Uint8Array(100)
    let text = ''
    const sink: ByteSink = {
      space: () => room,
      filled: (bytes) => {
        text += Buffer.from(room.subarray(0, bytes)).toString()
        return true
      },
      ended: (error) => {
        if (error === null) resolve(text)
        else reject(error)
      },
    }
    stream.start(sink)
  })
}

describe('addresses', () => {
  test('an IPv4 peer of a listener for everything shows its IPv4 address', async ({ skip }) => {
    const both = await listen('::').catch(() => null)
    if (both === null) return skip('this machine has no IPv6')
    const near = await dial('127.0.0.1', both.listener.port)
    const far = await both.next()
    expect(near.peer).toEqual({ address: '127.0.0.1', port: both.listener.port })
    expect(far.peer.address).toBe('127.0.0.1')
  })

  test('IPv6 works', async ({ skip }) => {
    const six = await listen('::1').catch(() => null)
    if (six === null) return skip('this machine has no IPv6')
    expect(six.listener.address).toBe('::1')
    const near = await dial('::1', six.listener.port)
    expect(near.peer).toEqual({ address: '::1', port: six.listener.port })
    expect((await six.next()).peer.address).toBe('::1')
  })
})

describe('listening', () => {
  test('port 0 gives a free port and says which', async () => {
    const { listener } = await listen('127.0.0.1')
    expect(listener.port).toBeGreaterThan(0)
    expect(listener.address).toBe('127.0.0.1')
  })

  test('a port in use', async () => {
    const { listener } = await listen('127.0.0.1')
    await expect(listen('127.0.0.1', listener.port)).rejects.toMatchObject({
      code: 'port_in_use',
      hint: expect.stringContaining('--port 0'),
    })
  })

  test('an address of another machine', async () => {
    await expect(listen('192.0.2.1')).rejects.toMatchObject({ code: 'address_unavailable' })
  })

  test('a port that cannot be', async () => {
    await expect(listen('127.0.0.1', 70_000)).rejects.toMatchObject({ code: 'settings_invalid' })
    await expect(dial('127.0.0.1', 70_000)).rejects.toMatchObject({ code: 'settings_invalid' })
  })

  test('closing frees the port at once, and streams that were handed out live on', async () => {
    const { listener, next } = await listen('127.0.0.1')
    const near = await dial('127.0.0.1', listener.port)
    const far = await next()
    await Promise.all([listener.close(), listener.close()])
    await expect(dial('127.0.0.1', listener.port)).rejects.toMatchObject({ code: 'connect_failed' })
    const again = await listen('127.0.0.1', listener.port)
    expect(again.listener.port).toBe(listener.port)

    const heard = everything(far)
    await near.write([Buffer.from('still here')])
    await near.end()
    expect(await heard).toBe('still here')
  })

  test('a signal closes it', async () => {
    const stop = new AbortController()
    const listener = await listenTcp({ host: '127.0.0.1', port: 0, onStream: () => {}, signal: stop.signal })
    stop.abort()
    await expect(dial('127.0.0.1', listener.port)).rejects.toMatchObject({ code: 'connect_failed' })
    const late = listenTcp({ host: '127.0.0.1', port: 0, onStream: () => {}, signal: stop.signal })
    await expect(late).rejects.toMatchObject({ code: 'interrupted' })
  })

  test('a signal while it begins leaves nothing open', async () => {
    const stop = new AbortController()
    const { listener } = await listen('127.0.0.1')
    const { port } = listener
    await listener.close()
    const begun = listenTcp({ host: 'localhost', port, onStream: () => {}, signal: stop.signal })
    stop.abort(new SealiftError('terminated', 'enough'))
    await expect(begun).rejects.toMatchObject({ code: 'terminated' })
    // the name is looked up after the abort: then the port must still be free
    await once(net.createServer().listen(0, 'localhost').close(), 'close')
    await expect(dial('127.0.0.1', port)).rejects.toMatchObject({ code: 'connect_failed' })
  })
})

describe('dialling', () => {
  test('nobody there', async () => {
    const { listener } = await listen('127.0.0.1')
    await listener.close()
    const refused = dial('127.0.0.1', listener.port)
    await expect(refused).rejects.toMatchObject({ code: 'connect_failed', exitCode: 5, retryable: true })
    await expect(refused).rejects.toThrow(`127.0.0.1:${listener.port}`)
  })

  test('no answer in time', async () => {
    const silent = new net.Socket()
    vi.spyOn(net, 'connect').mockReturnValue(silent)
    await expect(dialTcp({ host: '::2', port: 7, timeoutMs: 5 })).rejects.toMatchObject({
      code: 'connect_failed',
      message: 'no answer from [::2]:7 within 1 s',
    })
    expect(silent.destroyed).toBe(true)
    // a socket that is given up may still fail, and nobody is there to hear it
    silent.emit('error', new Error('late'))
  })

  test('a signal calls it off, before and during', async () => {
    const silent = new net.Socket()
    vi.spyOn(net, 'connect').mockReturnValue(silent)
    const stop = new AbortController()
    const dialling = dialTcp({ host: '127.0.0.1', port: 7, timeoutMs: 60_000, signal: stop.signal })
    const reason = new SealiftError('terminated', 'enough')
    stop.abort(reason)
    await expect(dialling).rejects.toBe(reason)
    expect(silent.destroyed).toBe(true)
    await expect(dialTcp({ host: '127.0.0.1', port: 7, timeoutMs: 9, signal: stop.signal })).rejects.toBe(reason)
    const other = AbortSignal.abort()
    await expect(dialTcp({ host: '127.0.0.1', port: 7, timeoutMs: 9, signal: other })).rejects.toMatchObject({
      code: 'interrupted',
    })
  })

  test('a signal after the connection leaves the stream alone', async () => {
    const { listener, next } = await listen('127.0.0.1')
    const stop = new AbortController()
    const near = await dialTcp({ host: '127.0.0.1', port: listener.port, timeoutMs: 5000, signal: stop.signal })
    streams.push(near)
    stop.abort()
    const heard = everything(await next())
    await near.write([Buffer.from('on')])
    await near.end()
    expect(await heard).toBe('on')
  })

  test('a reset before the start is told after it, once', async () => {
    const server = net.createServer().listen(0, '127.0.0.1')
    const accepted = once(server, 'connection')
    await once(server, 'listening')
    const near = await dial('127.0.0.1', (server.address() as net.AddressInfo).port)
    const [socket] = (await accepted) as [net.Socket]
    socket.resetAndDestroy()
    // the first write finds the reset; from then on the stream is lost though nothing was read
    const writes = (async () => {
      for (;;) {
        await near.write([Buffer.from('x')])
        await new Promise(setImmediate)
      }
    })()
    await expect(writes).rejects.toMatchObject({ code: 'connection_lost' })
    // until the socket is closed as well, and has nothing more to say by itself
    for (let n = 0; n < 5; n++) await new Promise(setImmediate)
    let ends = 0
    const failure = await new Promise((resolve) =>
      near.start({
        space: () => new Uint8Array(9),
        filled: () => true,
        ended: (error) => {
          ends++
          resolve(error)
        },
      }),
    )
    expect(failure).toMatchObject({ code: 'connection_lost', exitCode: 5 })
    await new Promise(setImmediate)
    expect(ends).toBe(1)
    server.close()
  })
})

describe('system errors become errors of Sealift', () => {
  const system = (code: string): Error => Object.assign(new Error(`${code}: something`), { code })

  test.each([
    ['ECONNREFUSED', 'connect_failed'],
    ['EHOSTUNREACH', 'connect_failed'],
    ['ENETUNREACH', 'connect_failed'],
    ['ETIMEDOUT', 'connect_failed'],
    ['EWHATEVER', 'connect_failed'],
    ['ENOTFOUND', 'host_unknown'],
    ['EAI_AGAIN', 'host_unknown'],
  ])('dialling: %s is %s', (code, expected) => {
    const error = dialFault('example.org', 15_820, system(code))
    expect(error).toMatchObject({ code: expected, exitCode: 5 })
    expect(error.message).toContain('example.org')
    expect(error.hint).toBeTruthy()
  })

  test.each([
    ['EADDRINUSE', 'port_in_use', '--port 0'],
    ['EADDRNOTAVAIL', 'address_unavailable', undefined],
    ['EACCES', 'address_unavailable', '1024'],
    ['EPERM', 'address_unavailable', '1024'],
    ['ENOTFOUND', 'host_unknown', undefined],
    ['EWHATEVER', 'address_unavailable', undefined],
  ])('listening: %s is %s', (code, expected, hint) => {
    const error = listenFault('::', 80, system(code))
    expect(error.code).toBe(expected)
    expect(error.message).toContain('[::]:80')
    if (hint !== undefined) expect(error.hint).toContain(hint)
  })
})
