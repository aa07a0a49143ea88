/** Makes certificates for TLS: a CA of one's own, and what it vouches for. */

import { lstatSync } from 'node:fs'
import { X509Certificate } from 'node:crypto'
import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import { readOwnCertificate } from '../identity/certificate-files.ts'
import { type MadeCertificate, makeAuthority, makeLeaf } from '../identity/certificate-making.ts'
import { createTrustedFile } from '../identity/trusted-file.ts'
import { SealiftError } from '../protocol/errors.ts'
import { escapeForDisplay } from '../protocol/names.ts'
import { completePair, type PairWords, refuseOccupied } from './file-pair.ts'

/** What a certificate is for: to vouch for others, or to be shown by a server or a client. */
export type CertificateKind = 'ca' | 'server' | 'client'

/** What `createCertificate` may be told. */
export interface CertificateOptions {
  /** Folder of both files, and of the CA's; made where it is missing. Default: the current one. */
  readonly outputDir?: string | undefined
  /**
   * Names and addresses by which a server is dialled. Default: the name of this machine, `localhost` and its addresses. The
   * first is its common name too.
   */
  readonly hosts?: readonly string[] | undefined
  /** Common name of a CA or a client, for people; default: that of this machine. */
  readonly name?: string | undefined
}

/** A certificate that was made. */
export interface CreatedCertificate {
  /** Absolute path: `ca_cert.pem`, `server_cert.pem` or `client_cert.pem`. */
  readonly certificate: string
  /** Absolute path of its private key: `ca_key.pem`, `server_key.pem` or `client_key.pem`; readable by its owner alone. */
  readonly privateKey: string
  /** Names and addresses that it is for; none but for a server. */
  readonly hosts: readonly string[]
  /** The last moment at which it is valid. */
  readonly validUntil: Date
}

const WORDS: PairWords = {
  noFolderHint: 'name a folder with --output',
  occupied: 'there is one already',
  occupiedHint: 'name another folder with --output, or move the old one aside',
}

/**
 * Makes a certificate and its key. Never replaces anything. What is no CA is signed by the one in the same folder.
 *
 * @throws SealiftError `conflict` where one of the files is there, `certificate_invalid` where the CA is not, or is none,
 *   `target_not_folder`, `usage` for a host that is none, and those of a disk
 * @example
 * ```ts
 * import { createCertificate } from 'sealift'
 *
 * await createCertificate('ca', { outputDir: 'tls' })
 * const { certificate } = await createCertificate('server', { outputDir: 'tls', hosts: ['files.example.com'] })
 * ```
 */
export async function createCertificate(
  kind: CertificateKind,
  options: CertificateOptions = {},
): Promise<CreatedCertificate> {
  const folder = resolve(options.outputDir ?? '.')
  const [certificate, privateKey] = filesOf(kind, folder)
  refuseOccupied(folder, [certificate, privateKey], WORDS)
  const hosts = kind === 'server' ? (options.hosts ?? ownHosts()).map(checkedHost) : []
  const nowMs = Date.now()
  const made = await make(kind, folder, hosts, options.name, nowMs)
  createTrustedFile(privateKey, made.key, 0o600, 'the key')
  completePair(privateKey, () => createTrustedFile(certificate, made.cert, 0o644, 'the certificate'))
  return { certificate, privateKey, hosts, validUntil: new X509Certificate(made.cert).validToDate }
}

function filesOf(kind: CertificateKind, folder: string): [certificate: string, privateKey: string] {
  return [join(folder, `${kind}_cert.pem`), join(folder, `${kind}_key.pem`)]
}

function make(
  kind: CertificateKind,
  folder: string,
  hosts: readonly string[],
  name: string | undefined,
  nowMs: number,
): Promise<MadeCertificate> {
  if (kind === 'ca') return makeAuthority(name ?? `Sealift CA of ${hostname()}`, nowMs)
  const [cert, key] = filesOf('ca', folder)
  if (lstatSync(cert, { throwIfNoEntry: false }) === undefined)
    throw new SealiftError('certificate_invalid', `there is no CA in ${escapeForDisplay(folder)}`, {
      hint: 'sealift cert ca makes one; name its folder with --output',
    })
  const authority = readOwnCertificate(cert, key, nowMs)
  if (!new X509Certificate(authority.cert).ca)
    throw new SealiftError('certificate_invalid', `the certificate in ${escapeForDisplay(cert)} is not that of a CA`)
  if (authority.dateFault !== null) throw new SealiftError('certificate_invalid', authority.dateFault)
  return makeLeaf(authority, { purpose: kind, name: name ?? hosts[0] ?? hostname(), hosts }, nowMs)
}

function ownHosts(): string[] {
  return [...new Set([hostname(), 'localhost', '127.0.0.1', '::1'])]
}

const HOST = /^(?:\*\.)?[a-z\d](?:[a-z\d_.-]{0,251}[a-z\d])?$|^[a-f\d:]*:[a-f\d:.]*$/i

/** @throws SealiftError `usage` */
function checkedHost(host: string): string {
  if (HOST.test(host)) return host
  throw new SealiftError('usage', `this is no host: ${escapeForDisplay(host)}`, {
    hint: 'a name such as files.example.com, or an address, without a port',
  })
}
