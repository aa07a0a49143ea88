/** `sealift doctor`: what works on this machine and what is in the way. */

import { diagnose, type CheckName, type Finding, type FindingStatus } from '../../library/diagnose.ts'
import { SealiftError } from '../../protocol/errors.ts'
import { columnsOf } from '../columns.ts'
import { findingLines } from '../finding-text.ts'
import { Output, type OutputOptions } from '../output.ts'
import { readPort } from '../settings.ts'

export interface DoctorOptions extends OutputOptions {
  readonly outputDir?: string
  readonly port?: string
}

const TITLES: Readonly<Record<CheckName, string>> = {
  runtime: 'Runtime',
  processor: 'Processor',
  tailscale: 'Tailscale',
  address: 'Addresses',
  port: 'Port',
  ledger: 'Ledger',
  disk: 'Disk of the output folder',
  clock: 'Clock',
  terminal: 'Terminal',
}

/** @throws SealiftError with the code of the first problem, where there is one */
export async function doctor(given: DoctorOptions, signal: AbortSignal): Promise<void> {
  const output = new Output(given)
  const counts: Record<FindingStatus, number> = { ok: 0, note: 0, warning: 0, problem: 0 }
  let firstProblem: Finding | null = null
  let title = ''
  for await (const finding of examine(given, signal)) {
    counts[finding.status]++
    if (finding.status === 'problem') firstProblem ??= finding
    output.event(checkEvent(finding))
    if (title !== TITLES[finding.check]) {
      title = TITLES[finding.check]
      output.say(output.strong(title))
    }
    for (const line of findingLines(finding, columnsOf(process.stderr), (text) => output.strong(text))) output.say(line)
  }
  output.say()
  if (firstProblem !== null) throw problemError(firstProblem, counts.problem)
  output.say(summary(counts))
}

/** @throws SealiftError where it is stopped: nothing of a transfer is kept or lost by that */
async function* examine({ outputDir, port }: DoctorOptions, signal: AbortSignal): AsyncGenerator<Finding> {
  const options = { outputDir, port: readPort(port), signal }
  try {
    yield* diagnose(options)
  } catch (error) {
    if (!(error instanceof SealiftError) || !signal.aborted) throw error
    throw new SealiftError(error.code, error.message, {
      cause: error,
      hint: 'nothing was changed, nothing is left behind',
    })
  }
}

function checkEvent({ check, status, what, meaning, advice, code, details }: Finding): object {
  return {
    event: 'check',
    check,
    status,
    message: what,
    meaning,
    advice,
    code,
    details,
  }
}

function summary({ warning, note }: Readonly<Record<FindingStatus, number>>): string {
  const parts = [
    ...(warning === 0 ? [] : [counted(warning, 'warning')]),
    ...(note === 0 ? [] : [counted(note, 'note')]),
  ]
  return parts.length === 0 ? 'Nothing is in the way.' : `Nothing is in the way; ${parts.join(', ')}.`
}

function counted(count: number, word: string): string {
  return `${String(count)} ${word}${count === 1 ? '' : 's'}`
}

/** A problem is no fault of the doctor: the status is that of the transfers that would fail by it. */
function problemError({ what, advice, code }: Finding, problems: number): SealiftError {
  const others = problems === 1 ? '' : ` (and ${counted(problems - 1, 'more problem')})`
  const hint = (advice ?? '').replace(/\n {2,}/g, '\n')
  return new SealiftError(code ?? 'internal', `${what}${others}`, hint === '' ? {} : { hint })
}
