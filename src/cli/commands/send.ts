/** `sealift send`: listens for one receiver. */

import { formatCount, formatFiles, formatSize } from '../../config/sizes.ts'
import type { ConflictPolicy, CompressSetting, SendOptions } from '../../library/options.ts'
import { planSend, sendFiles } from '../../library/send-files.ts'
import { escapeForDisplay } from '../../protocol/names.ts'
import { Output } from '../output.ts'
import { readNumber, readPatternFiles, readPort, readRate, readWait, type SharedOptions } from '../settings.ts'
import { formatPace, TransferView } from '../transfer-view.ts'

export interface SendCommandOptions extends SharedOptions {
  readonly pod?: boolean
  readonly lan?: boolean
  readonly listen?: string
  readonly exclude?: string[]
  readonly excludeFrom?: string[]
  /** Texts of pattern files, where a transfer is taken up again. */
  readonly patterns?: string[]
  readonly all?: boolean
  readonly links?: boolean
  readonly conflict?: ConflictPolicy
  readonly compress?: CompressSetting
  readonly compressionLevel?: string
  readonly priority?: string
  readonly dryRun?: boolean
}

/** @throws SealiftError what the command ends with, where that is not success */
export async function send(paths: readonly string[], given: SendCommandOptions, signal: AbortSignal): Promise<void> {
  const output = new Output(given)
  const options: SendOptions = {
    signal,
    fileEvents: output.json,
    pod: given.pod,
    lan: given.lan,
    listen: given.listen,
    port: readPort(given.port),
    waitMs: readWait(given.wait),
    exclude: given.exclude,
    excludeFrom: given.patterns ?? readPatternFiles(given.excludeFrom),
    all: given.all,
    links: given.links,
    conflict: given.conflict,
    compress: given.compress,
    compressionLevel: readNumber(given.compressionLevel, '--compression-level', -100, 100),
    priority: readNumber(given.priority, '--priority', 0, 9),
    bytesPerSecond: readRate(given.bwlimit),
  }
  if (given.dryRun === true) await showPlan(paths, options, output)
  else {
    const result = await new TransferView(output).follow(sendFiles(paths, options))
    output.say(
      `Transfer complete: ${formatCount(result.bytes)} bytes sent ${formatPace(result)}. All of it is safe at the receiver.`,
    )
  }
}

async function showPlan(paths: readonly string[], options: SendOptions, output: Output): Promise<void> {
  const { manifest, excluded, warnings, failed } = await planSend(paths, options)
  for (const { path, files, bytes, reason, pattern } of excluded) {
    output.event({ event: 'excluded', path, files, bytes, reason: pattern === '' ? reason : `${reason} ${pattern}` })
    output.say(`Would leave out ${escapeForDisplay(path)} (${formatFiles(files)}, ${formatSize(bytes)}).`)
  }
  for (const { path, message } of [...warnings, ...failed]) {
    const text = `${escapeForDisplay(path)}: ${message}`
    output.event({ event: 'warning', code: 'skipped', message: text })
    output.warn(text)
  }
  const files = manifest.fileCount
  const bytes = manifest.totalBytes ?? 0
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
