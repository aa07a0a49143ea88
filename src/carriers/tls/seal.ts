/** What is known of a TLS connection once it stands: its binding, its cipher, and who showed which certificate. */

import { createHash } from 'node:crypto'
import type { TLSSocket } from 'node:tls'

import type { PeerCertificate, StreamSeal } from '../carrier.ts'

/** RFC 9266, with an empty context. */
const BINDING_LABEL = 'EXPORTER-Channel-Binding'
const BINDING_BYTES = 32
const HYBRID_GROUP = 'X25519MLKEM768'

/** @param fault why the other side's certificate is not vouched for, if it shows one */
export function sealOf(socket: TLSSocket, fault: string | null): StreamSeal {
  const binding = socket.exportKeyingMaterial(BINDING_BYTES, BINDING_LABEL, Buffer.alloc(0))
  return {
    channelBinding: new Uint8Array(binding),
    // TLS_AES_256_GCM_SHA384: the hash is of the key schedule
    cipher: socket
      .getCipher()
      .name.replace(/^TLS_|_SHA\d+$/g, '')
      .replaceAll('_', '-')
      .toLowerCase(),
    // Node tells the group to the side that dialled, and `null` to the other
    isHybrid: (socket.getEphemeralKeyInfo() as { name?: string } | null)?.name === HYBRID_GROUP,
    certificate: certificateOf(socket, fault),
  }
}

function certificateOf(socket: TLSSocket, fault: string | null): PeerCertificate | null {
  const publicKey = socket.getPeerX509Certificate()?.publicKey.export({ format: 'der', type: 'spki' })
  if (publicKey === undefined) return null
  const digest = createHash('sha256').update(publicKey).digest('base64').replace(/=+$/, '')
  return { fingerprint: `SHA256:${digest}`, fault }
}
