/** What a sender is asked before it listens, and how what is left out is named. */

import { formatCount, formatFiles, formatSize } from '../config/sizes.ts'
import type { SendOptions } from '../library/options.ts'
import type { ExcludedEvent } from '../transfer/events.ts'
import { cutToFit, wrapWords } from './columns.ts'
import { shownName } from './name-lists.ts'
import { type Output, shown } from './output.ts'
import { confirm } from './prompt.ts'

/** How many are named one by one. */
const MAX_NAMED = 3
const MAX_LINES = 2

/** What is left out, and how much it is. */
export type LeftOut = Pick<ExcludedEvent, 'path' | 'files' | 'bytes'>

export interface AskSenderOptions {
  /** Whether one path is sent: then its name goes without saying. */
  readonly isOneRoot: boolean
  /** Told what was agreed to be left out. */
  readonly leftOut: (found: readonly LeftOut[]) => void
}

/** The questions of a sender at a terminal, as `sendFiles` takes them. */
export function askSender(
  output: Output,
  { isOneRoot, leftOut }: AskSenderOptions,
): Pick<SendOptions, 'leaveOut' | 'chooseCompression' | 'listenOnLan'> {
  return {
    async leaveOut(found, signal) {
      const isAgreed = await confirm(leaveOutQuestion(found, isOneRoot, output.columns), true, signal)
      if (isAgreed) leftOut(found)
      return isAgreed
    },
    // The codec that this question has always meant; --compress has better ones.
    chooseCompression: async (signal) => ((await confirm('Compress?', false, signal)) ? 'blosc-lz4' : 'none'),
    listenOnLan: askToListen,
  }
}

/** The question where there is no Tailscale. */
export const askToListen: NonNullable<SendOptions['listenOnLan']> = ({ address, interfaceName }, reason, signal) =>
  confirm(`${shown(reason)}. Listen on ${address} (${shown(interfaceName)})?`, false, signal)

/**
 * `Leave out .venv (4,120 files, 310.0 MiB)?`
 * @param isOneRoot whether one path is sent: then its name goes without saying
 */
export function leaveOutQuestion(found: readonly LeftOut[], isOneRoot: boolean, columns: number): string {
  return nameLeftOut(found, isOneRoot, columns, (names) => `Leave out ${names}? [Y/n]`).replace(/ \[Y\/n\]$/, '')
}

/**
 * Names the largest, as many as go on two lines, and counts the others.
 * @param sentence what the names stand in
 */
export function nameLeftOut(
  found: readonly LeftOut[],
  isOneRoot: boolean,
  columns: number,
  sentence: (names: string) => string,
): string {
  const largest = found.toSorted((a, b) => b.bytes - a.bytes)
  const total = found.reduce((sum, { files, bytes }) => ({ files: sum.files + files, bytes: sum.bytes + bytes }), {
    files: 0,
    bytes: 0,
  })
  for (let count = Math.min(MAX_NAMED, found.length); ; count--) {
    const names = largest.slice(0, count).map((one) => {
      const path = isOneRoot ? one.path.slice(one.path.indexOf('/') + 1) : one.path
      return `${cutToFit(shownName(path), Math.max(16, Math.floor(columns / 2)))} (${amountOf(one)})`
    })
    const more = found.length - count
    const rest = `${formatCount(more)} more (${amountOf(total)} in all)`
    const text = sentence(more > 0 ? `${names.join(', ')} and ${rest}` : listOf(names))
    if (count === 1 || wrapWords(text, columns).split('\n').length <= MAX_LINES) return text
  }
}

function listOf(names: readonly string[]): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1) ?? ''}`
}

function amountOf({ files, bytes }: Omit<LeftOut, 'path'>): string {
  return `${formatFiles(files)}, ${formatSize(bytes)}`
}
