/**
 * Runs `test/tailnet` on a real tailnet of this machine's own (test/rigs/tailnet). Where that cannot be, the reason is
 * printed and the tests are skipped. Whatever happens, nothing of the tailnet is left behind.
 *
 *   npm run test:tailnet [-- FILTER…]
 */

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { buildTailscale, whyNoTailnet } from '../test/rigs/tailnet/build.ts'
import { removeTailnet, tailnetFolder } from '../test/rigs/tailnet/tailnet.ts'
import { installPackage } from './test-setup.ts'

const say = (line: string): void => void process.stdout.write(`${line}\n`)

/** The folder of the programs, or why there is none. */
function prepare(): { programs: string } | { reason: string } {
  if (process.platform === 'linux') installPackage({ name: 'iproute2', program: 'ip', neededBy: 'tests on a tailnet' })
  const reason = whyNoTailnet()
  if (reason !== null) return { reason }
  try {
    return { programs: buildTailscale(say) }
  } catch (error) {
    return { reason: (error as Error).message }
  }
}

const ready = prepare()
if ('reason' in ready) say(`no tailnet here: ${ready.reason}`)
const folder = 'programs' in ready ? tailnetFolder() : null
const runner = fileURLToPath(new URL('test.ts', import.meta.url))
const env =
  'programs' in ready
    ? { SEALIFT_TAILNET_PROGRAMS: ready.programs, SEALIFT_TAILNET_FOLDER: folder ?? '' }
    : { SEALIFT_TAILNET_REASON: `no tailnet here: ${ready.reason}` }
const child = spawn(process.execPath, [runner, '--tailnet', ...process.argv.slice(2)], {
  stdio: 'inherit',
  env: { ...process.env, ...env },
})
// The terminal tells the tests too; what they leave behind is cleared away here.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal))
child.on('close', (status) => {
  if (folder !== null) removeTailnet(folder)
  process.exitCode = status ?? 1
})
