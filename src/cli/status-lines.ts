/** The list of transfers as people read it: a line for each where that fits, else a small block. */

import { formatCount, formatSize } from '../config/sizes.ts'
import type { TransferRecord } from '../library/list-transfers.ts'
import { DEFAULT_PRIORITY } from '../protocol/limits.ts'
import { cutToFit, displayWidth, wrapWords } from './columns.ts'
import { shown } from './output.ts'

const INDENT = '  '

/** @param columns of the terminal; infinite elsewhere, where a line is a transfer */
export function statusLines(rows: readonly TransferRecord[], columns: number): string[] {
  if (rows.length === 0) return ['No transfers yet.']
  const lines = rows.map(
    (row) => `${row.id}  ${row.status.padEnd(11)}  ${shown(row.filename)} ${tail(row)}${fault(row)}`,
  )
  if (lines.every((line) => displayWidth(line) <= columns)) return lines
  return rows.flatMap((row) => {
    const head = `${row.id}  ${row.status}`
    const heads = head.length <= columns ? [head] : [row.id, `${INDENT}${row.status}`]
    const name = cutToFit(shown(row.filename), Math.max(1, columns - INDENT.length))
    const rest = `${name} ${tail(row)}${fault(row)}`
    return [
      ...heads,
      ...wrapWords(rest, columns - INDENT.length)
        .split('\n')
        .map((line) => INDENT + line),
    ]
  })
}

function tail(row: TransferRecord): string {
  const { fileSize, bytesDone, status, entryCount, role, peer } = row
  const done =
    status === 'completed'
      ? formatSize(fileSize ?? bytesDone)
      : `${formatSize(bytesDone)}${fileSize === null ? '' : ` of ${formatSize(fileSize)}`}`
  const entries = entryCount === null ? '' : `, ${formatCount(entryCount)} ${entryCount === 1 ? 'entry' : 'entries'}`
  return `(${done}${entries}) ${role === 'sender' ? 'to' : 'from'} ${peer === null ? 'nobody yet' : shown(peer)}${urgency(row)}`
}

/** What may explain why it waits. */
function urgency({ priority, completedAtMs }: TransferRecord): string {
  return completedAtMs !== null || priority === DEFAULT_PRIORITY ? '' : `, priority ${String(priority)}`
}

function fault({ error }: TransferRecord): string {
  return error === null ? '' : `  ${shown(error.message)}`
}
