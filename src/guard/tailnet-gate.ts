/**
 * Who of the tailnet may connect: every connection to a Tailscale address is asked for at tailscaled, and any doubt
 * refuses.
 *
 * Owns the rule (who counts as one of us, `--allow-user`, `--allow-tag`) and a short memory of those who passed. Knows no
 * sockets, tokens or transfers; an address alone proves nothing to it.
 */

import { SealiftError } from '../protocol/errors.ts'
import { escapeForDisplay } from '../protocol/names.ts'
import { readPeople, readTailnet, type TailnetState, type TailscaleQuery, unmapped, whoIs } from './tailscale.ts'
import { formatPeer, type TailnetPeer } from './tailscale-answers.ts'

/** Who may connect. Both empty: every machine of the tailnet that the tailnet's own rules let through. */
export interface AllowedPeers {
  /** Logins, compared without regard to case. A tagged machine has none. */
  readonly users: readonly string[]
  readonly tags: readonly string[]
}

export interface TailnetGateOptions {
  /** This machine as it was when it began to listen: running. */
  readonly home: TailnetState
  /** The address that is listened on, one of this machine's in the tailnet. */
  readonly address: string
  readonly allowed: AllowedPeers
  readonly query?: TailscaleQuery | undefined
  /** Monotonic milliseconds. */
  readonly nowMs: () => number
}

/** Where a connection comes from. */
interface PeerPlace {
  readonly address: string
  readonly port: number
}

/** A machine that passed need not be asked for again for so long: several connections of one receiver come at once. */
const PASSED_MS = 3000
/** Machines that passed and are remembered; more push out the oldest. */
const MAX_PASSED = 256

export class TailnetGate {
  readonly #options: TailnetGateOptions
  readonly #passed = new Map<string, { readonly peer: TailnetPeer; readonly untilMs: number }>()
  readonly #identities = new WeakMap<PeerPlace, string>()

  constructor(options: TailnetGateOptions) {
    this.#options = options
  }

  /** @throws SealiftError `peer_refused`, with a reason for this side only */
  async check(place: PeerPlace): Promise<void> {
    const address = unmapped(place.address)
    const peer = this.#remembered(address, place.port) ?? (await this.#identify(address, place.port))
    this.#identities.set(place, formatPeer(peer))
    const reason = this.#reasonAgainst(peer)
    if (reason !== null) throw refusal(`${escapeForDisplay(formatPeer(peer))} ${reason}`)
    this.#remember(peer, address, place.port)
  }

  /** Who that is, as {@link check} found; `null` where it did not. @param place the very object that was checked */
  identityOf(place: PeerPlace): string | null {
    return this.#identities.get(place) ?? null
  }

  /**
   * Of those allowed, whom the tailnet does not have now, and whether that is everybody; none where that cannot be said.
   * Never rejects.
   * @param signal nobody wants to know any more
   */
  async findAbsent(signal: AbortSignal): Promise<{ absent: string[]; isEverybody: boolean }> {
    const { users, tags } = this.#options.allowed
    const count = users.length + tags.length
    const people = count === 0 ? null : await readPeople({ ...this.#options.query, signal })
    if (people === null) return { absent: [], isEverybody: false }
    const absent = [
      ...users.filter((user) => !people.users.some((known) => sameLogin(known, user))),
      ...tags.filter((tag) => !people.tags.includes(tag)),
    ]
    return { absent, isEverybody: absent.length === count }
  }

  async #identify(address: string, port: number): Promise<TailnetPeer> {
    const { query, home, address: own } = this.#options
    const who = escapeForDisplay(address)
    const [now, peer] = await Promise.all([
      readTailnet(query),
      whoIs(address, port, query).catch((error: unknown) => (error instanceof SealiftError ? error : null)),
    ])
    // Whoever stopped Tailscale, or went over to another tailnet, does not mean the peers of that one.
    if (now.state !== 'running') throw refusal(`${who} cannot be checked: ${now.detail}`)
    if (now.domain !== home.domain || now.tailnet !== home.tailnet || !now.addresses.includes(own))
      throw refusal(`${who} cannot be checked: this machine is in another tailnet now`)
    if (peer instanceof SealiftError) throw refusal(`${who} cannot be checked: ${peer.message}`)
    if (peer === null) throw refusal(`${who} is not on this tailnet`)
    return peer
  }

  /** Why this one may not connect, as the rest of a sentence; `null`: it may. */
  #reasonAgainst(peer: TailnetPeer): string | null {
    const { allowed, home } = this.#options
    if (peer.expired) return 'has an expired key'
    const isForeign = peer.shared || (home.domain !== '' && !`.${peer.domain}`.endsWith(`.${home.domain}`))
    // A tag is the word of the tailnet that gave it; another's says nothing here.
    if (isForeign && peer.tags.length > 0) return 'belongs to another tailnet'
    const { users, tags } = allowed
    const { user } = peer
    const isNamed =
      peer.tags.length > 0
        ? peer.tags.some((tag) => tags.includes(tag))
        : user !== null && users.some((name) => sameLogin(name, user))
    if (isNamed) return null
    if (isForeign) return 'belongs to another tailnet'
    return users.length + tags.length === 0 ? null : 'is not one of those allowed'
  }

  #remembered(address: string, port: number): TailnetPeer | null {
    for (const key of [address, `${address} ${String(port)}`]) {
      const found = this.#passed.get(key)
      if (found === undefined) continue
      if (found.untilMs > this.#options.nowMs()) return found.peer
      this.#passed.delete(key)
    }
    return null
  }

  #remember(peer: TailnetPeer, address: string, port: number): void {
    // One that comes from loopback is known by its port only; another port there is somebody else.
    const key = peer.addresses.includes(address) ? address : `${address} ${String(port)}`
    if (this.#passed.has(key)) return
    const oldest = this.#passed.size >= MAX_PASSED ? this.#passed.keys().next().value : undefined
    if (oldest !== undefined) this.#passed.delete(oldest)
    this.#passed.set(key, { peer, untilMs: this.#options.nowMs() + PASSED_MS })
  }
}

/**
 * Who may connect, as it was given.
 * @throws SealiftError `settings_invalid`
 */
export function readAllowed(users: readonly string[] = [], tags: readonly string[] = []): AllowedPeers {
  const allowed = { users: users.map((user) => user.trim()), tags: tags.map((tag) => tag.trim()) }
  for (const user of allowed.users) {
    if (user === '' || user.startsWith('tag:') || user === 'tagged-devices')
      throw new SealiftError('settings_invalid', `--allow-user is no login: ${JSON.stringify(user)}`, {
        hint: 'a login looks like ana@example.com; machines with a tag are allowed by --allow-tag',
      })
  }
  for (const tag of allowed.tags) {
    if (!/^tag:[A-Za-z0-9-]+$/.test(tag))
      throw new SealiftError('settings_invalid', `--allow-tag is no tag: ${JSON.stringify(tag)}`, {
        hint: 'a tag looks like tag:ci',
      })
  }
  return allowed
}

function sameLogin(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase()
}

function refusal(message: string): SealiftError {
  return new SealiftError('peer_refused', message)
}
