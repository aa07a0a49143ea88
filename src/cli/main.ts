/**
 * The `sealift` command. Reads the arguments, runs one command, and turns whatever goes wrong into one line, hints and
 * an exit status.
 */

import { type Command, CommanderError } from 'commander'
import { SealiftError, toSealiftError } from '../protocol/errors.ts'
import { findCommand } from './command-names.ts'
import { buildProgram, runLine } from './program.ts'
import { flushEvents, Output } from './output.ts'
import { stopOnSignals } from './signals.ts'

async function main(args: readonly string[]): Promise<number> {
  // A reader that went away (`| head`) is no reason to die with a stack trace.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)
  const json = args.includes('--json')
  const signals = stopOnSignals()
  const program = buildProgram(signals.signal)
  try {
    await runLine(program, args)
    return 0
  } catch (thrown) {
    // Help and version end the parsing by a throw; they are no faults.
    if (thrown instanceof CommanderError && thrown.exitCode === 0) return 0
    const error = thrown instanceof CommanderError ? usageError(thrown, program) : toSealiftError(signals.cause(thrown))
    new Output({ json }).error(error)
    if (error.code === 'internal' && process.env['SEALIFT_DEBUG'] !== undefined) console.error(error.cause ?? error)
    return error.exitCode
  } finally {
    signals.release()
  }
}

function usageError(thrown: CommanderError, program: Command): SealiftError {
  // Commander puts its suggestion on a second line, and "error: " in front.
  const [line = '', suggestion] = thrown.message.replace(/^error: /, '').split('\n')
  // What was typed may hold a token: the values are left out.
  const first = line.replace(/( but got \d+): .*$/, '$1').replace(/^(unknown option '[^'=]*)=.*'/, "$1'")
  const command = findCommand(program, program.args[0])
  const hint = /^too many arguments for 'receive'/.test(first)
    ? 'a token with spaces goes in quotes, with its address; a folder goes behind -o'
    : (suggestion?.replace(/^\(|\)$/g, '') ??
      (command === undefined
        ? 'sealift --help lists the commands'
        : `sealift ${command.name()} --help says what it takes`))
  const file = /^unknown option '(-[^']*)'/.exec(first)?.[1]
  return new SealiftError('usage', first, {
    hint: file === undefined ? hint : `${hint}\na file of that name is given as ./${file}`,
  })
}

/** A farewell or a socket that lingers may take so long, and then it must not hold the terminal any more. */
const LINGER_MS = 200

process.exitCode = await main(process.argv.slice(2))
await flushEvents()
await new Promise((resolve) => process.stderr.write('', resolve))
// The process ends by itself. `process.exit()` at once would wait for compiler threads that may be waiting for this one
// to collect garbage, for ever (nodejs/node#54918; seen in one of ten large transfers).
setTimeout(() => process.exit(), LINGER_MS).unref()
