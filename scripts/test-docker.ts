/**
 * Runs `test/docker` with a Docker daemon of its own (test/rigs/docker). Where that cannot be, the reason is printed and
 * the tests are skipped. Whatever happens, nothing of the daemon is left behind but the cached base image.
 *
 *   npm run test:docker [-- FILTER…]
 */

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { makeBaseImage } from '../test/rigs/docker/base-image.ts'
import { dockerFolder, removeDocker, whyNoDocker } from '../test/rigs/docker/docker.ts'
import { installPackage } from './test-setup.ts'

const say = (line: string): void => void process.stdout.write(`${line}\n`)
const PACKAGES = [
  { name: 'docker.io', program: 'dockerd' },
  { name: 'docker-compose', program: 'docker-compose' },
  { name: 'debootstrap', program: 'debootstrap' },
]

/** The archive of the base image, or why there is none. */
function prepare(): { archive: string } | { reason: string } {
  if (process.platform === 'linux')
    for (const wanted of PACKAGES) installPackage({ ...wanted, neededBy: 'tests of the container' })
  const reason = whyNoDocker()
  if (reason !== null) return { reason }
  try {
    return { archive: makeBaseImage(say) }
  } catch (error) {
    return { reason: (error as Error).message }
  }
}

const ready = prepare()
if ('reason' in ready) say(`no Docker here: ${ready.reason}`)
const folder = 'archive' in ready ? dockerFolder() : null
const runner = fileURLToPath(new URL('test.ts', import.meta.url))
const env =
  'archive' in ready
    ? { SEALIFT_DOCKER_ARCHIVE: ready.archive, SEALIFT_DOCKER_FOLDER: folder ?? '' }
    : { SEALIFT_DOCKER_REASON: `no Docker here: ${ready.reason}` }
const child = spawn(process.execPath, [runner, '--docker', ...process.argv.slice(2)], {
  stdio: 'inherit',
  env: { ...process.env, ...env },
})
// The terminal tells the tests too; what they leave behind is cleared away here.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal))
child.on('close', (status) => {
  if (folder !== null) removeDocker(folder)
  process.exitCode = status ?? 1
})
