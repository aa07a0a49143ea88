/** What `sendFiles` and `planSend` have in common: the options checked, the tree walked, and what is said of it. */

import { checkCompression } from '../codecs/codec-table.ts'
import { loadExcluder } from '../files/exclude.ts'
import { type WalkResult, walkSources } from '../files/walk.ts'
import type { CompressSetting } from '../protocol/choices.ts'
import { escapeForDisplay } from '../protocol/names.ts'
import type { ExcludedEvent, WarningEvent } from '../transfer/events.ts'
import type { SendOptions } from './options.ts'

/** @throws SealiftError as `sendFiles`, for all that is wrong with paths and options; the signal's reason */
export async function walkToSend(
  paths: readonly string[],
  options: SendOptions,
  signal: AbortSignal | undefined,
): Promise<WalkResult> {
  checkCompression(compressSetting(options), options.compressionLevel ?? null)
  const excluder = await loadExcluder(options.exclude ?? [], options.excludeFrom ?? [])
  return walkSources(paths, {
    excluder,
    all: options.all ?? false,
    keepLinks: options.links ?? true,
    priority: options.priority ?? 5,
    ...(signal === undefined ? {} : { signal }),
  })
}

/** A level without a codec means zstd. */
export function compressSetting({ compress, compressionLevel }: SendOptions): CompressSetting {
  return compress ?? (compressionLevel === undefined ? 'none' : 'zstd')
}

/** What was left out by rule. */
export function excludedEvents({ excluded }: WalkResult): ExcludedEvent[] {
  return excluded.map(({ path, files, bytes, reason, pattern }) => ({
    event: 'excluded',
    path,
    files,
    bytes,
    reason: pattern === '' ? reason : `${reason} ${pattern}`,
  }))
}

/** What cannot be sent: skipped because no transfer can hold it, or failed. */
export function walkWarnings({ warnings, failed }: WalkResult): WarningEvent[] {
  return [...warnings.map((warning) => ({ code: 'skipped', ...warning })), ...failed].map(
    ({ path, code, message }) => ({
      event: 'warning',
      code,
      message: `${escapeForDisplay(path)}: ${message}`,
    }),
  )
}
