/**
 * Names beside a taken one: `report (1).pdf`, `tree (2)` (PROTOCOL 4.6). Pure; the caller says what is taken.
 */

import { MAX_NAME_BYTES } from '../protocol/limits.ts'

/** Endings of two parts that belong together. */
const DOUBLE_ENDING = /\.tar\.[A-Za-z0-9]{1,5}$/
const ENDING = /\.[^.\s]{1,16}$/

/**
 * The first free name beside a taken one, the number before a file's ending.
 * @param isTaken asked for each candidate in turn
 */
export function nextFreeName(name: string, isFile: boolean, isTaken: (candidate: string) => boolean): string {
  for (let number = 1; ; number++) {
    const candidate = numberedName(name, number, isFile)
    if (!isTaken(candidate)) return candidate
  }
}

/** A name with a number, cut where it would be over 255 bytes. */
export function numberedName(name: string, number: number, isFile: boolean): string {
  const ending = isFile ? endingOf(name) : ''
  const mark = ` (${number})`
  const room = MAX_NAME_BYTES - Buffer.byteLength(mark) - Buffer.byteLength(ending)
  return cutToBytes(name.slice(0, name.length - ending.length), room) + mark + ending
}

function endingOf(name: string): string {
  const ending = (DOUBLE_ENDING.exec(name) ?? ENDING.exec(name))?.[0] ?? ''
  // `.profile` is a name, not an ending.
  return ending.length === name.length ? '' : ending
}

/** The longest start of a text that has at most so many bytes as UTF-8, cut between characters. */
export function cutToBytes(text: string, bytes: number): string {
  if (Buffer.byteLength(text) <= bytes) return text
  let kept = ''
  let left = bytes
  for (const character of text) {
    left -= Buffer.byteLength(character)
    if (left < 0) break
    kept += character
  }
  return kept
}
