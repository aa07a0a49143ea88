/** Whether a sender brings enough while content is expected of it: one that keeps its place with a byte now and then has to go. */

import type { Clock } from '../transfer/clock.ts'

/** Over what time a rate is looked at. */
export const WATCH_MS = 60_000

/**
 * @param readBytes what has come in all; `null` while nothing is expected
 * @param onTooSlow called once, when less than that came over {@link WATCH_MS}, all of it expected
 * @returns what ends the watching
 */
export function watchRate(
  clock: Clock,
  minBytesPerSecond: number,
  readBytes: () => number | null,
  onTooSlow: () => void,
): () => void {
  const leastBytes = (minBytesPerSecond * WATCH_MS) / 1000
  let before = readBytes()
  let cancel: () => void = () => undefined
  const wait = (): void => {
    cancel = clock.after(WATCH_MS, () => {
      const now = readBytes()
      if (now !== null && before !== null && now - before < leastBytes) {
        onTooSlow()
        return
      }
      before = now
      wait()
    })
  }
  wait()
  return () => cancel()
}
