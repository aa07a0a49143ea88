/**
 * Takes up what an earlier process, or an earlier transfer, has left in staging: what is there is kept, what the ledger
 * believes and staging does not have is dropped (PROTOCOL 3.1, 3.4).
 */

import type { ReceivePlan } from '../files/conflicts.ts'
import { TreeWriter } from '../files/tree-writer.ts'
import { ENTRY_FAILED, ENTRY_PENDING, ENTRY_PUBLISHED, ENTRY_SKIPPED, ENTRY_VERIFIED } from '../ledger/entry-state.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Progress as LedgerProgress } from '../ledger/progress.ts'
import type { TransferRow } from '../ledger/transfer-row.ts'
import { KIND_FILE, type Manifest } from '../protocol/manifest.ts'
import { ManifestDecoder } from '../protocol/manifest-pages.ts'

/** One transfer's part in a takeover. */
export interface StagedTransfer {
  readonly manifest: Manifest
  readonly progress: LedgerProgress
  readonly writer: TreeWriter
}

/** On a server, any unfinished transfer of the same owner may be replaced. */
export async function findOwned(
  ledger: Ledger,
  id: string | null,
  owner: string | undefined,
): Promise<TransferRow | null> {
  const row = owner === undefined || id === null ? null : await ledger.transfers.find(id, 'receiver')
  return row?.userId === owner ? row : null
}

/** The manifest of a transfer, as the ledger keeps it. */
export async function readManifest(ledger: Ledger, transfer: number): Promise<Manifest> {
  const decoder = new ManifestDecoder()
  for await (const page of ledger.manifests.read(transfer)) decoder.push(page)
  return decoder.manifest
}

/**
 * Adopts what an older transfer has, and removes the rest of it; under its lock.
 * @returns whether there was anything of it
 */
export async function adoptOlder(
  ledger: Ledger,
  older: TransferRow,
  outputDir: string,
  newer: StagedTransfer,
): Promise<boolean> {
  if (older.plan === null || !(await ledger.manifests.has(older.key))) return false
  const manifest = await readManifest(ledger, older.key)
  const plan = older.plan as ReceivePlan
  const writer = TreeWriter.open({ outputDir, transferId: older.id, manifest, plan })
  const progress = await ledger.openProgress(older.key, manifest.count)
  dropWhatIsGone({ manifest, progress, writer })
  adoptEntries({ manifest, progress, writer }, newer)
  await newer.progress.checkpoint()
  writer.remove()
  return true
}

/**
 * Moves to a transfer what the one that it replaces has staged: files whose path, size and time are the same, also
 * those of which only a part is there. Afterwards the older transfer's staging holds only what is of no use.
 */
export function adoptEntries(older: StagedTransfer, newer: StagedTransfer): void {
  const byPath = new Map<string, number>()
  for (let entry = 0; entry < older.manifest.count; entry++) {
    const state = older.progress.states.get(entry)
    const isHeld = older.manifest.kind(entry) === KIND_FILE && (state === ENTRY_PENDING || state === ENTRY_VERIFIED)
    if (isHeld) byPath.set(older.manifest.path(entry), entry)
  }
  const safe = older.progress.ranges.all()
  for (let entry = 0; entry < newer.manifest.count; entry++) {
    if (newer.manifest.kind(entry) !== KIND_FILE || newer.progress.states.get(entry) !== ENTRY_PENDING) continue
    const from = byPath.get(newer.manifest.path(entry))
    if (from === undefined || !isSameFile(older.manifest, from, newer.manifest, entry)) continue
    const start = older.manifest.startOffset(from)
    const end = older.manifest.endOffsetOf(from)
    if (!safe.intersects(start, end)) continue
    const shift = newer.manifest.startOffset(entry) - start
    newer.writer.adopt(entry, older.writer, from)
    for (const range of safe.within(start, end)) newer.progress.ranges.add(range.start + shift, range.end + shift)
    if (older.progress.states.get(from) !== ENTRY_VERIFIED) continue
    newer.writer.finish(entry)
    newer.progress.states.set(entry, ENTRY_VERIFIED, older.progress.states.digest(from))
  }
}

function isSameFile(a: Manifest, entryA: number, b: Manifest, entryB: number): boolean {
  return a.sizeBytes(entryA) === b.sizeBytes(entryB) && a.mtimeNs(entryA) === b.mtimeNs(entryB)
}

/** Ranges whose staged bytes are missing or short are dropped, and their entries begin again (PROTOCOL 3.4). */
export function dropWhatIsGone({ manifest, progress, writer }: StagedTransfer): void {
  const { ranges, states } = progress
  const safe = ranges.all()
  for (let entry = 0; entry < manifest.count; entry++) {
    const state = states.get(entry)
    if (
      manifest.kind(entry) !== KIND_FILE ||
      state === ENTRY_PUBLISHED ||
      state === ENTRY_SKIPPED ||
      state === ENTRY_FAILED
    ) {
      // Folders and links are made again from the manifest alone.
      if (state === ENTRY_VERIFIED && manifest.kind(entry) !== KIND_FILE) states.set(entry, ENTRY_PENDING)
      continue
    }
    const start = manifest.startOffset(entry)
    const end = manifest.endOffsetOf(entry)
    if (state === ENTRY_PENDING && !safe.intersects(start, end)) continue
    const staged = writer.stagedSize(entry)
    if (staged < end - start || (state === ENTRY_VERIFIED && !safe.contains(start, end))) {
      ranges.drop(start + Math.max(0, staged), end)
      if (staged <= 0) ranges.drop(start, end)
      states.set(entry, ENTRY_PENDING, null)
    }
  }
}
