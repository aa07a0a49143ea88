/** Shows a running transfer: as lines and a progress line for people, as events for programs. */

import { formatAddress } from '../config/address.ts'
import { formatCount, formatFiles, formatSize } from '../config/sizes.ts'
import type { Transfer, TransferResult } from '../library/transfer.ts'
import type { ExcludedEvent, ListeningEvent, TransferEvent, WarningEvent } from '../transfer/events.ts'
import { type Output, shown } from './output.ts'
import { formatPlace } from './progress-layout.ts'
import type { ProgressLine, ProgressLineOptions } from './progress-line.ts'
import { nameLeftOut } from './send-questions.ts'

/** Names of failed files that are shown one by one. */
const MAX_WARNINGS_SHOWN = 20

export class TransferView {
  readonly #output: Output
  readonly #limit: number | undefined
  readonly #sends: string | null
  #line: ProgressLine | null = null
  /** What is left out, until all of it is known. */
  #leftOut: ExcludedEvent[] = []
  /** Paths that a person has agreed to leave out. */
  readonly #agreed = new Set<string>()
  #warnings = 0
  #wasQueued = false
  #lastWarning = ''

  /**
   * @param limit bytes a second that `--bwlimit` allows
   * @param sends what is sent, where it is no files
   */
  constructor(output: Output, limit?: number, sends: string | null = null) {
    this.#output = output
    this.#limit = limit
    this.#sends = sends
  }

  /** Shows all events and waits for the end. @throws SealiftError of the transfer */
  async follow(transfer: Transfer): Promise<TransferResult> {
    if (this.#output.showsProgress) {
      const { ProgressLine } = await import('./progress-line.ts')
      this.#line = new ProgressLine({
        stream: process.stderr,
        waiting: () => transfer.waiting,
        isStopping: () => transfer.signal.aborted,
        limit: () => this.#limitOf(transfer),
      })
    }
    try {
      for await (const event of transfer) {
        this.#show(event)
        this.#line?.draw()
      }
      return await transfer.done
    } finally {
      this.#line?.close()
      this.#sayLeftOut()
      if (this.#warnings > MAX_WARNINGS_SHOWN)
        this.#output.warn(`and ${formatCount(this.#warnings - MAX_WARNINGS_SHOWN)} more`)
    }
  }

  /** The lower of the two limits that there may be. */
  #limitOf({ receiverLimit }: Transfer): ReturnType<ProgressLineOptions['limit']> {
    const own = this.#limit ?? 0
    if (receiverLimit !== null && (own === 0 || receiverLimit < own))
      return { bytesPerSecond: receiverLimit, by: 'the receiver' }
    return own === 0 ? null : { bytesPerSecond: own, by: '--bwlimit' }
  }

  /** What is said no more, as a question has named it. */
  expect(leftOut: readonly { readonly path: string }[]): void {
    for (const { path } of leftOut) this.#agreed.add(path)
  }

  /** Takes the progress line away before something else is written. */
  clear(): void {
    this.#line?.clear()
  }

  #show(event: TransferEvent): void {
    const output = this.#output
    // `done` is known to be whole only with the end of the transfer, but it is the transfer that says it.
    output.event(event)
    if (event.event === 'progress') {
      this.#line?.update(event)
      return
    }
    if (event.event === 'file') return
    if (event.event === 'excluded') {
      if (!this.#agreed.has(event.path)) this.#leftOut.push(event)
      return
    }
    this.clear()
    this.#sayLeftOut()
    switch (event.event) {
      case 'queued':
        // The line that shows it keeps itself up to date.
        if (this.#line === null && !this.#wasQueued)
          output.say(`${formatPlace(event.place)} in line at the receiver: others go first.`)
        this.#wasQueued = true
        break
      case 'listening':
        this.#listening(event)
        break
      case 'connected':
        output.say(
          `Connected to ${event.identity === null ? '' : `${shown(event.identity)} at `}${shown(event.peer)} (${event.suite}, ${event.cipher}).`,
        )
        break
      case 'refused':
        output.detail(`Refused ${shown(event.peer)}: ${event.code}`)
        break
      case 'warning':
        this.#warn(event)
        break
      case 'text':
        // It goes to the other stream, and perhaps through a pipe: nothing may be drawn where it will stand.
        this.#line?.close()
        this.#line = null
        output.text(event.text)
        break
      case 'done':
        break
    }
  }

  #warn({ code, message }: WarningEvent): void {
    const isAtDoor = ['auth_failed', 'peer_refused'].includes(code)
    // The line says that it connects once more, again and again; who comes to the door is said each time.
    if (message === this.#lastWarning && this.#line !== null && !isAtDoor) return
    this.#lastWarning = message
    this.#warnings++
    if (this.#warnings <= MAX_WARNINGS_SHOWN || isAtDoor) this.#output.warn(message)
  }

  /** A line for each rule that left something out; with `-v` one for each path. */
  #sayLeftOut(): void {
    const output = this.#output
    const leftOut = this.#leftOut
    this.#leftOut = []
    if (output.quiet) return
    const groups = Map.groupBy(leftOut, ({ reason }) => (reason === 'venv' || reason === 'cache' ? '' : reason))
    for (const [reason, found] of groups) {
      const why = reason === '' ? '. --all sends ' + (found.length === 1 ? 'it.' : 'them.') : `: ${shown(reason)}.`
      output.say(nameLeftOut(found, false, output.columns, (names) => `Left out ${names}${why}`))
      if (found.length > 1)
        for (const { path, files, bytes } of found)
          output.detail(`  ${shown(path)} (${formatFiles(files)}, ${formatSize(bytes)})`)
    }
  }

  #listening(event: ListeningEvent): void {
    if (this.#line !== null) this.#line.role = 'sender'
    const { address, port, token, tailnet, files, bytes } = event
    const output = this.#output
    if (output.quiet) return
    const amount = this.#sends ?? `${formatFiles(files)}, ${formatSize(bytes ?? 0)}`
    output.say(`Sending ${amount}.  On the other machine run:`)
    output.say(output.strong(`    sealift receive ${formatAddress(address, port, true)}:${token ?? ''}`))
    if (tailnet !== null) output.say(`Tailscale checks who connects (${shown(tailnet)}), and the token is needed too.`)
    else if (address !== '127.0.0.1') output.say('Only the token guards this address: pass it on by a way you trust.')
  }
}

/** `in 4.1 s (774.2 MiB/s)`. */
export function formatPace({ seconds, bytesPerSecond }: TransferResult): string {
  return `in ${seconds < 10 ? seconds.toFixed(1) : String(Math.round(seconds))} s (${formatSize(bytesPerSecond)}/s)`
}
