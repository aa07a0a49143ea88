/**
 * What became of each file, for whoever is told: as many as there are, made one by one when they are looked at, so that a
 * million of them need no memory.
 */

import { type ReceivePlan, skippedEntries } from '../files/conflicts.ts'
import type { TreeWriter } from '../files/tree-writer.ts'
import { ENTRY_PUBLISHED } from '../ledger/entry-state.ts'
import type { Progress } from '../ledger/progress.ts'
import { toHex } from '../protocol/bytes.ts'
import type { Manifest } from '../protocol/manifest.ts'
import type { FileEvent } from './events.ts'
import { entriesOf } from './publishing.ts'

/** An entry that has come to an end. */
export interface EndedEntry {
  readonly entry: number
  readonly status: 'ok' | 'failed' | 'skipped'
  /** From the output folder on; `null` where nothing was saved. */
  readonly savedAs: string | null
}

/** @param sha256 32 bytes, borrowed; `null` where it is not known, or nothing was read */
export function fileEvent(
  transferId: string,
  manifest: Manifest,
  { entry, status, savedAs }: EndedEntry,
  sha256: Uint8Array | null,
): FileEvent {
  return {
    event: 'file',
    transferId,
    path: manifest.path(entry),
    sizeBytes: manifest.sizeBytes(entry),
    sha256: sha256 === null ? null : toHex(sha256),
    status,
    savedAs,
  }
}

/** A transfer whose entries got their names. */
interface Saved {
  readonly manifest: Manifest
  readonly plan: ReceivePlan
  readonly progress: Progress
  readonly writer: Pick<TreeWriter, 'savedPath'>
}

/** A new root, or an entry that was merged, under its final name, a path from the output folder on. */
export interface PublishedUnit {
  readonly unit: number
  readonly savedAs: string
}

/** All that was published with these units. */
export function* savedEntries(
  { manifest, plan, progress, writer }: Saved,
  units: readonly PublishedUnit[],
): Generator<EndedEntry> {
  for (const { unit, savedAs } of units) {
    const rootName = savedAs.split('/')[0] as string
    for (const entry of entriesOf(manifest, plan, unit)) {
      if (progress.states.get(entry) !== ENTRY_PUBLISHED) continue
      yield { entry, status: 'ok', savedAs: entry === unit ? savedAs : writer.savedPath(entry, rootName) }
    }
  }
}

/** What a plan leaves out. */
export function* skippedBy(plan: ReceivePlan): Generator<EndedEntry> {
  for (const { entry } of skippedEntries(plan)) yield { entry, status: 'skipped', savedAs: null }
}
