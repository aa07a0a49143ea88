/** What a side that dials by TLS makes of the certificate, and of the TLS, that it meets. */

import { once } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { ByteStream } from '../../src/carriers/carrier.ts'
import { dialTls, listenTls, type TlsTrust } from '../../src/carriers/tls.ts'
import type { LeafOptions, MadeCertificate } from '../../src/identity/certificate-making.ts'
import { SealiftError } from '../../src/protocol/errors.ts'
import { TestAuthority, YEARS_AGO_MS } from '../rigs/certificates.ts'

const DAY_MS = 24 * 3600 * 1000
let authority: TestAuthority

beforeAll(async () => {
  // Old enough to have signed what has expired since.
  authority = await TestAuthority.make('Test CA', Date.now() - YEARS_AGO_MS)
})

/** Meets a server that shows this. @returns the stream, or why there is none */
async function meet(
  own: MadeCertificate,
  trust: Partial<TlsTrust> = {},
  host = '127.0.0.1',
): Promise<ByteStream | SealiftError> {
  const listener = await listenTls({
    host: '127.0.0.1',
    port: 0,
    own,
    clientCa: null,
    onStream: (stream) => void stream.seal?.().catch(() => stream.destroy()),
  })
  onTestFinished(() => listener.close())
  return dial(listener.port, trust, host)
}

async function dial(
  port: number,
  trust: Partial<TlsTrust> = {},
  host = '127.0.0.1',
  timeoutMs = 10_000,
): Promise<ByteStream | SealiftError> {
  const whole = { ca: authority.own.cert, own: null, serverName: null, ...trust }
  try {
    const stream = await dialTls({ host, port, timeoutMs, trust: whole })
    onTestFinished(() => stream.destroy())
    return stream
  } catch (error) {
    return error as SealiftError
  }
}

async function shows(options: Partial<LeafOptions> = {}, daysFromNow = 0): Promise<MadeCertificate> {
  return authority.sign(options, Date.now() + daysFromNow * DAY_MS)
}

function messageOf(met: ByteStream | SealiftError): string {
  return met instanceof SealiftError ? met.message : 'it was taken'
}

const PEER = expect.objectContaining({ address: '127.0.0.1' }) as unknown

describe('a certificate', () => {
  test('that a CA vouches for, for this name or address, is taken', async () => {
    expect(await meet(await shows())).toMatchObject({ peer: PEER })
    expect(await meet(await shows(), {}, 'localhost')).toMatchObject({ peer: PEER })
    expect(
      await meet(await shows({ hosts: ['files.example.com'] }), { serverName: 'files.example.com' }),
    ).toMatchObject({
      peer: PEER,
    })
  })

  test('of a CA that is not trusted is refused, and so it is where none is named', async () => {
    const other = await TestAuthority.make('Another CA')
    for (const ca of [other.own.cert, null])
      expect(await meet(await shows(), { ca })).toMatchObject({
        code: 'certificate_untrusted',
        exitCode: 4,
        retryable: false,
      })
  })

  test('of another CA of the same name is refused', async () => {
    const namesake = await TestAuthority.make('Test CA')
    expect(await meet(await namesake.sign())).toMatchObject({ code: 'certificate_untrusted' })
  })

  test('that was made for clients is refused of a server', async () => {
    const error = await meet(await shows({ purpose: 'client' }))
    expect(error).toMatchObject({ code: 'certificate_untrusted' })
    expect(messageOf(error)).toContain('this purpose')
  })

  test('for another name is refused, with the names that it has', async () => {
    const error = await meet(await shows({ hosts: ['files.example.com', '192.0.2.7'] }))
    expect(error).toMatchObject({ code: 'certificate_name', exitCode: 4, retryable: false })
    expect(messageOf(error)).toContain('is for files.example.com, 192.0.2.7, not for 127.0.0.1')
    expect((error as SealiftError).hint).toContain('--server-name')
  })

  test('is for what it says in its alternative names, whatever its common name', async () => {
    const own = await shows({ name: '127.0.0.1', hosts: ['files.example.com'] })
    expect(await meet(own)).toMatchObject({ code: 'certificate_name' })
    expect(await meet(own, { serverName: '127.0.0.1' })).toMatchObject({ code: 'certificate_name' })
  })

  test('with a common name alone is taken under --server-name, and not without', async () => {
    const own = await shows({ name: 'Our Server', hosts: [] })
    const error = await meet(own)
    expect(error).toMatchObject({ code: 'certificate_name' })
    expect((error as SealiftError).hint).toContain('--server-name Our Server')
    expect(await meet(await shows({ name: 'localhost', hosts: [] }), {}, 'localhost')).toMatchObject({
      code: 'certificate_name',
    })
    expect(await meet(own, { serverName: 'our server' })).toMatchObject({ peer: PEER })
    expect(await meet(own, { serverName: 'another server' })).toMatchObject({ code: 'certificate_name' })
  })

  test('that has expired, or is not valid yet, is refused with that reason', async () => {
    const expired = await meet(await shows({}, -500))
    const early = await meet(await shows({}, 30))
    for (const error of [expired, early])
      expect(error).toMatchObject({ code: 'certificate_time', exitCode: 4, retryable: false })
    expect([messageOf(expired), messageOf(early)]).toEqual([
      expect.stringContaining('has expired'),
      expect.stringContaining('not valid yet'),
    ])
  })
})

describe('a server', () => {
  async function serve(server: net.Server): Promise<number> {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    return (server.address() as net.AddressInfo).port
  }

  test('that speaks TLS 1.2 and no newer is refused', async () => {
    const own = await shows()
    const error = await dial(
      await serve(tls.createServer({ ...own, maxVersion: 'TLSv1.2' }).on('tlsClientError', () => {})),
    )
    expect(error).toMatchObject({ code: 'tls_failed', exitCode: 4, retryable: false })
    expect(messageOf(error)).toContain('TLS 1.3')
  })

  test('that does not speak TLS is told as such', async () => {
    const port = await serve(
      net.createServer((socket) => socket.on('error', () => {}).end('220 mail.example.com ready\r\n')),
    )
    const error = await dial(port)
    expect(error).toMatchObject({ code: 'not_sealift' })
    expect((error as SealiftError).hint).toContain('without --tls')
  })

  test('that hangs up, or says nothing, is a fault of the network', async () => {
    const rude = await serve(net.createServer((socket) => socket.on('error', () => {}).end()))
    expect(await dial(rude)).toMatchObject({ code: 'connection_lost', retryable: true })
    const sockets: net.Socket[] = []
    const mute = await serve(net.createServer((socket) => sockets.push(socket.on('error', () => {}))))
    onTestFinished(() => sockets.forEach((socket) => socket.destroy()))
    expect(await dial(mute, {}, '127.0.0.1', 100)).toMatchObject({ code: 'connect_failed', retryable: true })
  })

  test('agrees on a group that withstands quantum computers by default, without being asked to', async () => {
    const stream = (await meet(await shows())) as ByteStream
    expect(await stream.seal?.()).toMatchObject({
      isHybrid: true,
      cipher: 'aes-256-gcm',
      certificate: expect.anything(),
    })
  })
})

test('a signal calls TLS off in the middle, with its reason', async () => {
  const sockets: net.Socket[] = []
  const server = net.createServer((socket) => sockets.push(socket.on('error', () => {}))).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    sockets.forEach((socket) => socket.destroy())
    server.close()
  })
  const stop = new AbortController()
  const trust = { ca: authority.own.cert, own: null, serverName: null }
  const { port } = server.address() as net.AddressInfo
  const dialled = dialTls({ host: '127.0.0.1', port, timeoutMs: 5000, signal: stop.signal, trust })
  await once(server, 'connection')
  stop.abort(new SealiftError('interrupted', 'stopped by the test'))
  await expect(dialled).rejects.toMatchObject({ message: 'stopped by the test' })
})
