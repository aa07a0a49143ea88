/**
 * A tailscaled to test against: an HTTP server on a socket that answers, and refuses, as the real one's LocalAPI does, and
 * that can be told to misbehave.
 *
 * Owns the server and its connections. What it answers about is a tailnet of the test's own making.
 */

import fs from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A machine of the tailnet, in few words. */
export interface FakeNode {
  readonly host: string
  readonly user?: string
  readonly tags?: readonly string[]
  readonly domain?: string
  readonly expired?: boolean
  readonly sharer?: number
  readonly sharee?: boolean
}

/** How it answers: as it should, or not at all, in part, in excess, in words of no meaning, or with an error of its own. */
export type Manner = 'well' | 'silent' | 'half' | 'endless' | 'garbage' | 'error' | 'hangs-up'

const DOMAIN = 'rig.ts.net'

export class FakeTailscaled {
  readonly socket: string
  manner: Manner = 'well'
  state = 'Running'
  /** Bare; `null` as before the first login. */
  addresses: readonly string[] | null
  userspace = false
  domain = DOMAIN
  /** Its name, as people know it. */
  tailnet = DOMAIN
  self: FakeNode = { host: 'alpha', user: 'user-1@example.net' }
  /** By `address`, with or without a port, by `address:port`, or by `address:*`: with a port only. */
  readonly nodes = new Map<string, FakeNode>()
  /** What was asked for, in order. */
  readonly asked: string[] = []
  readonly #folder: string
  readonly #server: http.Server
  #waiting: (() => void)[] = []

  private constructor(folder: string, addresses: readonly string[] | null) {
    this.#folder = folder
    this.socket = join(folder, 'tailscaled.sock')
    this.addresses = addresses
    this.#server = http.createServer((request, response) => this.#answer(request, response))
  }

  /** @param addresses of this machine in the tailnet */
  static async start(addresses: readonly string[] | null = ['100.64.0.1']): Promise<FakeTailscaled> {
    const fake = new FakeTailscaled(fs.mkdtempSync(join(tmpdir(), 'sealift-tailscaled-')), addresses)
    await new Promise<void>((resolve) => fake.#server.listen(fake.socket, resolve))
    return fake
  }

  /** Resolves with the next question. */
  question(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** Goes away, and leaves nothing behind. May be called twice. */
  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
    fs.rmSync(this.#folder, { recursive: true, force: true })
  }

  #answer(request: http.IncomingMessage, response: http.ServerResponse): void {
    const { host, origin, referer } = request.headers
    this.asked.push(request.url ?? '')
    for (const wake of this.#waiting.splice(0)) wake()
    if ((host !== 'local-tailscaled.sock' && host !== '') || origin !== undefined || referer !== undefined) {
      response.writeHead(403).end('invalid localapi request\n')
      return
    }
    switch (this.manner) {
      case 'silent':
        return
      case 'hangs-up':
        request.socket.destroy()
        return
      case 'half':
        response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': '4096' }).write('{"Version":')
        return
      case 'endless': {
        response.writeHead(200, { 'Content-Type': 'application/json' })
        const more = (): void => {
          while (!response.destroyed && response.write('x'.repeat(1 << 16)));
        }
        response.on('drain', more)
        more()
        return
      }
      case 'garbage':
        response.writeHead(200, { 'Content-Type': 'application/json' }).end('{"Node": {"StableID": 7')
        return
      case 'error':
        response.writeHead(500).end('no backend\n')
        return
      case 'well':
        this.#answerWell(new URL(request.url ?? '', 'http://local'), response)
    }
  }

  #answerWell(url: URL, response: http.ServerResponse): void {
    const json = (value: unknown): void => {
      response.writeHead(200, { 'Content-Type': 'application/json', 'Tailscale-Version': '1.100.0' })
      response.end(JSON.stringify(value))
    }
    if (url.pathname === '/localapi/v0/status') json(this.#status(url.searchParams.get('peers') !== 'false'))
    else if (url.pathname === '/localapi/v0/whois') {
      const place = url.searchParams.get('addr') ?? ''
      const read = /^(?:\[([0-9a-f:.]+)\]|([\d.]+))(?::(\d+))?$/.exec(place)
      const address = read?.[1] ?? read?.[2]
      const withPort = read?.[3] === undefined ? [] : [place, `${String(address)}:*`]
      const node = [...withPort, address ?? ''].map((key) => this.nodes.get(key)).find((found) => found !== undefined)
      if (address === undefined) response.writeHead(400).end("invalid 'addr' parameter\n")
      else if (node === undefined) response.writeHead(404).end(`no match for ${place}\n`)
      else json(this.#whois(node))
    } else response.writeHead(404).end('404 page not found\n')
  }

  #status(withPeers: boolean): unknown {
    const nodes = [this.self, ...(withPeers ? this.nodes.values() : [])]
    const peerOf = (node: FakeNode, index: number): unknown => ({
      ID: `n${node.host}CNTRL`,
      HostName: node.host,
      DNSName: `${node.host}.${this.domain}.`,
      UserID: index + 1,
      TailscaleIPs: null,
      ...(node.tags === undefined ? {} : { Tags: node.tags }),
    })
    const loggedIn = this.addresses !== null
    return {
      Version: '1.100.0-t0123456789',
      TUN: !this.userspace,
      BackendState: this.state,
      AuthURL: '',
      TailscaleIPs: this.addresses,
      Self: peerOf(this.self, 0),
      Health: null,
      MagicDNSSuffix: loggedIn ? this.domain : '',
      CurrentTailnet: loggedIn ? { Name: this.tailnet, MagicDNSSuffix: this.domain, MagicDNSEnabled: false } : null,
      CertDomains: null,
      Peer: withPeers
        ? Object.fromEntries(nodes.slice(1).map((node, index) => [`nodekey:${node.host}`, peerOf(node, index + 1)]))
        : null,
      User: Object.fromEntries(
        nodes.map((node, index) => [index + 1, { ID: index + 1, LoginName: node.user ?? 'tagged-devices' }]),
      ),
    }
  }

  #whois(node: FakeNode): unknown {
    const addresses = [...this.nodes]
      .filter(([place, known]) => known === node && !/[.\]].*:[\d*]+$/.test(place))
      .map(([address]) => `${address}/${address.includes(':') ? '128' : '32'}`)
    return {
      Node: {
        ID: 1,
        StableID: `n${node.host}CNTRL`,
        Name: `${node.host}.${node.domain ?? this.domain}.`,
        User: 1,
        ...(node.sharer === undefined ? {} : { Sharer: node.sharer }),
        Key: 'nodekey:00',
        KeyExpiry: '0001-01-01T00:00:00Z',
        Addresses: addresses.length === 0 ? null : addresses,
        AllowedIPs: null,
        Hostinfo: { OS: 'linux', ...(node.sharee === true ? { ShareeNode: true } : {}) },
        ...(node.tags === undefined ? {} : { Tags: node.tags }),
        ...(node.expired === true ? { Expired: true } : {}),
        ComputedName: node.host,
      },
      UserProfile: { ID: 1, LoginName: node.user ?? 'tagged-devices', DisplayName: '' },
      CapMap: null,
    }
  }
}
