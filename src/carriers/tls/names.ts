/**
 * Whether a certificate is for the server that was meant (RFC 9525): by its alternative names alone.
 *
 * A certificate without any, as older recipes make them, is compared by its common name, but only with a name that the user
 * gave for it: nobody has checked that a common name is the name of a host.
 */

import { checkServerIdentity, type PeerCertificate } from 'node:tls'

import { SealiftError } from '../../protocol/errors.ts'

export interface ExpectedServer {
  /** As it was dialled. */
  readonly host: string
  /** As the user says that its certificate calls it; `null`: as it was dialled. */
  readonly serverName: string | null
}

/**
 * @param certificate one that a CA vouches for
 * @returns `null` where it is for that server; else `certificate_name`, which says what names it has
 */
export function nameFault({ host, serverName }: ExpectedServer, certificate: PeerCertificate): SealiftError | null {
  const wanted = serverName ?? host
  const alternatives = certificate.subjectaltname ?? ''
  if (alternatives !== '') {
    if (checkServerIdentity(wanted, certificate) === undefined) return null
    const names = alternatives.replace(/DNS:|IP Address:/g, '')
    return new SealiftError('certificate_name', `the certificate of the server is for ${names}, not for ${wanted}`, {
      hint: 'name the server by one of these, or say with --server-name which one it is',
    })
  }
  const common = commonNames(certificate)
  if (common.length === 0)
    return new SealiftError('certificate_name', 'the certificate of the server has no name', {
      hint: 'whoever runs the server makes a new one: sealift cert server --host NAME, or openssl req with -subj /CN=NAME',
    })
  const has = common.join(', ')
  if (serverName === null)
    return new SealiftError(
      'certificate_name',
      `the certificate of the server has a common name (${has}) and no alternative ones`,
      {
        hint: `if that is the server that you mean: --server-name ${common[0] ?? ''}\nsealift cert server --host NAME makes one that needs no such word`,
      },
    )
  if (common.some((name) => name.toLowerCase() === serverName.toLowerCase())) return null
  return new SealiftError('certificate_name', `the certificate of the server is for ${has}, not for ${serverName}`, {
    hint: `if that is the server that you mean: --server-name ${common[0] ?? ''}`,
  })
}

function commonNames({ subject }: PeerCertificate): string[] {
  // absent where a certificate has no subject at all, whatever the types say
  const names = (subject as PeerCertificate['subject'] | undefined)?.CN
  return names === undefined ? [] : [names].flat()
}
