/**
 * Many files to one server, side by side: which transfers run, how many at once, and what became of each file. Each transfer
 * is one of `sendFiles`; a fault of one file costs the others nothing.
 */

import { findRoot } from '../files/source-roots.ts'
import { nodeFileSystem } from '../files/file-system.ts'
import { ERROR_TABLE, type ErrorCode, SealiftError, toSealiftError } from '../protocol/errors.ts'
import { escapeForDisplay } from '../protocol/names.ts'
import type { FileEvent, WarningEvent } from '../transfer/events.ts'
import { fileFailure, folderGiven } from './file-failures.ts'
import { groupFiles } from './file-groups.ts'
import type { SendOptions } from './options.ts'
import { type ParallelProgress, ProgressSum } from './progress-sum.ts'
import { SendCompany } from './send-company.ts'
import { runSend } from './send-files.ts'
import { startTransfer, stopWith, type Transfer } from './transfer.ts'

/** What became of a file. */
export type FileOutcome =
  | { readonly sent: FileEvent; readonly transferId: string; readonly error: null }
  | { readonly sent: null; readonly transferId: string | null; readonly error: SealiftError }

export interface ParallelSendOptions {
  /** Those of every transfer; goes `to` a server. */
  readonly send: SendOptions & { readonly to: string }
  /** Transfers at a time, at most. */
  readonly concurrency: number
  readonly onProgress?: ((progress: ParallelProgress) => void) | undefined
  readonly onWarning?: ((warning: WarningEvent) => void) | undefined
}

/** A file of the list, looked at. */
interface ListedFile {
  readonly given: string
  readonly name: string
  /** Absolute, with all links followed. */
  readonly path: string
  readonly sizeBytes: number
}

/** How the transfer of a group ended; `busy`: it has to come again, when fewer run beside it. */
type GroupEnd = 'done' | 'refused' | 'busy'

/**
 * @returns what became of each path, in their order
 * @throws SealiftError why nothing can go on: the server cannot be reached, does not let this side in, or was stopped; this
 *   side was stopped; the ledger failed
 */
export async function sendInParallel(paths: readonly string[], options: ParallelSendOptions): Promise<FileOutcome[]> {
  const outcomes = new Map<string, FileOutcome>()
  const files = new Map<string, ListedFile>()
  const places = paths.map((given) => {
    try {
      const file = listFile(given)
      // What is given twice is sent once.
      if (!files.has(file.path)) files.set(file.path, file)
      return file.path
    } catch (error) {
      return toSealiftError(error)
    }
  })
  if (files.size > 0) {
    const company = await SendCompany.open(options.send, options.concurrency)
    try {
      await new ParallelSend([...files.values()], company, outcomes, options).run()
    } finally {
      await company.close()
    }
  }
  return places.map((place) =>
    place instanceof SealiftError
      ? { sent: null, transferId: null, error: place }
      : (outcomes.get(place) ?? unsaid(place)),
  )
}

/** @throws SealiftError `path_missing`, `path_unreadable`, `usage` */
function listFile(given: string): ListedFile {
  const { name, path, stats } = findRoot(given, nodeFileSystem)
  if (stats.isDirectory()) throw folderGiven(given)
  return { given, name, path, sizeBytes: Number(stats.size) }
}

class ParallelSend {
  readonly #company: SendCompany
  readonly #outcomes: Map<string, FileOutcome>
  readonly #options: ParallelSendOptions
  readonly #waiting: ListedFile[][]
  readonly #progress: ProgressSum
  /** Fewer than were asked for, where the server takes no more. */
  #limit: number
  readonly #running = new Set<Transfer>()
  readonly #askSecret: SendOptions['askSecret']

  constructor(
    files: readonly ListedFile[],
    company: SendCompany,
    outcomes: Map<string, FileOutcome>,
    options: ParallelSendOptions,
  ) {
    this.#company = company
    this.#outcomes = outcomes
    this.#options = options
    this.#limit = options.concurrency
    this.#askSecret = askedOnce(options.send.askSecret)
    this.#waiting = groupFiles(files)
    const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    this.#progress = new ProgressSum({ files: files.length, bytes }, options.onProgress)
  }

  async run(): Promise<void> {
    const { stop, letGo } = stopWith(this.#options.send.signal)
    const sending = new Set<Promise<void>>()
    try {
      while (this.#waiting.length > 0 || sending.size > 0) {
        stop.signal.throwIfAborted()
        for (let group = this.#next(sending.size); group !== undefined; group = this.#next(sending.size)) {
          const one = this.#send(group, stop.signal)
            .catch((error: unknown) => stop.abort(error))
            .finally(() => sending.delete(one))
          sending.add(one)
        }
        await Promise.race(sending)
      }
      stop.signal.throwIfAborted()
    } finally {
      letGo()
      await Promise.all(sending)
    }
  }

  #next(running: number): ListedFile[] | undefined {
    return running < this.#limit ? this.#waiting.shift() : undefined
  }

  /** @throws SealiftError what ends the whole call; what the caller's own functions throw */
  async #send(group: ListedFile[], signal: AbortSignal): Promise<void> {
    const end = await this.#transfer(group, signal)
    if (end === 'busy') {
      this.#limit = Math.max(1, this.#running.size)
      this.#waiting.unshift(group)
    } else if (end === 'refused') {
      const half = group.length >> 1
      this.#waiting.unshift(group.slice(0, half), group.slice(half))
    }
  }

  async #transfer(group: readonly ListedFile[], signal: AbortSignal): Promise<GroupEnd> {
    const met = await this.#company.meet()
    try {
      signal.throwIfAborted()
      return await this.#follow(group, signal, met)
    } finally {
      met()
    }
  }

  async #follow(group: readonly ListedFile[], signal: AbortSignal, met: () => void): Promise<GroupEnd> {
    const failures = new Map<string, ErrorCode>()
    const sent = new Map<string, FileEvent>()
    let isAccepted = false as boolean
    let isBusy = false
    let isOver = false
    const run = runSend(
      group.map(({ given }) => given),
      {
        ...this.#options.send,
        signal,
        onFailed: (path, code) => failures.set(path, code ?? 'partial'),
        askSecret: this.#askSecret,
        probe: (stage) => {
          if (stage === 'accepted') {
            isAccepted = true
            met()
          }
          this.#options.send.probe?.(stage)
        },
      },
      this.#company,
    )
    const transfer = startTransfer(signal, run)
    this.#running.add(transfer)
    try {
      for await (const event of transfer) {
        if (event.event === 'file') sent.set(event.path, event)
        else if (event.event === 'progress') this.#progress.of(transfer, event)
        else if (event.event === 'warning') {
          // It would be asked again for a while; what runs beside it may take longer than that.
          isBusy ||= event.code === 'server_busy' && this.#running.size > 1
          if (isBusy) transfer.cancel()
          else if (failures.size === 0) this.#options.onWarning?.(event)
        }
      }
      const { transferId } = await transfer.done
      for (const file of group) this.#ended(file, transferId, sent.get(file.name) ?? null, null)
      isOver = true
      return 'done'
    } catch (thrown) {
      transfer.cancel(thrown)
      await transfer.done.catch(() => undefined)
      if (!(thrown instanceof SealiftError) || signal.aborted) throw thrown
      if (isBusy || (this.#running.size > 1 && isOfMoment(thrown))) return 'busy'
      if (isOfAll(thrown)) throw thrown
      if (group.length > 1 && !isAccepted && isOfOne(thrown)) return 'refused'
      for (const file of group) {
        const code = failures.get(file.name)
        const error = code === undefined ? thrown : fileFailure(file.given, code, thrown.transferId)
        const event = thrown.code === 'partial' && code === undefined ? (sent.get(file.name) ?? null) : null
        this.#ended(file, thrown.transferId ?? null, event, error)
      }
      isOver = true
      return 'done'
    } finally {
      this.#running.delete(transfer)
      this.#progress.over(transfer, isOver)
    }
  }

  #ended(file: ListedFile, transferId: string | null, sent: FileEvent | null, error: SealiftError | null): void {
    if (sent !== null && transferId !== null) this.#outcomes.set(file.path, { sent, transferId, error: null })
    else this.#outcomes.set(file.path, { sent: null, transferId, error: error ?? unsaid(file.given).error })
  }
}

/** Nobody is asked for each transfer what they have said for the first. */
function askedOnce(ask: SendOptions['askSecret']): SendOptions['askSecret'] {
  const answers = new Map<string, Promise<string>>()
  return (
    ask &&
    ((what, signal) => {
      const answer = answers.get(what) ?? ask(what, signal)
      answers.set(what, answer)
      return answer
    })
  )
}

function unsaid(path: string): FileOutcome & { readonly error: SealiftError } {
  const error = new SealiftError('internal', `nothing was said of ${escapeForDisplay(path)}`)
  return { sent: null, transferId: null, error }
}

/** Beside those whose exit status says it. */
const OF_ALL: ReadonlySet<ErrorCode> = new Set(['ledger_unavailable', 'ledger_corrupt', 'version_mismatch'])

/** Whether every other transfer would end like this too. */
function isOfAll({ code, exitCode }: SealiftError): boolean {
  if (isOfOnePath(code)) return false
  return exitCode <= 2 || exitCode === 4 || exitCode === 5 || exitCode >= 130 || OF_ALL.has(code)
}

/** Whether the path to the server is why, or the server, which serves others meanwhile: not for ever, then. */
function isOfMoment({ exitCode, retryable }: SealiftError): boolean {
  return exitCode === ERROR_TABLE.connection_lost.exit && retryable
}

/** What became of a path between the first look and the second. */
function isOfOnePath(code: ErrorCode): boolean {
  return code === 'path_missing' || code === 'path_unreadable' || code === 'path_repeated' || code === 'nothing_to_send'
}

/** Whether one file, or the size of all together, may be why the whole group was refused. */
function isOfOne({ code }: SealiftError): boolean {
  return isOfOnePath(code) || code === 'conflict' || code === 'limit_exceeded' || code === 'disk_full'
}
