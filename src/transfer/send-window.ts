/**
 * What all lanes of a session have under way together: content that was sent and is not yet acknowledged (PROTOCOL 2.5).
 *
 * Owns the count, and who wants to hear of room. Knows no ranges and no sessions.
 */

import { MAX_UNACKNOWLEDGED_BYTES } from '../protocol/limits.ts'

export class SendWindow {
  #usedBytes = 0
  readonly #lanes = new Set<() => void>()
  readonly #isExpected: boolean

  /** @param streams so many lanes may come to share it */
  constructor(streams = 1) {
    this.#isExpected = streams > 1
  }

  get roomBytes(): number {
    return MAX_UNACKNOWLEDGED_BYTES - this.#usedBytes
  }

  /** Whether a lane has, or is to have, others beside it. */
  get isShared(): boolean {
    return this.#isExpected || this.#lanes.size > 1
  }

  /** Lanes that share it. */
  get lanes(): number {
    return this.#lanes.size
  }

  /**
   * One more lane.
   * @param onRoom called whenever something has become free
   * @returns what ends its part in it
   */
  enter(onRoom: () => void): () => void {
    this.#lanes.add(onRoom)
    return () => {
      this.#lanes.delete(onRoom)
    }
  }

  take(bytes: number): void {
    this.#usedBytes += bytes
  }

  giveBack(bytes: number): void {
    if (bytes === 0) return
    this.#usedBytes -= bytes
    for (const onRoom of this.#lanes) onRoom()
  }
}
