/**
 * The keys by which a receiver comes back to a sender: which of the ledger's it offers, and that no two calls use one,
 * in this process or in several. Holds copies, and zeroes them.
 */

import type { Ledger } from '../ledger/ledger.ts'
import type { ResumeKey } from '../ledger/resume-keys.ts'
import type { TransferLock } from '../ledger/transfer-lock.ts'
import { toHex } from '../protocol/bytes.ts'
import { SealiftError, toSealiftError } from '../protocol/errors.ts'
import type { ResumeCredential } from '../protocol/handshake.ts'
import type { Suite } from '../protocol/handshake-messages.ts'
import { MAX_RESUME_IDS } from '../protocol/limits.ts'

/** So many other calls may work with keys of that host before one of this call's own is not found. */
const MAX_KEYS_LOOKED_AT = 64

export interface SenderPlace {
  readonly host: string
  readonly port: number
  /** Absolute. */
  readonly outputDir: string
}

export class ReceiverKeys {
  readonly #ledger: Ledger
  readonly #place: SenderPlace
  readonly #locks = new Map<string, TransferLock>()
  #keys: readonly ResumeCredential[] = []

  private constructor(ledger: Ledger, place: SenderPlace) {
    this.#ledger = ledger
    this.#place = place
  }

  /**
   * Keys of unfinished transfers from that host into that folder, those from that port first. Those that another call works with are left out: to come
   * back by one of them would push that call out.
   * @throws SealiftError `transfer_busy` where it is this very sender that another call receives from
   */
  static async open(ledger: Ledger, place: SenderPlace): Promise<ReceiverKeys> {
    const keys = new ReceiverKeys(ledger, place)
    const { host, port, outputDir } = place
    const found = await ledger.resumeKeys.newestForHost(host, port, outputDir, MAX_KEYS_LOOKED_AT)
    const free: ResumeCredential[] = []
    try {
      for (const candidate of found) {
        if (free.length === MAX_RESUME_IDS) break
        const { resumeId: id, resumeKey: key } = candidate
        if (await keys.#isFree(candidate)) free.push({ id, key: key.slice() })
      }
      keys.#keys = free
    } catch (error) {
      for (const { key } of free) key.fill(0)
      throw error
    } finally {
      for (const { resumeKey } of found) resumeKey.fill(0)
    }
    return keys
  }

  async #isFree({ resumeId, transfer }: ResumeKey): Promise<boolean> {
    try {
      const lock = await this.#ledger.lock(lockName(resumeId), 'receiver')
      lock.release()
      return true
    } catch (thrown) {
      const error = toSealiftError(thrown)
      if (error.code !== 'transfer_busy') throw error
      const row = transfer === null ? null : await this.#ledger.transfers.get(transfer)
      if (row?.options['port'] !== this.#place.port) return false
      throw new SealiftError(error.code, error.message, { transferId: row.id, hint: error.hint ?? '' })
    }
  }

  /** What to offer, the newest first; borrowed. */
  get offered(): readonly ResumeCredential[] {
    return this.#keys
  }

  /** The key of a session that was confirmed; borrowed. @throws SealiftError `internal` where there is none */
  get(resumeId: Uint8Array): ResumeCredential {
    const found = this.#keys.find(({ id }) => toHex(id) === toHex(resumeId))
    if (found === undefined) throw new SealiftError('internal', 'a key that was confirmed is not at hand')
    return found
  }

  /**
   * Makes the key of a handshake this call's own, and durable, before the confirmation that creates it goes out.
   * @throws SealiftError `transfer_busy` where another call was faster
   */
  async commit({ id, key }: ResumeCredential, suite: Suite): Promise<void> {
    const name = lockName(id)
    if (!this.#locks.has(name)) this.#locks.set(name, await this.#ledger.lock(name, 'receiver'))
    if (suite === 'resume') return
    const { host, outputDir } = this.#place
    await this.#ledger.resumeKeys.save({ resumeId: id, resumeKey: key, role: 'receiver', host, outputDir })
    const [own, ...others] = [{ id: id.slice(), key: key.slice() }, ...this.#keys]
    this.#keep([own, ...others.slice(0, MAX_RESUME_IDS - 1)])
  }

  /** The sender confirmed too: from here on only this transfer's key is offered, as another of the same host is none of ours. */
  async confirmed(resumeId: Uint8Array, suite: Suite): Promise<void> {
    this.#keep(this.#keys.filter(({ id }) => toHex(id) === toHex(resumeId)))
    if (suite === 'cpace') await this.#ledger.resumeKeys.confirm(resumeId, 'receiver')
  }

  #keep(keys: readonly ResumeCredential[]): void {
    for (const dropped of this.#keys) if (!keys.includes(dropped)) dropped.key.fill(0)
    this.#keys = keys
  }

  close(): void {
    this.#keep([])
    for (const lock of this.#locks.values()) lock.release()
    this.#locks.clear()
  }
}

/** 16 bytes in the form of a UUID, which is what a lock is named by. */
function lockName(resumeId: Uint8Array): string {
  return toHex(resumeId).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}
