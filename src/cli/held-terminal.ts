/**
 * A terminal on which something is drawn again and again: its cursor is hidden meanwhile, and given back whatever happens.
 *
 * Whoever draws a line among others keeps the cursor at its beginning. Where a terminal that was made narrower breaks the
 * line in two, the cursor goes with that beginning, and drawing anew from there leaves nothing torn behind.
 */

const HIDE_CURSOR = '\u001b[?25l'
const SHOW_CURSOR = '\u001b[?25h'

export interface HeldTerminalOptions {
  readonly stream: NodeJS.WriteStream
  /** Draws anew, for the width of now, or after the shell had the terminal. */
  readonly redraw: () => void
  /** Leaves the terminal as others may write on it. */
  readonly leave: () => void
}

/**
 * Text that the terminal cuts at its edge: while it is being resized, what is drawn may still be laid out for the width of
 * before, and a line that wraps would be two of them from then on.
 */
export function cutAtEdge(text: string): string {
  return `\u001b[?7l${text}\u001b[?7h`
}

/** Hides the cursor. @returns what gives the terminal back; nothing is drawn or left by itself after that */
export function holdTerminal({ stream, redraw, leave }: HeldTerminalOptions): () => void {
  const exited = (): void => {
    leave()
    stream.write(SHOW_CURSOR)
  }
  const suspended = (): void => {
    exited()
    process.kill(process.pid, 'SIGSTOP')
    stream.write(HIDE_CURSOR)
    redraw()
  }
  stream.write(HIDE_CURSOR)
  stream.on('resize', redraw)
  // The second Ctrl-C ends the process in the middle.
  process.once('exit', exited)
  if (process.platform !== 'win32') process.on('SIGTSTP', suspended)
  return () => {
    stream.off('resize', redraw)
    process.off('exit', exited)
    process.off('SIGTSTP', suspended)
    stream.write(SHOW_CURSOR)
  }
}
