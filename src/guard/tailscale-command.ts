/**
 * The same questions by the `tailscale` command, where no socket of the daemon is found (the App Store's app of macOS
 * has none that others may use).
 */

import { execFile } from 'node:child_process'
import { type Answer, type AskOptions, noAnswer } from './tailscale-local-api.ts'

/** What the command said; `missing` where there is none. */
export type CommandAnswer = Answer | { readonly kind: 'missing' }

/**
 * Runs the command, without a shell. Never rejects.
 * @param command name or path of the program
 */
export function askCommand(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  options: AskOptions,
): Promise<CommandAnswer> {
  const { timeoutMs, maxBytes, signal } = options
  return new Promise((resolve) => {
    const settle = (answer: CommandAnswer): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', stop)
      resolve(answer)
    }
    const give = (reason: string): void => {
      child.kill('SIGKILL')
      // Whoever holds its output open must not hold this process.
      child.stdout?.destroy()
      child.stderr?.destroy()
      child.unref()
      settle({ kind: 'failed', reason })
    }
    const stop = (): void => give('the question was called off')
    const child = execFile(
      command,
      args,
      { env, maxBuffer: maxBytes, killSignal: 'SIGKILL', windowsHide: true, encoding: 'utf8' },
      (error, stdout, stderr) => settle(answerOf(error, stdout, stderr)),
    )
    const timer = setTimeout(() => give(noAnswer(timeoutMs)), timeoutMs)
    if (signal?.aborted === true) stop()
    signal?.addEventListener('abort', stop, { once: true })
    child.stdin?.end()
  })
}

function answerOf(error: Error | null, stdout: string, stderr: string): CommandAnswer {
  if (error === null) return { kind: 'answer', status: 200, text: stdout }
  const { code } = error as { code?: unknown }
  if (code === 'ENOENT' || code === 'EACCES' || code === 'ENOTDIR') return { kind: 'missing' }
  if (code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER') return { kind: 'failed', reason: 'its answer is too long' }
  if (/peer not found|no match/.test(stderr)) return { kind: 'answer', status: 404, text: '' }
  if (/doesn't appear to be running|failed to connect to local/i.test(stderr)) return { kind: 'nobody' }
  return { kind: 'failed', reason: 'the tailscale command fails' }
}
