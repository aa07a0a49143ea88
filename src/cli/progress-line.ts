/**
 * The progress line on a terminal: what it says is the business of `progress-layout.ts`, when to say anything that of
 * this file. Between two drawings the cursor stands at the line's first column (`held-terminal.ts`).
 */

import cliProgress from 'cli-progress'
import type { ProgressEvent } from '../transfer/events.ts'
import type { Waiting } from '../transfer/waiting.ts'
import { columnsOf } from './columns.ts'
import { cutAtEdge, holdTerminal } from './held-terminal.ts'
import { layoutLine, type LimitSource, type LineState } from './progress-layout.ts'

/** How much of the newest rate counts, a second. */
const SMOOTHING_SECONDS = 4
/** Before that, a rate says little about how long it will take. */
const LEAST_SECONDS = 1
const LONGEST_SECONDS = 1000 * 24 * 3600
/** A rate of so much of the limit is the limit's doing; the rest is what seals and frames cost. */
const LIMITED_SHARE = 0.85
/** How often it is looked whether there is something to say now. */
const LOOK_INTERVAL_MS = 200

/** What the bar of cli-progress draws on, which it takes as an option but does not declare. */
interface LineTerminal {
  isTTY(): boolean
  getWidth(): number
  cursorSave(): void
  cursorRestore(): void
  cursorTo(): void
  lineWrapping(): void
  write(text: string): void
  clearRight(): void
  clearLine(): void
}

export interface ProgressLineOptions {
  readonly stream: NodeJS.WriteStream
  readonly waiting: () => Waiting | null
  readonly isStopping: () => boolean
  /** What holds the transfer to a rate, where something does. */
  readonly limit: () => { readonly bytesPerSecond: number; readonly by: LimitSource } | null
}

export class ProgressLine {
  readonly #options: ProgressLineOptions
  readonly #bar: cliProgress.SingleBar
  readonly #timer: NodeJS.Timeout
  role: LineState['role'] = 'receiver'
  #progress: ProgressEvent | null = null
  #startedMs = 0
  #smoothed: { rate: number; atMs: number } | null = null
  #release: () => void = () => undefined

  constructor(options: ProgressLineOptions) {
    this.#options = options
    const settings: cliProgress.Options & { readonly terminal: LineTerminal } = {
      terminal: lineTerminal(options.stream),
      format: (_, { maxWidth }) => this.#text(maxWidth),
      clearOnComplete: true,
      gracefulExit: false,
      fps: 10,
    }
    this.#bar = new cliProgress.SingleBar(settings)
    this.#timer = setInterval(() => this.draw(), LOOK_INTERVAL_MS)
  }

  update(event: ProgressEvent): void {
    const nowMs = performance.now()
    if (this.#progress === null) this.#startedMs = nowMs
    this.#progress = event
    this.#smooth(event.bytesPerSecond, nowMs)
    this.draw()
  }

  /** Draws it where there is something to say, and takes it away where there is not. From then on it keeps itself up to date. */
  draw(): void {
    const { stream } = this.#options
    if (this.#text(columnsOf(stream)) === '') this.clear()
    else if (!this.#bar.isActive) this.#start(stream)
  }

  #start(stream: NodeJS.WriteStream): void {
    this.#release = holdTerminal({
      stream,
      redraw: () => {
        this.clear()
        this.draw()
      },
      leave: () => this.#bar.stop(),
    })
    this.#bar.start(1, 0)
  }

  /** Takes it away for good. */
  close(): void {
    clearInterval(this.#timer)
    this.clear()
  }

  /** Takes the line away, so that other lines can be written. It comes back where there is something to say. */
  clear(): void {
    if (!this.#bar.isActive) return
    this.#bar.stop()
    this.#release()
  }

  #smooth(rate: number, nowMs: number): void {
    if (nowMs - this.#startedMs < LEAST_SECONDS * 1000) return
    const before = this.#smoothed
    const weight = before === null ? 1 : 1 - Math.exp((before.atMs - nowMs) / 1000 / SMOOTHING_SECONDS)
    this.#smoothed = { rate: before === null ? rate : before.rate + (rate - before.rate) * weight, atMs: nowMs }
  }

  #text(columns: number): string {
    const progress = this.#progress
    const { waiting, isStopping } = this.#options
    const limit = this.#options.limit()
    const isLimited = limit !== null && (progress?.bytesPerSecond ?? 0) >= limit.bytesPerSecond * LIMITED_SHARE
    const elapsedSeconds = progress === null ? 0 : (performance.now() - this.#startedMs) / 1000
    return layoutLine(
      {
        role: this.role,
        progress,
        waiting: waiting(),
        isStopping: isStopping(),
        secondsLeft: progress === null ? null : this.#secondsLeft(progress),
        elapsedSeconds,
        limitedBy: isLimited ? limit.by : null,
      },
      columns,
    )
  }

  #secondsLeft({ bytesDone, bytesTotal }: ProgressEvent): number | null {
    const rate = this.#smoothed?.rate ?? 0
    if (bytesTotal === null || rate <= 0) return null
    const seconds = (bytesTotal - bytesDone) / rate
    return seconds > LONGEST_SECONDS ? null : seconds
  }
}

function lineTerminal(stream: NodeJS.WriteStream): LineTerminal {
  const nothing = (): void => undefined
  return {
    isTTY: () => true,
    getWidth: () => columnsOf(stream),
    // A place that was saved is another one once the screen has scrolled or was made narrower.
    cursorSave: nothing,
    cursorRestore: nothing,
    cursorTo: nothing,
    clearRight: nothing,
    lineWrapping: nothing,
    write: (text) => stream.write(cutAtEdge(`\r${text}\u001b[J\r`)),
    clearLine: () => stream.write('\r\u001b[J'),
  }
}
