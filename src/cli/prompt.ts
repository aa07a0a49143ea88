/** Questions to the person at the terminal. Asked only where {@link Output.canAsk}; everywhere else the default is taken. */

import { createInterface } from 'node:readline/promises'
import { SealiftError } from '../protocol/errors.ts'

/** @throws SealiftError `interrupted` on Ctrl-C, `declined` at the end of input */
async function ask(question: string, signal: AbortSignal): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  const gone = new AbortController()
  terminal.once('SIGINT', () => process.emit('SIGINT'))
  terminal.once('close', () => gone.abort())
  try {
    return (await terminal.question(question, { signal: AbortSignal.any([signal, gone.signal]) })).trim()
  } catch (cause) {
    if (signal.aborted) throw signal.reason
    throw new SealiftError('declined', 'the question was not answered', { cause })
  } finally {
    terminal.close()
  }
}

/** `question [Y/n]`; an empty answer is the default. */
export async function confirm(question: string, byDefault: boolean, signal: AbortSignal): Promise<boolean> {
  for (;;) {
    const answer = (await ask(`${question} ${byDefault ? '[Y/n]' : '[y/N]'} `, signal)).toLowerCase()
    if (answer === '') return byDefault
    if (['y', 'yes'].includes(answer)) return true
    if (['n', 'no'].includes(answer)) return false
  }
}

/** A line of text; asked again while it is empty. */
export async function askFor(question: string, signal: AbortSignal): Promise<string> {
  for (;;) {
    const answer = await ask(`${question} `, signal)
    if (answer !== '') return answer
  }
}

/** One of several letters, such as `k` of "[k]eep both / [o]verwrite"; an empty answer is the first. */
export async function choose<T extends string>(
  question: string,
  answers: Readonly<Record<string, T>>,
  signal: AbortSignal,
): Promise<T> {
  const letters = Object.keys(answers)
  for (;;) {
    const answer = (await ask(`${question} `, signal)).toLowerCase()
    const chosen = answers[answer === '' ? (letters[0] as string) : answer.slice(0, 1)]
    if (chosen !== undefined) return chosen
  }
}
