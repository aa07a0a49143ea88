/**
 * Who is at an address that was dialled, for people to read. Decides nothing, and takes no longer than one answer may.
 */

import { readTailnet, type TailscaleQuery, unmapped, whoIs } from './tailscale.ts'
import { formatPeer } from './tailscale-answers.ts'

/**
 * `alpha (user-1@example.net)`, or `null` where Tailscale does not vouch for it: without an interface of its own what was
 * dialled did not go through it, and an address that only looks like one of the tailnet is anybody's. Never rejects.
 */
export async function identify(address: string, port: number, query: TailscaleQuery = {}): Promise<string | null> {
  const [home, peer] = await Promise.all([readTailnet(query), whoIs(address, port, query).catch(() => null)])
  if (home.state !== 'running' || home.userspace || peer === null) return null
  return peer.addresses.includes(unmapped(address).toLowerCase()) && !peer.expired ? formatPeer(peer) : null
}
