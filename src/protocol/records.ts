/**
 * Records: the sealed units of a session (protocol.md, "Records").
 *
 * `u32 length ‖ ciphertext ‖ 16-byte tag`; the length word is the associated data; the nonce is the direction's IV
 * xor a counter that never repeats; every 65,536 records the key and IV ratchet on while the counter runs on.
 * Knows keys and counters; knows nothing of what a record says, nor of sockets.
 */

import type { BulkKey, CipherName, CryptoPort } from './crypto-port.ts'
import { SealiftError } from './errors.ts'
import { nextSecret, recordKeys } from './key-schedule.ts'
import { MAX_RECORD_BYTES, RECORDS_PER_KEY, TAG_BYTES } from './limits.ts'

/** Bytes of a record beyond its plaintext: the length word and the tag. */
export const RECORD_OVERHEAD_BYTES = 4 + TAG_BYTES

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
  readonly #ratchet: Ratchet

  /** @param secret the direction's traffic secret, 32 bytes; taken over */
  constructor(crypto: CryptoPort, cipher: CipherName, secret: Uint8Array) {
    this.#ratchet = new Ratchet(crypto, cipher, secret)
  }

  /**
   * @param parts the plaintext, borrowed only until this returns
   * @returns the record as parts to be written in this order
   */
  seal(parts: readonly Uint8Array[]): Uint8Array[] {
    let length = TAG_BYTES
    for (const part of parts) length += part.length
    const word = lengthWord(length)
    const { key, nonce } = this.#ratchet.next()
    const sealed = key.seal(nonce, word, parts)
    sealed.unshift(word)
    return sealed
  }

  destroy(): void {
    this.#ratchet.destroy()
  }
}

/** Opens the records of one direction, in order. */
export class RecordOpener {
  readonly #ratchet: Ratchet

  /** @param secret the direction's traffic secret, 32 bytes; taken over */
  constructor(crypto: CryptoPort, cipher: CipherName, secret: Uint8Array) {
    this.#ratchet = new Ratchet(crypto, cipher, secret)
  }

  /**
   * @param sealed what follows the length word: ciphertext and tag; borrowed only until this returns
   * @throws SealiftError `record_invalid`
   */
  open(sealed: Uint8Array): Uint8Array {
    const { key, nonce } = this.#ratchet.next()
    return key.open(nonce, lengthWord(sealed.length), sealed)
  }

  destroy(): void {
    this.#ratchet.destroy()
  }
}

/**
 * Bytes that follow a length word.
 * @param maxBytes what this side takes now
 * @throws SealiftError `record_invalid` where there is no room for a type and a tag, or more than may be: nothing says
 *   who wrote an open word, so it is taken for damage on the way
 */
export function checkRecordLength(length: number, maxBytes = MAX_RECORD_BYTES): number {
  if (length < 1 + TAG_BYTES || length > maxBytes) {
    throw new SealiftError('record_invalid', 'a record has an impossible length')
  }
  return length
}
