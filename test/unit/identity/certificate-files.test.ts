import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateKeyPairSync } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createCertificate } from '../../../src/library/create-certificate.ts'
import { readAuthorities, readOwnCertificate } from '../../../src/identity/certificate-files.ts'
import { openTls } from '../../../src/library/tls-entrance.ts'

let folder = ''
let cert = ''
let key = ''
let ca = ''

beforeAll(async () => {
  folder = fs.mkdtempSync(join(tmpdir(), 'sealift-certificates-'))
  ca = (await createCertificate('ca', { outputDir: folder })).certificate
  const made = await createCertificate('server', { outputDir: folder, hosts: ['127.0.0.1'] })
  cert = made.certificate
  key = made.privateKey
})
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }))

function plant(name: string, content: string, mode = 0o600): string {
  const path = join(folder, name)
  fs.writeFileSync(path, content)
  fs.chmodSync(path, mode)
  return path
}

const YEAR_MS = 366 * 24 * 3600 * 1000

test('a certificate is read with its key, and its dates are looked at', () => {
  expect(readOwnCertificate(cert, key, Date.now()).dateFault).toBeNull()
  expect(readOwnCertificate(cert, key, Date.now() + YEAR_MS).dateFault).toContain('expired on')
  expect(readOwnCertificate(cert, key, Date.now() - YEAR_MS).dateFault).toContain('not valid before')
  expect(readAuthorities(ca)).toContain('BEGIN CERTIFICATE')
})

test.each([
  ['that is not there', () => [join(folder, 'none.pem'), key], 'is not there'],
  ['that is a folder', () => [folder, key], 'is no file'],
  ['that is none', () => [plant('text.pem', 'hello'), key], 'is not in its file'],
  ['that is a key', () => [key, key], 'is not in its file'],
  [
    'that is damaged',
    () => [plant('bad.pem', fs.readFileSync(cert, 'utf8').replace(/\n[^-\n]{8}/, '\nAAAAAAAA')), key],
    'damaged',
  ],
  ['whose key is not there', () => [cert, join(folder, 'none.pem')], 'is not there'],
  ['whose key is another one', () => [cert, join(folder, 'ca_key.pem')], 'not that of the certificate'],
  ['whose key is none', () => [cert, plant('no.pem', fs.readFileSync(cert, 'utf8'))], 'is none, or damaged'],
  ['whose key is sealed', () => [cert, plant('sealed.pem', sealedKey())], 'sealed by a passphrase'],
  ['whose key everybody may read', () => [cert, plant('open.pem', fs.readFileSync(key, 'utf8'), 0o644)], 'every user'],
])('a certificate %s is a fault of this side, which is found before anything else happens', (_, paths, words) => {
  const [certPath = '', keyPath = ''] = paths()
  const fault = expect.objectContaining({
    code: 'certificate_invalid',
    exitCode: 2,
    message: expect.stringContaining(words) as string,
  }) as Error
  expect(() => readOwnCertificate(certPath, keyPath, Date.now())).toThrow(fault)
  // The same for a sender, before it dials.
  expect(() => openTls({ tls: true, cert: certPath, key: keyPath })).toThrow(fault)
})

test('a file of CAs must have some', () => {
  for (const path of [join(folder, 'none.pem'), key, folder])
    expect(() => readAuthorities(path)).toThrow(expect.objectContaining({ code: 'certificate_invalid' }) as Error)
})

test('options of TLS are of use together only', () => {
  const usage = expect.objectContaining({ code: 'usage' }) as Error
  for (const options of [{ ca }, { cert, key }, { serverName: 'a' }, { tls: true, cert }, { tls: true, key }])
    expect(() => openTls(options)).toThrow(usage)
  expect(openTls({})).toBeNull()
  expect(openTls({ tls: true })).toEqual({ ca: null, own: null, serverName: null })
})

test('nothing is replaced, and nothing is made without a CA or for what is no host', async () => {
  const before = fs.readFileSync(key, 'utf8')
  await expect(createCertificate('server', { outputDir: folder })).rejects.toMatchObject({
    code: 'conflict',
    exitCode: 3,
  })
  expect(fs.readFileSync(key, 'utf8')).toBe(before)
  const empty = join(folder, 'empty')
  await expect(createCertificate('server', { outputDir: empty })).rejects.toMatchObject({ code: 'certificate_invalid' })
  await expect(createCertificate('client', { outputDir: empty })).rejects.toMatchObject({ code: 'certificate_invalid' })
  await expect(createCertificate('server', { outputDir: empty, hosts: ['a b'] })).rejects.toMatchObject({
    code: 'usage',
  })
  expect(fs.existsSync(empty)).toBe(false)
})

function sealedKey(): string {
  const { privateKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' },
  })
  return privateKey
}
