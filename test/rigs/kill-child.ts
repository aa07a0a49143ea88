/**
 * One side of a transfer as a process of its own, which kills itself at a named stage: `node kill-child.js JSON`. Prints
 * its events as lines of JSON, and last how it ended.
 */

import type { ReceiveOptions, SendOptions, Transfer } from '../../src/index.ts'
import { receiveFiles, SealiftError, sendFiles } from '../../src/index.ts'

export interface ChildTask {
  readonly role: 'sender' | 'receiver'
  /** What is sent, or where to connect. */
  readonly target: string
  readonly options: Omit<SendOptions & ReceiveOptions, 'signal' | 'probe' | 'accept'>
  /** Dies when it comes to this stage for the n-th time, from 1. */
  readonly kill: { readonly stage: string; readonly time: number } | null
}

/** The last line. */
export interface ChildEnd {
  readonly event: 'end'
  /** `null`: all is done. */
  readonly error: { readonly code: string; readonly message: string; readonly hint: string | undefined } | null
}

const { role, target, options, kill } = JSON.parse(process.argv[2] as string) as ChildTask
let times = 0
const probe = (stage: string): void => {
  if (stage === kill?.stage && ++times === kill.time) process.kill(process.pid, 'SIGKILL')
}
const transfer: Transfer =
  role === 'sender' ? sendFiles(target, { ...options, probe }) : receiveFiles(target, { ...options, probe })
for await (const event of transfer) process.stdout.write(`${JSON.stringify(event)}\n`)
const end: ChildEnd = {
  event: 'end',
  error: await transfer.done.then(
    () => null,
    (error: unknown) => {
      if (!(error instanceof SealiftError)) throw error
      return { code: error.code, message: error.message, hint: error.hint }
    },
  ),
}
process.stdout.write(`${JSON.stringify(end)}\n`)
