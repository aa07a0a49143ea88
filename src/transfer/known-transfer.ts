/** Which transfer a key for coming back stands for at the receiver: what HELLO says, so that no manifest is sent twice. */

import type { Ledger } from '../ledger/ledger.ts'
import type { Hello } from '../protocol/messages.ts'

export interface KnownTransfer {
  /** Row of the transfer that the key is for; `null` before one was accepted, and where the key is unknown. */
  readonly key: number | null
  readonly known: Hello['known']
}

/** @param resumeId 16 bytes, as the handshake confirmed it */
export async function findKnownTransfer(ledger: Ledger, resumeId: Uint8Array): Promise<KnownTransfer> {
  const row = await ledger.resumeKeys.findById(resumeId, 'receiver')
  row?.resumeKey.fill(0)
  const key = row?.transfer ?? null
  const transfer = key === null ? null : await ledger.transfers.get(key)
  if (transfer === null || transfer.checksum === null || !(await ledger.manifests.has(transfer.key)))
    return { key, known: null }
  return { key, known: { transferId: transfer.id, digest: transfer.checksum } }
}
