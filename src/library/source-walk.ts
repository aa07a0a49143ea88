/** What `sendFiles` and `planSend` have in common: the options checked, the tree walked, and what is said of it. */

import { checkCompression } from '../codecs/codec-table.ts'
import { loadExcluder } from '../files/exclude.ts'
import { findPreferred } from '../files/preferred.ts'
import { type WalkResult, walkSources } from '../files/walk.ts'
import type { CompressSetting } from '../protocol/choices.ts'
import { DEFAULT_PRIORITY } from '../protocol/limits.ts'
import type { Manifest } from '../protocol/manifest.ts'
import { escapeForDisplay } from '../protocol/names.ts'
import type { RangeSet } from '../protocol/ranges.ts'
import type { ExcludedEvent, WarningEvent } from '../transfer/events.ts'
import type { SendOptions } from './options.ts'

/** @throws SealiftError as `sendFiles`, for all that is wrong with paths and options */
export async function walkToSend(paths: readonly string[], options: SendOptions): Promise<WalkResult> {
  checkCompression(compressSetting(options), options.compressionLevel ?? null)
  const excluder = await loadExcluder(options.exclude ?? [], options.excludeFrom ?? [])
  return walkSources(paths, {
    excluder,
    all: options.all ?? false,
    keepLinks: options.links ?? true,
    priority: options.priority ?? DEFAULT_PRIORITY,
    signal: options.signal,
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

/** What of a tree goes in front, and what is to be said of that. @throws SealiftError `settings_invalid` */
export async function chooseFirst(
  manifest: Manifest,
  { first = [] }: Pick<SendOptions, 'first'>,
  signal: AbortSignal,
): Promise<{ readonly ranges: readonly RangeSet[]; readonly warnings: readonly WarningEvent[] }> {
  const { ranges, unmatched, leftBehind } = await findPreferred(manifest, first, signal)
  const messages = unmatched.map((pattern) => `${escapeForDisplay(pattern)}: nothing to send first matches this`)
  if (leftBehind > 0)
    messages.push(`${String(leftBehind)} files lie too scattered to be sent first; they come in their place`)
  return { ranges, warnings: messages.map((message) => ({ event: 'warning', code: 'not_first', message })) }
}
