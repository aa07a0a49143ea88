/**
 * Files of private keys (docs/identities.md): X25519, sealed under a password with scrypt and AES-256-GCM, or open.
 *
 * Owns the format. The key that scrypt gives is committed to in the file, so one file opens under one password only; what
 * a file says of the cost is bounded before any of it is spent (S-54). A password is told wrong before anything is
 * decrypted.
 */

import { nodeCrypto } from '../crypto/node.ts'
import { SCRYPT_COST, type ScryptCost, stretch } from '../crypto/stretching.ts'
import { ByteReader, ByteWriter, concatBytes } from '../protocol/bytes.ts'
import type { KeyPair } from '../protocol/crypto-port.ts'
import { SealiftError } from '../protocol/errors.ts'
import { escapeForDisplay } from '../protocol/names.ts'
import { createTrustedFile, readTrustedFile, refusal } from './trusted-file.ts'

const BEGIN = '-----BEGIN SEALIFT PRIVATE KEY-----'
const END = '-----END SEALIFT PRIVATE KEY-----'
const LINE_CHARACTERS = 64
const VERSION = 1
const PROTECTION = { none: 0, scrypt: 1 } as const
const KEY_BYTES = 32
const SALT_BYTES = 16
const COMMITMENT_BYTES = 32
const SEALED_BYTES = KEY_BYTES + 16
/** What a key file may have, at most; real ones are under 400 bytes. */
const MAX_KEY_FILE_BYTES = 4096
/** N · r · p of a file that is read, at most: twice what is written, half a second and 256 MiB. */
const MAX_SCRYPT_WORK = 1 << 21
/** The key is used for this one sealing. */
const NONCE = new Uint8Array(12)
/** The base point of X25519 (RFC 7748, section 4.1). */
const BASE_POINT = Uint8Array.from({ length: 32 }, (_, at) => (at === 0 ? 9 : 0))

const WHAT = 'the key file'

/** A fresh key pair; the private key is the caller's to zero. */
export function generateKeyPair(): KeyPair {
  return nodeCrypto.x25519Generate()
}

/**
 * @param password normalised; `null` leaves the key open to whoever reads the file. Borrowed, as the pair is
 * @param cost for tests, to which a cheaper one will do
 * @returns the text of a key file
 */
export async function sealKeyPair(
  pair: KeyPair,
  password: Uint8Array | null,
  cost: ScryptCost = SCRYPT_COST,
): Promise<string> {
  const head = new ByteWriter().u8(VERSION)
  if (password === null) {
    const open = head.u8(PROTECTION.none).bytes(pair.publicKey).bytes(pair.privateKey).finish()
    const text = armour(open)
    open.fill(0)
    return text
  }
  const salt = nodeCrypto.randomBytes(SALT_BYTES)
  const { N, r, p } = cost
  const { key, commitment } = await deriveKey(password, salt, cost)
  head.u8(PROTECTION.scrypt).u8(Math.log2(N)).u8(r).u8(p).bytes(salt).bytes(commitment).bytes(pair.publicKey)
  const aad = head.finish()
  const sealed = nodeCrypto.bulkKey('aes-256-gcm', key).seal(NONCE, aad, [pair.privateKey])
  key.fill(0)
  return armour(concatBytes([aad, ...sealed]))
}

/**
 * @param password asked for where the key is sealed; its result is zeroed. `null`: there is none
 * @returns the caller's to zero
 * @throws SealiftError `settings_invalid` for what is no key file, damaged, or dearer than it may be; `auth_failed` where
 *   the password is absent or wrong
 */
export async function openKeyPair(text: string, password: () => Promise<Uint8Array | null>): Promise<KeyPair> {
  const bytes = unarmour(text)
  try {
    const reader = new ByteReader(bytes)
    if (reader.u8() !== VERSION)
      throw new SealiftError('settings_invalid', `${WHAT} was written by a newer Sealift`, {
        hint: 'install the newer Sealift',
      })
    const protection = reader.u8()
    if (protection === PROTECTION.none) {
      const pair = checked(reader.bytes(KEY_BYTES), reader.bytes(KEY_BYTES))
      reader.end()
      return pair
    }
    if (protection === PROTECTION.scrypt) return await openSealed(bytes, reader, password)
    throw malformed()
  } catch (error) {
    // What ends too early, or too late.
    if (error instanceof SealiftError && error.code === 'protocol_violation') throw malformed()
    throw error
  } finally {
    bytes.fill(0)
  }
}

async function openSealed(
  bytes: Uint8Array,
  reader: ByteReader,
  password: () => Promise<Uint8Array | null>,
): Promise<KeyPair> {
  const [log2N, r, p] = [reader.u8(), reader.u8(), reader.u8()]
  const salt = reader.bytes(SALT_BYTES)
  const commitment = reader.bytes(COMMITMENT_BYTES)
  const publicKey = reader.bytes(KEY_BYTES)
  const aad = bytes.subarray(0, bytes.length - reader.left)
  const sealed = reader.bytes(SEALED_BYTES)
  reader.end()
  // The last is scrypt's own limit (RFC 7914, section 2): N < 2^(128 · r / 8).
  if (log2N < 1 || log2N > 30 || r < 1 || p < 1 || 2 ** log2N * r * p > MAX_SCRYPT_WORK || log2N >= 16 * r)
    throw new SealiftError('settings_invalid', `${WHAT} asks for more work than a key may cost`)
  const given = await password()
  if (given === null)
    throw new SealiftError('auth_failed', `${WHAT} is sealed by a password, and there is none`, {
      hint: 'set SEALIFT_KEY_PASSWORD, or start it where it can be asked for',
    })
  const derived = await deriveKey(given, salt, { N: 2 ** log2N, r, p })
  given.fill(0)
  try {
    if (!nodeCrypto.equal(derived.commitment, commitment))
      throw new SealiftError('auth_failed', `the password does not open ${WHAT}`)
    const privateKey = openPrivate(derived.key, aad, sealed)
    const pair = checked(publicKey, privateKey)
    privateKey.fill(0)
    return pair
  } finally {
    derived.key.fill(0)
  }
}

function openPrivate(key: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Uint8Array {
  try {
    return nodeCrypto.bulkKey('aes-256-gcm', key).open(NONCE, aad, sealed)
  } catch (cause) {
    throw new SealiftError('settings_invalid', `${WHAT} is damaged`, { cause })
  }
}

/** Copies of both keys, which must be of each other. */
function checked(publicKey: Uint8Array, privateKey: Uint8Array): KeyPair {
  if (!nodeCrypto.equal(nodeCrypto.x25519(privateKey, BASE_POINT), publicKey))
    throw new SealiftError('settings_invalid', `${WHAT} is damaged: its two keys are not of each other`)
  // Made by Buffers elsewhere, whose `slice` would not copy.
  return { publicKey: concatBytes([publicKey]), privateKey: concatBytes([privateKey]) }
}

async function deriveKey(
  password: Uint8Array,
  salt: Uint8Array,
  cost: ScryptCost,
): Promise<{ readonly key: Uint8Array; readonly commitment: Uint8Array }> {
  const derived = await stretch(password, salt, KEY_BYTES + COMMITMENT_BYTES, cost)
  const halves = { key: derived.slice(0, KEY_BYTES), commitment: derived.slice(KEY_BYTES) }
  derived.fill(0)
  return halves
}

function armour(bytes: Uint8Array): string {
  const lines =
    Buffer.from(bytes)
      .toString('base64')
      .match(new RegExp(`.{1,${LINE_CHARACTERS}}`, 'g')) ?? []
  return [BEGIN, ...lines, END, ''].join('\n')
}

/** @returns the caller's to zero */
function unarmour(text: string): Uint8Array {
  const lines = text.trim().split(/\r?\n/)
  const base64 = lines.slice(1, -1).join('')
  const bytes = Buffer.from(base64, 'base64')
  if (lines[0] !== BEGIN || lines.at(-1) !== END || bytes.toString('base64') !== base64) throw malformed()
  const copy = Uint8Array.from(bytes)
  bytes.fill(0)
  return copy
}

function malformed(): SealiftError {
  return new SealiftError('settings_invalid', `${WHAT} is none, or damaged`, {
    hint: 'sealift keygen makes one',
  })
}

/**
 * Reads a key file of this user's own that nobody else may read.
 *
 * @param password asked for where the key is sealed; its result is zeroed
 * @returns the private key is the caller's to zero
 * @throws SealiftError `settings_invalid`, `auth_failed`
 */
export async function readKeyFile(path: string, password: () => Promise<Uint8Array | null>): Promise<KeyPair> {
  const pair = await tryKeyFile(path, password)
  if (pair === null) throw refusal('there is no key file', path, 'sealift keygen makes one')
  return pair
}

async function tryKeyFile(path: string, password: () => Promise<Uint8Array | null>): Promise<KeyPair | null> {
  const text = readTrustedFile(path, { what: WHAT, isSecret: true, maxBytes: MAX_KEY_FILE_BYTES })
  if (text === null) return null
  try {
    return await openKeyPair(text, password)
  } catch (error) {
    if (!(error instanceof SealiftError)) throw error
    const { code, message, hint } = error
    throw new SealiftError(code, `${message}: ${escapeForDisplay(path)}`, {
      cause: error,
      ...(hint === undefined ? {} : { hint }),
    })
  }
}

/**
 * Makes a key file, 0600. Never replaces anything.
 * @param password normalised, or `null`; borrowed
 * @throws SealiftError `conflict` where something has that name, and those of a disk
 */
export async function createKeyFile(path: string, pair: KeyPair, password: Uint8Array | null): Promise<void> {
  createTrustedFile(path, await sealKeyPair(pair, password), 0o600, WHAT)
}

/**
 * The key pair of a server: read, or at its first start made, open. Of several that start at once, all have the same.
 * @throws SealiftError as {@link readKeyFile} and {@link createKeyFile}
 */
export async function readOrCreateKeyFile(
  path: string,
  password: () => Promise<Uint8Array | null>,
): Promise<{ readonly pair: KeyPair; readonly isNew: boolean }> {
  const found = await tryKeyFile(path, password)
  if (found !== null) return { pair: found, isNew: false }
  const pair = generateKeyPair()
  try {
    await createKeyFile(path, pair, null)
    return { pair, isNew: true }
  } catch (error) {
    pair.privateKey.fill(0)
    if (!(error instanceof SealiftError && error.code === 'conflict')) throw error
    return { pair: await readKeyFile(path, password), isNew: false }
  }
}
