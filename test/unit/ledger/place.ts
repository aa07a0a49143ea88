/** A folder of its own for each test, removed afterwards, and ledgers in it that are closed by then. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { type Ledger, type LedgerOptions, openLedger } from '../../../src/ledger/ledger.ts'
import type { NewTransfer } from '../../../src/ledger/transfer-row.ts'

export function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sealift-ledger-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export async function openTestLedger(folder: string, options: Partial<LedgerOptions> = {}): Promise<Ledger> {
  const ledger = await openLedger({ path: join(folder, 'data', 'ledger.db'), bootId: 'boot-1', ...options })
  onTestFinished(() => ledger.close())
  return ledger
}

export const ID_A = '0a0a0a0a-0000-4000-8000-00000000000a'
export const ID_B = '0b0b0b0b-0000-4000-8000-00000000000b'

export function receiverOf(id: string, fields: Partial<NewTransfer> = {}): NewTransfer {
  return { id, role: 'receiver', transferType: 'download', filename: 'tree', ...fields }
}
