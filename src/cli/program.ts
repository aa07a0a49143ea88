/** The command line as commander sees it: commands, options, help. Each command's work is loaded when it runs. */

import { Command, Option } from 'commander'
import { existsSync } from 'node:fs'
import { SealiftError } from '../protocol/errors.ts'
import { COMPRESS_SETTINGS, CONFLICT_POLICIES } from '../protocol/choices.ts'
import { VERSION } from '../library/version.ts'

/** Collects an option that may be given again and again. */
function collect(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value]
}

function withOutputOptions(command: Command): Command {
  return command
    .option('-q, --quiet', 'say nothing but errors')
    .option('-v, --verbose', 'say more')
    .option('--json', 'one JSON object a line on stdout, for programs')
    .option('--no-progress', 'no progress line')
}

/** @param signal aborted when the user wants the command to stop */
export function buildProgram(signal: AbortSignal): Command {
  const program = new Command('sealift')
    .description('Moves files and folders between machines, sealed end to end, resumable after anything.')
    .version(VERSION, '-V, --version')
    .helpOption('-h, --help', 'show this help')
    .helpCommand(false)
    .showSuggestionAfterError(true)
    .enablePositionalOptions()
    .argument('[address]', 'ADDRESS:TOKEN, the same as sealift receive ADDRESS:TOKEN')
    .allowExcessArguments(true)
    .exitOverride()
    .configureOutput({ writeErr: () => undefined })
    .addHelpText(
      'after',
      `
Examples:
  $ sealift send photos/ report.pdf --lan       send over the local network; prints the line for the other side
  $ sealift receive 192.168.1.20:coral-magnet   fetch it into the current folder
  $ sealift status                              what is going on, and what was
  $ sealift resume ID                           go on with what is missing
  $ sealift doctor                              what works on this machine, and what is in the way`,
    )
    .action(async (address: string | undefined) => {
      if (address === undefined) {
        program.outputHelp()
        return
      }
      if (program.args.length > 1 || existsSync(address) || !address.includes(':')) {
        throw new SealiftError('usage', `unknown command ${JSON.stringify(address)}`, {
          hint: existsSync(address)
            ? `to send it: sealift send ${address}`
            : `the commands are ${program.commands.map((command) => command.name()).join(', ')}; sealift --help says more`,
        })
      }
      const { receive } = await import('./commands/receive.ts')
      await receive(address, {}, signal)
    })

  withOutputOptions(program.command('send').alias('tx'))
    .description('Send files and folders to one receiver: listens, prints address and token, and waits.')
    .argument('[paths...]', 'files and folders; - alone is standard input')
    .option('--name <name>', 'what standard input is saved as (default: stdin)')
    .option('--text <text>', 'send this text, to be shown and not saved; - reads it from standard input')
    .option('--pod', 'listen on 127.0.0.1')
    .option('--lan', 'listen on the address of the local network')
    .option('--listen <address>', 'listen on this address')
    .option('--allow-user <login>', 'on the tailnet, let in only machines of this login; may be given again', collect)
    .option('--allow-tag <tag>', 'on the tailnet, let in only machines with this tag; may be given again', collect)
    .option('--port <port>', 'listen on this port; 0 takes any free one (default: 15820)')
    .option('--wait <seconds>', 'how long to wait for the receiver (default: 300)')
    .option('-y, --yes', 'take the default of every question')
    .option('--exclude <pattern>', 'leave out what matches, in gitignore syntax; may be given again', collect)
    .option('--exclude-from <file>', 'leave out what the patterns in this file match; may be given again', collect)
    .option('--all', 'leave nothing out that is left out by default')
    .option('--no-links', 'leave out links')
    .addOption(
      new Option('--conflict <policy>', 'what the receiver is asked to do with what is in the way').choices(
        CONFLICT_POLICIES,
      ),
    )
    .addOption(new Option('--compress <codec>', 'compress what travels (default: none)').choices(COMPRESS_SETTINGS))
    .option('--compression-level <level>', 'of the codec; alone it means zstd')
    .option('--priority <0..9>', 'priority of the transfer')
    .option('--bwlimit <rate>', 'bytes a second on the wire, at most: 10M binary, 10MB decimal')
    .option('--dry-run', 'say what would be sent, and send nothing')
    .addHelpText(
      'after',
      `
Examples:
  $ sealift send photos/ report.pdf --lan
  $ sealift send project/ --exclude '*.log' --compress zstd --listen 10.0.0.5
  $ tar c photos | sealift send - --name photos.tar
  $ sealift send --text 'the door code is 1234'
  $ sealift send data/ --pod --port 0 --json      for programs

Exit status: 0 done, 2 usage, 3 refused, 4 authentication, 5 network, 6 integrity, 7 disk, 8 in part, 130 stopped.`,
    )
    .action(async (paths: string[], options: object) => {
      const { send } = await import('./commands/send.ts')
      await send(paths, options, signal)
    })

  withOutputOptions(program.command('receive').alias('recv').alias('rx'))
    .description('Fetch what another machine sends.')
    .argument('[address]', 'ADDRESS[:PORT][:TOKEN], as the sender prints it; what is absent is asked for')
    .option('-o, --output-dir <folder>', 'where to save (default: the current folder); - is standard output')
    .option('-y, --yes', 'accept without asking')
    .addOption(
      new Option('--conflict <policy>', 'what to do with what is in the way (default: auto)').choices(
        CONFLICT_POLICIES,
      ),
    )
    .option('--portable-names', 'refuse or rename what other systems cannot hold')
    .option('--bwlimit <rate>', 'bytes a second on the wire, at most')
    .addHelpText(
      'after',
      `
Examples:
  $ sealift receive 192.168.1.20:coral-magnet
  $ sealift receive [fe80::1]:15820:coral-magnet -o ~/Downloads
  $ SEALIFT_TOKEN=coral-magnet sealift receive host --yes

After an interruption run the same line again: it goes on with what is missing.
Exit status: 0 done, 2 usage, 3 refused, 4 authentication, 5 network, 6 integrity, 7 disk, 8 in part, 130 stopped.`,
    )
    .action(async (address: string | undefined, options: object) => {
      const { receive } = await import('./commands/receive.ts')
      await receive(address, options, signal)
    })

  withOutputOptions(program.command('status'))
    .description('Show the unfinished transfers of this machine and the last 10 finished.')
    .argument('[id]', 'one transfer; the first characters of its id are enough')
    .option('--transfer-id <id>', 'the same')
    .option('--all', 'all finished ones too')
    .option('--watch', 'go on showing')
    .addHelpText(
      'after',
      '\nExamples:\n  $ sealift status\n  $ sealift status --watch\n  $ sealift status --all --json',
    )
    .action(async (id: string | undefined, options: object) => {
      const { status } = await import('./commands/status.ts')
      await status(id, options, signal)
    })

  withOutputOptions(program.command('resume'))
    .description('Go on with what is missing of a transfer, whichever side of it this is.')
    .argument('[id]', 'the transfer; the first characters of its id are enough')
    .option('--transfer-id <id>', 'the same')
    .option(
      '--token <token>',
      'the new token, where the sender was started again on another machine (or SEALIFT_TOKEN)',
    )
    .option('--port <port>', 'where to listen or connect, instead of the port of before')
    .option('--pod', 'sender: listen on 127.0.0.1')
    .option('--lan', 'sender: listen on the address of the local network')
    .option('--listen <address>', 'sender: listen on this address')
    .option('--allow-user <login>', 'sender: let in only machines of this login', collect)
    .option('--allow-tag <tag>', 'sender: let in only machines with this tag', collect)
    .option('--wait <seconds>', 'sender: how long to wait for the receiver')
    .option('--bwlimit <rate>', 'bytes a second on the wire, at most')
    .option('-y, --yes', 'take the default of every question')
    .addHelpText('after', '\nExamples:\n  $ sealift resume 3f2a\n  $ sealift resume 3f2a --lan')
    .action(async (id: string | undefined, options: object) => {
      const { resume } = await import('./commands/resume.ts')
      await resume(id, options, signal)
    })

  withOutputOptions(program.command('doctor'))
    .description('Say what works on this machine and what is in the way of transfers. Changes nothing.')
    .option('-o, --output-dir <folder>', 'the folder whose disk is examined (default: the current folder)')
    .option('--port <port>', 'the port that a sender would listen on (default: 15820)')
    .addHelpText(
      'after',
      `
Examples:
  $ sealift doctor
  $ sealift doctor -o /mnt/backup     before a large transfer into it
  $ sealift doctor --json             for programs

Exit status: 0 no problem; else that of the transfers that would fail: 5 network, 7 disk, …`,
    )
    .action(async (options: object) => {
      const { doctor } = await import('./commands/doctor.ts')
      await doctor(options, signal)
    })

  withOutputOptions(program.command('keygen'))
    .description('Make the key pair by which servers know you, or by which a server is known.')
    .option('-o, --output <folder>', 'where to put both keys (default: ~/.config/sealift)')
    .option('--password [password]', 'seal the private key; without a value it is asked for (or SEALIFT_PASSWORD)')
    .option('--password-file <file>', 'the same with the first line of a file')
    .addHelpText(
      'after',
      `
Examples:
  $ sealift keygen --password
  $ sealift keygen --output ./keys --password-file secret.txt

Keys that are there are never replaced. Exit status: 0 done, 2 usage, 3 there is a key already, 7 disk, 130 stopped.`,
    )
    .action(async (options: object) => {
      const { keygen } = await import('./commands/keygen.ts')
      await keygen(options, signal)
    })
  return inheritSettings(program)
}

/** Errors of every command come as throws, and none prints the whole help. */
function inheritSettings(program: Command): Command {
  for (const command of program.commands) {
    command
      .exitOverride()
      .configureOutput({ writeErr: () => undefined })
      .showSuggestionAfterError(true)
      .allowExcessArguments(false)
    command.helpOption('-h, --help', 'show this help')
  }
  return program
}
