/** The crypto port with a memory: which key sealed what under which nonce (I3). */

import { createHash } from 'node:crypto'
import type { CryptoPort } from '../../src/protocol/crypto-port.ts'

/** Key and nonce of every seal, as text. */
export class Seals {
  readonly #seen = new Set<string>()
  readonly repeated: string[] = []

  get count(): number {
    return this.#seen.size
  }

  add(key: string, nonce: Uint8Array): void {
    const seal = `${key} ${Buffer.from(nonce).toString('hex')}`
    if (this.#seen.has(seal)) this.repeated.push(seal)
    this.#seen.add(seal)
  }
}

/** @param port what does the work */
export function recordSeals(port: CryptoPort, seals: Seals): CryptoPort {
  return {
    ...port,
    bulkKey(cipher, key) {
      // The key itself is wiped by its owner.
      const name = createHash('sha256').update(key).digest('hex')
      const real = port.bulkKey(cipher, key)
      return {
        seal(nonce, aad, parts) {
          seals.add(name, nonce)
          return real.seal(nonce, aad, parts)
        },
        open: (nonce, aad, sealed) => real.open(nonce, aad, sealed),
      }
    },
  }
}
