/** `sealift cert`: makes a CA, or a certificate that it vouches for. */

import { type CertificateKind, createCertificate } from '../../library/create-certificate.ts'
import { SealiftError } from '../../protocol/errors.ts'
import { Output, type OutputOptions, shown } from '../output.ts'

export interface CertCommandOptions extends OutputOptions {
  readonly output?: string
  readonly host?: string[]
  readonly name?: string
}

/** What is done with a certificate, as the last line says. */
const NEXT: Readonly<Record<CertificateKind, string>> = {
  ca: 'Whoever has its key can vouch for anybody: keep it off servers. Senders name the certificate: --tls --ca FILE',
  server: 'The server shows it: sealift receive --tls --cert FILE --key FILE',
  client: 'Its owner shows it: sealift send PATH --to HOST --tls --ca FILE --cert FILE --key FILE',
}

/** @throws SealiftError `conflict` where there is one already, `certificate_invalid` without a CA, `usage`, and those of a disk */
export async function cert(kind: CertificateKind, given: CertCommandOptions): Promise<void> {
  const output = new Output(given)
  if (given.host !== undefined && kind !== 'server')
    throw new SealiftError('usage', '--host is for the certificate of a server', {
      hint: 'a CA and a client have a --name',
    })
  const { certificate, privateKey, hosts, validUntil } = await createCertificate(kind, {
    outputDir: given.output,
    hosts: given.host,
    name: given.name,
  })
  output.event({ event: 'certificate', certificate, privateKey })
  output.say(`Certificate: ${shown(certificate)}`)
  output.say(`Private key: ${shown(privateKey)} (not sealed: for its owner alone)`)
  if (hosts.length > 0) output.say(`For:         ${hosts.map(shown).join(', ')}`)
  output.say(`Valid until: ${validUntil.toISOString().slice(0, 10)}`)
  output.say(NEXT[kind])
}
