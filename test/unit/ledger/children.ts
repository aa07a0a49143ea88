/** Processes that work on a ledger beside the test; what they run is written as a module with `ledger` imports ready. */

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { onTestFinished } from 'vitest'

const LEDGER = new URL('../../../src/ledger/', import.meta.url).href

export interface Child {
  readonly process: ChildProcessWithoutNullStreams
  /** The next line that it prints; `null` when it has ended. */
  nextLine(): Promise<string | null>
  /** Exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>
}

/** @param source module text; `LEDGER_FOLDER` stands for the URL of src/ledger/ */
export function startChild(source: string, args: readonly string[], uid?: number): Child {
  const text = source.replaceAll('LEDGER_FOLDER/', LEDGER)
  const child = spawn(process.execPath, ['--input-type=module', '-e', text, '--', ...args], {
    ...(uid === undefined ? {} : { uid, gid: uid }),
    env: { PATH: process.env['PATH'], NODE_NO_WARNINGS: '1' },
  })
  child.stderr.pipe(process.stderr)
  onTestFinished(() => void child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const ended = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | string)
  return {
    process: child,
    ended,
    nextLine: async () => {
      const { value, done } = await lines.next()
      return done === true ? null : value
    },
  }
}
