/**
 * Records: the sealed units of a session (protocol.md, "Records").
 *
 * `u32 length ‖ ciphertext ‖ 16-byte tag`; the length word is the associated data; the nonce is the direction's IV
 * xor a counter that never repeats; every 65,536 records the key and IV ratchet on while the counter runs on.
 * Where the stream below is TLS, a record is `u32 length ‖ plaintext`: that stream keeps it safe, and nothing else may.
 * Knows keys and counters; knows nothing of what a record says, nor of sockets.
 */

import { concatBytes } from './bytes.ts'
import type { BulkKey, CipherName, CryptoPort, RecordCipher } from './crypto-port.ts'
import { SealiftError } from './errors.ts'
import { nextSecret, recordKeys } from './key-schedule.ts'
import { MAX_RECORD_BYTES, RECORDS_PER_KEY, TAG_BYTES } from './limits.ts'

/** Bytes of a record beyond its plaintext: the length word and the tag. */
export const RECORD_OVERHEAD_BYTES = 4 + TAG_BYTES

/** Bytes of a record behind its plaintext. */
export function tagBytesOf(cipher: RecordCipher): number {
  return cipher === 'tls' ? 0 : TAG_BYTES
}

/** What seals one direction; `null` where the stream does, and the secret is not needed: it is zeroed. */
function ratchetOf(crypto: CryptoPort, cipher: RecordCipher, secret: Uint8Array): Ratchet | null {
  if (cipher !== 'tls') return new Ratchet(crypto, cipher, secret)
  secret.fill(0)
  return null
}

/** Key, nonce and counter of one direction; the two ends keep equal ones. */
class Ratchet {
  readonly #crypto: CryptoPort
  readonly #cipher: CipherName
  readonly #nonce = new Uint8Array(12)
  #secret: Uint8Array
  #key: BulkKey
  #iv: Uint8Array
  #count = 0

  /** @param secret 32 bytes; taken over and zeroed when the ratchet moves on */
  constructor(crypto: CryptoPort, cipher: CipherName, secret: Uint8Array) {
    this.#crypto = crypto
    this.#cipher = cipher
    this.#secret = secret
    const { key, iv } = recordKeys(crypto, secret)
    this.#key = crypto.bulkKey(cipher, key)
    this.#iv = iv
    key.fill(0)
  }

  /** The key and nonce of the next record; the nonce is valid until the next call. */
  next(): { key: BulkKey; nonce: Uint8Array } {
    if (this.#count > 0 && this.#count % RECORDS_PER_KEY === 0) this.#turn()
    const nonce = this.#nonce
    nonce.set(this.#iv)
    let counter = this.#count++
    for (let at = 11; counter > 0; at--) {
      nonce[at] = (nonce[at] as number) ^ (counter & 0xff)
      counter = Math.floor(counter / 256)
    }
    return { key: this.#key, nonce }
  }

  #turn(): void {
    const secret = nextSecret(this.#crypto, this.#secret)
    this.#secret.fill(0)
    this.#secret = secret
    const { key, iv } = recordKeys(this.#crypto, secret)
    this.#key = this.#crypto.bulkKey(this.#cipher, key)
    this.#iv = iv
    key.fill(0)
  }

  destroy(): void {
    this.#secret.fill(0)
    this.#iv.fill(0)
  }
}

function lengthWord(length: number): Uint8Array {
  return Uint8Array.of(length >>> 24, (length >>> 16) & 0xff, (length >>> 8) & 0xff, length & 0xff)
}

/** Seals the records of one direction, in order. */
export class RecordSealer {
  readonly #ratchet: Ratchet | null

  /** @param secret the direction's traffic secret, 32 bytes; taken over */
  constructor(crypto: CryptoPort, cipher: RecordCipher, secret: Uint8Array) {
    this.#ratchet = ratchetOf(crypto, cipher, secret)
  }

  /**
   * @param parts the plaintext, borrowed only until this returns
   * @returns the record as parts to be written in this order
   */
  seal(parts: readonly Uint8Array[]): Uint8Array[] {
    let length = this.#ratchet === null ? 0 : TAG_BYTES
    for (const part of parts) length += part.length
    const word = lengthWord(length)
    // The parts are borrowed, and TLS may read them later than this returns.
    if (this.#ratchet === null) return [concatBytes([word, ...parts])]
    const { key, nonce } = this.#ratchet.next()
    const sealed = key.seal(nonce, word, parts)
    sealed.unshift(word)
    return sealed
  }

  destroy(): void {
    this.#ratchet?.destroy()
  }
}

/** Opens the records of one direction, in order. */
export class RecordOpener {
  readonly #ratchet: Ratchet | null

  /** @param secret the direction's traffic secret, 32 bytes; taken over */
  constructor(crypto: CryptoPort, cipher: RecordCipher, secret: Uint8Array) {
    this.#ratchet = ratchetOf(crypto, cipher, secret)
  }

  /**
   * @param sealed what follows the length word: ciphertext and tag; borrowed only until this returns
   * @throws SealiftError `record_invalid`
   */
  open(sealed: Uint8Array): Uint8Array {
    if (this.#ratchet === null) return new Uint8Array(sealed)
    const { key, nonce } = this.#ratchet.next()
    return key.open(nonce, lengthWord(sealed.length), sealed)
  }

  destroy(): void {
    this.#ratchet?.destroy()
  }
}

/**
 * Bytes that follow a length word.
 * @param maxBytes what this side takes now, of ciphertext and a tag of 16 bytes
 * @param tagBytes how long a tag is in this session
 * @throws SealiftError `record_invalid` where there is no room for a type and a tag, or more than may be: nothing says
 *   who wrote an open word, so it is taken for damage on the way
 */
export function checkRecordLength(length: number, maxBytes = MAX_RECORD_BYTES, tagBytes = TAG_BYTES): number {
  if (length < 1 + tagBytes || length > maxBytes - TAG_BYTES + tagBytes) {
    throw new SealiftError('record_invalid', 'a record has an impossible length')
  }
  return length
}
