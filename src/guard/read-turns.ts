/**
 * Turns of reading by weight, for where no rate divides what there is: whoever has read its part of a round waits until the
 * others have read theirs, or have nothing to read (deficit round robin).
 *
 * A round ends as soon as a turn of the event loop passes in which nobody who may read had anything, so that no time is
 * lost on somebody who is slow. Costs nothing where there is one alone. Knows no streams.
 */

/** What all together read in a round, so that nobody waits long for its turn … */
const ROUND_BYTES = 4 << 20
/** … with so much for a weight of 1, at most and at least: less than a socket gives at once costs more than it divides. */
const MOST_BYTES = 256 << 10
const LEAST_BYTES = 8 << 10

/** The place of one stream among the others. */
export interface ReadSeat {
  /** @param weight of its part; 0, as at first: it takes no part, and reads as it likes */
  weigh(weight: number): void
  /** Takes note of bytes that were read. @returns whether more may be read now; else its `goOn` is called when it may */
  read(bytes: number): boolean
  /** Nothing more is read; from now on it weighs nothing, whatever is said. */
  leave(): void
}

interface Member {
  weight: number
  /** What it may read in this round; less than 0 where it read more than its part. */
  leftBytes: number
  isWaiting: boolean
  readonly goOn: () => void
}

export class ReadTurns {
  readonly #afterTurn: (call: () => void) => void
  readonly #members = new Set<Member>()
  #weights = 0
  #waiting = 0
  #reads = 0
  #isWatching = false

  /** @param afterTurn calls once all that has arrived by now was offered to whoever reads, as `setImmediate` does */
  constructor(afterTurn: (call: () => void) => void) {
    this.#afterTurn = afterTurn
  }

  newSeat(goOn: () => void): ReadSeat {
    const member: Member = { weight: 0, leftBytes: 0, isWaiting: false, goOn }
    let hasLeft = false
    return {
      weigh: (weight) => {
        this.#remove(member)
        if (weight === 0 || hasLeft) return
        this.#members.add(member)
        this.#weights += weight
        member.weight = weight
        member.leftBytes = this.#partOf(member)
      },
      read: (bytes) => this.#read(member, bytes),
      leave: () => {
        hasLeft = true
        this.#remove(member)
      },
    }
  }

  #remove(member: Member): void {
    if (this.#members.delete(member)) this.#weights -= member.weight
    this.#release(member)
  }

  #release(member: Member): void {
    if (!member.isWaiting) return
    member.isWaiting = false
    this.#waiting--
    member.goOn()
  }

  #read(member: Member, bytes: number): boolean {
    if (this.#members.size < 2 || !this.#members.has(member)) return true
    this.#reads++
    member.leftBytes -= bytes
    if (member.leftBytes > 0) return true
    if (!member.isWaiting) this.#waiting++
    member.isWaiting = true
    this.#watch()
    return false
  }

  /** Ends the round when nobody reads any more who may. */
  #watch(): void {
    if (this.#isWatching) return
    this.#isWatching = true
    const reads = this.#reads
    this.#afterTurn(() => {
      this.#isWatching = false
      if (this.#waiting === this.#members.size || this.#reads === reads) this.#nextRound()
      if (this.#waiting > 0) this.#watch()
    })
  }

  #partOf({ weight }: Member): number {
    return weight * Math.min(MOST_BYTES, Math.max(LEAST_BYTES, ROUND_BYTES / this.#weights))
  }

  #nextRound(): void {
    for (const member of this.#members) {
      member.leftBytes = Math.min(member.leftBytes, 0) + this.#partOf(member)
      if (member.leftBytes > 0) this.#release(member)
    }
  }
}
