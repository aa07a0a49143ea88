/**
 * Lines that are shown until they change: what is no longer true does not stay. They have a screen of their own, as in
 * `top`, which no resizing tears, and which gives back what was there before.
 */

import { columnsOf, cutToFit } from './columns.ts'
import { cutAtEdge, holdTerminal } from './held-terminal.ts'

const OWN_SCREEN = '\u001b[?1049h'
const SCREEN_BEFORE = '\u001b[?1049l'
const HOME = '\u001b[H'
const CLEAR_LINE = '\u001b[K'
const CLEAR_BELOW = '\u001b[J'
const USUAL_ROWS = 24

export interface LiveLinesOptions {
  readonly stream: NodeJS.WriteStream
  /** What is to be shown now, for so many columns; what is wider is cut. Plain text, escaped. */
  readonly lines: (columns: number) => readonly string[]
}

export class LiveLines {
  readonly #options: LiveLinesOptions
  readonly #release: () => void

  constructor(options: LiveLinesOptions) {
    this.#options = options
    const { stream } = options
    const redraw = (): void => {
      stream.write(OWN_SCREEN)
      this.draw()
    }
    this.#release = holdTerminal({ stream, redraw, leave: () => void stream.write(SCREEN_BEFORE) })
    redraw()
  }

  /** Shows what is true now. */
  draw(): void {
    const { stream, lines } = this.#options
    // The last column stays free: clearing the rest of a line that is full takes its last character.
    const columns = columnsOf(stream) - 1
    const all = lines(columns).map((line) => cutToFit(line, columns))
    const rows = stream.rows > 0 ? stream.rows : USUAL_ROWS
    const shown =
      all.length <= rows ? all : [...all.slice(0, rows - 1), `… ${String(all.length - rows + 1)} lines more`]
    const text = shown.map((line) => line + CLEAR_LINE).join('\r\n')
    stream.write(cutAtEdge(HOME + text + CLEAR_BELOW))
  }

  /** Leaves what is true now on the screen of before. */
  end(): void {
    const { stream, lines } = this.#options
    this.#release()
    const text = lines(columnsOf(stream)).map((line) => `${line}\n`)
    stream.write(SCREEN_BEFORE + text.join(''))
  }
}
