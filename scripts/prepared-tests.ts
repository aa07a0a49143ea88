/**
 * Tests that need something of the machine made ready first (a tailnet, a Docker daemon). Where that cannot be, the reason is
 * printed and the tests are skipped; whatever happens, what was made for them is cleared away.
 */

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const say = (line: string): void => void process.stdout.write(`${line}\n`)

export interface PreparedTests {
  /** What `scripts/test.ts` is told. */
  readonly flag: string
  /** What there is or is not, in words. */
  readonly what: string
  /** Why it cannot be here; `null` where it can. */
  readonly whyNot: () => string | null
  /** Makes what takes long and is kept. @returns its path @throws where it cannot be made: the message is the reason */
  readonly make: (say: (line: string) => void) => string
  /** A folder of this run's own, which `remove` clears away with all that was begun in it. */
  readonly folder: () => string
  readonly remove: (folder: string) => void
  /** Variables by which the tests are told what was made, where it is, or why nothing is. */
  readonly variables: { readonly made: string; readonly folder: string; readonly reason: string }
}

export function runPreparedTests({
  flag,
  what,
  whyNot,
  make,
  folder: newFolder,
  remove,
  variables,
}: PreparedTests): void {
  const prepare = (): { made: string } | { reason: string } => {
    const reason = whyNot()
    if (reason !== null) return { reason }
    try {
      return { made: make(say) }
    } catch (error) {
      return { reason: (error as Error).message }
    }
  }
  const ready = prepare()
  if ('reason' in ready) say(`no ${what} here: ${ready.reason}`)
  const folder = 'made' in ready ? newFolder() : null
  const env =
    'made' in ready
      ? { [variables.made]: ready.made, [variables.folder]: folder ?? '' }
      : { [variables.reason]: `no ${what} here: ${ready.reason}` }
  const runner = fileURLToPath(new URL('test.ts', import.meta.url))
  const child = spawn(process.execPath, [runner, flag, ...process.argv.slice(2)], {
    stdio: 'inherit',
    env: { ...process.env, ...env },
  })
  // The terminal tells the tests too; what they leave behind is cleared away here.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal))
  child.on('close', (status) => {
    if (folder !== null) remove(folder)
    process.exitCode = status ?? 1
  })
}
