/**
 * How a finding of the doctor is laid out: status and text in two columns, the meaning below, what to do marked.
 * Readable without colour, from 40 columns on. Commands are kept on one line, so that they can be copied.
 */

import type { Finding, FindingStatus } from '../library/diagnose.ts'
import { escapeControls } from '../protocol/names.ts'
import { displayWidth } from './columns.ts'

/** Width of the left column: a space, the longest status, and a gap. */
const STATUS_COLUMNS = 10
const MIN_COLUMNS = 40
const MAX_COLUMNS = 100
/** Problems shall be found by eye in a long list. */
const MARKS: Readonly<Record<FindingStatus, string>> = {
  ok: 'ok',
  note: 'note',
  warning: 'warning',
  problem: 'PROBLEM',
}

/**
 * Lines of one finding.
 * @param columns width of the terminal
 * @param emphasize makes a mark stand out
 */
export function findingLines(finding: Finding, columns: number, emphasize: (text: string) => string): string[] {
  const width = Math.min(Math.max(columns, MIN_COLUMNS), MAX_COLUMNS) - STATUS_COLUMNS - 1
  const indent = ' '.repeat(STATUS_COLUMNS)
  const mark = MARKS[finding.status].padEnd(STATUS_COLUMNS - 1)
  const isGrave = finding.status === 'warning' || finding.status === 'problem'
  const [first = '', ...rest] = wrapped(finding.what, width)
  const advice = (finding.advice ?? '').split('\n').filter((line) => line !== '')
  return [
    ` ${isGrave ? emphasize(mark) : mark}${first}`,
    ...[...rest, ...wrapped(finding.meaning, width), ...advice.flatMap((line, at) => adviceLines(line, at, width))].map(
      (line) => `${indent}${line}`,
    ),
  ]
}

/** Lines that begin with spaces are commands. */
function adviceLines(line: string, at: number, width: number): string[] {
  if (line.startsWith('  ')) return [`    ${escapeControls(line.trim())}`]
  const mark = at === 0 ? '> ' : '  '
  return wrapped(line, width - mark.length).map((part, index) => `${index === 0 ? mark : '  '}${part}`)
}

/** Text in lines of at most so many columns; a longer word gets a line of its own, a number stays with its unit. */
function wrapped(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of escapeControls(text).split(/(?<!\d) | (?![A-Za-z])/)) {
    if (line !== '' && displayWidth(line) + 1 + displayWidth(word) > width) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return line === '' ? lines : [...lines, line]
}
