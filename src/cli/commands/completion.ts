/** `sealift completion`: the scripts for shells, and the answers that those ask for while a line is being typed. */

import type { Command } from 'commander'
import { existsSync } from 'node:fs'
import { formatSize } from '../../config/sizes.ts'
import { ledgerPath } from '../../ledger/location.ts'
import { listTransfers } from '../../library/list-transfers.ts'
import { type Candidate, complete, type Completion } from '../completion.ts'
import { COMPLETION_SCRIPTS, type CompletionShell } from '../completion-scripts.ts'
import { shown } from '../output.ts'

export function printCompletionScript(shell: CompletionShell): void {
  process.stdout.write(COMPLETION_SCRIPTS[shell])
}

/** @param words of the line without `sealift`, the last one being typed; as the shell has cut and quoted them */
export async function printCompletions(
  program: Command,
  shell: CompletionShell,
  words: readonly string[],
): Promise<void> {
  const line = shell === 'bash' ? joinCutWords(words) : words
  const completion = await complete(program, line, findTransfers)
  process.stdout.write(answerFor(shell, completion, line.at(-1) ?? ''))
}

/**
 * One candidate a line. bash knows no descriptions; zsh has them behind a colon, fish behind a tab. A word of the form
 * `--option=value` is replaced whole by fish alone: the others are given the value.
 */
function answerFor(shell: CompletionShell, completion: Completion, current: string): string {
  if (completion.kind !== 'words')
    return `:${completion.kind === 'folders' && shell !== 'bash' ? 'folders' : 'files'}\n`
  const option = shell === 'fish' ? (/^--[^=]*=/.exec(current)?.[0] ?? '') : ''
  return completion.candidates.map(({ value, description }) => `${oneLine(value, description)}\n`).join('')

  function oneLine(value: string, description: string): string {
    if (shell === 'bash' || description === '') return option + value
    if (shell === 'fish') return `${option}${value}\t${description}`
    return `${value.replaceAll(':', '\\:')}:${description}`
  }
}

/** bash cuts words at `=` and `:` as well, and hands over the pieces. */
function joinCutWords(words: readonly string[]): string[] {
  const joined: string[] = []
  let joins = false
  for (const word of words) {
    const isSign = word === '=' || word === ':'
    if ((isSign || joins) && joined.length > 0) joined.push(`${joined.pop() ?? ''}${word}`)
    else joined.push(word)
    joins = isSign
  }
  return joined
}

/** Never makes a ledger, and never complains: who presses Tab has asked for nothing yet. */
async function findTransfers(isUnfinished: boolean): Promise<Candidate[]> {
  try {
    if (!existsSync(ledgerPath(process.env))) return []
    const ids = new Map<string, Candidate>()
    for (const { id, role, filename, status, peer, fileSize, completedAtMs } of await listTransfers()) {
      if (isUnfinished && completedAtMs !== null) continue
      const size = fileSize === null ? '' : `, ${formatSize(fileSize)}`
      const who = `${role === 'sender' ? 'to' : 'from'} ${peer === null ? 'nobody yet' : shown(peer)}`
      ids.set(id, { value: id, description: `${status} ${shown(filename)}${size} ${who}` })
    }
    return [...ids.values()]
  } catch {
    return []
  }
}
