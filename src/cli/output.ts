/**
 * Where words go: everything human to stderr, `--json` events to stdout and nothing else there.
 *
 * Owns escaping of what came from elsewhere, colour, and the form of an error. The only place that writes to a terminal
 * besides the progress line.
 */

import { ERROR_TABLE, type SealiftError } from '../protocol/errors.ts'
import { escapeForDisplay } from '../protocol/names.ts'
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
  readonly #colour: boolean

  constructor(options: OutputOptions) {
    const { stderr, stdin, env } = process
    this.json = options.json === true
    this.quiet = options.quiet === true || this.json
    this.verbose = options.verbose === true
    const dumb = env['TERM'] === 'dumb'
    this.showsProgress = stderr.isTTY && !dumb && !this.quiet && options.progress !== false
    this.canAsk = stdin.isTTY && stderr.isTTY && !this.json
    this.#colour = stderr.isTTY && !dumb && (env['NO_COLOR'] ?? '') === ''
    // A reader that went away (`| head`) is no reason to die with a stack trace.
    process.stdout.on('error', () => undefined)
    stderr.on('error', () => undefined)
  }

  /** A line for people; silent with `--json` and `-q`. Text from elsewhere must come through {@link shown}. */
  say(line = ''): void {
    if (!this.quiet) process.stderr.write(`${line}\n`)
  }

  /** A line for people who asked for more. */
  detail(line: string): void {
    if (this.verbose) this.say(line)
  }

  /** A warning: said with `--json` too, but not with `-q`. */
  warn(message: string): void {
    if (!this.quiet || this.json) process.stderr.write(`${this.#paint('33', 'warning:')} ${message}\n`)
  }

  /** One event as one line of JSON on stdout. */
  event(event: object): void {
    if (this.json) writeSoon(`${JSON.stringify(event)}\n`)
  }

  /** One line, then hints; with `--json` the same as an event too. */
  error(error: SealiftError): void {
    const message = shown(error.message)
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
    const name = ERROR_TABLE[code].exit >= 130 ? '' : `${this.#paint('31', 'error:')} `
    const hints = hint.split('\n').map((line) => `hint: ${shown(line)}\n`)
    process.stderr.write(`${name}${message}\n${hints.join('')}`)
  }

  strong(text: string): string {
    return this.#paint('1', text)
  }

  #paint(sgr: string, text: string): string {
    return this.#colour ? `\u001b[${sgr}m${text}\u001b[0m` : text
  }
}

let waiting = ''

/** Lines of one turn go out in one write: a tree of 12,000 files would pay for 12,000 otherwise. */
function writeSoon(line: string): void {
  if (waiting === '') setImmediate(() => void flushEvents())
  waiting += line
}

/** Writes out what waits; resolves when it has left. */
export function flushEvents(): Promise<void> {
  const text = waiting
  waiting = ''
  return new Promise((resolve) => process.stdout.write(text, () => resolve()))
}

/** Text from elsewhere (names, peers, messages), safe for a terminal and on one line. */
export function shown(text: string): string {
  return escapeForDisplay(text)
}
