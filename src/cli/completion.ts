/**
 * What may stand next on a line of `sealift`: found in the commands as they are defined, so that nothing is said twice.
 *
 * Pure but for the list of transfers, which it is given. Knows no shell: `commands/completion.ts` speaks to them.
 */

import type { Command, Option } from 'commander'
import { findCommand } from './command-names.ts'

export interface Candidate {
  readonly value: string
  readonly description: string
}

export type Completion =
  | { readonly kind: 'files' | 'folders' }
  /** Only what begins as the word that is being typed. */
  | { readonly kind: 'words'; readonly candidates: readonly Candidate[] }

const NOTHING: Completion = { kind: 'words', candidates: [] }

/**
 * @param words of the line, without `sealift`, up to the one that is being typed, which may be empty
 * @param findTransfers ids of transfers, of those alone that can be resumed or of all; asked for only where one may stand
 */
export async function complete(
  program: Command,
  words: readonly string[],
  findTransfers: (isUnfinished: boolean) => Promise<readonly Candidate[]>,
): Promise<Completion> {
  const current = words.at(-1) ?? ''
  const before = words.slice(0, -1)
  const name = before[0]
  if (name === undefined)
    return startingWith(current, current.startsWith('-') ? optionsOf(program) : commandsOf(program))
  if (name === 'help') return startingWith(current, before.length === 1 ? commandsOf(program) : [])
  // A line that begins with an address is that of receive.
  const isAddress = name.includes(':')
  const command = findCommand(program, isAddress ? 'receive' : name)
  if (command === undefined) return NOTHING
  const findIds = (): Promise<readonly Candidate[]> => findTransfers(command.name() === 'resume')
  const line = readLine(command, isAddress ? before : before.slice(1))
  const [, typed = '', value] = /^(--[^=]*)=(.*)$/s.exec(current) ?? []
  const asked = line.awaits ?? (value === undefined ? undefined : findOption(command, typed))
  if (asked !== undefined) return valueOf(asked.argChoices, placeholderOf(asked), value ?? current, findIds)
  if (value !== undefined) return NOTHING
  if (current.startsWith('-') && !line.hasEnded)
    return startingWith(
      current,
      optionsOf(command).filter((option) => !line.given.has(option.value)),
    )
  const { registeredArguments } = command
  const argument = registeredArguments[line.operands] ?? registeredArguments.findLast(({ variadic }) => variadic)
  if (argument === undefined) return NOTHING
  return valueOf(argument.argChoices, argument.name(), current, findIds)
}

async function valueOf(
  choices: readonly string[] | undefined,
  placeholder: string,
  current: string,
  findIds: () => Promise<readonly Candidate[]>,
): Promise<Completion> {
  if (choices !== undefined)
    return startingWith(
      current,
      choices.map((value) => ({ value, description: '' })),
    )
  switch (placeholder) {
    case 'paths':
    case 'file':
      return { kind: 'files' }
    case 'folder':
      return { kind: 'folders' }
    case 'id':
      return startingWith(current, await findIds())
    default:
      return NOTHING
  }
}

interface ReadLine {
  /** The option whose value comes next. */
  readonly awaits: Option | undefined
  /** Long names that need not be given again. */
  readonly given: ReadonlySet<string>
  readonly operands: number
  /** `--` was given: all that follows are operands. */
  readonly hasEnded: boolean
}

function readLine(command: Command, words: readonly string[]): ReadLine {
  const given = new Set<string>()
  let awaits: Option | undefined
  let operands = 0
  let hasEnded = false
  for (const word of words) {
    if (awaits !== undefined) awaits = undefined
    else if (hasEnded || !word.startsWith('-') || word === '-') operands++
    else if (word === '--') hasEnded = true
    else {
      const option = findOption(command, word.replace(/=.*$/s, ''))
      if (option === undefined) continue
      if (!isRepeatable(option)) given.add(option.long ?? '')
      if (option.required && !word.includes('=')) awaits = option
    }
  }
  return { awaits, given, operands, hasEnded }
}

/** Options that collect their values; that choices are parsed too is commander's way. */
function isRepeatable({ parseArg, argChoices }: Option): boolean {
  return parseArg !== undefined && argChoices === undefined
}

function findOption(command: Command, name: string): Option | undefined {
  return command.options.find((option) => option.long === name || option.short === name)
}

/** `folder` of `-o, --output-dir <folder>`. */
function placeholderOf(option: Option): string {
  return /<(.*)>/.exec(option.flags)?.[1] ?? ''
}

function optionsOf(command: Command): Candidate[] {
  const options = command.createHelp().visibleOptions(command)
  return options.map(({ long, description }) => ({ value: long ?? '', description }))
}

function commandsOf(program: Command): Candidate[] {
  const help = program.createHelp()
  return help.visibleCommands(program).map((command) => ({
    value: command.name(),
    description: help.subcommandDescription(command),
  }))
}

function startingWith(current: string, candidates: readonly Candidate[]): Completion {
  return { kind: 'words', candidates: candidates.filter(({ value }) => value.startsWith(current)) }
}
