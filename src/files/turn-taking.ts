/**
 * Keeps long synchronous work from holding up everything else: now and then it lets the event loop have its turn, in
 * which signals and words of the peer arrive, and ends where it is no longer wanted.
 */

/** A person who presses Ctrl-C does not notice so much. */
const LONGEST_TURN_MS = 50

export interface TurnTakingOptions {
  /** Ends the work at the next rest. */
  readonly signal?: AbortSignal | undefined
  /** How many steps pass between two looks at the clock, which costs as much as a small step. Default 1. */
  readonly stepsPerLook?: number
}

export class TurnTaking {
  readonly #signal: AbortSignal | undefined
  readonly #stepsPerLook: number
  #turnEndsMs = 0
  #steps = 0

  constructor(options: TurnTakingOptions = {}) {
    this.#signal = options.signal
    this.#stepsPerLook = options.stepsPerLook ?? 1
    this.begin()
  }

  /** The event loop has just had its turn. */
  begin(): void {
    this.#turnEndsMs = performance.now() + LONGEST_TURN_MS
  }

  /** Counts a step. @returns whether it is time to {@link rest} */
  isDue(): boolean {
    return ++this.#steps % this.#stepsPerLook === 0 && performance.now() >= this.#turnEndsMs
  }

  /** Resolves in the next turn of the event loop. @throws the signal's reason */
  async rest(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    this.#signal?.throwIfAborted()
    this.begin()
  }
}
