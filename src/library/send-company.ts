/** What the transfers of one call have in common, so that it is looked at once. */

import type { Ledger } from '../ledger/ledger.ts'

export interface SendCompany {
  /** Open, and closed by whoever made the call. */
  readonly ledger: Ledger
}
