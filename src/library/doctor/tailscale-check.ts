/** Tailscale on this machine: whether a sender listens on it, and what keeps it from that. */

import type { TailnetState } from '../../guard/tailscale.ts'
import { chooseAddress } from '../listen-address.ts'
import { type Finding, finding } from './finding.ts'

export interface TailnetFacts {
  readonly found: TailnetState
  /** Where a sender listens unless it is told; `null` where it cannot. */
  readonly address: string | null
}

/** Without Tailscale everything works, at the addresses that one names. */
const ELSEWHERE = 'A sender listens where it is told: --lan, --listen or --pod.'

export function tailnetFacts(found: TailnetState): TailnetFacts {
  return { found, address: found.state === 'running' ? chooseAddress(found) : null }
}

export function judgeTailnet({ found, address }: TailnetFacts): Finding[] {
  const { state, addresses, userspace, tailnet, self, version } = found
  const details = { state, addresses, userspace, tailnet, user: self?.user ?? null, host: self?.host ?? null, version }
  if (address === null) return [absentFinding(found, details)]
  const who = self?.user ?? 'a machine with tags'
  const what = `${addresses.join(', ')} in ${tailnet ?? 'a tailnet'}, ${who}`
  const reach = `sealift send listens on ${address}; only machines of the tailnet get in.`
  const main = userspace
    ? finding(
        'tailscale',
        'note',
        `${what}, without a network interface`,
        `${reach} Nothing can be received over the tailnet, as nothing can be dialled.`,
        { advice: 'to receive too, run tailscaled without --tun=userspace-networking', details },
      )
    : finding('tailscale', 'ok', what, reach, { details })
  return [main, ...complaints(found)]
}

function absentFinding({ state, addresses, detail, advice }: TailnetState, details: Finding['details']): Finding {
  if (state === 'running' && addresses.length > 0)
    return finding('tailscale', 'warning', `no interface here has ${addresses.join(' or ')}`, ELSEWHERE, {
      advice: 'is this a container that sees the Tailscale of its host? Name an address with --listen',
      details,
    })
  // What is not installed is not missed.
  return finding('tailscale', state === 'absent' ? 'note' : 'warning', detail, ELSEWHERE, { advice, details })
}

function complaints({ health, state }: TailnetState): Finding[] {
  return health.map((complaint) =>
    finding('tailscale', 'warning', complaint, 'That is what Tailscale says of itself.', {
      advice: 'tailscale status says more',
      details: { state },
    }),
  )
}
