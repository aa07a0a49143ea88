/**
 * Noise_XX_25519_ChaChaPoly_SHA256 (The Noise Protocol Framework, revision 34), with the names of its specification: two
 * sides that need to know nothing of each other end with one secret and each other's long-term key.
 *
 * Pure and synchronous over the crypto port. Knows no message of Sealift: prologue and payloads are the caller's, and so
 * is what becomes of a key that nobody expected.
 *
 *     -> e                 message 1
 *     <- e, ee, s, es      message 2
 *     -> s, se             message 3
 */

import { ByteReader, concatBytes, encodeUtf8 } from './bytes.ts'
import type { BulkKey, CryptoPort, KeyPair } from './crypto-port.ts'
import { SealiftError, toSealiftError } from './errors.ts'
import { TAG_BYTES } from './limits.ts'

/** As long as a hash, and so the first `h` as it stands (section 5.2). */
const PROTOCOL_NAME = encodeUtf8('Noise_XX_25519_ChaChaPoly_SHA256')
/** DHLEN: a public key and a result of X25519. */
const KEY_BYTES = 32
const HASH_BYTES = 32
const NOTHING = new Uint8Array(0)

type Token = 'e' | 's' | 'ee' | 'es' | 'se'

const MESSAGES: readonly (readonly Token[])[] = [['e'], ['e', 'ee', 's', 'es'], ['s', 'se']]

/** A key and its counter (section 5.1). */
export class CipherState {
  readonly #key: BulkKey
  #n = 0

  /** @param k 32 bytes, copied */
  constructor(crypto: CryptoPort, k: Uint8Array) {
    this.#key = crypto.bulkKey('chacha20-poly1305', k)
  }

  /** @returns ciphertext and tag */
  encryptWithAd(ad: Uint8Array, plaintext: Uint8Array): Uint8Array {
    const ciphertext = concatBytes(this.#key.seal(this.#nonce(), ad, [plaintext]))
    this.#n++
    return ciphertext
  }

  /** @returns plaintext, the caller's own @throws SealiftError `auth_failed` where somebody else sealed it */
  decryptWithAd(ad: Uint8Array, ciphertext: Uint8Array): Uint8Array {
    try {
      const plaintext = concatBytes([this.#key.open(this.#nonce(), ad, ciphertext)])
      this.#n++
      return plaintext
    } catch (cause) {
      if (toSealiftError(cause).code !== 'record_invalid') throw cause
      throw new SealiftError('auth_failed', 'the other side could not prove that it has the key it names', { cause })
    }
  }

  /** 32 zero bits, then the counter as 64 bits, little-endian (section 12.3). */
  #nonce(): Uint8Array {
    const nonce = new Uint8Array(12)
    new DataView(nonce.buffer).setBigUint64(4, BigInt(this.#n), true)
    return nonce
  }
}

/** Chaining key, hash of all that was said, and the key of the moment (section 5.2). */
class SymmetricState {
  readonly #crypto: CryptoPort
  #ck: Uint8Array = PROTOCOL_NAME.slice()
  #h: Uint8Array = PROTOCOL_NAME.slice()
  #cipher: CipherState | null = null

  constructor(crypto: CryptoPort) {
    this.#crypto = crypto
  }

  get h(): Uint8Array {
    return this.#h
  }

  get hasKey(): boolean {
    return this.#cipher !== null
  }

  /** @param inputKeyMaterial taken over and zeroed */
  mixKey(inputKeyMaterial: Uint8Array): void {
    const [ck, k] = this.#hkdf(inputKeyMaterial)
    inputKeyMaterial.fill(0)
    this.#ck.fill(0)
    this.#ck = ck
    this.#cipher = new CipherState(this.#crypto, k)
    k.fill(0)
  }

  mixHash(data: Uint8Array): void {
    this.#h = this.#crypto.sha256([this.#h, data])
  }

  encryptAndHash(plaintext: Uint8Array): Uint8Array {
    const ciphertext = this.#cipher === null ? plaintext : this.#cipher.encryptWithAd(this.#h, plaintext)
    this.mixHash(ciphertext)
    return ciphertext
  }

  decryptAndHash(ciphertext: Uint8Array): Uint8Array {
    const plaintext = this.#cipher === null ? ciphertext : this.#cipher.decryptWithAd(this.#h, ciphertext)
    this.mixHash(ciphertext)
    return plaintext
  }

  split(): [Uint8Array, Uint8Array] {
    return this.#hkdf(NOTHING)
  }

  destroy(): void {
    this.#ck.fill(0)
  }

  /** Two outputs of Noise's HKDF (section 4.3), which is that of RFC 5869 without info. */
  #hkdf(inputKeyMaterial: Uint8Array): [Uint8Array, Uint8Array] {
    const prk = this.#crypto.hkdfExtract(this.#ck, inputKeyMaterial)
    const output = this.#crypto.hkdfExpand(prk, NOTHING, 2 * HASH_BYTES)
    prk.fill(0)
    const halves: [Uint8Array, Uint8Array] = [output.slice(0, HASH_BYTES), output.slice(HASH_BYTES)]
    output.fill(0)
    return halves
  }
}

/** What one side of a handshake begins with. The keys are borrowed until it is destroyed, and the caller's to zero. */
export interface NoiseParameters {
  readonly crypto: CryptoPort
  readonly initiator: boolean
  /** What both sides know already; must be equal. */
  readonly prologue: Uint8Array
  /** The long-term key pair. */
  readonly s: KeyPair
  /** A key pair that was made for this handshake alone. */
  readonly e: KeyPair
}

/** One side of a handshake (section 5.3). Whatever throws ends it: destroy it then. */
export class HandshakeState {
  readonly #parameters: NoiseParameters
  readonly #symmetric: SymmetricState
  #rs: Uint8Array = NOTHING
  #re: Uint8Array = NOTHING
  /** Messages so far. */
  #messages = 0

  constructor(parameters: NoiseParameters) {
    this.#parameters = parameters
    this.#symmetric = new SymmetricState(parameters.crypto)
    this.#symmetric.mixHash(parameters.prologue)
  }

  /** The other side's long-term public key, 32 bytes; empty until the message that holds it was read. */
  get rs(): Uint8Array {
    return this.#rs
  }

  /** Hash of all that was said, 32 bytes: the same on both sides, and of no other handshake. */
  get handshakeHash(): Uint8Array {
    return this.#symmetric.h.slice()
  }

  /**
   * @param payload borrowed
   * @throws SealiftError `protocol_violation` where a key of the other side is a point of low order
   */
  writeMessage(payload: Uint8Array): Uint8Array {
    const { e, s } = this.#parameters
    const parts: Uint8Array[] = []
    for (const token of this.#take(true)) {
      if (token === 'e') {
        parts.push(e.publicKey)
        this.#symmetric.mixHash(e.publicKey)
      } else if (token === 's') parts.push(this.#symmetric.encryptAndHash(s.publicKey))
      else this.#mixDh(token)
    }
    parts.push(this.#symmetric.encryptAndHash(payload))
    return concatBytes(parts)
  }

  /**
   * @param message borrowed
   * @returns the payload
   * @throws SealiftError `auth_failed` where it was changed, or its sender lacks a key that it names;
   *   `protocol_violation` where it is too short, or a key is of low order or our own sent back
   */
  readMessage(message: Uint8Array): Uint8Array {
    const { crypto, e } = this.#parameters
    const reader = new ByteReader(message)
    for (const token of this.#take(false)) {
      if (token === 'e') {
        this.#re = reader.bytes(KEY_BYTES).slice()
        if (crypto.equal(this.#re, e.publicKey))
          throw new SealiftError('protocol_violation', 'the other side sent our own share back')
        this.#symmetric.mixHash(this.#re)
      } else if (token === 's') {
        const sealedBytes = KEY_BYTES + (this.#symmetric.hasKey ? TAG_BYTES : 0)
        this.#rs = this.#symmetric.decryptAndHash(reader.bytes(sealedBytes))
      } else this.#mixDh(token)
    }
    return this.#symmetric.decryptAndHash(reader.bytes(reader.left))
  }

  /**
   * After message 3.
   * @returns the keys of the directions initiator to responder and back, 32 bytes each, the caller's to zero
   */
  split(): [Uint8Array, Uint8Array] {
    if (this.#messages !== MESSAGES.length) throw new SealiftError('internal', 'a Noise handshake is not done')
    return this.#symmetric.split()
  }

  /** Zeroes what it derived. May be called twice. */
  destroy(): void {
    this.#symmetric.destroy()
    this.#messages = MESSAGES.length + 1
  }

  /** The tokens of the next message, where it is this side's turn to write or read. */
  #take(writes: boolean): readonly Token[] {
    const tokens = MESSAGES[this.#messages]
    const initiatorWrites = this.#messages % 2 === 0
    if (tokens === undefined || writes !== (initiatorWrites === this.#parameters.initiator))
      throw new SealiftError('internal', 'a Noise message out of turn')
    this.#messages++
    return tokens
  }

  /** Each letter names a key of the initiator's, then one of the responder's. */
  #mixDh(token: 'ee' | 'es' | 'se'): void {
    const { crypto, initiator, e, s } = this.#parameters
    const [own, other] = initiator ? token : [token[1], token[0]]
    this.#symmetric.mixKey(crypto.x25519((own === 'e' ? e : s).privateKey, other === 'e' ? this.#re : this.#rs))
  }
}
