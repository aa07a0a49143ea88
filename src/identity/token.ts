/**
 * Tokens: the few words that let one peer meet another (PROTOCOL 1.8).
 *
 * Owns how they are made and how what a person typed is folded. Knows no handshake, guess or ledger: a token is bytes
 * to the protocol. Tokens never rest, not even hashed.
 */

import { encodeUtf8 } from '../protocol/bytes.ts'
import { SealiftError } from '../protocol/errors.ts'
import { WORD_LIST } from './word-list.ts'

const TWO_16 = 0x1_0000

let words: readonly string[] | undefined

/** The words that tokens are made of, split at the first call. */
export function tokenWords(): readonly string[] {
  return (words ??= WORD_LIST.trim().split(/\s/))
}

/**
 * A new token: words joined by `-`, each drawn with equal probability (12.9 bits a word).
 *
 * @param wordCount 2 for a direct token, which is spent by its first session; 4 for a server's, which is used again
 * @param randomBytes from a CSPRNG
 */
export function generateToken(wordCount: 2 | 4, randomBytes: (length: number) => Uint8Array): string {
  const list = tokenWords()
  // Numbers at the end of the range that would favour the first words are drawn again.
  const usable = TWO_16 - (TWO_16 % list.length)
  const chosen: string[] = []
  while (chosen.length < wordCount) {
    const drawn = randomBytes(2)
    const number = ((drawn[0] as number) << 8) | (drawn[1] as number)
    drawn.fill(0)
    if (number < usable) chosen.push(list[number % list.length] as string)
  }
  return chosen.join('-')
}

/**
 * What a person typed or pasted, in the one form that both sides give to the handshake: NFKC, lower case, invisible
 * characters removed, and each run of spaces, punctuation and symbols as one `-`. No word is looked up:
 * a token that is wrong is for the other side to find.
 *
 * @returns UTF-8, the caller's to zero
 * @throws SealiftError `usage` where nothing is left
 */
export function normalizeToken(text: string): Uint8Array {
  const folded = text
    .normalize('NFKC')
    .replace(/\p{Default_Ignorable_Code_Point}/gu, '')
    .toLowerCase()
    .normalize('NFKC')
    .replace(/[\s\p{P}\p{S}]+/gu, '-')
    .replace(/^-|-$/g, '')
  if (folded === '') throw new SealiftError('usage', 'the token is empty')
  return encodeUtf8(folded)
}
