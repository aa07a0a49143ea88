/**
 * Watches a process that both sides of a session run in: what they write to their streams, and what their handshakes come to.
 * For recording sessions; it stays for the life of the process.
 */

import { TLSSocket } from 'node:tls'

import { SocketStream } from '../../src/carriers/socket-stream.ts'
import { nodeCrypto } from '../../src/crypto/node.ts'
import { toHex } from '../../src/protocol/bytes.ts'

const SUITE_SECRET_BYTES = 64
const KEM_SECRET_BYTES = 32

/** What passes through this process, whose two sides share one crypto port; all as hex. */
export interface Watched {
  /** Secrets of suites, in the order of their handshakes: ISK, or both keys of Noise. */
  readonly suiteSecrets: string[]
  kemSeed: string
  kemCiphertext: string
  /** The exporter of TLS. */
  channelBinding: string
  /** By the port that the other end of a stream has. */
  readonly writtenTo: Map<number, string[]>
}

export function watch(): Watched {
  const watched: Watched = {
    suiteSecrets: [],
    kemSeed: '',
    kemCiphertext: '',
    channelBinding: '',
    writtenTo: new Map(),
  }
  watchCrypto(watched)
  const { write } = Object.getOwnPropertyDescriptors(SocketStream.prototype)
  const { exportKeyingMaterial } = Object.getOwnPropertyDescriptors(TLSSocket.prototype)
  SocketStream.prototype.write = function (parts) {
    const pieces = watched.writtenTo.get(this.peer.port) ?? []
    watched.writtenTo.set(this.peer.port, pieces)
    pieces.push(...parts.map(toHex))
    return write.value?.call(this, parts) as Promise<void>
  }
  TLSSocket.prototype.exportKeyingMaterial = function (...options) {
    const exporter = exportKeyingMaterial.value?.apply(this, options) as ReturnType<TLSSocket['exportKeyingMaterial']>
    watched.channelBinding = exporter.toString('hex')
    return exporter
  }
  return watched
}

function watchCrypto(watched: Watched): void {
  const { hkdfExtract, kem } = nodeCrypto
  if (kem === null) throw new Error('this Node has no ML-KEM')
  const watching = {
    hkdfExtract(salt: Uint8Array, ikm: Uint8Array) {
      const secret = toHex(ikm.subarray(0, SUITE_SECRET_BYTES))
      const isOfSuite = [0, KEM_SECRET_BYTES].includes(ikm.length - SUITE_SECRET_BYTES)
      // both sides come by here
      if (isOfSuite && !watched.suiteSecrets.includes(secret)) watched.suiteSecrets.push(secret)
      return hkdfExtract(salt, ikm)
    },
    kem: {
      ...kem,
      generate() {
        const pair = kem.generate()
        watched.kemSeed = toHex(pair.privateKey)
        return pair
      },
      encapsulate(publicKey: Uint8Array) {
        const made = kem.encapsulate(publicKey)
        watched.kemCiphertext = toHex(made.ciphertext)
        return made
      },
    },
    ciphers: ['aes-256-gcm'],
  }
  for (const [name, value] of Object.entries(watching)) Object.defineProperty(nodeCrypto, name, { value })
}

/** @param port that the responder listens on; one connection came there */
export function directions(
  { writtenTo }: Watched,
  port: number,
): { initiatorToResponder: string; responderToInitiator: string } {
  const [other, ...more] = [...writtenTo.keys()].filter((peerPort) => peerPort !== port)
  if (other === undefined || more.length > 0) throw new Error('there was not one connection')
  const passed = (to: number): string => (writtenTo.get(to) ?? []).join('')
  return { initiatorToResponder: passed(port), responderToInitiator: passed(other) }
}
