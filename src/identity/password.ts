/**
 * Passwords that people choose: the one form in which they become bytes, and how short one may be (PROTOCOL 1.8).
 *
 * Unlike a token a password is not folded: case, spaces and dashes are part of it.
 */

import { encodeUtf8 } from '../protocol/bytes.ts'
import { SealiftError } from '../protocol/errors.ts'

/** Characters of a server's password, at least. */
export const MIN_PASSWORD_CHARACTERS = 10
/** Bytes of a password, at most: more is a mistake, such as the path of a wrong file. */
const MAX_PASSWORD_BYTES = 1024

/** How many characters it has, as a person counts them. */
export function countCharacters(password: string): number {
  return Array.from(password.normalize('NFC')).length
}

/**
 * NFC, spaces of other scripts as plain ones (RFC 8265, OpaqueString), UTF-8: what is typed alike on two machines is
 * equal.
 *
 * @returns the caller's to zero
 * @throws SealiftError `usage` where it is empty, too long or has control characters
 */
export function normalizePassword(text: string): Uint8Array {
  const password = text.replace(/\p{Zs}/gu, ' ').normalize('NFC')
  if (password === '') throw new SealiftError('usage', 'the password is empty')
  if (/\p{Cc}/u.test(password)) throw new SealiftError('usage', 'the password has control characters')
  const bytes = encodeUtf8(password)
  if (bytes.length > MAX_PASSWORD_BYTES) throw new SealiftError('usage', 'the password is too long')
  return bytes
}

/**
 * The same for the password of a server, which strangers may guess at.
 *
 * @returns the caller's to zero
 * @throws SealiftError `settings_invalid` where it is shorter than {@link MIN_PASSWORD_CHARACTERS}, and as
 *   {@link normalizePassword}
 */
export function normalizeServerPassword(text: string): Uint8Array {
  if (countCharacters(text) < MIN_PASSWORD_CHARACTERS)
    throw new SealiftError('settings_invalid', `the password has fewer than ${MIN_PASSWORD_CHARACTERS} characters`, {
      hint: 'several words are easier to keep in mind than one strange one',
    })
  return normalizePassword(text)
}
