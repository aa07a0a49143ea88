/**
 * All checks of the doctor in their order, each with where its facts come from. What the facts mean stands in the file
 * of each check.
 *
 * A check may take what it likes and throw what it likes: whoever runs it bounds both.
 */

import { dirname } from 'node:path'
import { diskAnswers } from '../../files/disk-answer.ts'
import { nodeFileSystem } from '../../files/file-system.ts'
import { nearestFolder } from '../../files/free-space.ts'
import { findMount } from '../../files/mounts.ts'
import { readTailnet, type TailnetState } from '../../guard/tailscale.ts'
import { inspectLedger } from '../../ledger/inspection.ts'
import { ledgerPath } from '../../ledger/location.ts'
import { SealiftError, toSealiftError } from '../../protocol/errors.ts'
import { boundHost } from '../listen-address.ts'
import { judgeAddresses, readAddresses } from './address-check.ts'
import { judgeClock, readClock } from './clock-check.ts'
import { checkDisk } from './disk-check.ts'
import { type CheckName, type Finding, problem } from './finding.ts'
import { judgeLedger, type LedgerFacts } from './ledger-check.ts'
import { outputDisk } from './output-disk.ts'
import { judgePort, tryPort } from './port-check.ts'
import { judgeProcessor, measureProcessor } from './processor-check.ts'
import { judgeRuntime, readRuntime } from './runtime-check.ts'
import { judgeTailnet, tailnetFacts } from './tailscale-check.ts'
import { judgeTerminal, readTerminal } from './terminal-check.ts'

/** How long a disk or Tailscale may take to answer. */
const ANSWER_TIMEOUT_MS = 1500
const LOOPBACK = '127.0.0.1'

/** What is examined, and what several checks want to know. */
export class Examination {
  /** Absolute. */
  readonly outputDir: string
  readonly port: number
  readonly env: Readonly<Record<string, string | undefined>>
  readonly #signal: AbortSignal
  #tailnet: Promise<TailnetState> | undefined
  #ledger: Promise<LedgerFacts> | undefined

  constructor(
    given: Pick<Examination, 'outputDir' | 'port' | 'env'>,
    /** Calls off what several checks wait for. */
    signal: AbortSignal,
  ) {
    this.outputDir = given.outputDir
    this.port = given.port
    this.env = given.env
    this.#signal = signal
  }

  tailnet(): Promise<TailnetState> {
    return (this.#tailnet ??= readTailnet({ timeoutMs: ANSWER_TIMEOUT_MS, signal: this.#signal }))
  }

  ledger(): Promise<LedgerFacts> {
    return (this.#ledger ??= this.#readLedger())
  }

  async #readLedger(): Promise<LedgerFacts> {
    let path = this.env['DB_PATH'] ?? ''
    try {
      path = ledgerPath(this.env)
      if (!(await diskAnswers(path, ANSWER_TIMEOUT_MS, this.#signal))) {
        throw new SealiftError('ledger_unavailable', `the disk of the ledger does not answer: ${path}`, {
          hint: 'Let DB_PATH name a file on a disk of this machine.',
        })
      }
      const mount = findMount(nodeFileSystem.realpathSync(nearestFolder(dirname(path))))
      return { path, mount, found: inspectLedger(path) }
    } catch (error) {
      return { path, mount: null, found: toSealiftError(error) }
    }
  }
}

type Findings = AsyncGenerator<Finding, void>

export interface Check {
  readonly name: CheckName
  /** @param signal aborted when nobody waits for it any more */
  run(examination: Examination, signal: AbortSignal): Findings
}

export const CHECKS: readonly Check[] = [
  { name: 'runtime', run: runtime },
  { name: 'processor', run: processor },
  { name: 'tailscale', run: tailscale },
  { name: 'address', run: address },
  { name: 'port', run: port },
  { name: 'ledger', run: ledger },
  { name: 'disk', run: disk },
  { name: 'clock', run: clock },
  { name: 'terminal', run: terminal },
]

async function* runtime(): Findings {
  yield* judgeRuntime(readRuntime())
}

async function* processor(_examination: Examination, signal: AbortSignal): Findings {
  yield* judgeProcessor(await measureProcessor(signal))
}

async function* tailscale(examination: Examination): Findings {
  yield* judgeTailnet(tailnetFacts(await examination.tailnet()))
}

async function* address(): Findings {
  yield* judgeAddresses(readAddresses())
}

async function* port(examination: Examination, signal: AbortSignal): Findings {
  const [tailnet, { found }] = await Promise.all([examination.tailnet(), examination.ledger()])
  const { address: own } = tailnetFacts(tailnet)
  const places = [own === null ? LOOPBACK : boundHost(own, tailnet), readAddresses().lan?.address ?? LOOPBACK, LOOPBACK]
  const running = found instanceof SealiftError ? [] : found.running
  const senders = running.filter(({ role }) => role === 'sender').map(({ pid }) => pid)
  yield* judgePort(await tryPort(examination.port, [...new Set(places)], senders, signal))
}

async function* ledger(examination: Examination): Findings {
  yield* judgeLedger(await examination.ledger())
}

async function* disk(examination: Examination, signal: AbortSignal): Findings {
  const { outputDir } = examination
  if (!(await diskAnswers(outputDir, ANSWER_TIMEOUT_MS, signal))) {
    yield problem(
      'disk',
      'disk_fault',
      `the disk of ${outputDir} does not answer`,
      'Whoever touches it waits, and so would a transfer into it.',
      { advice: 'if it is a network disk: is its server there?\nname another folder with -o', details: { outputDir } },
    )
    return
  }
  const { found } = await examination.ledger()
  const unfinished = found instanceof SealiftError ? null : found.unfinished
  yield* checkDisk(outputDisk(outputDir, signal), { nowMs: Date.now(), unfinished })
}

async function* clock(_examination: Examination, signal: AbortSignal): Findings {
  yield* judgeClock(await readClock(signal))
}

async function* terminal(examination: Examination): Findings {
  yield* judgeTerminal(readTerminal(examination.env))
}
