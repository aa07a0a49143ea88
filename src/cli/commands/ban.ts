/** `sealift ban`: the addresses that a receiving server turns away. */

import { listBans, removeBan } from '../../library/server-ledger.ts'
import type { Ban } from '../../ledger/bans.ts'
import { SealiftError } from '../../protocol/errors.ts'
import { formatDuration } from '../progress-layout.ts'
import { Output, type OutputOptions, shown } from '../output.ts'

export type BanAction = 'list' | 'remove'

/** @throws SealiftError `usage`; those of the ledger */
export async function ban(action: BanAction, address: string | undefined, options: OutputOptions): Promise<void> {
  const output = new Output(options)
  switch (action) {
    case 'list': {
      if (address !== undefined)
        throw new SealiftError('usage', 'list shows all bans', { hint: 'leave out the address' })
      const bans = await listBans()
      for (const row of bans) show(row, output)
      if (bans.length === 0) output.say('No address is banned.')
      return
    }
    case 'remove': {
      if (address === undefined)
        throw new SealiftError('usage', 'which address?', { hint: 'sealift ban remove ADDRESS' })
      const source = await removeBan(address)
      output.event({ event: 'unbanned', address: source })
      output.say(`${shown(source)} may connect again.`)
    }
  }
}

function show({ address, reason, createdAtMs, remainingMs }: Ban, output: Output): void {
  const created = new Date(createdAtMs).toISOString()
  const until = new Date(Date.now() + remainingMs).toISOString()
  output.event({ event: 'ban', address, code: reason, created, until })
  output.say(`${shown(address)}  ${formatDuration(remainingMs / 1000)} left, since ${created}  ${shown(reason)}`)
}
