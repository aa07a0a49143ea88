/** The keys by which a sender and its peer meet again, for one transfer: in the ledger, and at hand while it runs. */

import type { Ledger } from '../ledger/ledger.ts'
import { toHex } from '../protocol/bytes.ts'
import { SealiftError } from '../protocol/errors.ts'
import type { ResumeCredential } from '../protocol/handshake.ts'

export class SenderKeys {
  readonly #ledger: Ledger
  readonly #transfer: number
  readonly #keys = new Map<string, ResumeCredential>()

  private constructor(ledger: Ledger, transfer: number) {
    this.#ledger = ledger
    this.#transfer = transfer
  }

  /** @param replaced row of the unfinished transfer that this one stands in for: its key may be come back by */
  static async load(ledger: Ledger, transfer: number, replaced: number | null): Promise<SenderKeys> {
    const keys = new SenderKeys(ledger, transfer)
    for (const key of [transfer, replaced]) {
      const found = key === null ? null : await ledger.resumeKeys.findByTransfer(key)
      if (found !== null) keys.#keys.set(toHex(found.resumeId), { id: found.resumeId, key: found.resumeKey })
    }
    return keys
  }

  /** Borrowed until {@link SenderKeys.forget}. */
  get all(): readonly ResumeCredential[] {
    return [...this.#keys.values()]
  }

  /** The key of a session that was confirmed; borrowed. @throws SealiftError `internal` where there is none */
  get(id: Uint8Array): ResumeCredential {
    const found = this.#keys.get(toHex(id))
    if (found === undefined) throw new SealiftError('internal', 'a key that was confirmed is not at hand')
    return found
  }

  find(id: Uint8Array): Uint8Array | null {
    return this.#keys.get(toHex(id))?.key ?? null
  }

  /** Keeps the key of a first meeting, durably, in the place of all before it. */
  async keep({ id, key }: ResumeCredential): Promise<void> {
    const { resumeKeys } = this.#ledger
    await resumeKeys.save({ resumeId: id, resumeKey: key, role: 'sender', transfer: this.#transfer, confirmed: true })
    await resumeKeys.attach(id, 'sender', this.#transfer)
    this.forget()
    this.#keys.set(toHex(id), { id, key })
  }

  /** Zeroes what is at hand; the ledger keeps its own. */
  forget(): void {
    for (const { key } of this.#keys.values()) key.fill(0)
    this.#keys.clear()
  }
}
