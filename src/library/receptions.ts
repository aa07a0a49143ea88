/**
 * Where what is received goes: files into a folder and a text to the user, or one file to an output. Makes the receptions
 * of the engine from what the caller of `receiveFiles` said.
 */

import { hostname } from 'node:os'
import { resolve } from 'node:path'
import type { ConnectAddress } from '../config/address.ts'
import { planReceive } from '../files/conflicts.ts'
import type { Survey } from '../files/target-survey.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { SealiftError } from '../protocol/errors.ts'
import type { Manifest } from '../protocol/manifest.ts'
import type { Offer } from '../protocol/messages.ts'
import { systemClock } from '../transfer/clock.ts'
import type { LastingReception } from '../transfer/lasting-reception.ts'
import { DirectReception, type ReceptionOptions } from '../transfer/reception.ts'
import { ReceptionChoice } from '../transfer/reception-choice.ts'
import { noProbe } from '../transfer/stage.ts'
import type { StreamTarget } from '../transfer/stream-incoming.ts'
import { StreamReception } from '../transfer/stream-reception.ts'
import { listOffer } from './offer-listing.ts'
import { readAnswer } from './option-checks.ts'
import type { ReceiveOptions } from './options.ts'
import { TextTarget } from './text-target.ts'
import type { Emit } from './transfer.ts'

/** What a transfer tells whoever runs it; `decide` is asked about files only. */
type Hooks = Pick<
  ReceptionOptions,
  'decide' | 'onTransfer' | 'onEntry' | 'onEntries' | 'onSize' | 'onProgress' | 'onFault'
>

export interface ReceptionsContext extends Hooks {
  readonly address: ConnectAddress
  readonly options: ReceiveOptions
  readonly ledger: Ledger
  readonly emit: Emit
  readonly signal: AbortSignal
  /** Who the sender is, where somebody who knows can be asked. */
  readonly identity: () => Promise<string | null>
}

export interface Receptions {
  /** What sessions talk to. */
  readonly reception: LastingReception
  /** Saves files; `null` where all goes to an output. */
  readonly files: DirectReception | null
  /** Absolute; what stands for it among the keys of coming back where there is no folder. */
  readonly outputDir: string
}

/** No absolute path is like it. */
const NO_FOLDER = '-'

/** @throws SealiftError `usage` where an output and a folder are given */
export function makeReceptions(context: ReceptionsContext): Receptions {
  const { options, address, ledger, emit } = context
  const { output } = options
  if (output !== undefined) {
    if (options.outputDir !== undefined)
      throw new SealiftError('usage', 'what is received goes to an output or into a folder, not both')
    const target = { write: output, borrows: options.outputBorrows === true, finish: () => undefined }
    return { reception: streamReception(context, 'output', target), files: null, outputDir: NO_FOLDER }
  }
  const outputDir = resolve(options.outputDir ?? '.')
  const files = new DirectReception({
    ...context,
    ...common(context),
    outputDir,
    conflict: options.conflict ?? null,
    reportsFiles: options.fileEvents !== false,
    portableNames: options.portableNames ?? false,
    host: address.host,
    port: address.port,
    peer: address.host,
    ledger,
    onWarning: (code, message) => emit({ event: 'warning', code, message }),
  })
  const target = new TextTarget((text) => emit({ event: 'text', transferId: reception.transferId ?? '', text }))
  const reception = new ReceptionChoice(files, streamReception(context, 'text', target))
  return { reception, files, outputDir }
}

function common({ options }: ReceptionsContext): Pick<ReceptionOptions, 'clock' | 'probe' | 'name'> {
  return { clock: systemClock, probe: options.probe ?? noProbe, name: options.name ?? hostname() }
}

function streamReception(context: ReceptionsContext, kind: 'output' | 'text', target: StreamTarget): StreamReception {
  const { ledger, onTransfer, onEntry, onSize, onProgress } = context
  return new StreamReception({
    ...common(context),
    target,
    onTransfer,
    onSize,
    onProgress,
    decide: (offer, manifest, stop) => askForStream(context, kind, offer, manifest, stop),
    // What a text was is said by its own event; the digest of a short one would give it away.
    onEntry: kind === 'text' ? () => undefined : onEntry,
    onEnd: (resumeId) => ledger.resumeKeys.drop(resumeId, 'receiver'),
  })
}

async function askForStream(
  { options, address, signal, identity }: ReceptionsContext,
  kind: 'output' | 'text',
  offer: Offer,
  manifest: Manifest,
  stop: AbortSignal,
): Promise<void> {
  if (options.accept === undefined) return
  const survey = nothingThere(manifest)
  const incoming = {
    transferId: offer.transferId,
    from: offer.name,
    identity: await identity(),
    peer: address.host,
    files: 1,
    bytes: offer.bytes,
    kind,
    outputDir: '',
    savedAs: [],
    freeBytes: null,
    ...listOffer(manifest, survey, planReceive(manifest, survey, 'auto')),
  }
  readAnswer(await options.accept(incoming, AbortSignal.any([stop, signal])), 'auto')
}

/** Nothing is in the way of what is not saved. */
function nothingThere(manifest: Manifest): Survey {
  const none = { unchanged: 0, differing: 0, otherKind: 0 }
  return {
    outputDir: '',
    roots: [{ root: 0, found: 'absent', ...none }],
    states: new Uint8Array(manifest.count),
    ...none,
    unchangedBytes: 0,
    isTaken: () => false,
  }
}
