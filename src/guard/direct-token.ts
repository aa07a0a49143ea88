/**
 * The token of a direct transfer: who may still guess, and when it is spent or burned (PROTOCOL 1.8, 1.9; S-02, S-04).
 *
 * Owns the secret and the count of guesses, in memory only: tokens never rest. Knows nothing of handshakes.
 */

import { MAX_GUESSES, MAX_GUESSES_PER_SOURCE } from '../protocol/limits.ts'
import { sourceOf } from './peer-address.ts'

export type TokenState = 'open' | 'spent' | 'burned'

export class DirectToken {
  readonly #secret: Uint8Array
  readonly #guessesBySource = new Map<string, number>()
  #guesses = 0
  #state: TokenState = 'open'

  /** @param secret the normalised token; taken over, zeroed when it is spent or burned */
  constructor(secret: Uint8Array) {
    this.#secret = secret
  }

  get state(): TokenState {
    return this.#state
  }

  /** How many guesses were wrong so far. */
  get guesses(): number {
    return this.#guesses
  }

  /** What a handshake may run with, borrowed for the moment; `null` once the token is no longer open. */
  password(): Uint8Array | null {
    return this.#state === 'open' ? this.#secret : null
  }

  /**
   * Counts a guess, before anything is compared: however many arrive at once, no more than the limit are looked at.
   * @returns whether this one may be compared
   */
  guess(address: string): boolean {
    if (this.#state !== 'open') return false
    const source = sourceOf(address)
    const before = this.#guessesBySource.get(source) ?? 0
    if (before >= MAX_GUESSES_PER_SOURCE || this.#guesses >= MAX_GUESSES) return false
    this.#guessesBySource.set(source, before + 1)
    this.#guesses++
    return true
  }

  /** The guess that was counted last from there was wrong. @returns whether that burned the token */
  wrong(address: string): boolean {
    if (this.#state !== 'open') return false
    const fromSource = this.#guessesBySource.get(sourceOf(address)) ?? 0
    if (fromSource < MAX_GUESSES_PER_SOURCE && this.#guesses < MAX_GUESSES) return false
    this.#end('burned')
    return true
  }

  /** The first session is confirmed: nobody else gets in by this token. */
  spend(): void {
    if (this.#state === 'open') this.#end('spent')
  }

  #end(state: TokenState): void {
    this.#state = state
    this.#secret.fill(0)
    this.#guessesBySource.clear()
  }
}
