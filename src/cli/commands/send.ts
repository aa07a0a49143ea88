/** `sealift send`: listens for one receiver. */

import { formatCount, formatFiles, formatSize } from '../../config/sizes.ts'
import type { SendOptions } from '../../library/options.ts'
import { planSend } from '../../library/plan-send.ts'
import { sendFiles } from '../../library/send-files.ts'
import type { TransferResult } from '../../library/transfer.ts'
import type { CompressSetting, ConflictPolicy } from '../../protocol/choices.ts'
import { SealiftError } from '../../protocol/errors.ts'
import { MAX_PRIORITY } from '../../protocol/limits.ts'
import { Output, shown } from '../output.ts'
import { askSender, askToListen } from '../send-questions.ts'
import {
  type PlaceOptions,
  readNumber,
  readPatternFiles,
  readRate,
  readStreams,
  type SharedOptions,
} from '../settings.ts'
import { readDestination, type ServerOptions } from '../destination.ts'
import { sendGivenText, sendInput, STDIN } from './send-input.ts'
import { formatPace, TransferView } from '../transfer-view.ts'

export interface SendCommandOptions extends SharedOptions, PlaceOptions, ServerOptions {
  readonly exclude?: string[]
  readonly excludeFrom?: string[]
  readonly all?: boolean
  readonly links?: boolean
  readonly conflict?: ConflictPolicy
  readonly compress?: CompressSetting
  readonly compressionLevel?: string
  readonly priority?: string
  readonly first?: string[]
  readonly dryRun?: boolean
  /** What standard input is saved as. */
  readonly name?: string
  readonly text?: string
  readonly file?: string[]
}

/** @throws SealiftError what the command ends with, where that is not success */
export async function send(named: readonly string[], given: SendCommandOptions, signal: AbortSignal): Promise<void> {
  const output = new Output(given)
  const paths = [...named, ...(given.file ?? [])]
  const asks = output.canAsk && given.yes !== true
  const bytesPerSecond = readRate(given.bwlimit)
  const view = new TransferView(output, bytesPerSecond)
  const options: SendOptions = {
    signal,
    fileEvents: output.json,
    ...readDestination(given, { asks, output, signal, clear: () => view.clear() }),
    exclude: given.exclude,
    excludeFrom: readPatternFiles(given.excludeFrom),
    all: given.all,
    links: given.links,
    conflict: given.conflict,
    compress: given.compress,
    compressionLevel: readNumber(given.compressionLevel, '--compression-level', 1, 22),
    priority: readNumber(given.priority, '--priority', 0, MAX_PRIORITY),
    first: given.first,
    bytesPerSecond,
    streams: readStreams(given.streams),
  }
  if (given.name !== undefined && !paths.includes(STDIN))
    throw new SealiftError('usage', '--name is for standard input only', { hint: 'files keep their own names' })
  if (given.dryRun === true && (given.text !== undefined || paths.includes(STDIN)))
    throw new SealiftError('usage', '--dry-run looks at files only: of anything else there is nothing to leave out', {
      hint: 'leave it out',
    })
  if (given.text !== undefined) {
    // A text that is typed here takes the terminal's input to its end.
    const listenOnLan = asks && given.text !== STDIN ? askToListen : undefined
    await sendGivenText(given.text, paths, { ...options, listenOnLan }, output)
    return
  }
  if (paths.includes(STDIN)) {
    await sendInput(paths, { ...options, fileName: given.name }, output)
    return
  }
  if (given.dryRun === true) {
    await showPlan(paths, options, output)
    return
  }
  const questions = asks
    ? askSender(output, { isOneRoot: paths.length === 1, leftOut: (found) => view.expect(found) })
    : {}
  saySent(await view.follow(sendFiles(paths, { ...options, ...questions })), output)
}

/** The last line of a sender. */
export function saySent(result: TransferResult, output: Output): void {
  output.say(
    `Transfer complete: ${formatCount(result.bytes)} bytes sent ${formatPace(result)}. All of it is safe at the receiver.`,
  )
}

async function showPlan(paths: readonly string[], options: SendOptions, output: Output): Promise<void> {
  const { files, bytes, excluded, warnings } = await planSend(paths, options)
  for (const event of excluded) {
    output.event(event)
    output.say(`Would leave out ${shown(event.path)} (${formatFiles(event.files)}, ${formatSize(event.bytes)}).`)
  }
  for (const event of warnings) {
    output.event(event)
    output.warn(event.message)
  }
  output.event({
    event: 'done',
    transferId: null,
    files,
    bytes,
    bytesOnWire: 0,
    resumedBytes: 0,
    seconds: 0,
    bytesPerSecond: 0,
  })
  output.say(`Would send ${formatFiles(files)}, ${formatSize(bytes)}.`)
}
