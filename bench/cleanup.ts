/**
 * What must be undone however the bench ends: at its end, at a failure, at Ctrl-C.
 *
 * Owns the list of undoings and the signals. Every one of them is synchronous, because nothing else runs any more
 * when a process exits.
 */

const undoings: (() => void)[] = []

/** Runs `undo` when the process ends, the newest first. A failing one does not stop the others. */
export function atExit(undo: () => void): void {
  undoings.push(undo)
}

process.on('exit', () => {
  for (const undo of undoings.reverse()) {
    try {
      undo()
    } catch (error) {
      process.stderr.write(`bench: could not clean up: ${String(error)}\n`)
    }
  }
})
process.on('SIGINT', () => process.exit(130))
process.on('SIGTERM', () => process.exit(143))
process.on('SIGHUP', () => process.exit(129))
