import { describe, expect, test } from 'vitest'
import { displayWidth } from '../../../src/cli/columns.ts'
import { statusLines } from '../../../src/cli/status-lines.ts'
import type { TransferRecord } from '../../../src/library/list-transfers.ts'

const ID = '4f2ed172-b3c1-4bfd-9e5e-22b5dab03089'

const row = (fields: Partial<TransferRecord> = {}): TransferRecord => ({
  id: ID,
  role: 'receiver',
  status: 'in_progress',
  transferType: 'download',
  filename: 'film.mp4',
  fileSize: 50_000_000,
  bytesDone: 20_000_000,
  entryCount: 1,
  checksum: null,
  fileType: null,
  peer: '127.0.0.1',
  userId: null,
  transportUsed: 'tcp',
  chunksTotal: null,
  chunksCompleted: 0,
  priority: 5,
  paths: [],
  outputDir: '/home/ada',
  createdAtMs: 0,
  updatedAtMs: 0,
  completedAtMs: null,
  error: null,
  ...fields,
})
const hostile = row({
  filename: `${'日本語 '.repeat(40)}\u001b[2J\u202egpj.exe`,
  peer: '\u001b]0;title\u0007',
  error: { code: 'disk_full', message: 'the disk\nis full' },
})

describe('the list of transfers', () => {
  test('is a line for each where that fits, and where nobody looks', () => {
    expect(statusLines([row(), row({ status: 'completed', role: 'sender' })], 140)).toEqual([
      `${ID}  in_progress  film.mp4 (19.1 MiB of 47.7 MiB, 1 entry) from 127.0.0.1`,
      `${ID}  completed    film.mp4 (47.7 MiB, 1 entry) to 127.0.0.1`,
    ])
    expect(statusLines([row({ status: 'pending', priority: 9 })], 140)[0]).toMatch(
      / pending .* from 127\.0\.0\.1, priority 9$/,
    )
    expect(statusLines([hostile], Number.POSITIVE_INFINITY)).toHaveLength(1)
    expect(statusLines([], 40)).toEqual(['No transfers yet.'])
  })

  test('is a block for each where a line does not fit', () => {
    expect(statusLines([row()], 80)).toEqual([
      `${ID}  in_progress`,
      '  film.mp4 (19.1 MiB of 47.7 MiB, 1 entry) from 127.0.0.1',
    ])
    expect(statusLines([row()], 40)).toEqual([
      ID,
      '  in_progress',
      '  film.mp4 (19.1 MiB of 47.7 MiB, 1',
      '    entry) from 127.0.0.1',
    ])
  })

  test('fits, and shows nothing that moves the cursor, whatever the names are', () => {
    for (let columns = 40; columns <= 300; columns++)
      for (const line of statusLines([hostile, row()], columns)) {
        expect(displayWidth(line)).toBeLessThanOrEqual(columns)
        expect(line).not.toMatch(/[\u0000-\u001f\u007f\u202e]/)
      }
  })
})
