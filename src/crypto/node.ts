/**
 * The crypto port for Node: `node:crypto` (OpenSSL) for everything but the Elligator2 map, which only
 * `@noble/curves` has.
 *
 * Knows no message, suite or record. Raw keys go in and out through their fixed DER prefixes, since the raw formats of
 * `node:crypto` are younger than the oldest Node that Sealift runs on. Buffers that hold a private key for a moment are
 * zeroed here; what is returned is the caller's to zero.
 */

import { invert, mod } from '@noble/curves/abstract/modular.js'
import { _map_to_curve_elligator2_curve25519 } from '@noble/curves/ed25519.js'
import nodeModule, {
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  randomFillSync,
  timingSafeEqual,
} from 'node:crypto'
import type { KeyObject } from 'node:crypto'

import { fromHex, toHex } from '../protocol/bytes.ts'
import type { CipherName, CryptoPort, Kem, KeyPair } from '../protocol/crypto-port.ts'
import { SealiftError } from '../protocol/errors.ts'
import { createBulkKey, rankCiphers } from './node-bulk-key.ts'

/** The DER bytes before the raw key, which is always last (RFC 8410, RFC 9935). */
const DER_PREFIX = {
  x25519Private: fromHex('302e020100300506032b656e04220420'),
  x25519Public: fromHex('302a300506032b656e032100'),
  /** The form of a private key that holds its seed alone. */
  mlKem768Private: fromHex('3054020100300b060960864801650304040204428040'),
  mlKem768Public: fromHex('308204b2300b0609608648016503040402038204a100'),
}
const X25519_BYTES = 32
const ML_KEM_SEED_BYTES = 64
const ML_KEM_PUBLIC_BYTES = 1184
const ML_KEM_CIPHERTEXT_BYTES = 1088
const SHA256_BYTES = 32
const FIELD_PRIME = (1n << 255n) - 19n

/** Where random bytes come from: the system, and in tests a fixed sequence. */
export type RandomSource = (length: number) => Uint8Array

/** The crypto port of this process, with the system's CSPRNG. */
export const nodeCrypto: CryptoPort = createNodeCrypto((length) => randomFillSync(new Uint8Array(length)))

/**
 * A crypto port with randomness of its own, for vectors and tests. Everything is derived from it but the randomness of
 * {@link Kem.encapsulate}, which OpenSSL keeps to itself.
 */
export function createNodeCrypto(randomBytes: RandomSource): CryptoPort {
  // Asked for at the first handshake, so that commands without one do not pay for the probes.
  let kem: Kem | null | undefined
  let ciphers: readonly CipherName[] | undefined
  return {
    randomBytes,
    sha256: (parts) => digest('sha256', parts),
    sha512: (parts) => digest('sha512', parts),
    hmacSha256,
    hkdfExtract: (salt, ikm) => hmacSha256(salt, [ikm]),
    hkdfExpand,
    equal: (a, b) => a.length === b.length && timingSafeEqual(a, b),
    x25519Generate: () => generateX25519(randomBytes),
    x25519,
    elligator2,
    get kem() {
      return (kem ??= hasMlKem768() ? createKem(randomBytes) : null)
    },
    get ciphers() {
      return (ciphers ??= rankCiphers())
    },
    bulkKey: createBulkKey,
  }
}

/** A Buffer as what it is: its `slice` and `toString` differ from those of a Uint8Array, and nobody asked for them. */
function plain(buffer: Uint8Array): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)
}

function digest(algorithm: 'sha256' | 'sha512', parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash(algorithm)
  for (const part of parts) hash.update(part)
  return plain(hash.digest())
}

function hmacSha256(key: Uint8Array, parts: readonly Uint8Array[]): Uint8Array {
  const hmac = createHmac('sha256', key)
  for (const part of parts) hmac.update(part)
  return plain(hmac.digest())
}

/** RFC 5869 section 2.3. */
function hkdfExpand(prk: Uint8Array, info: Uint8Array, length: number): Uint8Array {
  const output = new Uint8Array(length)
  let block: Uint8Array = new Uint8Array(0)
  for (let at = 0, counter = 1; at < length; at += SHA256_BYTES, counter++) {
    const previous = block
    block = hmacSha256(prk, [previous, info, Uint8Array.of(counter)])
    previous.fill(0)
    output.set(block.subarray(0, Math.min(SHA256_BYTES, length - at)), at)
  }
  block.fill(0)
  return output
}

function importPrivate(prefix: Uint8Array, raw: Uint8Array): KeyObject {
  const der = new Uint8Array(prefix.length + raw.length)
  der.set(prefix)
  der.set(raw, prefix.length)
  try {
    // Buffer.from of an ArrayBuffer is a view: the bytes exist once, and are zeroed below.
    return createPrivateKey({ key: Buffer.from(der.buffer), format: 'der', type: 'pkcs8' })
  } finally {
    der.fill(0)
  }
}

function importPublic(prefix: Uint8Array, raw: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([prefix, raw]), format: 'der', type: 'spki' })
}

function exportPublic(prefix: Uint8Array, key: KeyObject): Uint8Array {
  return plain(createPublicKey(key).export({ format: 'der', type: 'spki' })).slice(prefix.length)
}

function generateX25519(randomBytes: RandomSource): KeyPair {
  const privateKey = randomBytes(X25519_BYTES)
  return {
    privateKey,
    publicKey: exportPublic(DER_PREFIX.x25519Public, importPrivate(DER_PREFIX.x25519Private, privateKey)),
  }
}

function x25519(scalar: Uint8Array, point: Uint8Array): Uint8Array {
  if (scalar.length !== X25519_BYTES) throw new SealiftError('internal', 'an X25519 scalar has the wrong length')
  if (point.length !== X25519_BYTES)
    throw new SealiftError('protocol_violation', 'an X25519 share has the wrong length')
  const privateKey = importPrivate(DER_PREFIX.x25519Private, scalar)
  const publicKey = importPublic(DER_PREFIX.x25519Public, point)
  try {
    return plain(diffieHellman({ privateKey, publicKey }))
  } catch (cause) {
    // OpenSSL refuses an all-zero result itself (RFC 7748 section 6.1).
    throw new SealiftError('protocol_violation', 'an X25519 share is a point of low order', { cause })
  }
}

/**
 * The map works on JavaScript numbers, in no constant time. What it sees is a hash of the token with a session id that
 * is never used again, so a measured run tells nothing about the next one.
 */
function elligator2(fieldElement: Uint8Array): Uint8Array {
  if (fieldElement.length !== X25519_BYTES) throw new SealiftError('internal', 'a field element has the wrong length')
  const bigEndian = fieldElement.toReversed()
  bigEndian[0] = (bigEndian[0] as number) & 0x7f
  const element = mod(BigInt(`0x${toHex(bigEndian)}`), FIELD_PRIME)
  bigEndian.fill(0)
  const { xMn, xMd } = _map_to_curve_elligator2_curve25519(element)
  const u = mod(xMn * invert(xMd, FIELD_PRIME), FIELD_PRIME)
  return fromHex(u.toString(16).padStart(X25519_BYTES * 2, '0')).reverse()
}

function hasMlKem768(): boolean {
  if (typeof nodeModule.encapsulate !== 'function' || typeof nodeModule.decapsulate !== 'function') return false
  try {
    importPrivate(DER_PREFIX.mlKem768Private, new Uint8Array(ML_KEM_SEED_BYTES))
    return true
  } catch {
    return false
  }
}

function createKem(randomBytes: RandomSource): Kem {
  return {
    generate() {
      const privateKey = randomBytes(ML_KEM_SEED_BYTES)
      const key = importPrivate(DER_PREFIX.mlKem768Private, privateKey)
      return { privateKey, publicKey: exportPublic(DER_PREFIX.mlKem768Public, key) }
    },
    encapsulate(publicKey) {
      if (publicKey.length !== ML_KEM_PUBLIC_BYTES)
        throw new SealiftError('protocol_violation', 'an ML-KEM key has the wrong length')
      try {
        const { sharedKey, ciphertext } = nodeModule.encapsulate(importPublic(DER_PREFIX.mlKem768Public, publicKey))
        return { ciphertext: plain(ciphertext), secret: plain(sharedKey) }
      } catch (cause) {
        throw new SealiftError('protocol_violation', 'an ML-KEM key is malformed', { cause })
      }
    },
    decapsulate(privateKey, ciphertext) {
      if (ciphertext.length !== ML_KEM_CIPHERTEXT_BYTES) {
        throw new SealiftError('protocol_violation', 'an ML-KEM ciphertext has the wrong length')
      }
      return plain(nodeModule.decapsulate(importPrivate(DER_PREFIX.mlKem768Private, privateKey), ciphertext))
    },
  }
}
