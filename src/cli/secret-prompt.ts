/** Questions whose answer must not be seen: nothing that is typed is shown. Asked only where {@link Output.canAsk}. */

import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { SealiftError } from '../protocol/errors.ts'

/** Takes the echo of what is typed. */
class Silence extends Writable {
  override _write(_chunk: unknown, _encoding: string, done: () => void): void {
    done()
  }
}

/** @throws SealiftError `unanswered` at the end of input; the signal's reason, which with Ctrl-C is `interrupted` */
export async function askSecret(question: string, signal: AbortSignal): Promise<string> {
  signal.throwIfAborted()
  // The terminal stops to echo before anybody sees the question, and so before anybody types.
  const terminal = createInterface({ input: process.stdin, output: new Silence(), terminal: true, historySize: 0 })
  const gone = new AbortController()
  terminal.once('SIGINT', () => process.emit('SIGINT'))
  terminal.once('close', () => gone.abort())
  process.stderr.write(`${question} `)
  try {
    return await terminal.question('', { signal: AbortSignal.any([signal, gone.signal]) })
  } catch (cause) {
    if (signal.aborted) throw signal.reason
    throw new SealiftError('unanswered', 'the question was not answered', { cause })
  } finally {
    terminal.close()
    // Enter was not shown either.
    process.stderr.write('\n')
  }
}

/** A password that does not exist yet: asked for twice, and again while the two differ or `check` throws, which is said. */
export async function askNewPassword(check: (password: string) => void, signal: AbortSignal): Promise<string> {
  for (;;) {
    const password = await askSecret('New password:', signal)
    try {
      check(password)
    } catch (error) {
      if (!(error instanceof SealiftError)) throw error
      process.stderr.write(`${error.message}\n`)
      continue
    }
    if ((await askSecret('Once more:', signal)) === password) return password
    process.stderr.write('The two differ. Please try again.\n')
  }
}
