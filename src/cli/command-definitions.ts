/**
 * Each command as commander sees it: arguments, options in groups, help. Its work is loaded when it runs.
 *
 * The name in the angle brackets of an option, and of an argument, says what kind of value it takes: the shell's
 * completion (`completion.ts`) goes by it.
 */

import { Argument, type Command, Option } from 'commander'
import { SERVER_SETTINGS } from '../config/server-settings.ts'
import type { CertificateKind } from '../library/create-certificate.ts'
import { COMPRESS_SETTINGS, CONFLICT_POLICIES } from '../protocol/choices.ts'
import type { BanAction } from './commands/ban.ts'
import type { QuotaAction } from './commands/quota.ts'
import { COMPLETION_SHELLS, type CompletionShell } from './completion-scripts.ts'

const EXIT_STATUS = `
Exit status: 0 done, 2 usage, 3 refused, 4 authentication, 5 network,
  6 integrity, 7 disk, 8 in part, 130 stopped by Ctrl-C, 143 by a signal`

const OUTPUT = 'Output:'

/** Collects an option that may be given again and again. */
function collect(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value]
}

function addOutputOptions(command: Command): void {
  command
    .optionsGroup(OUTPUT)
    .option('-q, --quiet', 'say nothing but errors')
    .option('-v, --verbose', 'say more')
    .option('--json', 'one JSON object a line on stdout; asks nothing')
    .option('--no-progress', 'no progress line')
    .addHelpOption(new Option('-h, --help', 'show this help').helpGroup(OUTPUT))
}

/** @param signal aborted when the user wants the command to stop; so for all of these */
export function defineSend(program: Command, signal: AbortSignal): void {
  const command = program
    .command('send')
    .alias('tx')
    .summary('send files and folders to one receiver')
    .description(
      'Send files and folders to one receiver: listens, prints address and token, waits. With --to, send to a server.',
    )
    .argument('[paths...]', 'files and folders; - alone is standard input')
    .optionsGroup('To a receiving server (default: this side listens):')
    .option('--to <host>', 'send to this server, HOST[:PORT] (default: port 9000)')
    .option('--host <host>', 'the same, with its port in --port (default: 9000)')
    .option('--file <file>', 'a file to send, the same as an argument (default: the arguments)', collect)
    .option('--identity <file>', 'your private key, where the server knows you by it (default: your own)')
    .option('--server-key <fingerprint>', 'SHA256:… of the server (default: as it was at the first meeting)')
    .option('--password-file <file>', 'the password of the server is in this file (default: SEALIFT_PASSWORD)')
    .option('--tls', 'the server speaks TLS 1.3, and a CA vouches for it (default: its key does)')
    .option('--ca <file>', 'with --tls: certificates of the CAs that may vouch for it (default: those of Node)')
    .option('--server-name <name>', 'with --tls: what its certificate calls it (default: the host)')
    .option('--cert <file>', 'with --tls: the certificate by which the server knows you (default: none)')
    .option('--key <file>', 'with --tls: the private key of that certificate (default: none)')
    .optionsGroup('Where to listen (default: the Tailscale address of this machine):')
    .option('--pod', 'listen on 127.0.0.1, for this machine alone')
    .option('--lan', 'listen on the address of the local network')
    .option('--listen <address>', 'listen on this address')
    .option('--port <port>', 'listen on this port; 0 takes any free one (default: 15820)')
    .option('--wait <seconds>', 'how long to wait for the receiver (default: 300)')
    .optionsGroup('Who may receive, on the tailnet (default: whoever has the token):')
    .option('--allow-user <login>', 'let in only machines of this login; may be given again', collect)
    .option('--allow-tag <tag>', 'let in only machines with this tag; may be given again', collect)
    .optionsGroup('What to send:')
    .option('--name <name>', 'what standard input is saved as (default: stdin)')
    .option('--text <text>', 'send this text, to be shown and not saved; - reads it from standard input')
    .option('--exclude <pattern>', 'leave out what matches, in gitignore syntax; may be given again', collect)
    .option('--exclude-from <file>', 'leave out what the patterns in this file match; may be given again', collect)
    .option('--all', 'leave nothing out that is left out by default')
    .option('--no-links', 'leave out links')
    .option('--dry-run', 'say what would be sent, and send nothing')
    .optionsGroup('How to send:')
    .addOption(
      new Option(
        '--conflict <policy>',
        `what the receiver is asked to do with what is in the way; it decides: ${CONFLICT_POLICIES.join(', ')}`,
      ).choices(CONFLICT_POLICIES),
    )
    .addOption(
      new Option(
        '--compress <codec>',
        `compress what travels: ${COMPRESS_SETTINGS.join(', ')} (default: none)`,
      ).choices(COMPRESS_SETTINGS),
    )
    .option('--compression-level <level>', 'zstd and auto 1-22, gzip and blosc-lz4 1-9; alone it means zstd')
    .option('--priority <0..9>', 'priority of the transfer, 9 first (default: 5)')
    .option('--first <pattern>', 'send what matches in front, in gitignore syntax; may be given again', collect)
    .option('--bwlimit <rate>', 'bytes a second on the wire, at most: 10M is binary, 10MB decimal (default: none)')
    .option('--streams <1..16>', 'connections at once, where one alone is slow on a long path (default: 1)')
    .option('-y, --yes', 'take the default of every question')
    .addHelpText(
      'after',
      `
Examples:
  $ sealift send photos/ report.pdf --lan
  $ sealift send project/ --to server.example.com
  $ sealift send project/ --to server.example.com --tls --ca ca_cert.pem
  $ sealift send project/ --exclude '*.log' --compress zstd
  $ tar c photos | sealift send - --name photos.tar
  $ sealift send --text 'the door code is 1234'
  $ sealift send data/ --pod --port 0 --json      for programs
${EXIT_STATUS}`,
    )
    .action(async (paths: string[], options: object) => {
      const { send } = await import('./commands/send.ts')
      await send(paths, options, signal)
    })
  addOutputOptions(command)
}

export function defineReceive(program: Command, signal: AbortSignal): void {
  const command = program
    .command('receive')
    .aliases(['recv', 'rx'])
    .summary('fetch what another machine sends')
    .description('Fetch what another machine sends. sealift ADDRESS:TOKEN is short for it.')
    .argument('[address]', 'ADDRESS[:PORT][:TOKEN], as the sender prints it; what is absent is asked for')
    .optionsGroup('What becomes of it:')
    .option('-o, --output-dir <folder>', 'where to save; - is standard output (default: the current folder)')
    .option('-y, --yes', 'accept without asking')
    .addOption(
      new Option(
        '--conflict <policy>',
        `what to do with what is in the way: ${CONFLICT_POLICIES.join(', ')} (default: auto)`,
      ).choices(CONFLICT_POLICIES),
    )
    .option('--portable-names', 'refuse or rename what other systems cannot hold')
    .option('--bwlimit <rate>', 'bytes a second on the wire, at most: 10M is binary, 10MB decimal (default: none)')
    .option('--streams <1..16>', 'connections at once, where one alone is slow on a long path (default: 1)')
    .addHelpText(
      'after',
      `
Examples:
  $ sealift receive 192.168.1.20:coral-magnet
  $ sealift receive --host 0.0.0.0 --port 9000 --output-dir ./received
  $ sealift receive --tls --cert server_cert.pem --key server_key.pem
  $ sealift receive [fe80::1]:15820:coral-magnet -o ~/Downloads
  $ SEALIFT_TOKEN=coral-magnet sealift receive host --yes

After an interruption run the same line again: it goes on with what is missing.
${EXIT_STATUS}`,
    )
  addServerOptions(command)
  command.action(async (address: string | undefined, options: object) => {
    const { receive } = await import('./commands/receive.ts')
    await receive(address, options, signal)
  })
  addOutputOptions(command)
}

/** The settings of the server, from their table; each has a name in the environment too. */
function addServerOptions(command: Command): void {
  command.optionsGroup('Receiving server (with --host, --port or --tls, and no address):')
  for (const { env, option, meaning, byDefault } of Object.values(SERVER_SETTINGS)) {
    if (option === null || /^--(output-dir|bwlimit) /.test(option)) continue
    const isSwitch = !option.includes('<')
    command.option(
      option,
      `${meaning} (${isSwitch ? env : `${env}; default: ${byDefault === '' ? 'none' : byDefault}`})`,
    )
  }
  command
    .option('--password-file <file>', 'ask senders for the password in this file (or SEALIFT_PASSWORD; default: none)')
    .option('--config <file>', 'settings as lines of NAME=value, with the names in brackets (default: none)')
    .option('--print-config', 'show each setting and where it comes from, and start nothing')
}

export function defineStatus(program: Command, signal: AbortSignal): void {
  const command = program
    .command('status')
    .summary('show transfers, unfinished and finished')
    .description('Show the unfinished transfers of this machine and the last 10 finished.')
    .argument('[id]', 'one transfer; the first characters of its id are enough')
    .optionsGroup('Which:')
    .option('--transfer-id <id>', 'the same as the argument')
    .option('--all', 'all finished ones too')
    .option('--watch', 'go on showing until Ctrl-C')
    .addHelpText(
      'after',
      `
Examples:
  $ sealift status
  $ sealift status --watch
  $ sealift status --all --json

Exit status: 0, or 2 where there is no such transfer`,
    )
    .action(async (id: string | undefined, options: object) => {
      const { status } = await import('./commands/status.ts')
      await status(id, options, signal)
    })
  addOutputOptions(command)
}

export function defineResume(program: Command, signal: AbortSignal): void {
  const command = program
    .command('resume')
    .summary('go on with what is missing of a transfer')
    .description('Go on with what is missing of a transfer, whichever side of it this is.')
    .argument('[id]', 'the transfer; the first characters of its id are enough')
    .optionsGroup('Both sides:')
    .option('--transfer-id <id>', 'the same as the argument')
    .option('--port <port>', 'where to listen or connect (default: as before)')
    .option('--bwlimit <rate>', 'bytes a second on the wire, at most: 10M is binary, 10MB decimal (default: none)')
    .option('--streams <1..16>', 'connections at once, where one alone is slow on a long path (default: 1)')
    .option('-y, --yes', 'take the default of every question')
    .optionsGroup('Receiver:')
    .option(
      '--token <token>',
      'the new token, where the sender was started again on another machine (or SEALIFT_TOKEN)',
    )
    .optionsGroup('Sender (default: all as before):')
    .option('--to <host>', 'the server, HOST[:PORT], where it has moved (default: as before)')
    .option('--host <host>', 'the same, with its port in --port (default: as before)')
    .option('--file <file>', 'the same file, where it has moved (default: as before)', collect)
    .option('--first <pattern>', 'send what matches in front, in gitignore syntax; may be given again', collect)
    .option('--identity <file>', 'your private key, where the server knows you by it (default: your own)')
    .option('--server-key <fingerprint>', 'SHA256:… of the server (default: as it was at the first meeting)')
    .option('--password-file <file>', 'the password of the server is in this file (default: SEALIFT_PASSWORD)')
    .option('--tls', 'the server speaks TLS 1.3, and a CA vouches for it (default: its key does)')
    .option('--ca <file>', 'with --tls: certificates of the CAs that may vouch for it (default: those of Node)')
    .option('--server-name <name>', 'with --tls: what its certificate calls it (default: the host)')
    .option('--cert <file>', 'with --tls: the certificate by which the server knows you (default: none)')
    .option('--key <file>', 'with --tls: the private key of that certificate (default: none)')
    .option('--pod', 'listen on 127.0.0.1, for this machine alone')
    .option('--lan', 'listen on the address of the local network')
    .option('--listen <address>', 'listen on this address')
    .option('--allow-user <login>', 'let in only machines of this login; may be given again', collect)
    .option('--allow-tag <tag>', 'let in only machines with this tag; may be given again', collect)
    .option('--wait <seconds>', 'how long to wait for the receiver (default: 300)')
    .addHelpText(
      'after',
      `
Examples:
  $ sealift resume 3f2a
  $ sealift resume 3f2a --lan
  $ sealift resume 3f2a --host server --port 9000 --file ./myfile.zip
${EXIT_STATUS}`,
    )
    .action(async (id: string | undefined, options: object) => {
      const { resume } = await import('./commands/resume.ts')
      await resume(id, options, signal)
    })
  addOutputOptions(command)
}

export function defineDoctor(program: Command, signal: AbortSignal): void {
  const command = program
    .command('doctor')
    .summary('say what works here and what is in the way')
    .description('Say what works on this machine and what is in the way of transfers. Changes nothing.')
    .optionsGroup('What is examined:')
    .option('-o, --output-dir <folder>', 'the folder whose disk is examined (default: the current folder)')
    .option('--port <port>', 'the port that a sender would listen on (default: 15820)')
    .addHelpText(
      'after',
      `
Examples:
  $ sealift doctor
  $ sealift doctor -o /mnt/backup     before a large transfer into it
  $ sealift doctor --json             for programs

Exit status: 0 no problem; else that of the transfers that would fail:
  5 network, 7 disk, …`,
    )
    .action(async (options: object) => {
      const { doctor } = await import('./commands/doctor.ts')
      await doctor(options, signal)
    })
  addOutputOptions(command)
}

export function defineKeygen(program: Command, signal: AbortSignal): void {
  const command = program
    .command('keygen')
    .summary('make the key pair by which servers know you')
    .description('Make the key pair by which servers know you, or by which a server is known.')
    .optionsGroup('What to make:')
    .option('-o, --output <folder>', 'where to put both keys (default: ~/.config/sealift)')
    .option('--password [password]', 'seal the private key; alone it asks for the password (or SEALIFT_PASSWORD)')
    .option('--password-file <file>', 'seal it by the first line of this file (default: not sealed)')
    .addHelpText(
      'after',
      `
Examples:
  $ sealift keygen --password
  $ sealift keygen --output ./keys --password-file secret.txt

Keys that are there are never replaced.
Exit status: 0 done, 2 usage, 3 there is a key already, 7 disk,
  130 stopped by Ctrl-C`,
    )
    .action(async (options: object) => {
      const { keygen } = await import('./commands/keygen.ts')
      await keygen(options, signal)
    })
  addOutputOptions(command)
}

export function defineCert(program: Command): void {
  const command = program
    .command('cert')
    .summary('make certificates for TLS')
    .description('Make a CA of your own, and certificates that it vouches for: for servers and clients with TLS.')
    .addArgument(new Argument('<kind>', 'ca, server or client').choices(['ca', 'server', 'client']))
    .optionsGroup('What to make:')
    .option('-o, --output <folder>', 'where to put both files, and where the CA is (default: the current folder)')
    .option(
      '--host <name>',
      'a name or address of the server; may be given again (default: those of this machine)',
      collect,
    )
    .option('--name <name>', 'what a CA or client is called, for people (default: as this machine is)')
    .addHelpText(
      'after',
      `
Examples:
  $ sealift cert ca
  $ sealift cert server --host files.example.com --host 192.0.2.7
  $ sealift cert client --name ana

Files that are there are never replaced. A CA is valid for 10 years, what it
vouches for for one year.
Exit status: 0 done, 2 usage or no CA, 3 there is one already, 7 disk`,
    )
    .action(async (kind: CertificateKind, options: object) => {
      const { cert } = await import('./commands/cert.ts')
      await cert(kind, options)
    })
  addOutputOptions(command)
}

export function defineAudit(program: Command): void {
  const command = program
    .command('audit')
    .summary('show what a receiving server wrote down')
    .description('Show what the receiving server of this ledger wrote down, or whether that is whole.')
    .optionsGroup('Which lines:')
    .option('--since <time>', 'from this day or moment on (default: from the beginning)')
    .option('--peer <address>', 'of this address or owner (default: of all)')
    .optionsGroup('Instead:')
    .option('--verify', 'say whether a line was changed, removed or cut off')
    .addHelpText(
      'after',
      `
Examples:
  $ sealift audit --since 2026-11-25
  $ sealift audit --peer 192.0.2.7 --json
  $ sealift audit --verify

Exit status: 0, 2 usage, 6 the log is not whole, 7 the ledger`,
    )
    .action(async (options: object) => {
      const { audit } = await import('./commands/audit.ts')
      await audit(options)
    })
  addOutputOptions(command)
}

export function defineBan(program: Command): void {
  const command = program
    .command('ban')
    .summary('show or lift the bans of a receiving server')
    .description('Show the addresses that the receiving server of this ledger turns away, or lift a ban.')
    .addArgument(new Argument('[action]', 'list or remove').choices(['list', 'remove']).default('list'))
    .argument('[address]', 'whose ban is lifted')
    .addHelpText(
      'after',
      `
Examples:
  $ sealift ban list
  $ sealift ban remove 192.0.2.7        a server that runs sees it at once

Exit status: 0, 2 usage or no such ban, 7 the ledger`,
    )
    .action(async (action: BanAction, address: string | undefined, options: object) => {
      const { ban } = await import('./commands/ban.ts')
      await ban(action, address, options)
    })
  addOutputOptions(command)
}

export function defineQuota(program: Command): void {
  const command = program
    .command('quota')
    .summary('show or set what senders may send to a server')
    .description('Show what each sender has sent to the receiving server of this ledger, or set its quota.')
    .addArgument(new Argument('[action]', 'list, set or remove').choices(['list', 'set', 'remove']).default('list'))
    .argument('[owner]', 'whose quota, as list shows it')
    .argument('[size]', 'bytes in all: 50GB is decimal, 50G binary')
    .addHelpText(
      'after',
      `
Examples:
  $ sealift quota
  $ sealift quota set SHA256:2Rz… 50GB
  $ sealift quota remove SHA256:2Rz…

Exit status: 0, 2 usage, 7 the ledger`,
    )
    .action(async (action: QuotaAction, owner: string | undefined, size: string | undefined, options: object) => {
      const { quota } = await import('./commands/quota.ts')
      await quota(action, owner, size, options)
    })
  addOutputOptions(command)
}

export function defineCompletion(program: Command): void {
  program
    .command('completion')
    .summary('print completions for bash, zsh or fish')
    .description('Print what makes a shell complete commands, options, files and transfer ids.')
    .addArgument(new Argument('<shell>', COMPLETION_SHELLS.join(', ')).choices(COMPLETION_SHELLS))
    .addHelpText(
      'after',
      `
Examples:
  bash, for all shells to come:
    $ echo 'eval "$(sealift completion bash)"' >> ~/.bashrc
  zsh, into a folder of its fpath:
    $ sealift completion zsh > "\${fpath[1]}/_sealift"
  or, behind compinit:
    $ echo 'eval "$(sealift completion zsh)"' >> ~/.zshrc
  fish:
    $ sealift completion fish > ~/.config/fish/completions/sealift.fish`,
    )
    .action(async (shell: CompletionShell) => {
      const { printCompletionScript } = await import('./commands/completion.ts')
      printCompletionScript(shell)
    })
  program
    .command('complete', { hidden: true })
    .addArgument(new Argument('<shell>').choices(COMPLETION_SHELLS))
    .argument('[words...]')
    .action(async (shell: CompletionShell, words: string[]) => {
      const { printCompletions } = await import('./commands/completion.ts')
      await printCompletions(program, shell, words)
    })
}
