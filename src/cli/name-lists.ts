/** Names in lines of text: escaped, set apart from the words around them, cut where they are long, and counted where they are many. */

import { isAbsolute, relative, sep } from 'node:path'
import { formatCount } from '../config/sizes.ts'
import { cutToFit, displayWidth } from './columns.ts'
import { shown } from './output.ts'

/** Between two names: one alone may be in a name, which then stands in quotes. */
const GAP = '  '

/** A name from elsewhere: escaped, and in quotes where it could be taken for several, or for words of the line. */
export function shownName(name: string): string {
  const text = shown(name)
  return /[\s'"]/.test(text) ? `'${text}'` : text
}

/** A path of this machine as a person would write it here: `./project` below the current folder, else absolute. */
export function shownPath(path: string, currentFolder: string): string {
  const inside = relative(currentFolder, path)
  if (inside === '') return '.'
  const isBelow = inside !== '..' && !inside.startsWith(`..${sep}`) && !isAbsolute(inside)
  return shownName(isBelow ? `.${sep}${inside}` : path)
}

export interface NameListOptions {
  readonly columns: number
  /** What stands before the first name, with the space between. */
  readonly label: string
  /** How far further lines are indented. */
  readonly indent: number
  readonly maxLines: number
  /** How many there are in all, with those that `names` does not hold. */
  readonly total: number
}

/**
 * Names on a few lines, and `and 12 more` where that is not all of them; one name at least, whatever it takes.
 * @param names safe to show; each is cut to the width of a line
 * @returns the lines, and whether they leave anything out
 */
export function listNames(names: readonly string[], options: NameListOptions): { lines: string[]; isCut: boolean } {
  const { columns, indent, maxLines, total } = options
  const fitting = names.map((name) => cutToFit(name, Math.max(10, columns - indent)))
  for (let count = names.length; ; count--) {
    const more = total - count
    const pieces = fitting.slice(0, count)
    const lines = layOut(more > 0 ? [...pieces, `and ${formatCount(more)} more`] : pieces, options)
    const isCut = more > 0 || pieces.some((piece, at) => piece !== names[at])
    if (lines.length <= maxLines || count <= 1) return { lines, isCut }
  }
}

function layOut(pieces: readonly string[], { columns, label, indent }: NameListOptions): string[] {
  const lines: string[] = []
  let line = label
  let isEmpty = true
  for (const piece of pieces) {
    const longer = isEmpty ? line + piece : line + GAP + piece
    if (displayWidth(longer) <= columns) line = longer
    else {
      if (line.trim() !== '') lines.push(line.trimEnd())
      line = ' '.repeat(indent) + piece
    }
    isEmpty = false
  }
  return [...lines, line]
}
