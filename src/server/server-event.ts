/** What a receiving server tells whoever runs it. */

import type { SealiftError } from '../protocol/errors.ts'
import type { TransferEvent } from '../transfer/events.ts'

/** An event of a server's transfers; an error among them is no end of the server. */
export type ServerEvent =
  | TransferEvent
  | {
      readonly event: 'error'
      readonly transferId: string | null
      readonly peer: string
      readonly error: SealiftError
    }
  | { readonly event: 'banned'; readonly peer: string; readonly code: string; /** ISO 8601. */ readonly until: string }
