/**
 * The door of a server: how many may knock, how often they may guess, and at what rate they bring things, all counted by
 * address or by owner. Joins connection limits, bans, the shared secret and rates around the streams of the port.
 *
 * Knows no offers and no files. What it decides is told to the log by whoever holds it.
 */

import type { ByteStream } from '../carriers/carrier.ts'
import type { ServerSettings } from '../config/server-settings.ts'
import { BanList } from '../guard/bans.ts'
import { ConnectionLimits, type Place } from '../guard/connection-limits.ts'
import { RateLimits, type RateShare } from '../guard/rate-limit.ts'
import { type ReadSeat, ReadTurns } from '../guard/read-turns.ts'
import { TransferWeights, type Weighed } from '../guard/transfer-weights.ts'
import type { Ban } from '../ledger/bans.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { type SealiftError, toSealiftError } from '../protocol/errors.ts'
import type { Clock } from '../transfer/clock.ts'
import { pacedReads } from '../transfer/pacing.ts'
import type { Session } from '../transfer/session.ts'
import type { TokenGate } from '../transfer/token-gate.ts'
import { turnedReads } from '../transfer/turned-reads.ts'
import { watchedStream } from './watched-stream.ts'

/** One connection, from the first byte to the last. */
export interface Caller {
  readonly place: Place
  readonly share: RateShare
  /**
   * What it brings, and how much that weighs in all that it shares with others; 0 while it brings next to nothing, `null` for
   * what others bring already.
   */
  readonly weigh: (transferId: string, weight: number | null) => void
  /** Once it is confirmed. */
  session: Session | null
}

export interface DoorOptions {
  readonly settings: ServerSettings
  readonly ledger: Ledger
  readonly clock: Clock
  /** What others are asked for; `null` where nobody is. */
  readonly secret: TokenGate | null
  /** An address is banned from now on; its sessions have been ended. */
  readonly onBan: (ban: Ban) => void
  /** A fault of this side: what should be counted could not be. */
  readonly onFault: (error: SealiftError) => void
}

export class Door {
  readonly #options: DoorOptions
  readonly #limits: ConnectionLimits
  readonly #rates: RateLimits
  readonly #weights = new TransferWeights()
  readonly #turns = new ReadTurns((call) => void setImmediate(call))
  readonly #bans: BanList
  /** By the peer of their stream, which a session has too. */
  readonly #callers = new Map<ByteStream['peer'], Caller>()
  /** How a shared secret may be guessed at: by this address, and by all together. `null` where there is none. */
  readonly gate: TokenGate | null

  constructor(options: DoorOptions) {
    this.#options = options
    const { settings, ledger, clock, secret } = options
    this.#limits = new ConnectionLimits(settings.maxConnectionsPerAddress)
    this.#rates = new RateLimits(settings, () => clock.nowMs())
    this.#bans = new BanList({
      records: ledger.bans,
      nowMs: () => clock.nowMs(),
      threshold: settings.banThreshold,
      windowMs: settings.banWindowMs,
      durationMs: settings.banDurationMs,
      onBan: (ban) => options.onBan(ban),
    })
    this.gate = secret === null ? null : this.#guarded(secret)
  }

  /** Connections now, confirmed or not. */
  get connections(): number {
    return this.#limits.connections
  }

  /**
   * Takes a connection. Another one of its address may have to go for it.
   * @param dropStranger ends this one while it is not confirmed
   * @returns the stream to read from, held to its owner's rate once that is known
   */
  enter(stream: ByteStream, dropStranger: (error: SealiftError) => void): ByteStream {
    const share = this.#rates.newShare()
    const place = this.#limits.enter(stream.peer.address, (error) => {
      const { session } = caller
      if (session === null) dropStranger(error)
      else session.fail(error)
    })
    let seat: ReadSeat | null = null
    const member: Weighed = {
      weigh(weight) {
        share.weigh(weight)
        seat?.weigh(weight)
      },
    }
    const weigh: Caller['weigh'] = (transferId, weight) => {
      // It may have ended in the moment in which its turn came.
      if (this.#callers.get(stream.peer) === caller) this.#weights.set(member, transferId, weight)
    }
    const caller: Caller = { place, share, weigh, session: null }
    this.#callers.set(stream.peer, caller)
    const watched = watchedStream(stream, () => {
      place.leave()
      share.leave()
      this.#weights.leave(member)
      this.#callers.delete(stream.peer)
    })
    const turned = turnedReads(watched, (goOn) => (seat = this.#turns.newSeat(goOn)))
    return pacedReads(turned, share, this.#options.clock)
  }

  /** From now on its connection is that session's. @returns `null` where it has ended */
  letIn(session: Session): Caller | null {
    const caller = this.#callers.get(session.peer) ?? null
    if (caller !== null) caller.session = session
    return caller
  }

  /** @throws SealiftError `peer_refused` where the address is banned; that of the ledger */
  async check(peer: ByteStream['peer']): Promise<void> {
    await this.#bans.check(peer.address)
  }

  /** A key came that is none of those that may. */
  async strangerCame(address: string): Promise<void> {
    await this.#bans.wrong(address)
  }

  #guarded(secret: TokenGate): TokenGate {
    return {
      password: () => secret.password(),
      guess: (address) => {
        if (!this.#bans.guess(address)) return false
        if (secret.guess(address)) return true
        this.#bans.right(address)
        return false
      },
      wrong: (address) => {
        this.#bans.wrong(address).catch((error: unknown) => this.#options.onFault(toSealiftError(error)))
        return secret.wrong(address)
      },
      spend: (address) => {
        this.#bans.right(address)
        secret.spend(address)
      },
    }
  }
}
