/**
 * Makes certificates: a CA of one's own, and what it signs for servers and clients (RFC 5280). ECDSA on P-256, which
 * OpenSSL, Node and browsers all take.
 *
 * Owns what such a certificate says. Where it is kept is its caller's. Loads its libraries when it is first called.
 */

import { createPrivateKey, webcrypto } from 'node:crypto'
import { isIP } from 'node:net'
import type * as x509 from '@peculiar/x509'
import { SealiftError } from '../protocol/errors.ts'

/** What browsers take of a server, at most, is 825 days; a CA of one's own lives longer, since all who trust it must be told of a new one. */
const LEAF_DAYS = 365
const CA_DAYS = 3650
const DAY_MS = 24 * 3600 * 1000
/** Clocks of other machines may be behind. */
const CLOCK_SKEW_MS = 3600 * 1000
const SERIAL_BYTES = 16
const MAX_NAME_CHARACTERS = 64
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

export interface MadeCertificate {
  /** PEM. */
  readonly cert: string
  /** Its private key, PKCS #8, PEM: secret. */
  readonly key: string
}

export interface LeafOptions {
  readonly purpose: 'server' | 'client'
  /** Common name, for people. */
  readonly name: string
  /** Names and addresses that it is for. */
  readonly hosts: readonly string[]
}

/** @param name of the CA, for people @param nowMs Unix time */
export async function makeAuthority(name: string, nowMs: number): Promise<MadeCertificate> {
  const library = await load()
  const keys = await makeKeys()
  const certificate = await library.X509CertificateGenerator.createSelfSigned({
    ...frame(name, nowMs, CA_DAYS),
    keys,
    extensions: [
      // no CA below it
      new library.BasicConstraintsExtension(true, 0, true),
      new library.KeyUsagesExtension(library.KeyUsageFlags.keyCertSign | library.KeyUsageFlags.cRLSign, true),
      await library.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { cert: `${certificate.toString('pem')}\n`, key: await exportKey(keys.privateKey) }
}

/** @param authority PEM of a CA and its key, of each other; any algorithm that Node has */
export async function makeLeaf(
  authority: MadeCertificate,
  { purpose, name, hosts }: LeafOptions,
  nowMs: number,
): Promise<MadeCertificate> {
  const library = await load()
  const keys = await makeKeys()
  const issuer = new library.X509Certificate(authority.cert)
  const extensions: x509.Extension[] = [
    new library.BasicConstraintsExtension(false, undefined, true),
    new library.KeyUsagesExtension(library.KeyUsageFlags.digitalSignature, true),
    new library.ExtendedKeyUsageExtension([
      purpose === 'server' ? library.ExtendedKeyUsage.serverAuth : library.ExtendedKeyUsage.clientAuth,
    ]),
    await library.SubjectKeyIdentifierExtension.create(keys.publicKey),
    await library.AuthorityKeyIdentifierExtension.create(issuer),
  ]
  if (hosts.length > 0) extensions.push(new library.SubjectAlternativeNameExtension(hosts.map(alternativeName)))
  const { name: subject, ...dates } = frame(name, nowMs, LEAF_DAYS)
  const certificate = await library.X509CertificateGenerator.create({
    ...dates,
    subject,
    // no certificate outlives the CA that vouches for it
    notAfter: new Date(Math.min(nowMs + LEAF_DAYS * DAY_MS, issuer.notAfter.getTime())),
    issuer: issuer.subjectName,
    publicKey: keys.publicKey,
    ...signingOf(authority.key),
    extensions,
  })
  return { cert: `${certificate.toString('pem')}\n`, key: await exportKey(keys.privateKey) }
}

async function load(): Promise<typeof x509> {
  // one of its own dependencies asks for it
  await import('reflect-metadata')
  return import('@peculiar/x509')
}

function makeKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
}

function frame(
  name: string,
  nowMs: number,
  days: number,
): {
  serialNumber: string
  name: { CN: string[] }[]
  notBefore: Date
  notAfter: Date
  signingAlgorithm: typeof ALGORITHM
} {
  const serial = webcrypto.getRandomValues(new Uint8Array(SERIAL_BYTES))
  // positive, and of the same length always (RFC 5280, section 4.1.2.2)
  serial[0] = ((serial[0] as number) & 0x7f) | 0x40
  return {
    serialNumber: Buffer.from(serial).toString('hex'),
    // no longer than a common name may be (RFC 5280, appendix A)
    name: [{ CN: [name.slice(0, MAX_NAME_CHARACTERS)] }],
    notBefore: new Date(nowMs - CLOCK_SKEW_MS),
    notAfter: new Date(nowMs + days * DAY_MS),
    signingAlgorithm: ALGORITHM,
  }
}

function alternativeName(host: string): x509.JsonGeneralName {
  return { type: isIP(host) === 0 ? 'dns' : 'ip', value: host }
}

/** How a CA's key signs, whichever of the usual kinds it is: those that openssl makes too. */
function signingOf(pem: string): {
  signingKey: webcrypto.CryptoKey
  signingAlgorithm: { name: string; hash: string }
} {
  const key = createPrivateKey(pem)
  const curve = CURVES[key.asymmetricKeyDetails?.namedCurve ?? '']
  const signingAlgorithm =
    key.asymmetricKeyType === 'rsa'
      ? { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
      : curve !== undefined
        ? { name: 'ECDSA', namedCurve: curve, hash: 'SHA-256' }
        : null
  if (signingAlgorithm === null)
    throw new SealiftError('certificate_invalid', 'the key of the CA is of a kind that nothing is signed with here', {
      hint: 'RSA and ECDSA are: sealift cert ca makes one',
    })
  return { signingKey: key.toCryptoKey(signingAlgorithm, false, ['sign']), signingAlgorithm }
}

/** As OpenSSL and Web Crypto call them. */
const CURVES: Readonly<Record<string, string>> = { prime256v1: 'P-256', secp384r1: 'P-384', secp521r1: 'P-521' }

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key))
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  der.fill(0)
  return ['-----BEGIN PRIVATE KEY-----', ...lines, '-----END PRIVATE KEY-----', ''].join('\n')
}
