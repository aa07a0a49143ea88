/** How many bytes a process reads over time, and the second of it that is furthest from a rate. */

import { setTimeout as delay } from 'node:timers/promises'

interface Sample {
  readonly atMs: number
  readonly bytes: number
}

const SAMPLE_MS = 20
const SECOND_MS = 1000

/** @param readBytes all that was read up to now */
export async function sampleReads(readBytes: () => number, seconds: number): Promise<Sample[]> {
  const samples: Sample[] = []
  const untilMs = performance.now() + seconds * SECOND_MS
  while (performance.now() < untilMs) {
    samples.push({ atMs: performance.now(), bytes: readBytes() })
    await delay(SAMPLE_MS)
  }
  return samples
}

/** Looks at every second that begins with a sample. @returns by how much the worst is off the rate, as a share */
export function worstSecond(samples: readonly Sample[], bytesPerSecond: number): number {
  let worst = 0
  for (const [at, first] of samples.entries()) {
    const last = samples.slice(at).find(({ atMs }) => atMs >= first.atMs + SECOND_MS)
    if (last === undefined) break
    const rate = ((last.bytes - first.bytes) / (last.atMs - first.atMs)) * SECOND_MS
    worst = Math.max(worst, Math.abs(rate / bytesPerSecond - 1))
  }
  return worst
}
