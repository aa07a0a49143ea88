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
import { judgeAddresses, readAddresses } from './address-check.ts'
import { judgeClock, readClock } from './clock-check.ts'
import { checkDisk } from './disk-check.ts'
import { type CheckName, type Finding, problem } from './finding.ts'
import { judgeLedger, type LedgerFacts } from './ledger-check.ts'
import { outputDisk } from './output-disk.ts'
import { judgePort, tryPort } from './port-check.ts'
import { judgeProcessor, measureProcessor } from './processor-check.ts'
import { judgeRuntime, readRuntime } from './runtime-check.ts'
import { judgeTailnet } from './tailscale-check.ts'
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

export interface Check {
  readonly name: CheckName
  /** @param signal aborted when nobody waits for it any more */
  run(examination: Examination, signal: AbortSignal): AsyncIterable<Finding>
}

export const CHECKS: readonly Check[] = [
  {
    name: 'runtime',
    async *run() {
      yield* judgeRuntime(readRuntime())
    },
  },
  {
    name: 'processor',
    async *run(_examination, signal) {
      yield* judgeProcessor(await measureProcessor(signal))
    },
  },
  {
    name: 'tailscale',
    async *run(examination) {
      yield* judgeTailnet(await examination.tailnet())
    },
  },
  {
    name: 'address',
    async *run() {
      yield* judgeAddresses(readAddresses())
    },
  },
  {
    name: 'port',
    async *run(examination, signal) {
      const [tailnet, ledger] = await Promise.all([examination.tailnet(), examination.ledger()])
      const addresses = new Set([...tailnet.addresses, readAddresses().lan?.address ?? LOOPBACK, LOOPBACK])
      const running = ledger.found instanceof SealiftError ? [] : ledger.found.running
      const senders = running.filter(({ role }) => role === 'sender').map(({ pid }) => pid)
      yield* judgePort(await tryPort(examination.port, [...addresses], senders, signal))
    },
  },
  {
    name: 'ledger',
    async *run(examination) {
      yield* judgeLedger(await examination.ledger())
    },
  },
  {
    name: 'disk',
    async *run(examination, signal) {
      const { outputDir } = examination
      if (!(await diskAnswers(outputDir, ANSWER_TIMEOUT_MS, signal))) {
        yield problem(
          'disk',
          'disk_fault',
          `the disk of ${outputDir} does not answer`,
          'Whoever touches it waits, and so would a transfer into it.',
          { advice: 'a network disk: is its server there? Another folder is named with -o', details: { outputDir } },
        )
        return
      }
      const { found } = await examination.ledger()
      const unfinished = found instanceof SealiftError ? null : found.unfinished
      yield* checkDisk(outputDisk(outputDir, signal), { nowMs: Date.now(), unfinished })
    },
  },
  {
    name: 'clock',
    async *run(_examination, signal) {
      yield* judgeClock(await readClock(signal))
    },
  },
  {
    name: 'terminal',
    async *run(examination) {
      yield* judgeTerminal(readTerminal(examination.env))
    },
  },
]
