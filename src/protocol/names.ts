/**
 * Which names and link targets a manifest may hold, whoever wrote it (PROTOCOL 4.1, 4.5; S-30, S-33).
 *
 * Pure rules on bytes. What one file system cannot hold besides is the business of `files/`.
 */

import { decodeUtf8 } from './bytes.ts'
import { MAX_LINK_TARGET_BYTES, MAX_NAME_BYTES } from './limits.ts'

const DOT = 0x2e
const SLASH = 0x2f

/**
 * Why one component of a path may not be in a manifest; `null` where it may.
 * @param name the component's bytes, without separators
 */
export function nameFault(name: Uint8Array): string | null {
  if (name.length === 0) return 'an empty name'
  if (name.length > MAX_NAME_BYTES) return `a name over ${MAX_NAME_BYTES} bytes`
  if (name[0] === DOT && (name.length === 1 || (name.length === 2 && name[1] === DOT)))
    return 'a name that is a dot path'
  let highest = 0
  for (const byte of name) {
    if (byte === 0) return 'a name with a NUL'
    if (byte === SLASH) return 'a name with a separator'
    highest |= byte
  }
  // Plain ASCII is what most names are, and needs no decoder.
  return highest >= 0x80 && decodeUtf8(name) === null ? 'a name that is not UTF-8' : null
}

/**
 * Why a link may not be kept; `null` where it surely stays inside its root.
 *
 * `..` is taken only in front: folders above a link are real folders of the manifest, so climbing from there is
 * known; behind another name it would climb from wherever that name leads (`x -> .`, `x/..` leaves the root).
 *
 * @param target the link's text
 * @param depth folders between the link and its root: 0 for a link directly in the root folder
 */
export function linkFault(target: string, depth: number): string | null {
  if (target.length === 0) return 'an empty link'
  if (target.includes('\0')) return 'a link with a NUL'
  if (new TextEncoder().encode(target).length > MAX_LINK_TARGET_BYTES)
    return `a link over ${MAX_LINK_TARGET_BYTES} bytes`
  if (target.startsWith('/')) return 'an absolute link'
  let climbs = 0
  let named = false
  for (const part of target.split('/')) {
    if (part === '' || part === '.') continue
    if (part !== '..') {
      named = true
      continue
    }
    if (named) return 'a link that climbs behind a name'
    climbs++
  }
  return climbs > depth ? 'a link out of its root' : null
}

/**
 * Anything that came from elsewhere, made safe to show: control, direction and invisible characters as escapes. Two
 * different texts never look the same.
 */
export function escapeForDisplay(text: string): string {
  return escapeControls(text.replaceAll('\\', '\\\\'))
}

/** As {@link escapeForDisplay}, for sentences in which names may be escaped already: backslashes stay as they are. */
export function escapeControls(text: string): string {
  return text.replace(UNSAFE_TO_SHOW, (found) => {
    const code = found.codePointAt(0) as number
    return code <= 0xff ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`
  })
}

/**
 * A text of several lines from elsewhere, made safe to show: what would move the cursor, change the terminal or turn the
 * direction of writing as escapes; lines, tabs and all that is written stay.
 */
export function escapeText(text: string): string {
  return text.replace(/\r\n/g, '\n').replace(UNSAFE_IN_TEXT, (found) => {
    const code = found.codePointAt(0) as number
    return code <= 0xff ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`
  })
}

/** Controls but for line feed and tab, marks of direction, lone surrogates, and separators of lines. */
const UNSAFE_IN_TEXT = /(?![\n\t])[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu

/** Controls, formats (direction, zero width), lone surrogates, separators of lines, and what shows as nothing. */
const UNSAFE_TO_SHOW = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu
