/**
 * Certificates and their keys as files (PEM, RFC 7468): read and judged before anything listens or dials, so that a file of
 * this side is never taken for a fault of the other.
 *
 * Owns what is wrong with such files. Who believes them is for TLS.
 */

import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'
import { SealiftError } from '../protocol/errors.ts'
import { escapeForDisplay } from '../protocol/names.ts'

/** A whole store of CAs has some 200 KiB. */
const MAX_FILE_BYTES = 4 << 20
const OTHERS_MAY_READ = 0o004
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

export interface OwnCertificate {
  /** The certificate, and those between it and its CA, PEM. */
  readonly cert: string
  /** Its private key, PEM. */
  readonly key: string
  /** What is wrong with its dates now, as a sentence without its full stop; `null`: nothing. */
  readonly dateFault: string | null
}

/**
 * @param certPath of a certificate, with those between it and its CA behind it
 * @param keyPath of its private key, not sealed by a passphrase
 * @param nowMs Unix time
 * @throws SealiftError `certificate_invalid`
 */
export function readOwnCertificate(certPath: string, keyPath: string, nowMs: number): OwnCertificate {
  const cert = readPem(certPath, 'the certificate')
  const [certificate] = parseCertificates(cert, certPath, 'the certificate')
  const key = readPem(keyPath, 'the key of the certificate', true)
  if (!certificate.checkPrivateKey(parseKey(key, keyPath)))
    throw invalid('the key is not that of the certificate', keyPath, `the certificate is ${escapeForDisplay(certPath)}`)
  return { cert, key, dateFault: dateFaultOf(certificate, certPath, nowMs) }
}

/**
 * @param path of the certificates of CAs, one behind another
 * @returns PEM
 * @throws SealiftError `certificate_invalid`
 */
export function readAuthorities(path: string): string {
  const pem = readPem(path, 'the certificate of the CA')
  parseCertificates(pem, path, 'the certificate of the CA')
  return pem
}

function parseCertificates(pem: string, path: string, what: string): [X509Certificate, ...X509Certificate[]] {
  const [first, ...others] = pem.match(CERTIFICATE) ?? []
  if (first === undefined)
    throw invalid(`${what} is not in its file`, path, 'it begins with -----BEGIN CERTIFICATE-----')
  try {
    return [new X509Certificate(first), ...others.map((text) => new X509Certificate(text))]
  } catch {
    throw invalid(`${what} is damaged`, path)
  }
}

function parseKey(pem: string, path: string): KeyObject {
  if (/-----BEGIN ENCRYPTED |Proc-Type: 4,ENCRYPTED/.test(pem))
    throw invalid(
      'the key of the certificate is sealed by a passphrase',
      path,
      'openssl pkey -in FILE -out OTHER unseals it',
    )
  try {
    return createPrivateKey(pem)
  } catch {
    // Its text may hold the key.
    throw invalid('the key of the certificate is none, or damaged', path, 'it begins with -----BEGIN PRIVATE KEY-----')
  }
}

function dateFaultOf(certificate: X509Certificate, path: string, nowMs: number): string | null {
  const { validFromDate, validToDate } = certificate
  const shown = escapeForDisplay(path)
  if (nowMs > validToDate.getTime()) return `the certificate in ${shown} expired on ${dayOf(validToDate)}`
  if (nowMs < validFromDate.getTime()) return `the certificate in ${shown} is not valid before ${dayOf(validFromDate)}`
  return null
}

function dayOf(date: Date): string {
  return date.toISOString().slice(0, 10)
}

function readPem(path: string, what: string, isSecret = false): string {
  let file: number
  try {
    // a pipe in its place must not hold us up
    file = openSync(path, process.platform === 'win32' ? 'r' : constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? ''
    throw invalid(
      code === 'ENOENT' ? `${what} is not there` : `${what} cannot be read (${code})`,
      path,
      undefined,
      cause,
    )
  }
  try {
    const found = fstatSync(file)
    const { size, mode } = found
    if (!found.isFile()) throw invalid(`${what} is no file`, path)
    if (size > MAX_FILE_BYTES) throw invalid(`${what} is too long for one`, path)
    if (isSecret && process.platform !== 'win32' && (mode & OTHERS_MAY_READ) !== 0)
      throw invalid(
        `${what} may be read by every user of this machine`,
        path,
        'chmod 600 FILE, and make a new one if they may have done so',
      )
    return readFileSync(file, 'utf8')
  } catch (cause) {
    if (cause instanceof SealiftError) throw cause
    throw invalid(`${what} cannot be read (${(cause as NodeJS.ErrnoException).code ?? ''})`, path, undefined, cause)
  } finally {
    closeSync(file)
  }
}

function invalid(what: string, path: string, hint?: string, cause?: unknown): SealiftError {
  return new SealiftError('certificate_invalid', `${what}: ${escapeForDisplay(path)}`, {
    ...(hint === undefined ? {} : { hint }),
    ...(cause === undefined ? {} : { cause }),
  })
}
