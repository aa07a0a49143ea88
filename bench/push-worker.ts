/**
 * A sender in a process of its own: pushes what each line of its standard input names, and answers with a line.
 *
 * It is started before anything is timed, so that what is timed is the transfer and not the start of Node. Owns nothing
 * but the ledger and the keys of this one sender, in the folder of its argument.
 */

import { join } from 'node:path'
import { createInterface } from 'node:readline'

import type * as Library from '../src/index.ts'

/** A line of the standard input. */
export interface PushOrder {
  readonly to: string
  readonly token: string
  readonly source: string
  readonly tls?: boolean | undefined
  readonly ca?: string | undefined
}

/** The line that answers it. */
export interface PushAnswer {
  /** From the order to the end. */
  readonly seconds: number
  /** Why it failed; `null` where it did not. */
  readonly error: string | null
}

const built = new URL('../dist/index.js', import.meta.url).href
const { sendFiles } = (await import(built)) as typeof Library
const folder = process.argv[2] ?? ''

async function push({ to, token, source, tls, ca }: PushOrder): Promise<string | null> {
  try {
    const place = { ledgerPath: join(folder, 'ledger', 'l.db'), configFolder: join(folder, 'config') }
    await sendFiles(source, { to, token, tls, ca, ...place }).done
    return null
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

process.stdout.write('\n')
for await (const line of createInterface({ input: process.stdin })) {
  const startedMs = performance.now()
  const error = await push(JSON.parse(line) as PushOrder)
  const answer: PushAnswer = { seconds: (performance.now() - startedMs) / 1000, error }
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}
