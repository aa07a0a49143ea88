/** `sealift resume`: goes on with a transfer of the ledger, whichever side of it this is. */

import { resumeTransfer } from '../../library/resume-transfer.ts'
import { SealiftError } from '../../protocol/errors.ts'
import { Output } from '../output.ts'
import { readEntrance, readServer, type ServerOptions } from '../destination.ts'
import { tokenOfEnvironment } from '../secrets.ts'
import { type PlaceOptions, readPlace, readRate, readStreams, type SharedOptions } from '../settings.ts'
import { TransferView } from '../transfer-view.ts'
import { sayReceived, showOffer } from './receive.ts'
import { saySent } from './send.ts'

export interface ResumeCommandOptions extends SharedOptions, PlaceOptions, ServerOptions {
  readonly transferId?: string
  readonly token?: string
  readonly file?: string[]
  readonly first?: string[]
}

/** @throws SealiftError `transfer_unknown`, `already_done`, and what the transfer ends with */
export async function resume(id: string | undefined, given: ResumeCommandOptions, signal: AbortSignal): Promise<void> {
  const wanted = given.transferId ?? id
  if (wanted === undefined)
    throw new SealiftError('usage', 'which transfer?', {
      hint: 'sealift status lists them; sealift resume ID goes on with one',
    })
  const output = new Output(given)
  const asks = output.canAsk && given.yes !== true
  const bytesPerSecond = readRate(given.bwlimit)
  const to = readServer(given)
  const view = new TransferView(output, bytesPerSecond)
  const transfer = resumeTransfer(wanted, {
    signal,
    fileEvents: output.json,
    ...readPlace(given),
    ...readEntrance(given, { asks, output, signal, clear: () => view.clear() }),
    to,
    // It is that of the server then, and stands in its address.
    ...(to === undefined ? {} : { port: undefined }),
    paths: given.file,
    first: given.first,
    bytesPerSecond,
    streams: readStreams(given.streams),
    token: given.token ?? tokenOfEnvironment(),
    accept: (offer) => {
      view.clear()
      return showOffer(offer, output)
    },
  })
  const result = await view.follow(transfer)
  if (result.role === 'sender') saySent(result, output)
  else sayReceived(result, output)
}
