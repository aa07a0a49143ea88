/** Addresses of this machine, and which of them a sender listens on. */

import { BlockList, isIPv6 } from 'node:net'
import { networkInterfaces } from 'node:os'
import { findLanAddress } from '../listen-address.ts'
import { type Finding, finding } from './finding.ts'

export interface OwnAddress {
  readonly address: string
  readonly interfaceName: string
}

export interface AddressFacts {
  /** What `--lan` takes; `null` where there is none. */
  readonly lan: OwnAddress | null
  /** All that a sender could listen on for others, with the interface that has them. */
  readonly all: readonly OwnAddress[]
}

/** Networks that only neighbours reach. */
const PRIVATE = new BlockList()
PRIVATE.addSubnet('10.0.0.0', 8)
PRIVATE.addSubnet('172.16.0.0', 12)
PRIVATE.addSubnet('192.168.0.0', 16)
PRIVATE.addSubnet('100.64.0.0', 10)
PRIVATE.addSubnet('169.254.0.0', 16)
PRIVATE.addSubnet('fc00::', 7, 'ipv6')
PRIVATE.addSubnet('fe80::', 10, 'ipv6')

export function readAddresses(): AddressFacts {
  const all = Object.entries(networkInterfaces()).flatMap(([interfaceName, addresses]) =>
    (addresses ?? [])
      .filter(({ internal, address }) => !internal && !address.startsWith('fe80:'))
      .map(({ address }) => ({ address, interfaceName })),
  )
  return { lan: findLanAddress(), all }
}

export function judgeAddresses({ lan, all }: AddressFacts): Finding[] {
  const shown = all.map(({ address, interfaceName }) => `${address} (${interfaceName})`)
  const details = { lan: lan?.address ?? null, addresses: all.map(({ address }) => address) }
  if (lan === null)
    return [
      finding(
        'address',
        'warning',
        'no address on a local network',
        'Other machines cannot reach a sender here. It can receive from whatever it reaches itself.',
        { advice: 'connect to a network, or send from the other machine', details },
      ),
    ]
  const what = `${lan.address} (${lan.interfaceName}) is where --lan listens`
  const others = shown.filter((address) => !address.startsWith(`${lan.address} `))
  const also = others.length === 0 ? '' : ` Also here, for --listen: ${others.join(', ')}.`
  if (isPublic(lan.address))
    return [
      finding(
        'address',
        'note',
        what,
        `This is a public address: whoever is on the Internet can try to connect, and only the token guards.${also}`,
        { advice: 'where that is not wanted, name another address with --listen', details },
      ),
    ]
  return [
    finding('address', 'ok', what, `Machines of that network reach it, and only the token guards there.${also}`, {
      details,
    }),
  ]
}

function isPublic(address: string): boolean {
  return !PRIVATE.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
}
