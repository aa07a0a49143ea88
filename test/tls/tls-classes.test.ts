/** The classes with certificates: what the first users of them wrote, and what they get where something is wrong with it. */

import fs from 'node:fs'
import { beforeAll, expect, test } from 'vitest'
import { type ProgressEvent, SealiftError } from '../../src/index.ts'
import { plantCertificate, TestAuthority } from '../rigs/certificates.ts'
import { ClassPlace, sha256 } from '../rigs/class-place.ts'

const codeOf = (error: unknown): unknown => (error instanceof SealiftError ? error.code : error)

let authority: TestAuthority

beforeAll(async () => {
  authority = await TestAuthority.make()
})

interface TlsPlace {
  readonly place: ClassPlace
  readonly cafile: string
  readonly server: { readonly certfile: string; readonly keyfile: string }
}

async function tlsPlace(): Promise<TlsPlace> {
  const place = new ClassPlace()
  const cafile = plantCertificate(place.path('tls'), 'ca', authority.own).cert
  const { cert, key } = plantCertificate(place.path('tls'), 'server', await authority.sign())
  return { place, cafile, server: { certfile: cert, keyfile: key } }
}

test('a client with the CA sends to a server with a certificate, one file and many', async () => {
  const { place, cafile, server } = await tlsPlace()
  await place.startServer(server)
  const client = place.makeClient({ cafile })
  const files = ['1', '2', '3'].map((name) => place.plant(`file${name}.txt`, `number ${name}\n`.repeat(100)))
  const [first = ''] = files
  const sent = await client.sendFile(first, { priority: 9, compressionLevel: 6 })
  expect(sent).toMatchObject({ status: 'ok', sha256: sha256(fs.readFileSync(first)) })
  const results = await client.sendFilesInParallel(files, { concurrency: 3 })
  expect(results.map((result) => (result.ok ? result.status : result.error))).toEqual(['skipped', 'ok', 'ok'])
  expect(place.list()).toEqual(['file1.txt', 'file2.txt', 'file3.txt'])
  expect(place.events).toContainEqual(expect.objectContaining({ event: 'connected', suite: 'tls' }))
})

test('a client goes on over TLS with what is missing', async () => {
  const { place, cafile, server } = await tlsPlace()
  await place.startServer(server)
  const content = Buffer.alloc(9 << 20, 'over TLS ')
  const file = place.plant('example.bin', content)
  const stop = new AbortController()
  const onProgress = ({ bytesDone }: ProgressEvent): void => {
    if (bytesDone > 0) stop.abort()
  }
  const first = await place
    .makeClient({ cafile, bytesPerSecond: 8 << 20 })
    .sendFile(file, { signal: stop.signal, onProgress })
    .catch(codeOf)
  expect(first).toBe('interrupted')
  const again = await place.makeClient({ cafile }).sendFile(file)
  expect(again).toMatchObject({ status: 'ok', sha256: sha256(content) })
  expect(again.resumedBytes).toBeGreaterThan(0)
})

test('a server with the CA of its clients needs nothing else to say who may send', async () => {
  const { place, cafile, server } = await tlsPlace()
  await place.startServer({ ...server, open: undefined, cafile })
  const { cert, key } = plantCertificate(
    place.path('tls'),
    'client',
    await authority.sign({ purpose: 'client', name: 'ana', hosts: [] }),
  )
  const file = place.plant('example.txt', 'with a certificate')
  expect(await place.makeClient({ cafile }).sendFile(file).catch(codeOf)).toBe('certificate_refused')
  const sent = await place.makeClient({ cafile, certfile: cert, keyfile: key }).sendFile(file)
  expect(sent.status).toBe('ok')
})

test('files that are missing or do not belong together are said before anything else', async () => {
  const { place, cafile, server } = await tlsPlace()
  const { certfile, keyfile } = server
  expect(await place.makeServer({ certfile }).start().catch(codeOf)).toBe('settings_invalid')
  expect(await place.makeServer({ cafile }).start().catch(codeOf)).toBe('settings_invalid')
  const absent = place.path('absent.pem')
  expect(await place.makeServer({ certfile: absent, keyfile }).start().catch(codeOf)).toBe('certificate_invalid')
  const file = place.plant('example.txt', 'text')
  await place.startServer(server)
  expect(await place.makeClient({ cafile: absent }).sendFile(file).catch(codeOf)).toBe('certificate_invalid')
  expect(await place.makeClient({ cafile, certfile }).sendFile(file).catch(codeOf)).toBe('usage')
  expect(place.events).toEqual([])
})
