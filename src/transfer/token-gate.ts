/** Who may come in by a shared secret: what an admission asks of `guard/`, which knows no handshake. */
export interface TokenGate {
  /** @see ResponderParameters.password */
  password(): Uint8Array | null
  /** Counts a guess from there. @returns whether it may be compared */
  guess(address: string): boolean
  /** That guess was wrong. @returns whether the token is burned by it */
  wrong(address: string): boolean
  /** That guess was right, and a session is confirmed. */
  spend(address: string): void
}
