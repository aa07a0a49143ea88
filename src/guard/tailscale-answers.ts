/**
 * What tailscaled's answers mean. Owns their schemas, which take as little for granted as they can: any list may be
 * null, addresses come bare or with a prefix length, names end with a dot, and what is unknown is passed over.
 */

import * as z from 'zod/mini'

/** One machine of the tailnet, as `whois` has it. */
export interface TailnetPeer {
  /** Stable id of the node. */
  readonly id: string
  /** First label of its name. */
  readonly host: string
  /** The rest of its name, the tailnet's domain; empty where it has none. */
  readonly domain: string
  /** Login of its owner; `null` for a tagged machine, which belongs to nobody. */
  readonly user: string | null
  readonly tags: readonly string[]
  /** Its own addresses, bare. */
  readonly addresses: readonly string[]
  /** It was shared into this tailnet, or somebody outside was given access to this one. */
  readonly shared: boolean
  /** Its key is no longer valid. */
  readonly expired: boolean
}

/** What `status` says of this machine. */
export interface TailscaleStatus {
  readonly version: string | null
  /** As tailscaled spells it: `Running`, `Stopped`, `NeedsLogin`, … */
  readonly backendState: string
  /** Tailscale runs without a network interface: what comes in arrives from loopback. */
  readonly userspace: boolean
  /** Bare. */
  readonly addresses: readonly string[]
  /** Name of the tailnet as people know it. */
  readonly tailnet: string | null
  /** Names of its machines end with this; empty where unknown. */
  readonly domain: string
  readonly self: { readonly host: string; readonly user: string | null } | null
  /** What tailscaled complains of. */
  readonly health: readonly string[]
  /** Logins and tags of the machines in the answer. */
  readonly users: readonly string[]
  readonly tags: readonly string[]
}

const text = z.string().check(z.maxLength(512))
const texts = z.nullish(z.array(text))

const nodeSchema = z.object({
  StableID: text,
  Name: z.nullish(text),
  ComputedName: z.nullish(text),
  Addresses: texts,
  Tags: texts,
  Sharer: z.nullish(z.number()),
  Hostinfo: z.nullish(z.object({ ShareeNode: z.nullish(z.boolean()) })),
  Expired: z.nullish(z.boolean()),
})
const whoisSchema = z.object({ Node: nodeSchema, UserProfile: z.object({ LoginName: text }) })

const peerSchema = z.object({ HostName: z.nullish(text), DNSName: z.nullish(text), UserID: z.unknown(), Tags: texts })
const statusSchema = z.object({
  Version: z.nullish(text),
  TUN: z.nullish(z.boolean()),
  BackendState: text,
  TailscaleIPs: texts,
  Self: z.nullish(peerSchema),
  Health: z.nullish(z.array(z.string())),
  MagicDNSSuffix: z.nullish(text),
  CurrentTailnet: z.nullish(z.object({ Name: z.nullish(text), MagicDNSSuffix: z.nullish(text) })),
  Peer: z.nullish(z.record(z.string(), peerSchema)),
  User: z.nullish(z.record(z.string(), z.object({ LoginName: text }))),
})

/** `alpha (user-1@example.net)`, or with its tags where it has any; comes from outside, so escape it where it is shown. */
export function formatPeer({ host, id, user, tags }: TailnetPeer): string {
  const owner = tags.length > 0 ? tags.join(', ') : (user ?? 'nobody')
  return `${host === '' ? id : host} (${owner})`
}

/** @returns `null` where the text is not what `whois` answers */
export function decodeWhois(answer: string): TailnetPeer | null {
  const read = whoisSchema.safeParse(parse(answer))
  if (!read.success || read.data.Node.StableID === '') return null
  const { Node: node, UserProfile: profile } = read.data
  const tags = node.Tags ?? []
  const { host, domain } = splitName(node.Name ?? node.ComputedName ?? '')
  return {
    id: node.StableID,
    host,
    domain,
    user: tags.length > 0 || profile.LoginName === '' ? null : profile.LoginName,
    tags,
    addresses: (node.Addresses ?? []).map(bare),
    shared: (node.Sharer ?? 0) !== 0 || node.Hostinfo?.ShareeNode === true,
    expired: node.Expired === true,
  }
}

/** @returns `null` where the text is not what `status` answers */
export function decodeStatus(answer: string): TailscaleStatus | null {
  const read = statusSchema.safeParse(parse(answer))
  if (!read.success) return null
  const { data } = read
  const { Self: self, CurrentTailnet: current } = data
  const users = data.User ?? {}
  const domain = withoutDot(current?.MagicDNSSuffix ?? data.MagicDNSSuffix ?? '')
  const tagged = (self?.Tags ?? []).length > 0
  return {
    version: data.Version ?? null,
    backendState: data.BackendState,
    userspace: data.TUN === false,
    addresses: (data.TailscaleIPs ?? []).map(bare),
    tailnet: [current?.Name, domain].find((name) => name !== undefined && name !== null && name !== '') ?? null,
    domain,
    self:
      self === null || self === undefined
        ? null
        : { host: hostOf(self), user: tagged ? null : loginOf(users, self.UserID) },
    health: data.Health ?? [],
    users: Object.values(users).map(({ LoginName }) => LoginName),
    tags: [...new Set([self, ...Object.values(data.Peer ?? {})].flatMap((peer) => peer?.Tags ?? []))],
  }
}

function parse(answer: string): unknown {
  try {
    return JSON.parse(answer)
  } catch {
    return undefined
  }
}

function hostOf(peer: z.infer<typeof peerSchema>): string {
  const { host } = splitName(peer.DNSName ?? '')
  return host === '' ? (peer.HostName ?? '') : host
}

function loginOf(users: Readonly<Record<string, { LoginName: string }>>, id: unknown): string | null {
  const login = typeof id === 'number' || typeof id === 'string' ? users[String(id)]?.LoginName : undefined
  return login === undefined || login === '' ? null : login
}

/** `alpha.rig.ts.net.` is `alpha` in `rig.ts.net`. */
function splitName(name: string): { host: string; domain: string } {
  const whole = withoutDot(name)
  const dot = whole.indexOf('.')
  return dot < 0 ? { host: whole, domain: '' } : { host: whole.slice(0, dot), domain: whole.slice(dot + 1) }
}

function withoutDot(name: string): string {
  return name.replace(/\.$/, '').toLowerCase()
}

/** `100.64.0.1/32` and `100.64.0.1` are the same address. */
function bare(address: string): string {
  return address.replace(/\/\d+$/, '').toLowerCase()
}
