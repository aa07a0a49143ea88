/** `sealift receive`: fetches from a listening sender. */

import { formatFiles, formatSize } from '../../config/sizes.ts'
import { parseConnectAddress } from '../../config/address.ts'
import type { IncomingOffer, OfferAnswer, ReceiveOptions } from '../../library/options.ts'
import { receiveFiles } from '../../library/receive-files.ts'
import type { TransferResult } from '../../library/transfer.ts'
import type { ConflictPolicy } from '../../protocol/choices.ts'
import { SealiftError } from '../../protocol/errors.ts'
import { normalizeToken } from '../../identity/token.ts'
import { askAboutConflicts, askToAccept, offerLines, type OfferViewOptions } from '../offer-view.ts'
import { Output, shown } from '../output.ts'
import { listNames, shownName } from '../name-lists.ts'
import { askFor } from '../prompt.ts'
import { tokenOfEnvironment } from '../secrets.ts'
import { readRate, readStreams, type SharedOptions } from '../settings.ts'
import { isServerWanted, receiveAsServer, type ReceiveServerCommandOptions, serverOptionsOf } from './receive-server.ts'
import { checkStandardOutput, STDOUT, writeToStandardOutput } from '../standard-output.ts'
import { formatPace, TransferView } from '../transfer-view.ts'

export interface ReceiveCommandOptions extends SharedOptions, ReceiveServerCommandOptions {
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
  if (address === undefined && isServerWanted(given)) {
    await receiveAsServer(given, signal)
    return
  }
  refuseServerOptions(given)
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
    ...(toOutput ? { output: writeToStandardOutput, outputBorrows: true } : { outputDir: given.outputDir }),
    conflict: given.conflict,
    portableNames: given.portableNames,
    bytesPerSecond,
    streams: readStreams(given.streams),
    accept: (offer, stop) => {
      view.clear()
      offered.kind = offer.kind
      return asks ? askAboutOffer(offer, given.conflict, output, stop) : showOffer(offer, output)
    },
  }
  const result = await view.follow(receiveFiles(where, options))
  if (offered.kind === 'files') sayReceived(result, output)
  else if (offered.kind === 'output')
    output.say(`Received ${formatSize(result.bytes)} ${formatPace(result)}; its SHA-256 is that of the sender.`)
}

/** @throws SealiftError `usage` where an option of the server stands beside the address of a sender */
function refuseServerOptions(given: ReceiveCommandOptions): void {
  const [name] = serverOptionsOf(given)
  if (name === undefined) return
  throw new SealiftError('usage', `${name} is for the receiving server, and none is started here`, {
    hint: 'with --host or --port, and without an address, receive is a server',
  })
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
  const { files, first } = result.replaced
  if (files === 0) return
  const label = `Replaced ${formatFiles(files)} of yours: `
  const options = { columns: output.columns, label, indent: 2, maxLines: 3, total: files }
  for (const line of listNames(first.map(shownName), options).lines) output.say(line)
}

async function askAddress(asks: boolean, signal: AbortSignal): Promise<string> {
  if (asks) return askFor('Address of the sender:', readAddress, signal)
  throw new SealiftError('usage', 'give the address to receive from', {
    hint: 'sealift receive 192.168.1.20:coral-magnet, as the sender prints it',
  })
}

/** The token by environment or prompt, where the address does not have it. */
async function findToken(asks: boolean, signal: AbortSignal): Promise<string> {
  const set = tokenOfEnvironment()
  if (set !== undefined) return set
  if (asks) return askFor('Token:', readToken, signal)
  throw new SealiftError('usage', 'there is no token in the address', {
    hint: 'write it behind the address, as the sender prints it, or set SEALIFT_TOKEN',
  })
}

/** What was typed for an address, or the whole line that the sender shows. @throws SealiftError `usage` */
function readAddress(text: string): string {
  const address = text.replace(/^(?:\$ )?sealift (?:(?:receive|recv|rx) )?/, '').trim()
  parseConnectAddress(address)
  return address
}

/** What was typed for a token, or the address with the token behind it. @throws SealiftError `usage` where it is empty */
function readToken(text: string): string {
  if (/[:[]/.test(text)) {
    try {
      const { token } = parseConnectAddress(readAddress(text))
      if (token !== null) return token
    } catch {
      // Then the colon is a separator.
    }
  }
  normalizeToken(text).fill(0)
  return text
}

/** Shows an offer that is taken without a question. */
export function showOffer(offer: IncomingOffer, output: Output): true {
  for (const line of offerLines(offer, viewOf(output, false)).lines) output.say(line)
  return true
}

/** Shows an offer, and asks what its receiver did not say before. */
async function askAboutOffer(
  offer: IncomingOffer,
  policy: ConflictPolicy | undefined,
  output: Output,
  signal: AbortSignal,
): Promise<OfferAnswer> {
  // Not the policy of the offer, which may be the sender's wish: on a terminal the receiver decides.
  const asksAboutConflicts = offer.differing > 0 && (policy === undefined || policy === 'auto')
  const { lines, isCut } = offerLines(offer, viewOf(output, asksAboutConflicts))
  for (const line of lines) output.tell(line)
  return asksAboutConflicts ? askAboutConflicts(offer, output, signal) : askToAccept(offer, isCut, signal)
}

function viewOf(output: Output, asksAboutConflicts: boolean): OfferViewOptions {
  return {
    columns: output.columns,
    currentFolder: process.cwd(),
    asksAboutConflicts,
    strong: (text) => output.strong(text),
    caution: (text) => output.caution(text),
  }
}
