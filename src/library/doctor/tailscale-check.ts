/** Tailscale on this machine: whether a sender listens on it, and what keeps it from that. */

import type { TailnetState } from '../../guard/tailscale.ts'
import { type Finding, finding } from './finding.ts'

/** Without Tailscale everything works, at the addresses that one names. */
const ELSEWHERE = 'A sender asks where to listen, or is told with --lan, --listen or --pod.'

export function judgeTailnet(found: TailnetState): Finding[] {
  const { state, addresses, userspace, tailnet, self, version, detail, advice } = found
  const details = { state, addresses, userspace, tailnet, user: self?.user ?? null, host: self?.host ?? null, version }
  if (state !== 'running' || addresses.length === 0) {
    // What is not installed is not missed.
    const status = state === 'absent' ? 'note' : 'warning'
    return [finding('tailscale', status, detail, ELSEWHERE, { advice, details })]
  }
  const who = self?.user === null || self === null ? 'a tagged machine' : self.user
  const what = `${addresses.join(', ')} in ${tailnet ?? 'a tailnet'}, ${who}`
  const findings = userspace
    ? [
        finding(
          'tailscale',
          'note',
          `${what}, without a network interface`,
          'Senders here are reached by the tailnet; nothing can be received over it, as nothing can be dialled.',
          { advice: 'to receive too, run tailscaled without --tun=userspace-networking', details },
        ),
      ]
    : [
        finding('tailscale', 'ok', what, `sealift send listens on ${addresses[0] ?? ''}; the tailnet reaches it.`, {
          details,
        }),
      ]
  for (const complaint of found.health)
    findings.push(
      finding('tailscale', 'warning', complaint, 'That is what Tailscale says of itself.', {
        advice: 'tailscale status says more',
        details: { state },
      }),
    )
  return findings
}
