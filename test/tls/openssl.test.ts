/**
 * TLS against real openssl: certificates of the recipe that people know, and clients and servers of another kind. With
 * SEALIFT_SLOW=1 the recipe's keys are of its own size, RSA with 4,096 bits.
 */

import { execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createCertificate } from '../../src/library/create-certificate.ts'
import { ServerPlace } from '../rigs/server-place.ts'

const run = promisify(execFile)
const hasOpenssl = spawnSync('openssl', ['version']).status === 0
if (!hasOpenssl) process.stdout.write('skipped: tests of TLS against openssl (no openssl here)\n')
const RSA = process.env['SEALIFT_SLOW'] === '1' ? 'rsa:4096' : 'rsa:2048'

let folder = ''

beforeAll(() => {
  folder = fs.mkdtempSync(join(tmpdir(), 'sealift-openssl-'))
})
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }))

/** Runs a line of openssl in a folder; what it asks for is answered a line each. */
async function openssl(line: string, cwd = folder, answers: readonly string[] = []): Promise<string> {
  const running = run('openssl', line.split(' '), { cwd })
  // one that asks for nothing may be done before it was answered
  running.child.stdin?.on('error', () => undefined)
  running.child.stdin?.end(answers.map((answer) => `${answer}\n`).join(''))
  return (await running).stdout
}

/** Answers to: country, state, city, organisation, unit, common name, e-mail; for a request also a password and a name. */
function subject(commonName: string): string[] {
  return ['', '', '', '', '', commonName, '', '', '']
}

/** The recipe as it is written, line by line. */
async function followRecipe(name: string, names: { ca: string; server: string }): Promise<string> {
  const cwd = join(folder, name)
  fs.mkdirSync(cwd)
  const ca = `req -x509 -newkey ${RSA} -keyout ca_key.pem -out ca_cert.pem -days 365 -nodes`
  const request = `req -new -newkey ${RSA} -keyout server_key.pem -out server_csr.pem -nodes`
  await Promise.all([openssl(ca, cwd, subject(names.ca)), openssl(request, cwd, subject(names.server))])
  await openssl(
    'x509 -req -in server_csr.pem -CA ca_cert.pem -CAkey ca_key.pem -CAcreateserial -out server_cert.pem -days 365',
    cwd,
  )
  return cwd
}

async function serve(cert: string, key: string, settings: Record<string, string> = {}): Promise<ServerPlace> {
  const place = new ServerPlace({ ST_TLS: 'yes', ST_CERT: cert, ST_KEY: key, ...settings })
  await place.start()
  return place
}

describe.skipIf(!hasOpenssl)('the recipe with openssl', () => {
  test('works as it is written, under the name that it was given', async () => {
    const cwd = await followRecipe('named', { ca: 'Our CA', server: 'our-server' })
    const place = await serve(join(cwd, 'server_cert.pem'), join(cwd, 'server_key.pem'))
    const file = place.plant('ana', 'a.txt', 'by the recipe')
    const met = { tls: true, ca: join(cwd, 'ca_cert.pem') }
    const unnamed = await place.pushed('ana', file, met)
    expect(unnamed.error).toMatchObject({
      code: 'certificate_name',
      exitCode: 4,
      hint: expect.stringContaining('--server-name our-server') as string,
    })
    expect((await place.pushed('ana', file, { ...met, serverName: 'our-server' })).error).toBeNull()
    expect(place.read('a.txt')).toBe('by the recipe')
    // Its CA signs what sealift makes, too.
    const { certificate, privateKey } = await createCertificate('server', {
      outputDir: copyOfCa(cwd),
      hosts: ['127.0.0.1'],
    })
    const other = await serve(certificate, privateKey)
    expect((await other.pushed('ana', file, met)).error).toBeNull()
  })

  test('says what to do where nothing was answered: all subjects are the same then', async () => {
    const cwd = await followRecipe('nameless', { ca: '', server: '' })
    const place = await serve(join(cwd, 'server_cert.pem'), join(cwd, 'server_key.pem'))
    const met = { tls: true, ca: join(cwd, 'ca_cert.pem'), serverName: 'our-server' }
    const { error } = await place.pushed('ana', place.plant('ana', 'a.txt', 'one'), met)
    expect(error).toMatchObject({ exitCode: 4, retryable: false })
    expect(error?.hint).toMatch(/the same subject|-subj/)
  })

  test('and one that has signed itself is refused as such', async () => {
    await openssl(
      'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout self_key.pem -out self_cert.pem -nodes -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1',
    )
    const place = await serve(join(folder, 'self_cert.pem'), join(folder, 'self_key.pem'))
    const other = (await createCertificate('ca', { outputDir: join(folder, 'own') })).certificate
    const file = place.plant('ana', 'a.txt', 'one')
    const { error } = await place.pushed('ana', file, { tls: true, ca: other })
    expect(error).toMatchObject({
      code: 'certificate_untrusted',
      message: expect.stringContaining('signed itself') as string,
    })
    // Named as a CA, it vouches for itself.
    expect((await place.pushed('ana', file, { tls: true, ca: join(folder, 'self_cert.pem') })).error).toBeNull()
  })
})

/** The recipe's CA in a folder of its own, so that the recipe's other files are not in the way. */
function copyOfCa(cwd: string): string {
  const copy = join(cwd, 'copy')
  fs.mkdirSync(copy)
  for (const file of ['ca_cert.pem', 'ca_key.pem']) fs.copyFileSync(join(cwd, file), join(copy, file))
  return copy
}

describe.skipIf(!hasOpenssl)('certificates of sealift cert', () => {
  test('are whole in the eyes of openssl, to the letter', async () => {
    const outputDir = join(folder, 'made')
    await createCertificate('ca', { outputDir })
    await createCertificate('server', { outputDir, hosts: ['files.example.com', '192.0.2.7', '2001:db8::1'] })
    await createCertificate('client', { outputDir, name: 'ana' })
    const verify = 'verify -x509_strict -CAfile made/ca_cert.pem'
    expect(
      await Promise.all([
        openssl(`${verify} -purpose sslserver -verify_hostname files.example.com made/server_cert.pem`),
        openssl(`${verify} -purpose sslserver -verify_ip 2001:db8::1 made/server_cert.pem`),
        openssl(`${verify} -purpose sslclient made/client_cert.pem`),
      ]),
    ).toEqual(['made/server_cert.pem: OK\n', 'made/server_cert.pem: OK\n', 'made/client_cert.pem: OK\n'])
    await expect(openssl(`${verify} -purpose sslclient made/server_cert.pem`)).rejects.toThrow()
    for (const kind of ['ca', 'server', 'client'])
      expect(fs.statSync(join(outputDir, `${kind}_key.pem`)).mode & 0o777).toBe(0o600)
  })
})

describe.skipIf(!hasOpenssl)('a peer that is openssl', () => {
  let cert = ''
  let key = ''
  let ca = ''

  beforeAll(async () => {
    const outputDir = join(folder, 'peers')
    ca = (await createCertificate('ca', { outputDir })).certificate
    const made = await createCertificate('server', { outputDir, hosts: ['127.0.0.1'] })
    cert = made.certificate
    key = made.privateKey
  })

  test('with TLS 1.2 is refused by the server, and one with 1.3 is heard as far as it goes', async () => {
    const place = await serve(cert, key)
    const connect = `s_client -connect ${place.address} -CAfile ${ca} -verify_return_error`
    await expect(openssl(`${connect} -tls1_2`)).rejects.toThrow(/alert protocol version/)
    expect(await place.heard('refused', ({ code }) => code === 'tls_failed')).toBeDefined()
    // It is let as far as the handshake of Sealift, which it does not speak.
    const said = await openssl(`${connect} -tls1_3 -ign_eof`, folder, ['GET / HTTP/1.0', ''])
    expect(said).toMatch(/TLSv1\.3/)
    expect(said).toMatch(/Verify return code: 0 \(ok\)/)
    expect(await place.heard('refused', ({ code }) => code === 'not_sealift')).toBeDefined()
  })

  test('that is a server with TLS 1.2 is refused, and so is one with 1.3 that talks of something else', async () => {
    const place = new ServerPlace()
    const file = place.plant('ana', 'a.txt', 'one')
    for (const [version, code] of [
      ['-tls1_2', 'tls_failed'],
      ['-tls1_3', 'not_sealift'],
    ] as const) {
      const port = await freePort()
      const server = spawn('openssl', ['s_server', '-accept', String(port), '-cert', cert, '-key', key, version])
      onTestFinished(() => void server.kill())
      server.stdin.write('hello\n')
      await once(server.stdout, 'data')
      const { error } = await place.pushed('ana', file, { to: `127.0.0.1:${String(port)}`, tls: true, ca })
      expect(error).toMatchObject({ code })
    }
  })
})

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
