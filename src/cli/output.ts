/**
 * Where words go: everything human to stderr, `--json` events to stdout and nothing else there.
 *
 * Owns escaping of what came from elsewhere, colour, wrapping, and the form of an error. The only place that writes to a
 * terminal besides the progress line and the prompts.
 */

import { ERROR_TABLE, type SealiftError } from '../protocol/errors.ts'
import { escapeControls, escapeForDisplay, escapeText } from '../protocol/names.ts'
import { columnsOf, wrapWords } from './columns.ts'
import { DEFAULT_HINTS } from './hints.ts'

export interface OutputOptions {
  readonly json?: boolean | undefined
  readonly quiet?: boolean | undefined
  readonly verbose?: boolean | undefined
  readonly progress?: boolean | undefined
}

export class Output {
  readonly json: boolean
  readonly quiet: boolean
  readonly verbose: boolean
  /** Whether a progress line may be drawn. */
  readonly showsProgress: boolean
  /** Whether a person can be asked something. */
  readonly canAsk: boolean
  /** Whether the cursor may be moved. */
  readonly isTerminal: boolean
  readonly #colour: boolean

  constructor(options: OutputOptions) {
    const { stderr, stdin, env } = process
    this.json = options.json === true
    this.quiet = options.quiet === true || this.json
    this.verbose = options.verbose === true
    this.isTerminal = stderr.isTTY && !isDumb(env)
    this.showsProgress = this.isTerminal && !this.quiet && options.progress !== false
    this.canAsk = stdin.isTTY && stderr.isTTY && !this.json
    this.#colour = this.isTerminal && (env['NO_COLOR'] ?? '') === ''
  }

  /**
   * A line for people; silent with `--json` and `-q`. Text from elsewhere must come through {@link shown}. On a terminal
   * it is wrapped between words, except where it begins with a space: so a line to be copied stays in one piece.
   */
  say(line = ''): void {
    if (!this.quiet) process.stderr.write(`${wrapped(line)}\n`)
  }

  /** A line for people who asked for more. */
  detail(line: string): void {
    if (this.verbose) this.say(line)
  }

  /** A warning: said with `--json` too, but not with `-q`. */
  warn(message: string): void {
    if (this.quiet && !this.json) return
    const text = wrapped(`warning: ${escapeControls(message)}`)
    process.stderr.write(`${text.replace('warning:', this.#paint('33', 'warning:'))}\n`)
  }

  /** One event as one line of JSON on stdout. */
  event(event: object): void {
    if (this.json) writeSoon(`${JSON.stringify(event)}\n`)
  }

  /** A text that was received: as it is for programs, harmless for a terminal. With `--json` its event says it. */
  text(text: string): void {
    if (this.json) return
    hasWritten = true
    // At once, before anything else is drawn where the cursor stands now.
    process.stdout.write(process.stdout.isTTY ? `${escapeText(text)}\n` : text)
  }

  /** One line, then hints; with `--json` the same as an event too. */
  error(error: SealiftError): void {
    const message = escapeControls(error.message)
    const { code, exitCode, retryable, transferId } = error
    const hint = error.hint ?? DEFAULT_HINTS[code]
    this.event({
      event: 'error',
      code,
      message,
      hint,
      exitCode,
      retryable,
      ...(transferId === undefined ? {} : { transferId }),
    })
    const isStop = ERROR_TABLE[code].exit >= 130
    const line = wrapped(isStop ? message : `error: ${message}`)
    // Over the ^C that the terminal shows where it was pressed.
    const start = isStop && this.isTerminal ? '\r' : ''
    const hints = hint.split('\n').map((text) => `${wrapped(`hint: ${escapeControls(text)}`)}\n`)
    const painted = isStop ? line : line.replace('error:', this.#paint('31', 'error:'))
    process.stderr.write(`${start}${painted}\n${hints.join('')}`)
  }

  /** A line that belongs to a question: said with `-q` too. */
  tell(line: string): void {
    process.stderr.write(`${line}\n`)
  }

  /** Columns of the terminal; without one, as many as it takes. */
  get columns(): number {
    return process.stderr.isTTY ? columnsOf(process.stderr) : Number.POSITIVE_INFINITY
  }

  caution(text: string): string {
    return this.#paint('33', text)
  }

  strong(text: string): string {
    return this.#paint('1', text)
  }

  #paint(sgr: string, text: string): string {
    return this.#colour ? `\u001b[${sgr}m${text}\u001b[0m` : text
  }
}

/** Whether the terminal does nothing but text. One that says nothing of itself is taken so, but on Windows none does. */
function isDumb({ TERM }: NodeJS.ProcessEnv): boolean {
  return TERM === 'dumb' || ((TERM ?? '') === '' && process.platform !== 'win32')
}

function wrapped(line: string): string {
  const { stderr } = process
  return stderr.isTTY ? wrapWords(line, columnsOf(stderr)) : line
}

let waiting = ''
let hasWritten = false

/** Lines of one turn go out in one write: a tree of 12,000 files would pay for 12,000 otherwise. */
function writeSoon(line: string): void {
  if (waiting === '') setImmediate(() => void flushEvents())
  waiting += line
  hasWritten = true
}

/** Writes out what waits; resolves when all that was written by {@link Output} has left. */
export function flushEvents(): Promise<void> {
  // Content that nobody takes any more must not be waited for.
  if (!hasWritten) return Promise.resolve()
  const text = waiting
  waiting = ''
  return new Promise((resolve) => process.stdout.write(text, () => resolve()))
}

/** Text from elsewhere (names, peers, messages), safe for a terminal and on one line. */
export function shown(text: string): string {
  return escapeForDisplay(text)
}
