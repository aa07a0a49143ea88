/**
 * Long-term public keys as people handle them: one line of text, and a fingerprint to compare.
 *
 *     sealift-x25519 BASE64 [name]
 */

import { createHash } from 'node:crypto'
import { SealiftError } from '../protocol/errors.ts'

const ALGORITHM = 'sealift-x25519'
const KEY_BYTES = 32
/** Characters of the name behind a key, at most. */
const MAX_NAME_CHARACTERS = 64

export interface PublicKeyLine {
  /** 32 bytes. */
  readonly key: Uint8Array
  /** What its owner calls it; proves nothing, and is escaped where it is shown. */
  readonly name: string | null
}

/** `SHA256:` and the SHA-256 of the 32 bytes in base64 without padding, as ssh writes it. */
export function fingerprintOf(key: Uint8Array): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`
}

/** @returns `text` without white space around it @throws SealiftError `settings_invalid` where it is no fingerprint */
export function parseFingerprint(text: string, setting: string): string {
  const fingerprint = text.trim()
  if (/^SHA256:[A-Za-z0-9+/]{43}$/.test(fingerprint)) return fingerprint
  throw new SealiftError('settings_invalid', `${setting} is no fingerprint of a key`, {
    hint: 'a fingerprint looks like SHA256: and 43 letters and digits; the server shows its own when it starts',
  })
}

/** The line of a key, without a line break. */
export function formatPublicKey(key: Uint8Array, name: string | null = null): string {
  const line = `${ALGORITHM} ${Buffer.from(key).toString('base64')}`
  const word = name === null ? '' : nameWord(name)
  return word === '' ? line : `${line} ${word}`
}

/** A name as one word of printable characters, so that a line stays one line of words. */
function nameWord(name: string): string {
  return name
    .replace(/[\s\p{C}=#]+/gu, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, MAX_NAME_CHARACTERS)
}

/** @throws SealiftError `settings_invalid`; the message does not repeat the text, which may be another kind of key */
export function parsePublicKey(line: string): PublicKeyLine {
  const { key, rest } = splitKeyLine(line)
  if (rest.length > 1)
    throw new SealiftError('settings_invalid', 'a public key has one word behind it at most, its name')
  return { key, name: rest[0] === undefined ? null : checkName(rest[0]) }
}

/**
 * The key of a line, and the words behind it.
 * @throws SealiftError `settings_invalid`
 */
export function splitKeyLine(line: string): { readonly key: Uint8Array; readonly rest: readonly string[] } {
  const [algorithm, base64 = '', ...rest] = line.trim().split(/\s+/)
  if (algorithm !== ALGORITHM) throw new SealiftError('settings_invalid', `no public key: it begins with ${ALGORITHM}`)
  const key = parseKey(base64)
  if (key === null)
    throw new SealiftError('settings_invalid', `no public key: ${ALGORITHM} has 44 characters of base64`)
  return { key, rest }
}

/** 32 bytes of base64, in its one form; `null` where it is not that. */
function parseKey(base64: string): Uint8Array | null {
  const bytes = Buffer.from(base64, 'base64')
  return bytes.length === KEY_BYTES && bytes.toString('base64') === base64 ? Uint8Array.from(bytes) : null
}

/** @throws SealiftError `settings_invalid` */
export function checkName(name: string): string {
  if (name.length > MAX_NAME_CHARACTERS || /[\p{C}=]/u.test(name))
    throw new SealiftError(
      'settings_invalid',
      `a name has at most ${MAX_NAME_CHARACTERS} printable characters, none of them =`,
    )
  return name
}
