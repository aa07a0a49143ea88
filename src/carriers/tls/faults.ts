/** What goes wrong with TLS, in the words of Sealift: verification of certificates, and the handshake itself. */

import { SealiftError } from '../../protocol/errors.ts'
import { connectionLost } from '../socket-faults.ts'
import type { SocketPeer } from '../socket-stream.ts'

/** Why no CA vouches for a certificate now, by the codes of OpenSSL that Node gives; others are shown as they are. */
const VERIFY_WORDS: Readonly<Record<string, string>> = {
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'none of the CAs that are trusted here has signed it',
  UNABLE_TO_GET_ISSUER_CERT: 'none of the CAs that are trusted here has signed it',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'none of the CAs that are trusted here has signed it',
  SELF_SIGNED_CERT_IN_CHAIN: 'the CA that has signed it is not trusted here',
  CERT_SIGNATURE_FAILURE: 'its signature is not that of the CA of this name',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'it has signed itself',
  CERT_HAS_EXPIRED: 'it, or one between it and its CA, has expired',
  CERT_NOT_YET_VALID: 'it, or one between it and its CA, is not valid yet',
  INVALID_PURPOSE: 'it was not made for this purpose',
  INVALID_CA: 'what has signed it is no CA',
}

export function verifyWords(code: string): string {
  return VERIFY_WORDS[code] ?? code
}

const HINTS: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT:
    'a CA must have signed it: sealift cert ca and sealift cert server make both\none that a CA did sign looks so too where both have the same subject: give the server a name of its own',
  CERT_HAS_EXPIRED: 'whoever runs the server makes a new one; is the clock of this machine right?',
  CERT_NOT_YET_VALID: 'is the clock of this machine right, and that of the one that made it?',
}

/** @returns `null` where the code says nothing of a certificate */
function verifyFault(code: string): SealiftError | null {
  const words = VERIFY_WORDS[code]
  if (words === undefined) return null
  const isTime = code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID'
  const hint = HINTS[code]
  return new SealiftError(
    isTime ? 'certificate_time' : 'certificate_untrusted',
    `the certificate of the server is not accepted: ${words}`,
    hint === undefined ? {} : { hint },
  )
}

/** Of a handshake that this side began. */
export function dialTlsFault(peer: SocketPeer, error: Error): SealiftError {
  if (error instanceof SealiftError) return error
  const code = codeOf(error)
  const certificate = verifyFault(code)
  if (certificate !== null) return certificate
  if (!code.startsWith('ERR_SSL_')) return connectionLost(peer, error)
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG')
    return new SealiftError('not_sealift', 'what answers there does not speak TLS', {
      cause: error,
      hint: 'a server of Sealift without --tls is met without --tls',
    })
  return handshakeFault('the server', error, code)
}

/** Of a handshake that the other side began. */
export function acceptTlsFault(peer: SocketPeer, error: Error): SealiftError {
  const code = codeOf(error)
  return code.startsWith('ERR_SSL_') ? handshakeFault('the other side', error, code) : connectionLost(peer, error)
}

function handshakeFault(who: string, cause: Error, code: string): SealiftError {
  if (/UNSUPPORTED_PROTOCOL|PROTOCOL_VERSION|NO_PROTOCOLS_AVAILABLE/.test(code))
    return new SealiftError('tls_failed', `${who} does not speak TLS 1.3`, { cause })
  const reason = code.replace('ERR_SSL_', '').replaceAll('_', ' ').toLowerCase()
  // Bytes that were damaged on the way look like this too.
  return new SealiftError('tls_failed', `TLS with ${who} failed: ${reason}`, { cause })
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : ''
}
