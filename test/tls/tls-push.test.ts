/** Files go to a receiving server over TLS: by token, key and certificate, after a cut, and past nobody in between. */

import { once } from 'node:events'
import fs from 'node:fs'
import net from 'node:net'
import tls from 'node:tls'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { resumeTransfer, type SendOptions } from '../../src/index.ts'
import { createIdentity } from '../../src/library/create-identity.ts'
import { ChaosProxy } from '../rigs/chaos-proxy.ts'
import { plantCertificate, TestAuthority } from '../rigs/certificates.ts'
import { ended, ServerPlace } from '../rigs/server-place.ts'

let authority: TestAuthority

beforeAll(async () => {
  authority = await TestAuthority.make()
})

interface TlsPlace {
  readonly place: ServerPlace
  /** What its senders need. */
  readonly met: SendOptions
}

async function tlsPlace(settings: Record<string, string> = {}, atMs = Date.now()): Promise<TlsPlace> {
  const all: Record<string, string> = { ST_TLS: 'yes', ...settings }
  const place = new ServerPlace(all)
  const ca = plantCertificate(place.path('tls'), 'ca', authority.own).cert
  const { cert, key } = plantCertificate(place.path('tls'), 'server', await authority.sign({}, atMs))
  Object.assign(all, { ST_CERT: cert, ST_KEY: key, ...(settings['ST_CA'] === 'own' ? { ST_CA: ca } : {}) })
  return { place, met: { tls: true, ca } }
}

/** A certificate by which a sender is known. */
async function clientOf(place: ServerPlace, name: string, by = authority): Promise<{ cert: string; key: string }> {
  return plantCertificate(place.path('clients'), name, await by.sign({ purpose: 'client', name, hosts: [] }))
}

describe('a server with TLS', () => {
  test('takes a file by its token, and both sides say what sealed it', async () => {
    const { place, met } = await tlsPlace()
    await place.start()
    const file = place.plant('ana', 'a.txt', 'over TLS')
    const { error, events } = await place.pushed('ana', file, met)
    expect(error).toBeNull()
    expect(place.read('a.txt')).toBe('over TLS')
    expect(events).toContainEqual(
      expect.objectContaining({ event: 'connected', suite: 'tls+mlkem768', cipher: 'aes-256-gcm' }),
    )
    expect(await place.heard('connected')).toMatchObject({ suite: 'tls', cipher: 'aes-256-gcm' })
    // The CA vouches for the server: there is nothing to remember of its key.
    expect(events.filter(({ event }) => event === 'warning')).toEqual([])
    expect(fs.existsSync(place.path('ana', 'config', 'known_hosts'))).toBe(false)
  })

  test('lets nobody in by a wrong token or by none, and believes a server key that is named too', async () => {
    const { place, met } = await tlsPlace()
    await place.start()
    const file = place.plant('ana', 'a.txt', 'one')
    for (const token of ['wrong-words-all-four', undefined])
      expect((await place.pushed('ana', file, { ...met, token })).error).toMatchObject({ code: 'auth_failed' })
    const other = { ...met, serverKey: `SHA256:${'A'.repeat(43)}` }
    expect((await place.pushed('ana', file, other)).error).toMatchObject({ code: 'key_changed' })
    const { fingerprint } = place.server
    expect((await place.pushed('ana', file, { ...met, serverKey: fingerprint })).error).toBeNull()
  })

  test('may have a new server key at any time, since its CA vouches for it', async () => {
    const { place, met } = await tlsPlace({ ST_OPEN: 'yes' })
    await place.start()
    expect((await place.pushed('ana', place.plant('ana', 'a.txt', 'one'), met)).error).toBeNull()
    await place.stop()
    fs.unlinkSync(place.path('server.key'))
    await place.start()
    expect((await place.pushed('ana', place.plant('ana', 'b.txt', 'two'), met)).error).toBeNull()
  })

  test('takes an authorised key inside TLS', async () => {
    const keys = new ServerPlace()
    const { privateKey, line } = await createIdentity({ outputDir: keys.path('keys'), name: 'ana' })
    fs.writeFileSync(keys.path('list'), `${line}\n`)
    const { place, met } = await tlsPlace({ ST_AUTHORIZED_KEYS: keys.path('list'), ST_LAYOUT: 'by-sender' })
    await place.start()
    const file = place.plant('ana', 'a.txt', 'one')
    expect((await place.pushed('ana', file, met)).error).toMatchObject({ code: 'peer_refused' })
    expect((await place.pushed('ana', file, { ...met, identity: privateKey })).error).toBeNull()
    expect(place.read('ana', 'a.txt')).toBe('one')
  })

  test('starts with a certificate that has expired, with a loud warning, and its senders refuse it at once', async () => {
    const { place, met } = await tlsPlace({}, Date.now() - 400 * 24 * 3600 * 1000)
    await place.start()
    expect(await place.heard('warning')).toMatchObject({ code: 'certificate_time' })
    const { error } = await place.pushed('ana', place.plant('ana', 'a.txt', 'one'), met)
    expect(error).toMatchObject({ code: 'certificate_time', exitCode: 4 })
  })

  test('and one without tell each other apart, with a hint', async () => {
    const { place, met } = await tlsPlace()
    await place.start()
    const file = place.plant('ana', 'a.txt', 'one')
    const plain = await place.pushed('ana', file)
    expect(plain.error).toMatchObject({
      code: 'not_sealift',
      exitCode: 5,
      hint: expect.stringContaining('--tls') as string,
    })
    expect(await place.heard('refused')).toMatchObject({ code: 'not_sealift' })
    const open = new ServerPlace()
    await open.start()
    const sealed = await open.pushed('ana', file, met)
    expect(sealed.error).toMatchObject({
      code: 'not_sealift',
      hint: expect.stringContaining('without --tls') as string,
    })
  })

  test('lets a handshake of TLS that stands still, or is too long, take nothing but its time', async () => {
    const { place, met } = await tlsPlace({ ST_HANDSHAKE_TIMEOUT: '1' })
    await place.start()
    const still = net.connect(place.server.port, '127.0.0.1')
    const long = net.connect(place.server.port, '127.0.0.1')
    onTestFinished(() => {
      for (const socket of [still, long]) socket.destroy()
    })
    const closed = [still, long].map(
      (socket) => new Promise((resolve) => socket.resume().on('error', resolve).on('close', resolve)),
    )
    // The head of a ClientHello that announces 64 KiB, and as much of it as the other side takes.
    const head = Buffer.from([0x16, 3, 1, 0x40, 0, 1, 1, 0, 0, 3, 3])
    still.write(head)
    long.write(Buffer.concat([head, Buffer.alloc(200_000)]))
    expect((await place.pushed('ana', place.plant('ana', 'a.txt', 'one'), met)).error).toBeNull()
    await Promise.all(closed)
    expect(await place.heard('refused', ({ code }) => code === 'tls_failed')).toBeDefined()
    expect(await place.heard('refused', ({ code }) => code === 'peer_silent')).toBeDefined()
  })
})

describe('a certificate of a client', () => {
  test('lets it in without a token, as an owner of its own', async () => {
    const { place, met } = await tlsPlace({ ST_CA: 'own', ST_LAYOUT: 'by-sender' })
    await place.start()
    expect(place.server).toMatchObject({ token: null, others: null })
    const file = place.plant('ana', 'a.txt', 'one')
    const none = await place.pushed('ana', file, met)
    expect(none.error).toMatchObject({ code: 'certificate_refused', exitCode: 4 })
    expect((await place.pushed('ana', file, { ...met, ...(await clientOf(place, 'ana')) })).error).toBeNull()
    // The same machine, and so the same device key, under another certificate.
    expect((await place.pushed('ana', file, { ...met, ...(await clientOf(place, 'bob')) })).error).toBeNull()
    const owners = place.list()
    expect(owners).toHaveLength(2)
    for (const owner of owners) expect(place.read(owner, 'a.txt')).toBe('one')
  })

  test('of another CA, or one that has expired, is refused whatever else its sender has', async () => {
    const { place, met } = await tlsPlace({ ST_CA: 'own', ST_OPEN: 'yes' })
    await place.start()
    const file = place.plant('ana', 'a.txt', 'one')
    const strange = await clientOf(place, 'strange', await TestAuthority.make('Another CA'))
    const { error } = await place.pushed('ana', file, { ...met, ...strange })
    expect(error).toMatchObject({ code: 'certificate_refused', exitCode: 4 })
    const longAgo = Date.now() - 400 * 24 * 3600 * 1000
    const old = plantCertificate(
      place.path('clients'),
      'old',
      await authority.sign({ purpose: 'client', name: 'old', hosts: [] }, longAgo),
    )
    expect((await place.pushed('ana', file, { ...met, ...old })).error).toMatchObject({ code: 'certificate_refused' })
    // One that shows none goes by what else the server has: it is open.
    expect((await place.pushed('ana', file, met)).error).toBeNull()
  })

  test('is asked for again when its sender comes back', async () => {
    const { place, met } = await tlsPlace({ ST_CA: 'own' })
    await place.start()
    const file = place.plant('ana', 'big.bin', new Uint8Array(2 << 20).fill(7))
    const shown = { ...met, ...(await clientOf(place, 'ana')) }
    const first = place.push('ana', file, { ...shown, bytesPerSecond: 1 << 20 })
    for await (const event of first) if (event.event === 'progress') first.cancel()
    await first.done.catch(() => undefined)
    const without = await place.pushed('ana', file, met)
    expect(without.error).toMatchObject({ code: 'certificate_refused' })
    expect((await place.pushed('ana', file, shown)).result).toMatchObject({ files: 1 })
  })
})

test('further streams of a transfer are TLS as well', async () => {
  const { place, met } = await tlsPlace()
  await place.start()
  const proxy = await ChaosProxy.start({ port: place.server.port, plan: () => [] })
  onTestFinished(() => proxy.close())
  const bytes = Buffer.alloc(8 << 20, 'some bytes that go over TLS ')
  const file = place.plant('ana', 'big.bin', bytes)
  const options = { ...met, to: `127.0.0.1:${String(proxy.port)}`, streams: 3, bytesPerSecond: 16 << 20 }
  const { error, events } = await place.pushed('ana', file, options)
  expect(error).toBeNull()
  expect(fs.readFileSync(`${place.out}/big.bin`).equals(bytes)).toBe(true)
  expect(proxy.connections).toHaveLength(3)
  expect(events.filter(({ event }) => event === 'warning')).toEqual([])
})

describe('an interruption', () => {
  test('of the connection is healed within the same push, by resume inside TLS', async () => {
    const { place, met } = await tlsPlace()
    await place.start()
    const proxy = await ChaosProxy.start({
      port: place.server.port,
      plan: (connection) =>
        connection === 0 ? [{ direction: 'up', spot: 700_000, fault: { kind: 'cut', how: 'reset' } }] : [],
    })
    onTestFinished(() => proxy.close())
    const bytes = Buffer.alloc(3 << 20, 'some bytes that go over TLS ')
    const file = place.plant('ana', 'big.bin', bytes)
    const { error, events } = await place.pushed('ana', file, { ...met, to: `127.0.0.1:${String(proxy.port)}` })
    expect(error).toBeNull()
    expect(fs.readFileSync(`${place.out}/big.bin`).equals(bytes)).toBe(true)
    expect(proxy.connections).toHaveLength(2)
    expect(events).toContainEqual(expect.objectContaining({ event: 'warning', code: 'connection_lost' }))
    expect(place.events.filter(({ event }) => event === 'connected')).toHaveLength(2)
  })

  test('of the sender is gone on with by its id alone, over TLS again and without the token', async () => {
    const { place, met } = await tlsPlace()
    await place.start()
    const file = place.plant('ana', 'big.bin', new Uint8Array(2 << 20).fill(7))
    const first = place.push('ana', file, { ...met, bytesPerSecond: 1 << 20 })
    let id = ''
    for await (const event of first)
      if (event.event === 'progress') {
        id = event.transferId
        first.cancel()
      }
    await first.done.catch(() => undefined)
    const { ledgerPath, configFolder } = place.pushOptions('ana')
    const second = await ended(resumeTransfer(id, { ledgerPath, configFolder }))
    expect(second.error).toBeNull()
    expect(second.events).toContainEqual(expect.objectContaining({ event: 'connected', suite: 'tls+mlkem768' }))
    expect(fs.statSync(`${place.out}/big.bin`).size).toBe(2 << 20)
  })

  test('finds a certificate that is no good any more, and does not try again', async () => {
    const { place, met } = await tlsPlace()
    await place.start()
    const other = await TestAuthority.make('Another CA')
    const impostor = tls.createServer({ ...(await other.sign()) }).on('tlsClientError', () => undefined)
    impostor.listen(0, '127.0.0.1')
    await once(impostor, 'listening')
    onTestFinished(() => void impostor.close())
    const proxy = await ChaosProxy.start({ port: place.server.port })
    onTestFinished(() => proxy.close())
    const file = place.plant('ana', 'big.bin', new Uint8Array(2 << 20).fill(7))
    const push = place.push('ana', file, { ...met, to: `127.0.0.1:${String(proxy.port)}`, bytesPerSecond: 1 << 20 })
    for await (const event of push)
      if (event.event === 'progress' && proxy.connections.length === 1) {
        proxy.senderPort = (impostor.address() as net.AddressInfo).port
        proxy.cutAll()
      }
    await expect(push.done).rejects.toMatchObject({ code: 'certificate_untrusted' })
    expect(proxy.connections).toHaveLength(2)
  })
})

test('whoever stands between, even with a certificate of the same CA, cannot pass anything on', async () => {
  const { place, met } = await tlsPlace()
  await place.start()
  const passed: Buffer[] = []
  const relay = tls.createServer({ ...(await authority.sign()), minVersion: 'TLSv1.3' }, (near) => {
    const far = tls.connect({ port: place.server.port, host: '127.0.0.1', ca: authority.own.cert })
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('error', () => to.destroy())
      from.on('data', (bytes: Buffer) => passed.push(bytes))
      from.pipe(to)
    }
  })
  relay.listen(0, '127.0.0.1')
  await once(relay, 'listening')
  onTestFinished(() => void relay.close())
  const { port } = relay.address() as net.AddressInfo
  const file = place.plant('ana', 'a.txt', 'not for the relay')
  const { error } = await place.pushed('ana', file, { ...met, to: `127.0.0.1:${String(port)}` })
  expect(error).toMatchObject({ code: 'auth_failed', exitCode: 4 })
  expect(place.list()).toEqual([])
  // It was refused before the token was asked for: the handshake that would have sealed it did not open.
  expect(Buffer.concat(passed).includes('SLFT')).toBe(true)
  expect(Buffer.concat(passed).includes('not for the relay')).toBe(false)
  expect((await place.pushed('ana', file, met)).error).toBeNull()
})
