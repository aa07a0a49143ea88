/**
 * The end of a transfer at the receiver: stage, sync, publish, sync, ledger (PROTOCOL 3.5, 3.9, 4.4), and the same
 * again after a crash in the middle of it.
 *
 * Owns the order of these steps. How a name is taken without overwriting is the writer's business.
 */

import type { Intent } from '../files/publish.ts'
import type { ReceivePlan } from '../files/conflicts.ts'
import type { TreeWriter } from '../files/tree-writer.ts'
import { ENTRY_FAILED, ENTRY_PUBLISHED, ENTRY_SKIPPED, ENTRY_VERIFIED } from '../ledger/entry-state.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Progress as LedgerProgress } from '../ledger/progress.ts'
import type { ErrorCode } from '../protocol/errors.ts'
import type { Manifest } from '../protocol/manifest.ts'
import type { StageProbe } from './stage.ts'

export interface PublishingOptions {
  readonly ledger: Ledger
  /** Key of the transfer's row. */
  readonly transfer: number
  readonly progress: LedgerProgress
  readonly manifest: Manifest
  readonly plan: ReceivePlan
  readonly writer: TreeWriter
  readonly probe: StageProbe
  /** Makes all that is staged durable. */
  readonly sync: () => Promise<void>
  /** A new root, or an entry that was merged, has its final name, a path from the output folder on. */
  readonly onPublished: (unit: number, savedAs: string) => void
  readonly onSkipped: (entry: number) => void
  readonly onFailed: (entry: number, code: ErrorCode, message: string) => void
}

/** A name that is taken again and again is somebody racing us. */
const MAX_TRIES = 100

/**
 * After a restart: what of the committed intents happened, and what did not.
 * Entries that turn out to be published are set so.
 */
export async function recoverPublishing(options: PublishingOptions): Promise<void> {
  const { ledger, transfer, writer } = options
  const intents = await ledger.publishIntents.list(transfer)
  if (intents.length === 0) return
  const outcomes = writer.recover(intents)
  for (const [at, intent] of intents.entries()) {
    if (outcomes[at] === 'published') markPublished(options, intent.entry, intent.savedAs)
  }
}

/**
 * Gives every verified entry its final name. What is published when this resolves is durable; the ledger knows.
 * @throws SealiftError `disk_full`, `disk_fault`, `target_gone`, …: run it again to go on
 */
export async function publishAll(options: PublishingOptions): Promise<void> {
  const { ledger, transfer, progress, writer, probe } = options
  const units = [...unitsToPublish(options)]
  // A crash after the last entry leaves its folders still to be finished.
  const isInterrupted = units.length === 0 && (await ledger.publishIntents.list(transfer)).length > 0
  if (units.length > 0 || isInterrupted) {
    await publishUnits(options, units)
    for (const { root, layout } of options.plan.roots) if (layout === 'merge') writer.finishRoot(root)
    await writer.syncPublished()
    probe('after-publish')
  }
  await progress.checkpoint()
  if (units.length > 0) await ledger.publishIntents.markPublished(transfer, units)
}

/** A new root as a whole; of a root that is merged, each of its entries. */
function* unitsToPublish({ manifest, plan, progress }: PublishingOptions): Generator<number> {
  const { states } = progress
  for (const { root, layout } of plan.roots) {
    const end = layout === 'new' ? root + 1 : manifest.subtreeEnd(root)
    for (let entry = root; entry < end; entry++) if (states.get(entry) === ENTRY_VERIFIED) yield entry
  }
}

async function publishUnits(options: PublishingOptions, units: readonly number[]): Promise<void> {
  const { ledger, transfer, writer, probe } = options
  let waiting: readonly number[] = units
  for (let tries = 0; waiting.length > 0; tries++) {
    const intents = writer.preparePublish(waiting)
    probe('before-sync')
    // Also what preparing did: links, permissions and times of folders.
    await options.sync()
    await ledger.publishIntents.save(
      transfer,
      intents.map((intent) => ({ ...intent, state: 'publishing' })),
    )
    probe('before-publish')
    waiting = intents.filter((intent) => !publishOne(options, intent, tries)).map(({ entry }) => entry)
  }
}

/** @returns false where the name was taken meanwhile and another one is to be found */
function publishOne(options: PublishingOptions, intent: Intent, tries: number): boolean {
  const { manifest, plan, progress, writer, onSkipped, onFailed } = options
  const outcome = writer.publish(intent)
  switch (outcome.outcome) {
    case 'published':
      markPublished(options, intent.entry, outcome.savedAs)
      return true
    case 'taken':
      if (tries < MAX_TRIES) return false
      progress.states.set(intent.entry, ENTRY_FAILED)
      onFailed(intent.entry, 'entry_in_the_way', 'its name was taken each time')
      return true
    case 'skipped':
    case 'failed':
      for (const entry of entriesOf(manifest, plan, intent.entry)) {
        if (progress.states.get(entry) !== ENTRY_VERIFIED) continue
        progress.states.set(entry, outcome.outcome === 'skipped' ? ENTRY_SKIPPED : ENTRY_FAILED)
        if (outcome.outcome === 'skipped') onSkipped(entry)
        else onFailed(entry, outcome.code, outcome.message)
      }
      return true
  }
}

function markPublished(
  { manifest, plan, progress, onPublished }: PublishingOptions,
  unit: number,
  savedAs: string,
): void {
  for (const entry of entriesOf(manifest, plan, unit)) {
    if (progress.states.get(entry) === ENTRY_VERIFIED) progress.states.set(entry, ENTRY_PUBLISHED)
  }
  onPublished(unit, savedAs)
}

/** What a unit stands for: all inside a new root, itself where entries are merged. */
export function* entriesOf(manifest: Manifest, plan: ReceivePlan, unit: number): Generator<number> {
  const isNewRoot = plan.roots.some(({ root, layout }) => root === unit && layout === 'new')
  const end = isNewRoot ? manifest.subtreeEnd(unit) : unit + 1
  for (let entry = unit; entry < end; entry++) yield entry
}
