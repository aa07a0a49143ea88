/**
 * The receiver's decision on an offer (PROTOCOL 2.7, 4.6): what is in the way, whether the user wants it, what becomes of
 * each entry, and whether there is room.
 *
 * Knows neither sessions nor the ledger.
 */

import { planReceive, type ReceivePlan, skippedEntries } from '../files/conflicts.ts'
import { nodeFileSystem } from '../files/file-system.ts'
import { checkFreeSpace, nearestFolder } from '../files/free-space.ts'
import { PORTABLE_NAMES, probeNameRules } from '../files/name-rules.ts'
import { type Survey, surveyTarget } from '../files/target-survey.ts'
import type { ConflictPolicy } from '../protocol/choices.ts'
import type { Manifest } from '../protocol/manifest.ts'
import type { Offer } from '../protocol/messages.ts'
import type { Clock } from './clock.ts'
import { awaitConsent } from './consent.ts'

/** What a person is asked about. */
export interface OfferToDecide {
  readonly offer: Offer
  readonly manifest: Manifest
  readonly survey: Survey
  readonly plan: ReceivePlan
  /** The policy that the plan goes by. */
  readonly policy: ConflictPolicy
  readonly outputDir: string
}

export interface DecisionOptions {
  readonly clock: Clock
  /** Absolute. */
  readonly outputDir: string
  /** `null`: as the sender wishes where that can harm nothing, else `auto`. */
  readonly conflict: ConflictPolicy | null
  /** Whether names that other systems cannot hold are refused or renamed here too. */
  readonly portableNames: boolean
  /** On a server: which of these names in the output folder are roots that this sender published; by default all. */
  readonly findOwn?: ((names: readonly string[]) => Promise<ReadonlySet<string>>) | undefined
  /** Asks the user; the signal says when no answer is wanted any more. @returns the policy to go by @throws SealiftError `declined` */
  readonly decide: (question: OfferToDecide, signal: AbortSignal) => Promise<ConflictPolicy>
}

/**
 * Looks at what is in the way, asks the user, and plans what becomes of each entry; decided once, at acceptance.
 * @throws SealiftError `declined`, `unanswered`, `conflict`, `disk_full`, and what the disk says
 */
export async function decideOffer(
  options: DecisionOptions,
  offer: Offer,
  manifest: Manifest,
  signal: AbortSignal,
): Promise<ReceivePlan> {
  const { clock, outputDir, conflict, decide, portableNames } = options
  const rules = portableNames ? PORTABLE_NAMES : probeNameRules(nearestFolder(outputDir))
  const own = await options.findOwn?.([...manifest.roots()].map((root) => manifest.name(root)))
  const survey = surveyTarget(manifest, outputDir, nodeFileSystem, {
    isOwn: (root) => own === undefined || own.has(manifest.name(root)),
  })
  const wished = conflict ?? harmlessWish(offer.conflict)
  const plan = planReceive(manifest, survey, wished, rules)
  const question = { offer, manifest, survey, plan, policy: wished, outputDir }
  const policy = await awaitConsent(clock, signal, (stop) => decide(question, stop))
  const decided = policy === wished ? plan : planReceive(manifest, survey, policy, rules)
  let [bytes, entries] = [offer.bytes ?? 0, manifest.count]
  for (const { entry } of skippedEntries(decided)) {
    bytes -= manifest.sizeBytes(entry) ?? 0
    entries--
  }
  checkFreeSpace(outputDir, bytes, entries)
  return decided
}

/** A sender may wish for what keeps everything that is there; replacing is the receiver's to say. */
function harmlessWish(wish: ConflictPolicy | null): ConflictPolicy {
  return wish === null || wish === 'overwrite' || wish === 'update' ? 'auto' : wish
}
