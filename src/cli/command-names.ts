/** Finds a command by what was typed for it. */

import type { Command } from 'commander'

/** @param name of the command, or one of its short ones */
export function findCommand(program: Command, name: string | undefined): Command | undefined {
  return program.commands.find(
    (command) => name !== undefined && (command.name() === name || command.aliases().includes(name)),
  )
}
