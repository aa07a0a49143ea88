/**
 * What the transfers of one call have in common, so that it is looked at once: the ledger, and what is needed to go to the
 * server. Only so many of them meet it at a time, since a server drops whoever has waited the longest for its turn.
 */

import type { Ledger } from '../ledger/ledger.ts'
import { MAX_CHUNK_BYTES, MIN_CHUNK_BYTES } from '../protocol/limits.ts'
import type { SendOptions } from './options.ts'
import { openEntrance, type ServerEntrance } from './server-entrance.ts'
import { openUserLedger } from './user-ledger.ts'

/** Of all transfers together: the chunk that each of them reads, times a few that it seals and sends meanwhile. */
const CHUNKS_BYTES = 4 << 20
/** Fewer than a server lets wait, of one address, by its defaults. */
const MAX_MEETINGS = 4

export class SendCompany {
  /** Open until {@link SendCompany.close}. */
  readonly ledger: Ledger
  /** Of each transfer, at most, so that all together stay small. */
  readonly maxChunkBytes: number
  readonly #entrance: ServerEntrance
  /** The first goes alone: what it learns of the server, and what its user is asked, the others need not. */
  #maxMeetings = 1
  #meetings = 0
  readonly #queue: (() => void)[] = []

  private constructor(ledger: Ledger, entrance: ServerEntrance, concurrency: number) {
    this.ledger = ledger
    this.maxChunkBytes = Math.max(MIN_CHUNK_BYTES, Math.min(MAX_CHUNK_BYTES, Math.floor(CHUNKS_BYTES / concurrency)))
    this.#entrance = entrance
  }

  /**
   * @param concurrency how many transfers run at a time, at most
   * @throws SealiftError those of the entrance and of the ledger
   */
  static async open(options: SendOptions & { readonly to: string }, concurrency: number): Promise<SendCompany> {
    const entrance = await openEntrance(options.to, options)
    try {
      return new SendCompany(await openUserLedger(options.ledgerPath), entrance, concurrency)
    } catch (error) {
      entrance.close()
      throw error
    }
  }

  /** What one transfer has in hand; it zeroes its own when it is done with it. */
  enter(): ServerEntrance {
    const { staticKey, token, password } = this.#entrance
    const own = {
      staticKey: { publicKey: staticKey.publicKey, privateKey: staticKey.privateKey.slice() },
      token: token?.slice() ?? null,
      password: password?.slice() ?? null,
    }
    const close = (): void => {
      for (const secret of [own.staticKey.privateKey, own.token, own.password]) secret?.fill(0)
    }
    return { ...this.#entrance, ...own, close }
  }

  /** Resolves when it is this one's turn. @returns to be called once the server has taken the offer, or never will */
  async meet(): Promise<() => void> {
    if (this.#meetings >= this.#maxMeetings) await new Promise<void>((resolve) => this.#queue.push(resolve))
    else this.#meetings++
    let isOver = false
    return () => {
      if (isOver) return
      isOver = true
      this.#meetings--
      this.#maxMeetings = MAX_MEETINGS
      while (this.#meetings < this.#maxMeetings && this.#queue.length > 0) {
        this.#meetings++
        this.#queue.shift()?.()
      }
    }
  }

  async close(): Promise<void> {
    this.#entrance.close()
    await this.ledger.close()
  }
}
