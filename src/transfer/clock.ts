/** Time as the transfer sees it: passed in, so that tests own it. Durations are monotonic; a wall clock that jumps changes nothing. */

export interface Clock {
  /** Milliseconds of a monotonic clock. */
  nowMs(): number
  /** Calls once after so many milliseconds. @returns what cancels it; may be called at any time */
  after(delayMs: number, call: () => void): () => void
}

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  after(delayMs, call) {
    const timer = setTimeout(call, delayMs)
    return () => clearTimeout(timer)
  },
}

/** Resolves after so many milliseconds. @throws the signal's reason when it is aborted first */
export function delay(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      cancel()
      reject(signal.reason as Error)
    }
    const cancel = clock.after(delayMs, () => {
      signal.removeEventListener('abort', stop)
      resolve()
    })
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
  })
}

/** Waits for something that need not come. @throws what that throws; the signal's reason when it is aborted first */
export function orAborted<T>(awaited: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason as Error)
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    void awaited.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}
