/** Writes what is received to standard output: in order, and no faster than whoever reads it takes it. */

import { write } from 'node:fs'
import { Socket } from 'node:net'
import { diskFault, errnoOf } from '../files/disk-faults.ts'
import { SealiftError } from '../protocol/errors.ts'

/** What `-o` takes for standard output. */
export const STDOUT = '-'

/** @throws SealiftError `usage` where content should not go to standard output */
export function checkStandardOutput(json: boolean): void {
  if (json)
    throw new SealiftError('usage', '--json writes to standard output already: -o - cannot go there too', {
      hint: 'leave out one of the two, or receive into a folder: -o FOLDER',
    })
  // What comes may be anything, also what would draw on the terminal.
  if (process.stdout.isTTY)
    throw new SealiftError('usage', 'standard output is a terminal, which what comes could draw on as it likes', {
      hint: 'pipe it on or write it to a file: … -o - | tar x, … -o - > FILE',
    })
}

/** @throws SealiftError `target_gone` where nobody reads any more; `disk_full`, `disk_fault` of a file */
export async function writeToStandardOutput(bytes: Uint8Array): Promise<void> {
  try {
    if (process.stdout instanceof Socket) await writeToPipe(process.stdout, bytes)
    else for (let at = 0; at < bytes.length;) at += await writeToFile(bytes, at)
  } catch (error) {
    if (!['EPIPE', 'ECONNRESET', 'ERR_STREAM_DESTROYED'].includes(errnoOf(error)))
      throw diskFault(error, 'cannot write to standard output')
    throw new SealiftError('target_gone', 'standard output was closed before all was written', {
      hint: 'whoever reads it has ended; start both sides anew to send it again',
      cause: error,
    })
  }
}

function writeToPipe(pipe: Socket, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    pipe.write(bytes, (error) => {
      if (error) reject(error)
      else resolve()
    })
  })
}

/** On the thread pool: the stream that Node makes for a file would keep everything else waiting for the disk. */
function writeToFile(bytes: Uint8Array, at: number): Promise<number> {
  return new Promise((resolve, reject) => {
    write(1, bytes, at, bytes.length - at, null, (error, written) => {
      if (error) reject(error)
      else resolve(written)
    })
  })
}
