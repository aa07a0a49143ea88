/** Opens the ledger of this user: where the caller says, `DB_PATH`, or the user's data folder. */

import type { DatabaseOptions } from '../ledger/database.ts'
import type { Ledger } from '../ledger/ledger.ts'

/** SQLite is loaded only here, when a command needs it. */
export async function openUserLedger(path: string | undefined, options: DatabaseOptions = {}): Promise<Ledger> {
  const [{ openLedger }, { ledgerPath }] = await Promise.all([
    import('../ledger/ledger.ts'),
    import('../ledger/location.ts'),
  ])
  const env = path === undefined ? process.env : { ...process.env, DB_PATH: path }
  return openLedger({ ...options, path: ledgerPath(env) })
}
