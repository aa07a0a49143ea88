/** Who a peer is that was connected to, by Tailscale where there is one; what asks it is loaded only there. */

import type { ByteStream } from '../carriers/carrier.ts'
import { defaultAccess, hasTailscale } from '../guard/tailscale-doors.ts'

/** `alpha (ana@example.com)`, or `null`. Never rejects; where Tailscale hangs, this takes 2 s. */
export async function identifyPeer({ address, port }: ByteStream['peer']): Promise<string | null> {
  const access = defaultAccess()
  if (!hasTailscale(access)) return null
  const { identify } = await import('../guard/tailnet-identity.ts')
  return identify(address, port, { access })
}
