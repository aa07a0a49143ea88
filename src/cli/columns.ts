/**
 * How wide text is on a terminal, and how it is made to fit: cut, or wrapped at the borders of words.
 *
 * For text that is escaped already, so that nothing in it is invisible or moves the cursor. Knows no stream.
 */

import { stripVTControlCharacters } from 'node:util'

const USUAL_COLUMNS = 80
const ASCII = /^[\x20-\x7e]*$/
/** East Asian wide and fullwidth characters, and what shows as an emoji. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe10-\ufe19\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{17000}-\u{18cff}\u{1aff0}-\u{1b2ff}\u{1f200}-\u{1f2ff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u
const COMBINING = /\p{M}/u
/** Commands to be copied as they stand: a line's end in them would come along. */
const COMMAND = /sealift (?:send|receive|status|resume|ban|quota) [^\s,;]+/g

/** Columns of a terminal; of one that does not say, as many as most have. */
export function columnsOf({ columns }: { readonly columns: number }): number {
  return columns > 0 ? columns : USUAL_COLUMNS
}

/** Columns that a text takes; emoji of several parts count each of them, as many terminals show them so. */
export function displayWidth(text: string): number {
  // Colours take no room.
  const plain = stripVTControlCharacters(text)
  if (ASCII.test(plain)) return plain.length
  let width = 0
  for (const character of plain) width += characterWidth(character)
  return width
}

function characterWidth(character: string): number {
  if (COMBINING.test(character)) return 0
  return WIDE.test(character) ? 2 : 1
}

/** The text, or its two ends with `…` between them, as the end of a name says what it is. At most so many columns. */
export function cutToFit(text: string, columns: number): string {
  if (displayWidth(text) <= columns) return text
  if (columns < 1) return ''
  const characters = Array.from(text)
  const tail = takeColumns(characters.toReversed(), Math.floor((columns - 1) / 3)).toReversed()
  const head = takeColumns(characters, columns - 1 - displayWidth(tail.join('')))
  return `${head.join('')}…${tail.join('')}`
}

function takeColumns(characters: readonly string[], columns: number): string[] {
  const taken: string[] = []
  let width = 0
  for (const character of characters) {
    width += characterWidth(character)
    if (width > columns) break
    taken.push(character)
  }
  return taken
}

/** Narrower than this there are no good borders: the terminal wraps by itself. */
const LEAST_COLUMNS = 20

/**
 * Wraps at spaces; further lines are indented by two. What begins with a space is laid out already and stays as it is,
 * and so does what has no space to wrap at, such as a long path.
 */
export function wrapWords(text: string, columns: number): string {
  const isLaidOut = stripVTControlCharacters(text).startsWith(' ')
  if (columns < LEAST_COLUMNS || isLaidOut || displayWidth(text) <= columns) return text
  const words = text.replace(COMMAND, (command) => command.replaceAll(' ', '\0')).split(' ')
  const lines: string[] = []
  let line = words[0] as string
  for (const word of words.slice(1)) {
    if (displayWidth(line) + 1 + displayWidth(word) <= columns) line += ` ${word}`
    else {
      lines.push(line.trimEnd())
      line = `  ${word}`
    }
  }
  return [...lines, line].join('\n').replaceAll('\0', ' ')
}
