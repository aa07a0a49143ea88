/**
 * This machine's Tailscale: whether it is there and what state it is in, and who a peer is.
 *
 * Joins the ways to ask (socket, else command) with what the answers mean. Decides nothing: who may come in is for
 * {@link ./tailnet-gate.ts}.
 */

import { SealiftError } from '../protocol/errors.ts'
import { decodeStatus, decodeWhois, type TailnetPeer, type TailscaleStatus } from './tailscale-answers.ts'
import { askCommand, type CommandAnswer } from './tailscale-command.ts'
import { defaultAccess, type TailscaleAccess } from './tailscale-doors.ts'
import { ANSWER_TIMEOUT_MS, askDoor, type AskOptions, MAX_ANSWER_BYTES } from './tailscale-local-api.ts'

export interface TailscaleQuery {
  /** Where to ask; default what this machine has. */
  readonly access?: TailscaleAccess | undefined
  /** Default 2 s. */
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * `absent`: not installed. `no-daemon`: installed, and tailscaled does not run. `logged-out`: belongs to no tailnet now.
 * `unapproved`: an admin has to approve the machine. `unreachable`: it hangs, refuses or makes no sense.
 */
export type TailnetCondition =
  'absent' | 'no-daemon' | 'stopped' | 'logged-out' | 'unapproved' | 'starting' | 'running' | 'unreachable'

/** This machine and its tailnet. Names come from outside: escape them where they are shown. */
export interface TailnetState {
  readonly state: TailnetCondition
  /** This machine's own, bare, in Tailscale's order; empty where it has none now. */
  readonly addresses: readonly string[]
  /** Tailscale has no interface: peers arrive from loopback, and nothing can be dialled through it. */
  readonly userspace: boolean
  /** As people know it. */
  readonly tailnet: string | null
  /** Domain of its machines; empty where unknown. */
  readonly domain: string
  readonly self: TailscaleStatus['self']
  readonly version: string | null
  readonly health: readonly string[]
  /** What is the case, as a sentence without capital and full stop. */
  readonly detail: string
  /** What to do about it; `null` where nothing is wrong or nothing helps. */
  readonly advice: string | null
}

/** Logins and tags that machines of the tailnet have now. */
export interface TailnetPeople {
  readonly users: readonly string[]
  readonly tags: readonly string[]
}

/** `status` of a large tailnet, with every machine in it. */
const MAX_STATUS_BYTES = 32 << 20

const NOTHING_KNOWN = {
  addresses: [],
  userspace: false,
  tailnet: null,
  domain: '',
  self: null,
  version: null,
  health: [],
} as const

/** Conditions of a daemon that answers. */
type Answered = Exclude<TailnetCondition, 'absent' | 'no-daemon'>

/** What `status` spells, as a condition. */
const CONDITIONS: Readonly<Record<string, Answered>> = {
  NoState: 'starting',
  InUseOtherUser: 'unreachable',
  NeedsLogin: 'logged-out',
  NeedsMachineAuth: 'unapproved',
  Stopped: 'stopped',
  Starting: 'starting',
  Running: 'running',
}

/** What Tailscale is up to on this machine. Never rejects, and takes no longer than the time-out. */
export async function readTailnet(query: TailscaleQuery = {}): Promise<TailnetState> {
  const access = query.access ?? defaultAccess()
  const answer = await ask(access, query, 'status?peers=false', ['status', '--json', '--peers=false'])
  switch (answer.kind) {
    case 'missing':
      return { ...NOTHING_KNOWN, state: 'absent', detail: 'there is no Tailscale on this machine', advice: null }
    case 'nobody':
      return { ...NOTHING_KNOWN, state: 'no-daemon', detail: noDaemon(access), advice: daemonAdvice('start') }
    case 'failed':
      return unreachable(answer.reason)
    case 'answer':
      break
  }
  if (answer.status !== 200) return unreachable(refusalOf(answer.status))
  const status = decodeStatus(answer.text)
  if (status === null) return unreachable('its answer makes no sense')
  const { backendState, users: _users, tags: _tags, ...known } = status
  const state = CONDITIONS[backendState] ?? 'unreachable'
  return { ...known, state, ...describe(state, status) }
}

/**
 * Who is at an address of the tailnet. The address alone proves nothing: only this answer does.
 * @param port needed where Tailscale has no interface and the peer arrives from loopback
 * @returns `null` where Tailscale says that this is nobody of the tailnet
 * @throws SealiftError `no_tailscale` where it does not say
 */
export async function whoIs(address: string, port: number, query: TailscaleQuery = {}): Promise<TailnetPeer | null> {
  const access = query.access ?? defaultAccess()
  const place = placeOf(unmapped(address), port)
  const path = `whois?addr=${encodeURIComponent(place)}&proto=tcp`
  const answer = await ask(access, query, path, ['whois', '--json', place])
  const cannotSay = (reason: string): SealiftError =>
    new SealiftError('no_tailscale', `Tailscale does not say who that is: ${reason}`)
  switch (answer.kind) {
    case 'missing':
    case 'nobody':
      throw cannotSay('it is not running')
    case 'failed':
      throw cannotSay(answer.reason)
    case 'answer':
      break
  }
  if (answer.status === 404) return null
  if (answer.status !== 200) throw cannotSay(refusalOf(answer.status))
  const peer = decodeWhois(answer.text)
  if (peer === null) throw cannotSay('its answer makes no sense')
  return peer
}

/** Everybody whom the tailnet has now, as far as this machine sees it; `null` where that cannot be said. Never rejects. */
export async function readPeople(query: TailscaleQuery = {}): Promise<TailnetPeople | null> {
  const access = query.access ?? defaultAccess()
  const answer = await ask(access, query, 'status', ['status', '--json'], MAX_STATUS_BYTES)
  if (answer.kind !== 'answer' || answer.status !== 200) return null
  const status = decodeStatus(answer.text)
  return status === null ? null : { users: status.users, tags: status.tags }
}

/** An IPv4 address in its IPv6 form is that IPv4 address: older daemons do not know it otherwise. */
export function unmapped(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, '')
}

/** The first answer that is one: doors in order, then commands. Never rejects. */
async function ask(
  access: TailscaleAccess,
  query: TailscaleQuery,
  path: string,
  args: readonly string[],
  maxBytes = MAX_ANSWER_BYTES,
): Promise<CommandAnswer> {
  const options: AskOptions = { timeoutMs: query.timeoutMs ?? ANSWER_TIMEOUT_MS, maxBytes, signal: query.signal }
  for (const door of access.doors) {
    const answer = await askDoor(door, path, options)
    if (answer.kind !== 'nobody') return answer
  }
  for (const command of access.commands) {
    const answer = await askCommand(command, args, access.env, options)
    if (answer.kind !== 'missing') return answer
  }
  return { kind: access.doors.length > 0 ? 'nobody' : 'missing' }
}

function placeOf(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

function refusalOf(status: number): string {
  return status === 403 ? 'it refuses this user' : `it answers with an error (${String(status)})`
}

function unreachable(reason: string): TailnetState {
  return {
    ...NOTHING_KNOWN,
    state: 'unreachable',
    detail: `Tailscale cannot be asked: ${reason}`,
    advice: daemonAdvice('restart'),
  }
}

function noDaemon(access: TailscaleAccess): string {
  const named = access.env['TS_SOCKET'] ?? ''
  return named === ''
    ? 'the Tailscale daemon is not running on this machine'
    : `no Tailscale daemon answers at TS_SOCKET (${named})`
}

const TAILSCALE_UP = ['darwin', 'win32'].includes(process.platform) ? 'tailscale up' : 'sudo tailscale up'

function daemonAdvice(verb: 'start' | 'restart'): string {
  return process.platform === 'linux' ? `${verb} it: sudo systemctl ${verb} tailscaled` : `${verb} Tailscale`
}

function describe(state: Answered, status: TailscaleStatus): Pick<TailnetState, 'detail' | 'advice'> {
  switch (state) {
    case 'stopped':
      return { detail: 'Tailscale is stopped on this machine', advice: `start it: ${TAILSCALE_UP}` }
    case 'logged-out':
      return { detail: 'this machine is logged out of Tailscale', advice: `log in: ${TAILSCALE_UP}` }
    case 'unapproved':
      return {
        detail: 'this machine is not approved for its tailnet yet',
        advice: 'an admin of the tailnet approves it',
      }
    case 'starting':
      return { detail: 'Tailscale is still starting on this machine', advice: 'try again in a moment' }
    case 'running':
      return status.addresses.length === 0
        ? { detail: 'Tailscale runs and has no address for this machine', advice: daemonAdvice('restart') }
        : { detail: `Tailscale runs: ${[status.self?.host ?? '', ...status.addresses].join(' ').trim()}`, advice: null }
    case 'unreachable':
      return status.backendState === 'InUseOtherUser'
        ? { detail: 'another user of this machine uses Tailscale', advice: 'ask them to disconnect' }
        : { detail: `Tailscale is in a state that is not known here: ${status.backendState}`, advice: null }
  }
}
