/**
 * One side of a transfer, or a receiving server, as a process of its own, which kills itself at a named stage:
 * `node kill-child.js JSON`. Prints its events as lines of JSON, and last how it ended; a server does not end.
 */

import type { ReceiveOptions, SendOptions, Transfer } from '../../src/index.ts'
import { SERVER_SETTINGS } from '../../src/config/server-settings.ts'
import { resolveSettings } from '../../src/config/settings.ts'
import { receiveFiles, SealiftError, sendFiles } from '../../src/index.ts'
import { startReceivingServer } from '../../src/library/receive-server.ts'

export interface ChildTask {
  readonly role: 'sender' | 'receiver' | 'server'
  /** What is sent, or where to connect; of a server, the token that it asks for. */
  readonly target: string
  readonly options: Omit<SendOptions & ReceiveOptions, 'signal' | 'probe' | 'accept'>
  /** Settings of a server, by their names in the environment. */
  readonly settings?: Readonly<Record<string, string>>
  /** Dies when it comes to this stage for the n-th time, from 1. */
  readonly kill: { readonly stage: string; readonly time: number } | null
}

/** The last line. */
export interface ChildEnd {
  readonly event: 'end'
  /** `null`: all is done. */
  readonly error: { readonly code: string; readonly message: string; readonly hint: string | undefined } | null
}

const { role, target, options, settings, kill } = JSON.parse(process.argv[2] as string) as ChildTask
let times = 0
const probe = (stage: string): void => {
  if (stage === kill?.stage && ++times === kill.time) process.kill(process.pid, 'SIGKILL')
}
if (role === 'server') await serve()
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

/** Serves until it is killed. */
async function serve(): Promise<never> {
  const found = resolveSettings(SERVER_SETTINGS, { flags: {}, environment: settings ?? {}, file: null })
  const server = await startReceivingServer({
    settings: found.values,
    token: target,
    probe,
    onEvent: (event) => void process.stdout.write(`${JSON.stringify(event)}\n`),
  })
  process.stdout.write(`${JSON.stringify({ event: 'listening', port: server.port, token: target })}\n`)
  return server.end.then(() => new Promise<never>(() => undefined))
}
