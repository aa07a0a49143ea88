/** Where a sender meets its receiver: at a server that was named, else at a place of this machine. */

import { SealiftError } from '../protocol/errors.ts'
import { DiallingMeeting } from './dialling-meeting.ts'
import { findListenPlace } from './listen-address.ts'
import { ListeningMeeting } from './listening-meeting.ts'
import type { SendOptions } from './options.ts'
import type { SendCompany } from './send-company.ts'
import type { Meet } from './sender-meeting.ts'
import { openEntrance } from './server-entrance.ts'

/**
 * @param company other transfers of the same call, which have looked at the server already
 * @throws SealiftError of the place, or of what is needed to go to the server; `usage` where both are named
 */
export async function findMeeting(
  options: SendOptions & { readonly signal: AbortSignal },
  company: SendCompany | null = null,
): Promise<Meet> {
  const { to, pod, lan, listen } = options
  if (to === undefined) {
    const place = await findListenPlace(options)
    return (context) => new ListeningMeeting(place, context)
  }
  if (pod === true || lan === true || listen !== undefined)
    throw new SealiftError('usage', 'a transfer goes to a server or waits for its receiver, not both', {
      hint: 'leave out --to, or --pod, --lan and --listen',
    })
  const entrance = company?.enter() ?? (await openEntrance(to, options))
  return (context) => new DiallingMeeting(entrance, context)
}
