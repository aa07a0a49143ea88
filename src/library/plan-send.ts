/** Looks at what would be sent, and sends nothing. */

import { toSealiftError } from '../protocol/errors.ts'
import type { ExcludedEvent, WarningEvent } from '../transfer/events.ts'
import { checkOptions } from './option-checks.ts'
import type { SendOptions } from './options.ts'
import { chooseFirst, excludedEvents, walkToSend, walkWarnings } from './source-walk.ts'
import { stopWith } from './transfer.ts'

/** What {@link planSend} found. */
export interface SendPlan {
  /** Files that would be sent. */
  readonly files: number
  /** Their content. */
  readonly bytes: number
  /** What would be left out by rule, as the events of the transfer would say it. */
  readonly excluded: readonly ExcludedEvent[]
  /** What cannot be sent, as the events of the transfer would say it. */
  readonly warnings: readonly WarningEvent[]
}

/**
 * Says what `sendFiles` would send with the same arguments. Listens nowhere and opens no ledger.
 *
 * @param paths files and folders; a link that is named is followed
 * @param options as for `sendFiles`; those that do not choose files change nothing
 * @throws SealiftError `nothing_to_send`, `path_missing`, `path_unreadable`, `path_repeated`, `limit_exceeded`, `usage`,
 *   `settings_invalid`; `interrupted`, or the `SealiftError` that it was stopped with
 * @example
 * ```ts
 * import { planSend } from 'sealift'
 *
 * const plan = await planSend(['photos'], { exclude: ['*.tmp'] })
 * console.log(`${plan.files} files, ${plan.bytes} bytes`)
 * for (const { path, reason } of plan.excluded) console.log(`without ${path} (${reason})`)
 * ```
 */
export async function planSend(paths: string | readonly string[], options: SendOptions = {}): Promise<SendPlan> {
  const {
    stop: { signal },
    letGo,
  } = stopWith(options.signal)
  try {
    signal.throwIfAborted()
    checkOptions(options)
    const walk = await walkToSend([paths].flat(), { ...options, signal })
    // A small tree is walked in one turn, and the signal not looked at.
    signal.throwIfAborted()
    const { warnings } = await chooseFirst(walk.manifest, options, signal)
    return {
      files: walk.manifest.fileCount,
      bytes: walk.manifest.totalBytes ?? 0,
      excluded: excludedEvents(walk),
      warnings: [...walkWarnings(walk), ...warnings],
    }
  } catch (error) {
    throw toSealiftError(error)
  } finally {
    letGo()
  }
}
