/**
 * Whether the disk below a path answers at all. A network disk whose server is gone holds whoever asks it, and the end
 * of their process too: so another process asks, and is left behind where it does not come back.
 */

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'

/** Asks the file system itself, where looking at a file may be answered from memory. */
const COMMANDS = ['/usr/bin/df', '/bin/df']

/**
 * @param path absolute; whether anything is there does not matter
 * @returns false where there was no answer in time; true where there was one, or nobody to ask for it
 */
export function diskAnswers(path: string, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
  const command = process.platform === 'win32' ? undefined : COMMANDS.find((file) => existsSync(file))
  if (command === undefined || signal.aborted) return Promise.resolve(true)
  return new Promise((resolve) => {
    const child = spawn(command, ['-P', path], { stdio: 'ignore', cwd: '/', env: { LC_ALL: 'C' } })
    const settle = (answered: boolean): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
      if (!answered) child.kill('SIGKILL')
      child.unref()
      resolve(answered)
    }
    const abort = (): void => settle(false)
    const timer = setTimeout(abort, timeoutMs)
    signal.addEventListener('abort', abort)
    child.once('error', () => settle(true))
    child.once('exit', () => settle(true))
  })
}
