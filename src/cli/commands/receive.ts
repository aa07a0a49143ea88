/** `sealift receive`: fetches from a listening sender. */

import { formatFiles, formatSize } from '../../config/sizes.ts'
import { parseConnectAddress } from '../../config/address.ts'
import type { IncomingOffer, OfferAnswer, ReceiveOptions } from '../../library/options.ts'
import { receiveFiles } from '../../library/receive-files.ts'
import type { TransferResult } from '../../library/transfer.ts'
import type { ConflictPolicy } from '../../protocol/choices.ts'
import { SealiftError } from '../../protocol/errors.ts'
import { Output, shown } from '../output.ts'
import { askFor, choose, confirm } from '../prompt.ts'
import { readRate, type SharedOptions } from '../settings.ts'
import { checkStandardOutput, STDOUT, writeToStandardOutput } from '../standard-output.ts'
import { formatPace, TransferView } from '../transfer-view.ts'

export interface ReceiveCommandOptions extends SharedOptions {
  readonly outputDir?: string
  readonly conflict?: ConflictPolicy
  readonly portableNames?: boolean
}

/** @throws SealiftError what the command ends with, where that is not success */
export async function receive(
  address: string | undefined,
  given: ReceiveCommandOptions,
  signal: AbortSignal,
): Promise<void> {
  const output = new Output(given)
  const toOutput = given.outputDir === STDOUT
  if (toOutput) checkStandardOutput(output.json)
  const asks = output.canAsk && given.yes !== true
  const bytesPerSecond = readRate(given.bwlimit)
  const where = address ?? (await askAddress(asks, signal))
  const token = parseConnectAddress(where).token ?? (await findToken(asks, signal))
  const view = new TransferView(output, bytesPerSecond)
  const offered: { kind: IncomingOffer['kind'] } = { kind: 'files' }
  const options: ReceiveOptions = {
    signal,
    fileEvents: output.json,
    token,
    ...(toOutput ? { output: writeToStandardOutput } : { outputDir: given.outputDir }),
    conflict: given.conflict,
    portableNames: given.portableNames,
    bytesPerSecond,
    accept: (offer, stop) => {
      view.clear()
      offered.kind = offer.kind
      showOffer(offer, output)
      return asks ? askWhetherToAccept(offer, given.conflict, stop) : true
    },
  }
  const result = await view.follow(receiveFiles(where, options))
  if (offered.kind === 'files') sayReceived(result, output)
  else if (offered.kind === 'output')
    output.say(`Received ${formatSize(result.bytes)} ${formatPace(result)}; its SHA-256 is that of the sender.`)
}

/** The last lines of a receiver. */
export function sayReceived(result: TransferResult, output: Output): void {
  const places = result.savedTo.map(shown)
  output.say(`Received ${formatFiles(result.files)}, ${formatSize(result.bytes)} ${formatPace(result)}.`)
  if (places.length > 0)
    output.say(
      `Saved to ${places.slice(0, 5).join(', ')}${places.length > 5 ? `, and ${String(places.length - 5)} more` : ''}`,
    )
  else output.say('Everything was there already.')
}

async function askAddress(asks: boolean, signal: AbortSignal): Promise<string> {
  if (asks) return askFor('Address of the sender:', signal)
  throw new SealiftError('usage', 'give the address to receive from', {
    hint: 'sealift receive 192.168.1.20:coral-magnet, as the sender prints it',
  })
}

/** The token by environment or prompt, where the address does not have it. */
async function findToken(asks: boolean, signal: AbortSignal): Promise<string> {
  const set = tokenOfEnvironment()
  if (set !== undefined) return set
  if (asks) return askFor('Token:', signal)
  throw new SealiftError('usage', 'there is no token in the address', {
    hint: 'write it behind the address, as the sender prints it, or set SEALIFT_TOKEN',
  })
}

export function tokenOfEnvironment(): string | undefined {
  const set = process.env['SEALIFT_TOKEN']
  return set === undefined || set.trim() === '' ? undefined : set
}

export function showOffer(offer: IncomingOffer, output: Output): void {
  const { files, bytes, firstPaths, from, identity, peer, freeBytes } = offer
  const sender = identity === null ? `${shown(from)} (${shown(peer)})` : shown(identity)
  if (offer.kind === 'text') {
    output.say(`${output.strong(`A text, ${formatSize(bytes ?? 0)},`)} from ${sender}.`)
    return
  }
  const more = files > firstPaths.length ? ' …' : ''
  const amount = `${formatFiles(files)}${bytes === null ? '' : `, ${formatSize(bytes)}`}`
  output.say(`${output.strong(amount)} from ${sender}: ${firstPaths.map(shown).join('  ')}${more}`)
  if (offer.kind === 'output') {
    output.say('into standard output')
    return
  }
  output.say(
    `into ${shown(offer.outputDir)}${freeBytes === null ? '' : ` (${formatSize(freeBytes)} free)`} as ${offer.savedAs.map(shown).slice(0, 5).join(', ')}`,
  )
  if (offer.unchanged > 0) output.say(`There already, unchanged, and so not sent: ${formatFiles(offer.unchanged)}.`)
  if (offer.differing > 0) output.say(`There already, and different: ${formatFiles(offer.differing)}.`)
}

async function askWhetherToAccept(
  offer: IncomingOffer,
  policy: ConflictPolicy | undefined,
  signal: AbortSignal,
): Promise<OfferAnswer> {
  if (offer.differing > 0 && (policy === undefined || policy === 'auto')) {
    const answer = await choose(
      '[K]eep both, [o]verwrite, [l]eave mine, or [s]top?',
      { k: 'rename', o: 'overwrite', l: 'skip', s: 'stop' },
      signal,
    )
    return answer === 'stop' ? false : answer
  }
  return confirm('Accept?', true, signal)
}
