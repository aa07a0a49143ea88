/**
 * What the protocol needs of cryptography. `crypto/node.ts` implements it; the protocol only knows this page.
 *
 * All of it is synchronous, so that the records of a session keep their order by themselves. Secrets come back in buffers that the caller owns and zeroes.
 */

/** Ciphers that records are sealed with, by the number that INIT and RESP use. */
export const CIPHERS = { 'aes-256-gcm': 1, 'chacha20-poly1305': 2 } as const
export type CipherName = keyof typeof CIPHERS

/** What records are kept safe by: a cipher of their own, or `tls`, the stream below them. */
export const RECORD_CIPHERS = { ...CIPHERS, tls: 3 } as const
export type RecordCipher = keyof typeof RECORD_CIPHERS

export interface KeyPair {
  readonly publicKey: Uint8Array
  readonly privateKey: Uint8Array
}

/** ML-KEM-768 (FIPS 203): public key 1,184 bytes, ciphertext 1,088, secret 32. The private key is the 64-byte seed. */
export interface Kem {
  generate(): KeyPair
  /** @throws SealiftError `protocol_violation` where the public key is malformed. */
  encapsulate(publicKey: Uint8Array): { readonly ciphertext: Uint8Array; readonly secret: Uint8Array }
  /** Never fails on a wrong ciphertext of the right length: it gives another secret (implicit rejection). */
  decapsulate(privateKey: Uint8Array, ciphertext: Uint8Array): Uint8Array
}

/** One key of one direction. Holds its key material until `destroy`. */
export interface BulkKey {
  /**
   * @param nonce 12 bytes, never used twice with this key
   * @param parts plaintext, borrowed only until this returns
   * @returns ciphertext and the 16-byte tag, as parts to be written in this order
   */
  seal(nonce: Uint8Array, aad: Uint8Array, parts: readonly Uint8Array[]): Uint8Array[]
  /**
   * @param sealed ciphertext and tag, borrowed only until this returns
   * @returns plaintext, the caller's own, only after the tag was verified
   * @throws SealiftError `record_invalid`
   */
  open(nonce: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Uint8Array
}

export interface CryptoPort {
  /** From a CSPRNG. */
  randomBytes(length: number): Uint8Array
  sha256(parts: readonly Uint8Array[]): Uint8Array
  sha512(parts: readonly Uint8Array[]): Uint8Array
  hmacSha256(key: Uint8Array, parts: readonly Uint8Array[]): Uint8Array
  /** HKDF-SHA-256 (RFC 5869), the two steps apart. */
  hkdfExtract(salt: Uint8Array, ikm: Uint8Array): Uint8Array
  hkdfExpand(prk: Uint8Array, info: Uint8Array, length: number): Uint8Array
  /** In constant time; false where the lengths differ. */
  equal(a: Uint8Array, b: Uint8Array): boolean
  /** A fresh X25519 key pair, 32 bytes each. */
  x25519Generate(): KeyPair
  /**
   * X25519 (RFC 7748) of a 32-byte scalar and a 32-byte u-coordinate.
   * @throws SealiftError `protocol_violation` where the result is all zero (a low-order point)
   */
  x25519(scalar: Uint8Array, point: Uint8Array): Uint8Array
  /** Elligator2 of curve25519 (RFC 9380 6.7.1) of a 32-byte little-endian field element, top bit ignored; gives the u-coordinate, 32 bytes little-endian. */
  elligator2(fieldElement: Uint8Array): Uint8Array
  /** `null` where the runtime has no ML-KEM. */
  readonly kem: Kem | null
  /** Ciphers of this runtime, the faster one first. */
  readonly ciphers: readonly CipherName[]
  /** @param key 32 bytes; copied */
  bulkKey(cipher: CipherName, key: Uint8Array): BulkKey
}
