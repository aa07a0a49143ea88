/** What Tailscale tells a receiver: who it is connected to, and why it cannot connect. What asks it is loaded only then. */

import type { ByteStream } from '../carriers/carrier.ts'
import { defaultAccess, hasTailscale } from '../guard/tailscale-doors.ts'
import { looksLikeTailscale } from '../guard/tailscale-range.ts'

/** Beside a transfer that waits for it: a daemon that works answers in milliseconds. */
const IDENTITY_TIMEOUT_MS = 500

/** `alpha (ana@example.com)`, or `null`. Never rejects; where Tailscale hangs, this takes half a second, or until the signal. */
export async function identifyPeer({ address, port }: ByteStream['peer'], signal: AbortSignal): Promise<string | null> {
  const access = defaultAccess()
  if (!hasTailscale(access)) return null
  const { identify } = await import('../guard/tailnet-identity.ts')
  return identify(address, port, { access, timeoutMs: IDENTITY_TIMEOUT_MS, signal })
}

/** What to do about an address of a tailnet that cannot be reached; `null` where Tailscale is not what is missing. Never rejects. */
export async function adviseOnReaching(host: string): Promise<string | null> {
  if (!looksLikeTailscale(host)) return null
  const { readTailnet } = await import('../guard/tailscale.ts')
  const { state, detail, advice, userspace } = await readTailnet()
  if (state === 'running' && !userspace) return null
  const reason =
    state === 'running' ? 'Tailscale runs here without an interface, and cannot be connected through' : detail
  return [`${host} looks like Tailscale's: ${reason}`, advice].filter((line) => line !== null).join('\n')
}
