/**
 * The token or password of a server: used again and again, and guessed at slowly (PROTOCOL 1.8, 1.9; S-02, S-04).
 *
 * Owns the secret and the count of wrong guesses a minute, whoever makes them, in memory only. Addresses that guess too
 * often are the business of the bans.
 */

import { MAX_SERVER_GUESSES_PER_MINUTE } from '../protocol/limits.ts'

/** Over what time guesses are counted. */
const MINUTE_MS = 60_000

export class ServerToken {
  readonly #secret: Uint8Array
  readonly #nowMs: () => number
  /** When guesses of the last minute were counted, the oldest first; right ones are taken out again. */
  #guesses: number[] = []

  /**
   * @param secret the normalised token, or the stretched password; taken over
   * @param nowMs monotonic milliseconds
   */
  constructor(secret: Uint8Array, nowMs: () => number) {
    this.#secret = secret
    this.#nowMs = nowMs
  }

  /** What a handshake may run with, borrowed for the moment. */
  password(): Uint8Array {
    return this.#secret
  }

  /**
   * Counts a guess, before anything is compared: however many arrive at once, no more than the limit are looked at.
   * @returns whether this one may be compared
   */
  guess(): boolean {
    const now = this.#nowMs()
    this.#guesses = this.#guesses.filter((atMs) => now - atMs < MINUTE_MS)
    if (this.#guesses.length >= MAX_SERVER_GUESSES_PER_MINUTE) return false
    this.#guesses.push(now)
    return true
  }

  /** The guess was wrong, and stays counted. @returns never burned: a stranger must not close a server */
  wrong(): boolean {
    return false
  }

  /** The guess was right, and so no guess. */
  spend(): void {
    this.#guesses.pop()
  }

  /** Zeroes the secret: nobody comes in by it any more. */
  destroy(): void {
    this.#secret.fill(0)
  }
}
