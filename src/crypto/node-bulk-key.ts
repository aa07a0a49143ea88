/**
 * Record ciphers by OpenSSL, as `node:crypto` gives them, and which of them is the faster here.
 *
 * Owns the calls of `createCipheriv` and `createDecipheriv`. Knows nothing of records, counters or key schedules:
 * whoever seals chooses the nonce.
 */

import { createCipheriv, createDecipheriv, createSecretKey } from 'node:crypto'
import type { CipherGCMTypes, KeyObject } from 'node:crypto'

import type { BulkKey, CipherName } from '../protocol/crypto-port.ts'
import { SealiftError } from '../protocol/errors.ts'
import { TAG_BYTES } from '../protocol/limits.ts'

const KEY_BYTES = 32
const NONCE_BYTES = 12
/** Without it Node takes tags of 4 bytes as well. */
const OPTIONS = { authTagLength: TAG_BYTES }

/**
 * One key of one direction. The key rests in a KeyObject, in memory of OpenSSL's own, until it is collected.
 *
 * @param key 32 bytes; copied
 */
export function createBulkKey(cipher: CipherName, key: Uint8Array): BulkKey {
  if (key.length !== KEY_BYTES) throw new SealiftError('internal', 'a record key has the wrong length')
  // Both ciphers take the same calls; the typings have an overload for each, and none for a choice of them.
  const name = cipher as CipherGCMTypes
  const held = createSecretKey(key)
  return {
    seal: (nonce, aad, parts) => seal(name, held, nonce, aad, parts),
    open: (nonce, aad, sealed) => open(name, held, nonce, aad, sealed),
  }
}

function seal(
  name: CipherGCMTypes,
  key: KeyObject,
  nonce: Uint8Array,
  aad: Uint8Array,
  parts: readonly Uint8Array[],
): Uint8Array[] {
  checkNonce(nonce)
  const cipher = createCipheriv(name, key, nonce, OPTIONS)
  cipher.setAAD(aad)
  const sealed: Uint8Array[] = []
  for (const part of parts) sealed.push(cipher.update(part))
  cipher.final()
  sealed.push(cipher.getAuthTag())
  return sealed
}

function open(
  name: CipherGCMTypes,
  key: KeyObject,
  nonce: Uint8Array,
  aad: Uint8Array,
  sealed: Uint8Array,
): Uint8Array {
  checkNonce(nonce)
  const length = sealed.length - TAG_BYTES
  if (length < 0) throw new SealiftError('record_invalid', 'a record is shorter than its tag')
  const decipher = createDecipheriv(name, key, nonce, OPTIONS)
  decipher.setAAD(aad)
  decipher.setAuthTag(sealed.subarray(length))
  const plaintext = decipher.update(sealed.subarray(0, length))
  try {
    // update() gives plaintext that nobody has vouched for yet: it leaves this function only when final() agrees.
    decipher.final()
  } catch {
    plaintext.fill(0)
    throw new SealiftError('record_invalid', 'a record is not what the other side sealed')
  }
  return plaintext
}

function checkNonce(nonce: Uint8Array): void {
  if (nonce.length !== NONCE_BYTES) throw new SealiftError('internal', 'a nonce has the wrong length')
}

const PROBE_BYTES = 16 << 10
const PROBE_ROUNDS = 4
/** Without instructions for AES, OpenSSL's GCM is several times slower than ChaCha20; with them, both are near each other. */
const SLOW_AES_FACTOR = 2.5

/**
 * The ciphers that this runtime has, in the order of preference: AES-256-GCM first where the processor has
 * instructions for it. That is found by sealing a few small buffers, in less than a millisecond, since no interface of
 * Node tells it; ciphers that the build lacks (a FIPS one, say) are left out.
 */
export function rankCiphers(): readonly CipherName[] {
  const aes = probe('aes-256-gcm')
  const chacha = probe('chacha20-poly1305')
  const ranked: CipherName[] =
    aes > chacha * SLOW_AES_FACTOR ? ['chacha20-poly1305', 'aes-256-gcm'] : ['aes-256-gcm', 'chacha20-poly1305']
  return ranked.filter((cipher) => (cipher === 'aes-256-gcm' ? aes : chacha) < Infinity)
}

/** The best of a few rounds, in milliseconds; `Infinity` where the cipher is not there. */
function probe(cipher: CipherName): number {
  let bestMs = Infinity
  try {
    const key = createBulkKey(cipher, new Uint8Array(KEY_BYTES))
    const plaintext = new Uint8Array(PROBE_BYTES)
    const nonce = new Uint8Array(NONCE_BYTES)
    for (let round = 0; round < PROBE_ROUNDS; round++) {
      const startMs = performance.now()
      void key.seal(nonce, plaintext.subarray(0, 4), [plaintext])
      bestMs = Math.min(bestMs, performance.now() - startMs)
    }
  } catch {
    return Infinity
  }
  return bestMs
}
