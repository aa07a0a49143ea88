/**
 * Questions to the person at the terminal. Asked only where {@link Output.canAsk}; everywhere else the default is taken.
 *
 * Every answer is looked at whole: what is not one of those that were named is asked for again. Ctrl-C, the end of input and
 * a signal end a question at once; readline leaves the cursor on a line of its own then.
 */

import { createInterface } from 'node:readline/promises'
import { SealiftError } from '../protocol/errors.ts'
import { columnsOf, wrapWords } from './columns.ts'

/** Columns that stay free behind a question. */
const ROOM_FOR_ANSWER = 6

/** @throws SealiftError `unanswered` at the end of input; the signal's reason, which with Ctrl-C is `interrupted` */
async function ask(question: string, signal: AbortSignal): Promise<string> {
  signal.throwIfAborted()
  // Only the last line is the prompt: it is drawn again with every key.
  const lines = wrapWords(question, columnsOf(process.stderr) - ROOM_FOR_ANSWER).split('\n')
  const prompt = lines.pop() ?? ''
  for (const line of lines) process.stderr.write(`${line}\n`)
  const terminal = createInterface({ input: process.stdin, output: process.stderr, historySize: 0 })
  const gone = new AbortController()
  terminal.once('SIGINT', () => process.emit('SIGINT'))
  terminal.once('close', () => gone.abort())
  try {
    return (await terminal.question(`${prompt} `, { signal: AbortSignal.any([signal, gone.signal]) })).trim()
  } catch (cause) {
    if (signal.aborted) throw signal.reason
    throw new SealiftError('unanswered', 'the question was not answered', { cause })
  } finally {
    terminal.close()
  }
}

/**
 * One of several answers.
 * @param answers what may be typed, in lower case, and what it means; the empty text is Enter alone
 * @param reminder said where anything else was typed
 */
export async function choose<T>(
  question: string,
  answers: Readonly<Record<string, T>>,
  reminder: string,
  signal: AbortSignal,
): Promise<T> {
  for (;;) {
    const answer = (await ask(question, signal)).toLowerCase().replace(/\s+/g, ' ')
    if (Object.hasOwn(answers, answer)) return answers[answer] as T
    process.stderr.write(`${wrapWords(reminder, columnsOf(process.stderr))}\n`)
  }
}

/** `question [Y/n]`; an empty answer is the default. */
export function confirm(question: string, byDefault: boolean, signal: AbortSignal): Promise<boolean> {
  return choose(
    `${question} ${byDefault ? '[Y/n]' : '[y/N]'}`,
    { '': byDefault, y: true, yes: true, n: false, no: false },
    'Please answer y or n.',
    signal,
  )
}

/**
 * A line of text; asked again while it is empty, or `read` throws, which is said.
 * @param read what the line means
 */
export async function askFor<T>(question: string, read: (line: string) => T, signal: AbortSignal): Promise<T> {
  for (;;) {
    const line = await ask(question, signal)
    if (line === '') continue
    try {
      return read(line)
    } catch (error) {
      if (!(error instanceof SealiftError)) throw error
      for (const said of [error.message, error.hint])
        if (said !== undefined) process.stderr.write(`${wrapWords(said, columnsOf(process.stderr))}\n`)
    }
  }
}

/** Shows lines a screen at a time; Enter goes on, `q` goes back to the question. */
export async function showPaged(lines: Iterable<string>, signal: AbortSignal): Promise<void> {
  let shown = 0
  for (const line of lines) {
    if (shown > 0 && shown % Math.max(5, process.stderr.rows - 1) === 0) {
      const goesOn = await choose(
        'Enter shows more, q goes back:',
        { '': true, q: false },
        'Please press Enter, or type q.',
        signal,
      )
      if (!goesOn) return
    }
    process.stderr.write(`${line}\n`)
    shown++
  }
}
