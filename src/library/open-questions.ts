/**
 * What a sender's options leave open is asked here, once the paths are known to be there: whether what is left out by
 * default shall be, whether to compress, and where to listen without Tailscale. Where nobody is asked the defaults hold,
 * and no file is looked at twice.
 */

import type { WalkResult } from '../files/walk.ts'
import { orAborted } from '../transfer/clock.ts'
import type { ExcludedEvent } from '../transfer/events.ts'
import { findMeeting } from './find-meeting.ts'
import { checkOptions } from './option-checks.ts'
import type { SendOptions } from './options.ts'
import type { SendCompany } from './send-company.ts'
import type { Meet } from './sender-meeting.ts'
import { excludedEvents, walkToSend } from './source-walk.ts'

type Look = (options: SendOptions) => Promise<WalkResult>

interface Settled {
  readonly walk: WalkResult
  /** With the answers in them. */
  readonly options: SendOptions
}

/**
 * @param looking told when files begin and end to be looked through
 * @param company see {@link findMeeting}
 * @returns which files are sent, by which options, and where
 * @throws SealiftError of the paths before all else, then of the place, and only then what ends a question
 */
export async function settleSending(
  paths: readonly string[],
  given: SendOptions,
  signal: AbortSignal,
  looking: (isLooking: boolean) => void = () => undefined,
  company: SendCompany | null = null,
): Promise<Settled & { readonly meet: Meet }> {
  const look: Look = (options) => {
    looking(true)
    return walkToSend(paths, { ...options, signal }).finally(() => looking(false))
  }
  const walk = await look(given)
  let settling: Promise<Settled> | null = null
  const settle = (): Promise<Settled> => (settling ??= askAboutFiles(look, walk, given, signal))
  const { listenOnLan } = given
  const place = {
    ...given,
    signal,
    // The last of the questions. Where there is no place to listen at, none of them is asked.
    listenOnLan:
      listenOnLan &&
      (async (...about: Parameters<typeof listenOnLan>) => {
        await settle()
        return listenOnLan(...about)
      }),
  }
  const meet = await findMeeting(place, company)
  return { ...(await settle()), meet }
}

async function askAboutFiles(look: Look, walk: WalkResult, given: SendOptions, signal: AbortSignal): Promise<Settled> {
  const { leaveOut, chooseCompression, compressionLevel } = given
  const found = leftOutByDefault(walk)
  let settled: Settled = { walk, options: given }
  if (found.length > 0 && leaveOut !== undefined) {
    const isAgreed = await orAborted(Promise.resolve(leaveOut(found, signal)), signal)
    // All else is as with `all`, so that the same answer takes the same transfer up again.
    const options = { ...given, all: true }
    if (!isAgreed) settled = { walk: await look(options), options }
  }
  if (chooseCompression === undefined || given.compress !== undefined || compressionLevel !== undefined) return settled
  const compress = await orAborted(Promise.resolve(chooseCompression(signal)), signal)
  checkOptions({ compress })
  return { ...settled, options: { ...settled.options, compress } }
}

/** Environments and caches: what neither a pattern nor `links` left out. */
function leftOutByDefault(walk: WalkResult): ExcludedEvent[] {
  const byDefault = walk.excluded.filter(({ reason }) => reason === 'venv' || reason === 'cache')
  return excludedEvents({ ...walk, excluded: byDefault })
}
