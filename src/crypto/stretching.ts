/**
 * scrypt (RFC 7914) where a person chose the secret: on the thread pool, since it takes a quarter of a second and 128 MiB
 * by intention. One after another, so that several of them do not add up.
 */

import { scrypt } from 'node:crypto'

/** The cost of one try: memory is 128 · N · r bytes, time goes with N · r · p. */
export interface ScryptCost {
  readonly N: number
  readonly r: number
  readonly p: number
}

/** What is used wherever this side chooses (protocol.md 1.8): 128 MiB, 0.26 s. */
export const SCRYPT_COST: ScryptCost = { N: 2 ** 17, r: 8, p: 1 }

let last: Promise<unknown> = Promise.resolve()

/**
 * @param secret borrowed until it resolves
 * @param cost checked by the caller, where it comes from elsewhere
 * @returns so many bytes, the caller's to zero
 */
export function stretch(
  secret: Uint8Array,
  salt: Uint8Array,
  lengthBytes: number,
  cost: ScryptCost = SCRYPT_COST,
): Promise<Uint8Array> {
  const run = last.then(
    () =>
      new Promise<Uint8Array>((resolve, reject) => {
        const { N, r, p } = cost
        const maxmem = 128 * N * r + 128 * r * p + (1 << 20)
        scrypt(secret, salt, lengthBytes, { N, r, p, maxmem }, (error, derived) => {
          if (error === null) resolve(new Uint8Array(derived.buffer, derived.byteOffset, derived.byteLength))
          else reject(error)
        })
      }),
  )
  last = run.catch(() => undefined)
  return run
}

/**
 * What a server's password is for CPace (protocol.md 1.8).
 *
 * @param password normalised, borrowed until it resolves
 * @param serverKey the server's long-term public key, 32 bytes: the salt that both sides have
 * @returns 32 bytes, the caller's to zero
 */
export function stretchPassword(password: Uint8Array, serverKey: Uint8Array): Promise<Uint8Array> {
  return stretch(password, serverKey, 32)
}
