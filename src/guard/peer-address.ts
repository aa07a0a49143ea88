/**
 * What an address counts as where tries, connections and bans are counted: one key for all addresses that one host can
 * take (S-05).
 */

import { isIP } from 'node:net'
import { SealiftError } from '../protocol/errors.ts'
import { escapeForDisplay } from '../protocol/names.ts'

/** Tailscale gives each machine one address, all of them in the same /64 or in few. */
const TAILNET_V6 = 'fd7a:115c:a1e0:'

/**
 * An IPv4 address counts for itself, also where it is written as an IPv6 one; an IPv6 address for its /64, which one host
 * has all of, but for those of a tailnet. What is no address stays as it is.
 */
export function sourceOf(address: string): string {
  if (!address.includes(':')) return address
  const groups = groupsOf(address)
  const v4 = mappedV4(groups)
  if (v4 !== null) return v4
  const text = groups.map((group) => group.toString(16))
  const whole = text.join(':')
  return whole.startsWith(TAILNET_V6) ? whole : `${text.slice(0, 4).join(':')}::/64`
}

/** Whether a connection from there comes from this machine, which is never banned. */
export function isLoopback(address: string): boolean {
  if (!address.includes(':')) return /^127\.\d+\.\d+\.\d+$/.test(address)
  const groups = groupsOf(address)
  const v4 = mappedV4(groups)
  return v4 === null ? groups.every((group, at) => group === (at === 7 ? 1 : 0)) : v4.startsWith('127.')
}

/**
 * The key of an address that a person gives: an address, or a key as it is listed.
 * @throws SealiftError `usage`
 */
export function parseSource(text: string): string {
  const given = text.trim().replace(/^\[(.*)\]$/, '$1')
  const address = given.replace(/::\/64$/, '::')
  if (isIP(address.replace(/%.*$/, '')) === 0)
    throw new SealiftError('usage', `this is no address: ${escapeForDisplay(text)}`, {
      hint: 'an address looks like 192.0.2.7 or 2001:db8::7, without a port; sealift ban list shows those that are banned',
    })
  return sourceOf(address)
}

/** The eight groups of an IPv6 address; of what is none, whatever it has of them. */
function groupsOf(address: string): number[] {
  const plain = address.replace(/%.*$/, '').replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_all, ...parts: string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = parts.slice(0, 4).map(Number)
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
  })
  const [head = '', tail = ''] = plain.split('::')
  const read = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16))
  const [front, back] = [read(head), read(tail)]
  const zeros = plain.includes('::') ? Math.max(0, 8 - front.length - back.length) : 0
  return [...front, ...Array<number>(zeros).fill(0), ...back]
}

/** `::ffff:192.0.2.7` is an IPv4 peer on a socket of both families. */
function mappedV4(groups: readonly number[]): string | null {
  const isMapped = groups.length === 8 && groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff
  if (!isMapped) return null
  const [high = 0, low = 0] = groups.slice(6)
  return [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.')
}
