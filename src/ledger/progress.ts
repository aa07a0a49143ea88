/**
 * How far one transfer has come: its safe ranges and the states of its entries, in memory, with checkpoints into the
 * ledger. One process at a time has it, under the transfer's lock.
 *
 * Only a checkpoint that has resolved makes a range safe (protocol.md 3.8): acknowledge after it, not before.
 */

import type { Range } from '../protocol/ranges.ts'
import type { Database, Prepare, WriteOptions } from './database.ts'
import { type EntryPage, EntryStates } from './entry-state.ts'
import { planChanges, readRanges, writeChange } from './range-rows.ts'
import { SafeRanges } from './safe-ranges.ts'

export class Progress {
  readonly ranges: SafeRanges
  readonly states: EntryStates
  /**
   * Ranges that were safe in an earlier run of the machine and are not any more, found at opening. Entries in them
   * may still be in a state that needs their bytes: whoever knows the manifest sets them back to pending.
   */
  readonly lost: readonly Range[]
  readonly #database: Database
  readonly #transfer: number
  readonly #bootId: string
  #last: Promise<unknown> = Promise.resolve()

  private constructor(
    database: Database,
    transfer: number,
    bootId: string,
    ranges: SafeRanges,
    states: EntryStates,
    lost: Range[],
  ) {
    this.#database = database
    this.#transfer = transfer
    this.#bootId = bootId
    this.ranges = ranges
    this.states = states
    this.lost = lost
  }

  /** Reads what the ledger has of a transfer; nothing is as good as an empty start. */
  static async open(database: Database, transfer: number, bootId: string, entryCount: number): Promise<Progress> {
    return database.read((prepare) => {
      const ranges = new SafeRanges()
      const states = new EntryStates(entryCount)
      const lost = readRanges(prepare, transfer, bootId, ranges)
      for (const row of prepare('SELECT page, states, digests FROM entries WHERE transfer = ?').all(transfer)) {
        states.restore(row as unknown as EntryPage)
      }
      return new Progress(database, transfer, bootId, ranges, states, lost)
    })
  }

  /**
   * Commits all that changed since the last checkpoint. Cheap where nothing did. May be called while an earlier one
   * is under way; they are committed in order.
   *
   * Without `durable` the commit outlives the process, as the page cache does; with it also the loss of power.
   * @throws SealiftError `ledger_unavailable`, `ledger_corrupt`; what was not committed goes with the next checkpoint
   */
  async checkpoint(options: WriteOptions = {}): Promise<void> {
    const touched = this.ranges.takeTouched()
    const pages = this.states.takeDirty()
    const writes: Promise<void>[] = []
    for (const change of planChanges(this.ranges, touched)) {
      writes.push(
        this.#database.write((prepare) => writeChange(prepare, this.#transfer, this.#bootId, change), options),
      )
    }
    for (const page of pages) {
      writes.push(this.#database.write((prepare) => writePage(prepare, this.#transfer, page), options))
    }
    if (writes.length === 0 && options.durable === true) writes.push(this.#database.write(() => undefined, options))
    // A checkpoint stands for all that came before it, so it fails with an earlier one that is still under way.
    const committed = Promise.all([this.#last, ...writes])
    this.#last = committed
    try {
      await committed
    } catch (error) {
      if (this.#last === committed) this.#last = Promise.resolve()
      this.ranges.giveBack(touched)
      for (const { page } of pages) this.states.markDirty(page)
      throw error
    }
  }
}

function writePage(prepare: Prepare, transfer: number, { page, states, digests }: EntryPage): void {
  prepare(`INSERT INTO entries (transfer, page, states, digests) VALUES (?, ?, ?, ?)
    ON CONFLICT (transfer, page) DO UPDATE SET states = excluded.states, digests = excluded.digests`).run(
    transfer,
    page,
    states,
    digests,
  )
}
