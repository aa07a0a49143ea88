/** What a person sees: whether there is a terminal to ask and draw on, and whether it shows all letters. */

import { isatty } from 'node:tty'
import { type Finding, finding } from './finding.ts'

export interface TerminalFacts {
  readonly inputIsTerminal: boolean
  readonly outputIsTerminal: boolean
  /** `null` where there is none. */
  readonly columns: number | null
  readonly isDumb: boolean
  /** Whether names in any script can be shown; `null` where the system does not say. */
  readonly showsUnicode: boolean | null
}

export function readTerminal(
  env: Readonly<Record<string, string | undefined>>,
  platform: NodeJS.Platform = process.platform,
): TerminalFacts {
  const outputIsTerminal = isatty(2)
  // The first that is set counts (POSIX, 8.2).
  const locale = [env['LC_ALL'], env['LC_CTYPE'], env['LANG']].find((value) => value !== undefined && value !== '')
  const says = platform !== 'win32' && platform !== 'darwin'
  return {
    inputIsTerminal: isatty(0),
    outputIsTerminal,
    columns: outputIsTerminal ? process.stderr.columns : null,
    isDumb: env['TERM'] === 'dumb',
    showsUnicode: says ? /utf-?8/i.test(locale ?? '') : null,
  }
}

export function judgeTerminal(facts: TerminalFacts): Finding[] {
  const { inputIsTerminal, outputIsTerminal, columns, isDumb, showsUnicode } = facts
  const details = { inputIsTerminal, outputIsTerminal, columns, showsUnicode }
  const asks = inputIsTerminal && outputIsTerminal
  const what = [
    outputIsTerminal ? `terminal, ${columns ?? 0} columns` : 'no terminal',
    ...(showsUnicode === null ? [] : [showsUnicode ? 'UTF-8' : 'no UTF-8']),
  ].join(', ')
  const meaning = [
    asks ? 'Questions are asked.' : 'No question is asked: the default is taken.',
    ...(outputIsTerminal && !isDumb ? [] : ['No progress line is drawn; --json tells programs more.']),
  ].join(' ')
  if (outputIsTerminal && showsUnicode === false)
    return [
      finding('terminal', 'note', what, `${meaning} Names in other scripts may show wrong; they arrive right.`, {
        advice: 'choose a locale with UTF-8:\n  export LC_ALL=C.UTF-8',
        details,
      }),
    ]
  return [finding('terminal', 'ok', what, meaning, { details })]
}
