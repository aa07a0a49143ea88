/** Ctrl-C and its kin: the first asks for an orderly stop, the second ends the process at once. */

import { SealiftError } from '../protocol/errors.ts'

const SIGNALS = { SIGINT: 'interrupted', SIGTERM: 'terminated', SIGHUP: 'terminated' } as const

export interface SignalStop {
  /** Aborted by the first signal, with the error that the command ends with. */
  readonly signal: AbortSignal
  /** What a command failed with, or the signal where that was the cause. */
  cause(thrown: unknown): unknown
  release(): void
}

export function stopOnSignals(): SignalStop {
  const stop = new AbortController()
  const handlers = Object.entries(SIGNALS).map(([name, code]) => {
    const handler = (): void => {
      const error = new SealiftError(code, 'stopped')
      if (stop.signal.aborted) process.exit(error.exitCode)
      stop.abort(error)
    }
    process.on(name, handler)
    return { name, handler }
  })
  return {
    signal: stop.signal,
    cause: (thrown): unknown =>
      stop.signal.aborted && !(thrown instanceof SealiftError && thrown.exitCode >= 130) ? stop.signal.reason : thrown,
    release() {
      for (const { name, handler } of handlers) process.off(name, handler)
    },
  }
}
