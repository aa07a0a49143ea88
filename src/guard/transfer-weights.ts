/**
 * What each connection of a transfer weighs where bandwidth is shared: all of them together as much as the transfer, so that
 * more connections are no way to more than its part.
 */

/** A connection, in all that it shares with others. */
export interface Weighed {
  weigh(weight: number): void
}

interface Group {
  weight: number
  readonly members: Set<Weighed>
}

export class TransferWeights {
  readonly #groups = new Map<string, Group>()
  readonly #groupOf = new Map<Weighed, string>()

  /**
   * From now on the connection brings that transfer.
   * @param weight of the transfer, from now on; 0 while it brings next to nothing, `null` where it stays what it is
   */
  set(member: Weighed, transferId: string, weight: number | null): void {
    if (this.#groupOf.get(member) !== transferId) this.leave(member)
    const group = this.#groups.get(transferId) ?? { weight: 0, members: new Set() }
    this.#groups.set(transferId, group)
    this.#groupOf.set(member, transferId)
    group.members.add(member)
    group.weight = weight ?? group.weight
    divide(group)
  }

  /** The connection has ended, or brings another transfer. */
  leave(member: Weighed): void {
    const transferId = this.#groupOf.get(member)
    const group = transferId === undefined ? undefined : this.#groups.get(transferId)
    if (transferId === undefined || group === undefined) return
    this.#groupOf.delete(member)
    group.members.delete(member)
    if (group.members.size === 0) this.#groups.delete(transferId)
    else divide(group)
  }
}

function divide({ weight, members }: Group): void {
  for (const member of members) member.weigh(weight / members.size)
}
