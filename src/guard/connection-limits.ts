/**
 * How many connections a server keeps, of one address and in all. The streams of one transfer count as one.
 *
 * A connection that has not said for which transfer it comes waits, and is bounded by letting the oldest go, never the
 * newest: the honest peer may share a stranger's address (PROTOCOL 1.12). One that has joined a transfer is never pushed
 * out; what comes above the limit is refused. Knows no sockets: whoever enters says how it is dropped.
 */

import { SealiftError } from '../protocol/errors.ts'
import { MAX_STREAMS, MAX_UNCONFIRMED_CONNECTIONS } from '../protocol/limits.ts'
import { sourceOf } from './peer-address.ts'

/** Connections that have joined a transfer, in all. */
const MAX_JOINED = 1024

/** The place of one connection. */
export interface Place {
  /**
   * It comes for this transfer, and waits no longer. Again for the same transfer: nothing.
   * @throws SealiftError `server_busy`; the place is kept until it is left
   */
  join(transferId: string): void
  /** It has ended. Counts once, however often it is called. */
  leave(): void
}

interface Waiting {
  readonly source: string
  readonly drop: (error: SealiftError) => void
}

/** Of one address: those that wait, in the order in which they came, and streams by transfer. */
interface Source {
  readonly waiting: Set<Waiting>
  readonly streams: Map<string, number>
}

export class ConnectionLimits {
  readonly #maxPerAddress: number
  readonly #sources = new Map<string, Source>()
  /** Of all addresses. A Set keeps its order: the first one is the oldest. */
  readonly #waiting = new Set<Waiting>()
  #joined = 0

  /** @param maxPerAddress transfers of one address at a time, and as many connections that wait */
  constructor(maxPerAddress: number) {
    this.#maxPerAddress = maxPerAddress
  }

  /** Connections now. */
  get connections(): number {
    return this.#waiting.size + this.#joined
  }

  /** Addresses that are kept count of: never more than there are connections. */
  get addresses(): number {
    return this.#sources.size
  }

  /**
   * Takes a new connection, always; another one may have to go for it.
   * @param drop ends this connection, should it be the one that has to go; its place is left by then
   */
  enter(address: string, drop: (error: SealiftError) => void): Place {
    const waiting: Waiting = { source: sourceOf(address), drop }
    const ofAddress = this.#sources.get(waiting.source)?.waiting
    if (ofAddress !== undefined && ofAddress.size >= this.#maxPerAddress) this.#dropOldest(ofAddress)
    else if (this.#waiting.size >= MAX_UNCONFIRMED_CONNECTIONS) this.#dropOldest(this.#waiting)
    this.#sourceOf(waiting.source).waiting.add(waiting)
    this.#waiting.add(waiting)
    let joined: string | null = null
    return {
      join: (transferId) => {
        if (joined === transferId) return
        if (joined !== null) throw new SealiftError('internal', 'a connection joins one transfer')
        if (!this.#waiting.has(waiting)) throw tooMany('this connection has ended')
        this.#join(waiting.source, transferId)
        this.#stopWaiting(waiting)
        joined = transferId
      },
      leave: () => {
        this.#stopWaiting(waiting)
        if (joined === null) return
        this.#leave(waiting.source, joined)
        // What has left joins nothing any more: its waiting is over too.
        joined = null
      },
    }
  }

  #dropOldest(waiting: ReadonlySet<Waiting>): void {
    const [oldest] = waiting
    if (oldest === undefined) return
    this.#stopWaiting(oldest)
    oldest.drop(new SealiftError('peer_silent', 'too many connections wait; this was the oldest'))
  }

  #join(name: string, transferId: string): void {
    const { streams } = this.#sourceOf(name)
    const before = streams.get(transferId) ?? 0
    if (before === 0 && streams.size >= this.#maxPerAddress)
      throw tooMany(`${this.#maxPerAddress} transfers of this address run already`)
    if (before >= MAX_STREAMS) throw tooMany(`this transfer has ${MAX_STREAMS} streams already`)
    if (this.#joined >= MAX_JOINED) throw tooMany(`${MAX_JOINED} connections are busy already`)
    streams.set(transferId, before + 1)
    this.#joined++
  }

  #leave(name: string, transferId: string): void {
    const { streams } = this.#sourceOf(name)
    const before = streams.get(transferId) ?? 0
    if (before > 1) streams.set(transferId, before - 1)
    else streams.delete(transferId)
    this.#joined--
    this.#forget(name)
  }

  #stopWaiting(waiting: Waiting): void {
    if (!this.#waiting.delete(waiting)) return
    this.#sourceOf(waiting.source).waiting.delete(waiting)
    this.#forget(waiting.source)
  }

  #sourceOf(name: string): Source {
    const known = this.#sources.get(name)
    if (known !== undefined) return known
    const source: Source = { waiting: new Set(), streams: new Map() }
    this.#sources.set(name, source)
    return source
  }

  #forget(name: string): void {
    const source = this.#sources.get(name)
    if (source?.waiting.size === 0 && source.streams.size === 0) this.#sources.delete(name)
  }
}

function tooMany(message: string): SealiftError {
  return new SealiftError('server_busy', message)
}
