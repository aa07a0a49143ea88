/** Where a sender listens: loopback, the local network, or what it is told. Tailscale comes before these where it is there. */

import { networkInterfaces } from 'node:os'
import { SealiftError } from '../protocol/errors.ts'
import type { SendOptions } from './options.ts'

/** An address of this machine on the local network, and the interface that has it. */
export interface LanAddress {
  readonly address: string
  readonly interfaceName: string
}

/** The first address that others on the network reach: IPv4 before IPv6, none that is loopback or link-local. */
function findLanAddress(): LanAddress | null {
  const found = Object.entries(networkInterfaces()).flatMap(([interfaceName, addresses]) =>
    (addresses ?? [])
      .filter(({ internal, address }) => !internal && !address.startsWith('169.254.') && !address.startsWith('fe80:'))
      .map(({ address, family }) => ({ address, interfaceName, family })),
  )
  const first = found.find(({ family }) => family === 'IPv4') ?? found[0]
  return first === undefined ? null : { address: first.address, interfaceName: first.interfaceName }
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

/**
 * @throws SealiftError `usage` where more than one place is named; `no_tailscale` where none is;
 *   `address_unavailable` where there is no local network
 */
export function listenAddress(options: Pick<SendOptions, 'pod' | 'lan' | 'listen'>): string {
  const { pod, lan, listen } = options
  const named = [pod === true, lan === true, listen !== undefined].filter(Boolean).length
  if (named > 1) throw new SealiftError('usage', 'give one of --pod, --lan and --listen', { hint: listenHint() })
  if (pod === true) return '127.0.0.1'
  if (listen !== undefined) return listen.replace(/^\[(.*)\]$/, '$1')
  if (lan !== true)
    throw new SealiftError('no_tailscale', 'there is no Tailscale address on this machine to listen on', {
      hint: listenHint(),
    })
  const found = findLanAddress()
  if (found === null)
    throw new SealiftError('address_unavailable', 'this machine has no address on a local network', {
      hint: listenHint(),
    })
  return found.address
}
