/**
 * A `SecureFileTransferClient` in a process of its own: does what its one line of standard input orders, and answers with a
 * line. Owns nothing but the ledger and the keys of this client, in the folder of its argument.
 */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

import type * as Library from '../src/index.ts'

/** The line of the standard input. */
export interface ParallelOrder {
  readonly port: number
  readonly token: string
  /** Sent before anything is timed: the first meeting of two is slower than all others. */
  readonly greeting: string
  readonly files: readonly string[]
  /** Transfers at a time; `null`: one `sendFile` after another. */
  readonly concurrency: number | null
}

/** The line that answers it. */
export interface ParallelAnswer {
  readonly seconds: number
  /** The kernel's high-water mark of this process. */
  readonly peakBytes: number
  /** Why it failed; `null` where it did not. */
  readonly error: string | null
}

const built = new URL('../dist/index.js', import.meta.url).href
const { SecureFileTransferClient } = (await import(built)) as typeof Library
const folder = process.argv[2] ?? ''

async function send({ port, token, greeting, files, concurrency }: ParallelOrder): Promise<number> {
  const place = { ledgerPath: join(folder, 'ledger', 'l.db'), configFolder: join(folder, 'config') }
  const client = new SecureFileTransferClient({ host: '127.0.0.1', port, token, ...place })
  await client.sendFile(greeting)
  const startedMs = performance.now()
  if (concurrency === null) for (const file of files) await client.sendFile(file)
  else {
    const results = await client.sendFilesInParallel(files, { concurrency })
    for (const result of results) if (!result.ok) throw result.error
  }
  return (performance.now() - startedMs) / 1000
}

for await (const line of createInterface({ input: process.stdin })) {
  const outcome = await send(JSON.parse(line) as ParallelOrder).then(
    (seconds) => ({ seconds, error: null }),
    (error: unknown) => ({ seconds: Number.NaN, error: error instanceof Error ? error.message : String(error) }),
  )
  const status = readFileSync('/proc/self/status', 'latin1')
  const peakBytes = Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? Number.NaN) * 1024
  process.stdout.write(`${JSON.stringify({ ...outcome, peakBytes } satisfies ParallelAnswer)}\n`)
}
