/** `sealift quota`: what senders have sent to a receiving server, and what each of them may. */

import { formatSize, parseSize } from '../../config/sizes.ts'
import { listUsage, setQuota } from '../../library/server-ledger.ts'
import type { Usage } from '../../ledger/quotas.ts'
import { SealiftError } from '../../protocol/errors.ts'
import { Output, type OutputOptions, shown } from '../output.ts'

export type QuotaAction = 'list' | 'set' | 'remove'

/** @throws SealiftError `usage`, `settings_invalid`; those of the ledger */
export async function quota(
  action: QuotaAction,
  owner: string | undefined,
  size: string | undefined,
  options: OutputOptions,
): Promise<void> {
  const output = new Output(options)
  switch (action) {
    case 'list':
      if (owner !== undefined) throw new SealiftError('usage', 'list shows all owners', { hint: 'leave out the owner' })
      for (const row of await listUsage()) show(row, output)
      return
    case 'set':
      if (owner === undefined || size === undefined)
        throw new SealiftError('usage', 'set takes an owner and a size', {
          hint: 'sealift quota set SHA256:… 50GB',
        })
      show(await setQuota(owner, parseSize(size, 'the quota')), output)
      return
    case 'remove':
      if (owner === undefined || size !== undefined)
        throw new SealiftError('usage', 'remove takes an owner', { hint: 'sealift quota remove SHA256:…' })
      show(await setQuota(owner, null), output)
  }
}

function show({ owner, limitBytes, publishedBytes, reservedBytes }: Usage, output: Output): void {
  output.event({ event: 'quota', owner, limitBytes, publishedBytes, reservedBytes })
  const limit = limitBytes === null ? '' : ` of ${formatSize(limitBytes)}`
  const reserved = reservedBytes === 0 ? '' : `, ${formatSize(reservedBytes)} under way`
  output.say(`${shown(owner)}  ${formatSize(publishedBytes)}${limit} received${reserved}`)
}
