/** Asks the code of whoever uses the library, which may show a dialog, take minutes, or never answer. */

/**
 * Once the answer is not wanted any more it is not waited for.
 * @throws the signal's reason, and whatever `ask` throws
 */
export async function answerOf<T>(signal: AbortSignal | undefined, ask: () => T | Promise<T>): Promise<T> {
  signal?.throwIfAborted()
  const aborted = Promise.withResolvers<never>()
  const stop = (): void => aborted.reject(signal?.reason as Error)
  signal?.addEventListener('abort', stop, { once: true })
  try {
    return await Promise.race([aborted.promise, ask()])
  } finally {
    signal?.removeEventListener('abort', stop)
  }
}
