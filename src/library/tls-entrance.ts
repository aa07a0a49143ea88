/** What a sender has in hand when it goes to a server by TLS: whom it believes, and what it shows of itself. */

import { resolve } from 'node:path'
import type { TlsTrust } from '../carriers/tls.ts'
import { readAuthorities, readOwnCertificate } from '../identity/certificate-files.ts'
import { SealiftError } from '../protocol/errors.ts'
import type { ServerOptions } from './options.ts'

/** The options that say how TLS is spoken. */
export type TlsOptions = Pick<ServerOptions, 'tls' | 'ca' | 'cert' | 'key' | 'serverName'>

/**
 * @returns `null` where the server is met without TLS
 * @throws SealiftError `certificate_invalid`; `usage` where one is named and nothing is to be done with it
 */
export function openTls({ tls = false, ca, cert, key, serverName }: TlsOptions): TlsTrust | null {
  if (!tls) {
    const [name] = Object.entries({ ca, cert, key, serverName }).find(([, value]) => value !== undefined) ?? []
    if (name === undefined) return null
    throw new SealiftError('usage', `${name} is for TLS, and the server is met without it`, {
      hint: 'add --tls (tls: true)',
    })
  }
  if ((cert === undefined) !== (key === undefined))
    throw new SealiftError('usage', 'a certificate and its key are shown together', {
      hint: 'name both: --cert and --key',
    })
  return {
    ca: ca === undefined ? null : readAuthorities(ca),
    own: cert === undefined || key === undefined ? null : readOwnCertificate(cert, key, Date.now()),
    serverName: serverName ?? null,
  }
}

/** The options as a later process needs them that stands in another folder: for the ledger. */
export function rememberedTls({ tls = false, ca, cert, key, serverName }: TlsOptions): TlsOptions {
  if (!tls) return {}
  const path = (file: string | undefined): string | undefined => (file === undefined ? undefined : resolve(file))
  return { tls, ca: path(ca), cert: path(cert), key: path(key), serverName }
}
