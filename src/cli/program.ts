/** The command line as a whole: the commands together, what may be left out of a line, and its help. */

import { Command } from 'commander'
import { existsSync } from 'node:fs'
import { SealiftError } from '../protocol/errors.ts'
import { VERSION } from '../library/version.ts'
import { findCommand } from './command-names.ts'
import {
  defineAudit,
  defineBan,
  defineCert,
  defineCompletion,
  defineDoctor,
  defineKeygen,
  defineQuota,
  defineReceive,
  defineResume,
  defineSend,
  defineStatus,
} from './command-definitions.ts'

/** Help is read in terminals of any width, and as text elsewhere. */
const HELP_COLUMNS = 80

/** @param signal aborted when the user wants the command to stop */
export function buildProgram(signal: AbortSignal): Command {
  // What is set here is taken over by the commands. All errors come as throws, and none prints the whole help.
  const program = new Command('sealift')
    .description('Moves files and folders between machines, sealed end to end, resumable after anything.')
    .usage('COMMAND [options]')
    .version(VERSION, '-V, --version', 'show the version')
    .helpOption('-h, --help', 'show this help')
    .helpCommand('help [command]', 'show the help of a command')
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeErr: () => undefined,
      getOutHelpWidth: () => Math.min(HELP_COLUMNS, process.stdout.isTTY ? process.stdout.columns : HELP_COLUMNS),
    })
    .configureHelp({
      subcommandTerm: (command) => [command.name(), ...command.aliases()].join(', '),
      // Choices and defaults stand in the words.
      optionDescription: ({ description }) => description,
      argumentDescription: ({ description }) => description,
    })
    .addHelpText(
      'after',
      `
Examples:
  $ sealift send photos/ report.pdf --lan       prints the line to run there
  $ sealift receive 192.168.1.20:coral-magnet   fetches it, into this folder
  $ sealift status                              what is going on, and what was
  $ sealift resume ID                           goes on with what is missing

sealift COMMAND --help shows the options of a command.
sealift ADDRESS:TOKEN is short for sealift receive ADDRESS:TOKEN.`,
    )
  defineSend(program, signal)
  defineReceive(program, signal)
  defineStatus(program, signal)
  defineResume(program, signal)
  defineDoctor(program, signal)
  defineKeygen(program, signal)
  defineCert(program)
  defineAudit(program)
  defineBan(program)
  defineQuota(program)
  defineCompletion(program)
  return program
}

/** Runs what a line asks for. @throws SealiftError of the command, CommanderError for a line that means nothing */
export async function runLine(program: Command, line: readonly string[]): Promise<void> {
  const [first] = line
  if (first === undefined) {
    program.outputHelp()
    return
  }
  if (first === 'help') {
    const topic = line.find((word) => word !== 'help' && !word.startsWith('-'))
    if (topic === undefined) program.outputHelp()
    else (findCommand(program, topic) ?? unknownCommand(topic)).outputHelp()
    return
  }
  const command = findCommand(program, first)
  if (asksForHelp(line) && (command !== undefined || first.startsWith('-'))) {
    ;(command ?? program).outputHelp()
    return
  }
  const isOther = command === undefined && !first.startsWith('-')
  if (isOther && existsSync(first)) unknownCommand(first, `to send it: sealift send ${first}`)
  const isAddress = isOther && first.includes(':')
  await program.parseAsync(isAddress ? ['receive', ...line] : [...line], { from: 'user' })
}

function unknownCommand(name: string, hint = 'sealift --help lists the commands'): never {
  throw new SealiftError('usage', `unknown command '${name}'`, { hint })
}

/** Also where the rest of the line is wrong: who asks for help may not know better yet. */
function asksForHelp(line: readonly string[]): boolean {
  const end = line.indexOf('--')
  return line.slice(0, end < 0 ? line.length : end).some((word) => word === '-h' || word === '--help')
}
