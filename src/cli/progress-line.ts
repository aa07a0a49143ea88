/** The progress line on a terminal: bytes, files, speed, time left, and what it waits for. */

import cliProgress from 'cli-progress'
import { formatCount, formatFiles, formatSize } from '../config/sizes.ts'
import type { ProgressEvent } from '../transfer/events.ts'

const FORMAT = '{bar} {percent}  {bytes}  {files}  {speed}  {left}'

export class ProgressLine {
  readonly #bar = new cliProgress.SingleBar({
    format: FORMAT,
    stream: process.stderr,
    hideCursor: true,
    clearOnComplete: true,
    barsize: 24,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    fps: 10,
    linewrap: false,
    gracefulExit: false,
  })
  #started = false

  update(event: ProgressEvent): void {
    const { bytesDone, bytesTotal, filesDone, filesTotal, bytesPerSecond } = event
    const fields = {
      percent:
        bytesTotal === null
          ? ''
          : `${String(bytesTotal === 0 ? 100 : Math.floor((bytesDone / bytesTotal) * 100)).padStart(3)}%`,
      bytes: bytesTotal === null ? formatSize(bytesDone) : `${formatSize(bytesDone)} of ${formatSize(bytesTotal)}`,
      files: filesTotal === null ? '' : `${formatCount(filesDone)}/${formatFiles(filesTotal)}`,
      speed: `${formatSize(bytesPerSecond)}/s`,
      left: timeLeft(event),
    }
    if (!this.#started) {
      this.#started = true
      this.#bar.start(bytesTotal ?? 1, bytesDone, fields)
    } else this.#bar.update(bytesDone, fields)
  }

  /** Takes the line away, so that other lines can be written. */
  clear(): void {
    if (!this.#started) return
    this.#bar.stop()
    this.#started = false
  }
}

function timeLeft({ bytesDone, bytesTotal, bytesPerSecond }: ProgressEvent): string {
  if (bytesTotal === null) return ''
  if (bytesDone >= bytesTotal) return 'finishing'
  if (bytesPerSecond === 0) return 'waiting'
  return `${formatDuration((bytesTotal - bytesDone) / bytesPerSecond)} left`
}

/** `42 s`, `3 min 5 s`, `2 h 10 min`. */
function formatDuration(seconds: number): string {
  const whole = Math.max(1, Math.round(seconds))
  if (whole < 60) return `${String(whole)} s`
  if (whole < 3600) return `${String(Math.floor(whole / 60))} min ${String(whole % 60)} s`
  return `${String(Math.floor(whole / 3600))} h ${String(Math.floor((whole % 3600) / 60))} min`
}
