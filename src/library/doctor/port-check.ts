/** Whether a sender could listen: the port, on each address that it may be asked to listen on. */

import { listenTcp } from '../../carriers/tcp.ts'
import { formatAddress } from '../../config/address.ts'
import { type SealiftError, toSealiftError } from '../../protocol/errors.ts'
import { type Finding, finding, problem } from './finding.ts'
import { findPortHolder, type PortHolder } from './port-holder.ts'

export interface PortFacts {
  readonly port: number
  /** Each address with what kept a sender from listening there; `null` where nothing did. */
  readonly tries: readonly { readonly address: string; readonly error: SealiftError | null }[]
  /** Who has the port, where it is in use and the system tells. */
  readonly holder: PortHolder | null
  /** Whether that is a sender of this user that waits for its receiver. */
  readonly isOwnSender: boolean
}

/**
 * @param addresses to listen on for a moment
 * @param senderPids processes that send now
 * @throws the signal's reason
 */
export async function tryPort(
  port: number,
  addresses: readonly string[],
  senderPids: readonly number[],
  signal: AbortSignal,
): Promise<PortFacts> {
  const tries: { address: string; error: SealiftError | null }[] = []
  for (const address of addresses) {
    const error = await tryToListen(address, port, signal)
    signal.throwIfAborted()
    tries.push({ address, error })
  }
  const inUse = tries.some(({ error }) => error?.code === 'port_in_use')
  const holder = inUse ? findPortHolder(port) : null
  return { port, tries, holder, isOwnSender: holder !== null && senderPids.includes(holder.pid) }
}

async function tryToListen(host: string, port: number, signal: AbortSignal): Promise<SealiftError | null> {
  try {
    const listener = await listenTcp({ host, port, onStream: (stream) => stream.destroy(), signal })
    await listener.close()
    return null
  } catch (error) {
    return toSealiftError(error)
  }
}

/** Nothing on this machine shows whether a packet gets this far. */
const FIREWALL = 'Whether a firewall lets it through cannot be seen from here'

export function judgePort(facts: PortFacts): Finding[] {
  const { port, tries } = facts
  const free = tries.filter(({ error }) => error === null).map(({ address }) => address)
  const details = { port, free, heldByPid: facts.holder?.pid ?? null }
  const failed = tries.flatMap(({ address, error }) => (error === null ? [] : [{ address, error }]))
  const taken = failed.filter(({ error }) => error.code === 'port_in_use').map(({ address }) => address)
  const findings: Finding[] = []
  if (taken.length > 0) findings.push(takenFinding(facts, taken, details))
  for (const { address, error } of failed) {
    if (error.code !== 'port_in_use')
      findings.push(
        problem('port', error.code, error.message, `A sender cannot listen on ${formatAddress(address, port)}.`, {
          advice: error.hint,
          details,
        }),
      )
  }
  if (free.length > 0 || tries.length === 0) findings.push(freeFinding(port, free, details))
  return findings
}

function freeFinding(port: number, free: readonly string[], details: Finding['details']): Finding {
  if (port === 0)
    return finding('port', 'ok', 'a free port can be had', `The sender says which it took. ${FIREWALL}.`, { details })
  const reaches = `If the other side gets no answer, let TCP port ${port} in.`
  return finding('port', 'ok', `port ${port} is free on ${free.join(', ')}`, `${FIREWALL}. ${reaches}`, { details })
}

function takenFinding(
  { port, holder, isOwnSender }: PortFacts,
  taken: readonly string[],
  details: Finding['details'],
): Finding {
  const where = taken.join(', ')
  if (holder !== null && isOwnSender)
    return finding(
      'port',
      'note',
      `a sender of yours waits on port ${port} (${where}), process ${holder.pid}`,
      `Its receiver reaches it there. ${FIREWALL}. Another sender needs another port.`,
      { advice: 'a second sender takes any free port with --port 0', details },
    )
  const by = holder === null ? '' : ` by process ${holder.pid} (${holder.program})`
  return problem(
    'port',
    'port_in_use',
    `port ${port} is in use on ${where}${by}`,
    'A sender cannot listen there. Receiving is not hindered.',
    { advice: 'send with --port 0, which takes any free port, or end what holds it', details },
  )
}
