/** Which reception an offer is for: a text goes another way than files. Decided by the first offer, and kept. */

import type { SealiftError } from '../protocol/errors.ts'
import type { Done, Hello, Offer } from '../protocol/messages.ts'
import type { LastingReception } from './lasting-reception.ts'
import type { AcceptedTransfer } from './receiver-session.ts'
import { checkTextOffer } from './stream-reception.ts'

export class ReceptionChoice implements LastingReception {
  readonly #files: LastingReception
  readonly #text: LastingReception
  #chosen: LastingReception

  /** @param files takes everything but texts, also what is known before there is an offer */
  constructor(files: LastingReception, text: LastingReception) {
    this.#files = files
    this.#text = text
    this.#chosen = files
  }

  get hello(): Hello {
    return this.#chosen.hello
  }

  get transferId(): string | null {
    return this.#chosen.transferId
  }

  get finished(): Done | null {
    return this.#chosen.finished
  }

  sha256(entry: number): Uint8Array | null {
    return this.#chosen.sha256(entry)
  }

  failure(entry: number): SealiftError | null {
    return this.#chosen.failure(entry)
  }

  async joined(resumeId: Uint8Array): Promise<void> {
    await this.#files.joined(resumeId)
    await this.#text.joined(resumeId)
  }

  async offered(offer: Offer): Promise<void> {
    if (offer.text === true) checkTextOffer(offer)
    // Once something was accepted, another offer is for that reception to refuse.
    if (this.#chosen.transferId === null) this.#chosen = offer.text === true ? this.#text : this.#files
    await this.#chosen.offered(offer)
  }

  accept(...[offer, manifest, signal, tellPlace]: Parameters<LastingReception['accept']>): Promise<AcceptedTransfer> {
    return this.#chosen.accept(offer, manifest, signal, tellPlace)
  }

  told(): Promise<void> {
    return this.#chosen.told()
  }

  giveUp(error: SealiftError): Promise<void> {
    return this.#chosen.giveUp(error)
  }

  async close(): Promise<void> {
    await this.#files.close()
    await this.#text.close()
  }
}
