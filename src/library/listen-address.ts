/**
 * Where a sender listens, and who checks what comes there: this machine's Tailscale address unless another place is named.
 *
 * Knows what places there are and which of them Tailscale guards; binds nothing.
 */

import { isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { AllowedPeers, TailnetGate } from '../guard/tailnet-gate.ts'
import type { TailnetState } from '../guard/tailscale.ts'
import { SealiftError } from '../protocol/errors.ts'
import { systemClock } from '../transfer/clock.ts'
import { answerOf } from './answer-of.ts'
import type { LanAddress, SendOptions } from './options.ts'

/** A place to listen at. */
export interface ListenPlace {
  /** What is bound. */
  readonly host: string
  /** What the other side connects to. */
  readonly address: string
  /** Who checks every connection; `null` where only the token guards. */
  readonly tailnet: { readonly name: string; readonly gate: TailnetGate } | null
}

export interface ListenOptions extends Pick<
  SendOptions,
  'pod' | 'lan' | 'listen' | 'allowUsers' | 'allowTags' | 'listenOnLan'
> {
  readonly signal?: AbortSignal
}

/** Where Tailscale without an interface hands in what comes for this machine. */
const USERSPACE_HOST = '127.0.0.1'
const UNGUARDED = 'Tailscale checks --allow-user and --allow-tag, on its own address only'

/**
 * Finds the place that was named, or this machine's Tailscale address.
 * @throws SealiftError `usage` where more than one place is named, or one that nobody checks beside `allowUsers` or
 *   `allowTags`; `settings_invalid` for what is neither login nor tag; `no_tailscale` where no place is named and there is
 *   no Tailscale; `address_unavailable` where there is no local network
 */
export async function findListenPlace(options: ListenOptions): Promise<ListenPlace> {
  const { pod, lan, listen } = options
  const named = [pod === true, lan === true, listen !== undefined].filter(Boolean).length
  if (named > 1) throw new SealiftError('usage', 'give one of --pod, --lan and --listen', { hint: listenHint() })
  const { readAllowed } = await import('../guard/tailnet-gate.ts')
  const allowed = readAllowed(options.allowUsers, options.allowTags)
  const isPicky = allowed.users.length + allowed.tags.length > 0
  if (isPicky && (pod === true || lan === true))
    throw new SealiftError('usage', UNGUARDED, { hint: `leave out ${pod === true ? '--pod' : '--lan'}` })
  if (pod === true) return unguarded('127.0.0.1')
  if (lan === true) return unguarded(lanAddress().address)
  const { readTailnet } = await import('../guard/tailscale.ts')
  const home = await readTailnet({ signal: options.signal })
  options.signal?.throwIfAborted()
  return listen === undefined
    ? placeByDefault(home, allowed, isPicky, options)
    : placeNamed(listen.replace(/^\[(.*)\]$/, '$1'), home, allowed, isPicky)
}

async function placeByDefault(
  home: TailnetState,
  allowed: AllowedPeers,
  isPicky: boolean,
  { listenOnLan, signal }: ListenOptions,
): Promise<ListenPlace> {
  const own = home.state === 'running' ? chooseAddress(home) : null
  if (own !== null) return guarded(own, home, allowed)
  const [detail, advice] =
    home.state === 'running' && home.addresses.length > 0
      ? [
          `no interface here has the Tailscale address ${home.addresses.join(' or ')}`,
          'is this a container that sees the Tailscale of its host? Name an address with --listen',
        ]
      : [home.detail, home.advice]
  const reason = home.state === 'absent' ? 'No Tailscale here' : detail.replace(/^./, (first) => first.toUpperCase())
  const found = findLanAddress()
  // Whoever names the peers that may come does not want all others either.
  const isAsked = !isPicky && found !== null && listenOnLan !== undefined
  if (isAsked && (await answerOf(signal, () => listenOnLan(found, reason)))) return unguarded(found.address)
  throw new SealiftError('no_tailscale', detail, { hint: [advice, listenHint()].filter(Boolean).join('\n') })
}

/** An address that was named is guarded when it is this machine's on the tailnet; how it looks does not decide that. */
function placeNamed(
  listen: string,
  home: TailnetState,
  allowed: AllowedPeers,
  isPicky: boolean,
): ListenPlace | Promise<ListenPlace> {
  if (home.state === 'running' && home.addresses.includes(listen.toLowerCase()))
    return guarded(listen.toLowerCase(), home, allowed)
  // Refused only: where Tailscale does not answer, nobody could check who comes to an address that is likely its own.
  if (home.state === 'unreachable' && (isPicky || isInTailscaleRange(listen)))
    throw new SealiftError('no_tailscale', home.detail, {
      hint: [home.advice, '--listen takes it for no Tailscale address only when Tailscale says so'].join('\n'),
    })
  if (isPicky)
    throw new SealiftError('usage', UNGUARDED, {
      hint: home.addresses[0] === undefined ? home.detail : `leave out --listen, or give ${home.addresses[0]}`,
    })
  return unguarded(listen)
}

/**
 * The Tailscale address that is listened on where no place is named: IPv4 before IPv6, and one that this machine really
 * has before one that only Tailscale speaks of; `null` where it has none.
 */
export function chooseAddress({ addresses, userspace }: TailnetState): string | null {
  const inOrder = [...addresses].sort((a, b) => isIP(a) - isIP(b))
  return inOrder.find(isOnInterface) ?? (userspace ? (inOrder[0] ?? null) : null)
}

function isOnInterface(address: string): boolean {
  return Object.values(networkInterfaces()).some((found) => found?.some((own) => own.address === address) === true)
}

function unguarded(host: string): ListenPlace {
  return { host, address: host, tailnet: null }
}

async function guarded(address: string, home: TailnetState, allowed: AllowedPeers): Promise<ListenPlace> {
  const { TailnetGate } = await import('../guard/tailnet-gate.ts')
  const gate = new TailnetGate({ home, address, allowed, nowMs: () => systemClock.nowMs() })
  return { host: boundHost(address, home), address, tailnet: { name: home.tailnet ?? 'this tailnet', gate } }
}

/** What is bound so that the tailnet reaches an address of this machine. */
export function boundHost(address: string, { userspace }: TailnetState): string {
  return userspace && !isOnInterface(address) ? USERSPACE_HOST : address
}

/** @throws SealiftError `address_unavailable` */
function lanAddress(): LanAddress {
  const found = findLanAddress()
  if (found !== null) return found
  throw new SealiftError('address_unavailable', 'this machine has no address on a local network', {
    hint: listenHint(),
  })
}

/** The first address that others on the network reach: IPv4 before IPv6, none that is loopback, link-local or Tailscale's. */
export function findLanAddress(): LanAddress | null {
  const found = Object.entries(networkInterfaces()).flatMap(([interfaceName, addresses]) =>
    (addresses ?? [])
      .filter(({ internal, address }) => !internal && !/^(169\.254\.|fe80:)/.test(address))
      .filter(({ address }) => !isInTailscaleRange(address))
      .map(({ address, family }) => ({ address, interfaceName, family })),
  )
  const first = found.find(({ family }) => family === 'IPv4') ?? found[0]
  return first === undefined ? null : { address: first.address, interfaceName: first.interfaceName }
}

/** Where Tailscale takes its addresses from. Others do too, so this proves nothing. */
function isInTailscaleRange(address: string): boolean {
  return /^100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|^fd7a:115c:a1e0:/i.test(address)
}

/** The lines that work without Tailscale; every hint about where to listen shows all three. */
function listenHint(): string {
  const lan = findLanAddress()
  return [
    `--lan               listen on the local network${lan === null ? '' : ` (${lan.address}, ${lan.interfaceName})`}`,
    `--listen ${(lan?.address ?? 'ADDRESS').padEnd(15)} listen on this address`,
    '--pod               listen on 127.0.0.1, for this machine alone',
  ].join('\n')
}
